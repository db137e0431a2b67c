//! `/gitrepos` and `/gitrepo/<UID>`: the registered git repositories.
#![allow(clippy::unwrap_used)]

mod head;

use head::Head;
use serde_json::{Value, json};

fn site() -> Value {
    json!({"name": "site", "description": "what nodes boot", "url": "https://git.example/site.git", "public": true,
           "sync_period": "90s"})
}

#[test]
fn a_repository_is_registered_read_changed_and_deleted() {
    let head = Head::start();
    let uid = head.create("/gitrepos", &site());
    let mut shown = head.api("GET", "/gitrepo/site", None).data();
    assert_eq!(
        head.api("GET", "/gitrepos", None).data(),
        json!({&uid: shown})
    );
    let revision = shown.as_object_mut().unwrap().remove("revision").unwrap();
    assert!(revision.is_u64(), "{revision}");
    let mut expected = site();
    expected["uid"] = uid.as_str().into();
    assert_eq!(shown, expected);

    let again = head.api("POST", "/gitrepos", Some(&site()));
    assert_eq!(
        again.refusal(),
        "409 there is another git repository named site"
    );
    // A name is taken among its own kind alone.
    head.create("/bootconfigs", &json!({"name": "site"}));

    let patch = json!({"public": null, "sync_period": "120s"});
    let patched = head
        .api("PATCH", &format!("/gitrepo/{uid}"), Some(&patch))
        .data();
    assert_eq!(
        (&patched["public"], &patched["sync_period"]),
        (&json!(false), &json!("2m"))
    );
    assert_eq!(patched["url"], "https://git.example/site.git");
    let stale = ["-H", "If-Match: \"1\""];
    assert_eq!(head.api_with("DELETE", "/gitrepo/site", &stale).status, 412);
    let moved = json!({"name": "main", "url": "git+ssh://git@git.example/main.git"});
    let replaced = head.api("PUT", "/gitrepo/site", Some(&moved)).data();
    assert_eq!(replaced["url"], "git+ssh://git@git.example/main.git");
    assert_eq!(replaced.get("sync_period"), None);
    assert_eq!(
        head.api("DELETE", "/gitrepo/main", None).json(),
        json!({"success": true})
    );
    let gone = head.api("GET", &format!("/gitrepo/{uid}"), None);
    assert_eq!(
        gone.refusal(),
        format!("404 there is no git repository \"{uid}\"")
    );
    head.create("/gitrepos", &site());
}

#[test]
fn what_cannot_be_fetched_from_is_refused() {
    let head = Head::start();
    let with = |field: &str, value: Value| {
        let mut repo = site();
        repo[field] = value;
        repo
    };
    let url = |url: &str| with("url", url.into());
    let refusals = [
        (
            json!({"name": "site"}),
            "400 not a valid git repository: missing field `url`",
        ),
        (
            with("branch", "main".into()),
            "400 not a valid git repository: unknown field `branch`",
        ),
        (
            with("url", 7.into()),
            "400 not a valid git repository: invalid type",
        ),
        (
            with("public", "yes".into()),
            "400 not a valid git repository: invalid type",
        ),
        (
            with("name", "a/b".into()),
            "400 not a valid git repository: \"a/b\" is not a usable name",
        ),
        (
            with("sync_period", "1s".into()),
            "400 not a valid git repository: sync_period: \"1s\" is none from \"5s\" to \"7d\"",
        ),
        (
            with("description", "a\0b".into()),
            "400 description: holds a NUL",
        ),
        (
            url("git@git.example:site.git"),
            "400 url: it has no scheme; write https://HOST/REPOSITORY.git, or git+ssh://USER@HOST/",
        ),
        (
            url("ftp://git.example/site.git"),
            "400 url: its scheme is none of https, ",
        ),
        (url("https://git.example/a b"), "400 url: it holds a blank"),
        (
            url("https://ada:hunter2@git.example/site.git"),
            "400 url: it holds a password",
        ),
        (
            url("https://git.example/site.git?ref=main"),
            "400 url: it must name the repository alone",
        ),
        (
            url("https:///site.git"),
            "400 url: its host is missing or malformed",
        ),
        (
            url("https://git.example:99999/site.git"),
            "400 url: its port is malformed",
        ),
        (
            url("git+ssh://-oProxyCommand=x/site.git"),
            "400 url: its host is missing or malformed",
        ),
        (
            url("git+file://git.example/site.git"),
            "400 url: git+file takes no host",
        ),
    ];
    for (body, words) in &refusals {
        let refused = head.api("POST", "/gitrepos", Some(body)).refusal();
        assert!(refused.starts_with(words), "{body}: {refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    assert_eq!(head.api("GET", "/gitrepos", None).data(), json!({}));

    // Nor is a repository changed into one.
    head.create("/gitrepos", &site());
    let before = head.api("GET", "/gitrepo/site", None).data();
    for (body, words) in &refusals[1..] {
        for method in ["PATCH", "PUT"] {
            let refused = head.api(method, "/gitrepo/site", Some(body)).refusal();
            assert!(refused.starts_with(words), "{method} {body}: {refused}");
        }
    }
    assert_eq!(head.api("GET", "/gitrepo/site", None).data(), before);
    assert!(!head.log().contains("hunter2"), "{}", head.log());
}

#[test]
fn filters_select_repositories() {
    let head = Head::start();
    head.create("/gitrepos", &site());
    for (name, url) in [
        ("lab", "ssh://git@git.example/lab.git"),
        ("site-old", "https://old.example/site.git"),
    ] {
        head.create("/gitrepos", &json!({"name": name, "url": url}));
    }
    for (query, expected) in [
        ("name=site*", &["site", "site-old"][..]),
        ("url=*://*git.example/*", &["lab", "site"]),
        ("public=true", &["site"]),
        ("public=false&url=https:*", &["site-old"]),
        ("sync_period=*", &["site"]),
        ("description=what*", &["site"]),
    ] {
        let list = head.api("GET", &format!("/gitrepos?{query}"), None).data();
        let found = list.as_object().unwrap().values();
        let mut names: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{query}");
    }
    let refused = head.api("GET", "/gitrepos?ref=main", None).refusal();
    assert!(
        refused.starts_with("400 there is no filter ref; there are name, "),
        "{refused}"
    );
}

#[test]
fn the_command_line_does_all_of_it() {
    let head = Head::start();
    let create = "gitrepo create site url=https://git.example/site.git sync_period=5m";
    let created = head.done(create);
    assert!(created.starts_with("gitrepo site created: "), "{created}");
    assert_eq!(
        head.failed(create),
        "1 pilotlight: there is another git repository named site\n"
    );
    assert_eq!(
        head.failed("gitrepo create lab url=git@git.example:lab.git public=1"),
        "2 pilotlight: public must be true or false, not \"1\"\n"
    );
    let refused = head.failed("gitrepo create lab url=https://ada:hunter2@git.example/lab.git");
    assert!(
        refused.starts_with("1 pilotlight: url: it holds a password")
            && !refused.contains("hunter2"),
        "{refused}"
    );
    let json = head.done("gitrepo show site --json");
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        head.api("GET", "/gitrepo/site", None).data()
    );
    head.done("gitrepo update site public=true sync_period= description=boot");
    assert_eq!(
        head.done("gitrepo list name=s*"),
        "NAME\tURL\tPUBLIC\tSYNC_PERIOD\tDESCRIPTION\nsite\thttps://git.example/site.git\ttrue\t\tboot\n"
    );
    assert!(
        head.done("gitrepo show site")
            .starts_with("FIELD\tVALUE\nname\tsite\ndescription\tboot\nurl\thttps://git.example/site.git\npublic\ttrue\n")
    );
    assert_eq!(head.done("gitrepo delete site"), "gitrepo site deleted\n");
    assert_eq!(
        head.failed("gitrepo show site"),
        "1 pilotlight: there is no git repository \"site\"\n"
    );
}
