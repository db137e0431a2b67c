//! Ignition configs that are kept elsewhere: on web servers and in git repositories.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use head::{Head, Nginx, Reply, run, until};
use serde_json::Value;

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// Written as nothing would write it that had read it.
const CONFIG: &str = "{ \"ignition\" : {\"version\": \"3.3.0\"},\n \"first\": 1}\n";

/// Loopback allowed, and every request asked of the upstream.
const FETCHING: &str = "[fetch]\nallow = [\"127.0.0.0/8\"]\n[ignition]\nrefresh = \"0s\"\n";

fn head_with(settings: &str) -> Head {
    let head = Head::with_config(settings);
    head.node("n1", N1, &[]);
    head
}

/// What n1 gets where its config is here.
fn served(head: &Head, place: &str) -> Reply {
    head.cli(["node", "set", "n1", &format!("_ignition={place}")]);
    head.get_from(N1, "/ignition/n1")
}

/// The status and the line of a refusal.
fn refused(head: &Head, place: &str) -> (u16, String) {
    let reply = served(head, place);
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    (reply.status, reply.text().trim_end().to_owned())
}

/// The record of the latest of `count` requests.
fn record(head: &Head, count: usize) -> Value {
    until(&format!("{count} records"), || {
        let mut records = head.ledger("limit=1000");
        (records.len() == count).then(|| records.swap_remove(0))
    })
}

#[test]
fn a_config_on_a_web_server_is_served_byte_for_byte() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    let head = head_with(FETCHING);
    nginx.put("a.ign", CONFIG);
    let reply = served(&head, &nginx.url("a.ign"));
    assert_eq!((reply.status, reply.text()), (200, CONFIG));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    let tag = reply.header("ETag").unwrap().to_owned();
    let known = format!("If-None-Match: {tag}");
    let again = head.ask_from(N1, "/ignition/n1", &["-H", &known]);
    assert_eq!(again.status, 304);
    // Whatever the server calls it, a name without an end of its own is Ignition's.
    nginx.put("config", CONFIG);
    assert_eq!(served(&head, &nginx.url("config")).text(), CONFIG);
    // What changes there changes here.
    let longer = CONFIG.replace("first", "the second");
    nginx.put("a.ign", &longer);
    let reply = served(&head, &nginx.url("a.ign"));
    assert_eq!((reply.status, reply.text()), (200, &*longer));
}

#[test]
fn a_config_from_elsewhere_is_translated_checked_and_filled_like_any_other() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    let head = head_with(FETCHING);
    let butane = "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: /etc/a\n    contents:\n      ";
    nginx.put("a.bu", format!("{butane}inline: <n[name]>\n"));
    let config = served(&head, &nginx.url("a.bu")).json();
    assert_eq!(
        config["storage"]["files"][0]["contents"]["source"],
        "data:,n1"
    );
    for (name, content, reason) in [
        (
            "local.bu",
            format!("{butane}local: motd\n"),
            "no files directory",
        ),
        (
            "missing.bu",
            format!("{butane}inline: <a[token]>\n"),
            "node n1 has no attribute \"token\"",
        ),
        (
            "page.ign",
            "<html>not found</html>".to_owned(),
            "page.ign: not JSON: ",
        ),
        (
            "old.ign",
            "{\"ignition\": {\"version\": \"2.3.0\"}}".to_owned(),
            "ign-converter",
        ),
    ] {
        nginx.put(name, &content);
        let (status, text) = refused(&head, &nginx.url(name));
        assert_eq!(status, 422, "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(text.starts_with(&nginx.url(name)), "{text}");
    }
}

#[test]
fn the_head_fetches_nothing_from_itself_unless_allowed() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    nginx.put("a.ign", CONFIG);
    let url = nginx.url("a.ign");
    let port = url.rsplit_once(':').unwrap().1;
    let head = head_with("");
    for place in [
        &*url,
        &format!("http://127.77.1:{port}"),
        &format!("http://0x7f4d0001:{port}"),
        &format!("http://[::ffff:127.77.0.1]:{port}"),
        &format!("http://localhost:{port}"),
        &format!("http://0:{port}"),
        "http://169.254.169.254/latest/user-data",
        "http://[fe80::1]/a.ign",
        "git+http://127.77.0.1/site.git//a.ign",
    ] {
        let (status, reason) = refused(&head, place);
        assert_eq!(status, 403, "{place}: {reason}");
        assert!(reason.contains("is forbidden: "), "{place}: {reason}");
    }
    assert_eq!(nginx.access_log(), "");
    let head = head_with("[fetch]\nallow = [\"127.77.0.0/16\"]\n");
    assert_eq!(served(&head, &url).text(), CONFIG);
    let (status, reason) = refused(&head, "http://127.0.0.1/a.ign");
    assert_eq!(status, 403, "{reason}");
    // Nor is it led there.
    let (status, reason) = refused(&head, &nginx.url("moved"));
    assert_eq!(status, 403, "{reason}");
    assert!(reason.contains("169.254.169.254"), "{reason}");
}

#[test]
fn while_an_upstream_is_down_the_last_good_copy_is_served() {
    let Some(mut nginx) = Nginx::up() else {
        return;
    };
    let mut head = head_with(FETCHING);
    nginx.put("a.ign", CONFIG);
    let good = served(&head, &nginx.url("a.ign"));
    assert_eq!((good.status, good.text()), (200, CONFIG));
    assert_eq!(record(&head, 1).get("reason"), None);

    nginx.stop();
    let copy = head.get_from(N1, "/ignition/n1");
    assert_eq!(copy, good);
    let stale = record(&head, 2);
    let reason = stale["reason"].as_str().unwrap();
    let age = reason.strip_prefix("stale, confirmed ");
    let (age, why) = age.unwrap().split_once(" s ago: ").unwrap();
    assert!(age.parse::<u64>().is_ok(), "{reason}");
    assert!(why.contains("cannot connect to 127.77.0.1"), "{reason}");
    head.log_lines("reason=\"stale, confirmed ", 1);

    // A head that starts again does so without its upstream, too.
    assert!(head.stop().success());
    head.start_again();
    let copy = head.get_from(N1, "/ignition/n1");
    assert_eq!((copy.status, copy.text()), (200, CONFIG));
    assert!(
        record(&head, 3)["reason"]
            .as_str()
            .unwrap()
            .starts_with("stale")
    );

    let longer = CONFIG.replace("first", "the second");
    nginx.put("a.ign", &longer);
    nginx.start();
    until("the upstream is asked again", || {
        (head.get_from(N1, "/ignition/n1").text() == longer).then_some(())
    });
    until("the ledger has no more to say about it", || {
        let latest = head.ledger("limit=1").remove(0);
        latest.get("reason").is_none().then_some(())
    });
}

#[test]
fn a_copy_stands_in_for_an_error_but_not_for_a_decision() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    let head = head_with(FETCHING);
    for name in ["a.ign", "b.ign"] {
        nginx.put(name, CONFIG);
        assert_eq!(served(&head, &nginx.url(name)).status, 200);
    }
    nginx.put("broken", "");
    let reply = served(&head, &nginx.url("a.ign"));
    assert_eq!((reply.status, reply.text()), (200, CONFIG));
    let reason = record(&head, 3)["reason"].take();
    assert!(reason.as_str().unwrap().contains("status 500"), "{reason}");
    nginx.remove("broken");
    nginx.remove("b.ign");
    let (status, reason) = refused(&head, &nginx.url("b.ign"));
    assert_eq!(status, 404, "{reason}");
}

#[test]
fn what_became_invalid_upstream_replaces_no_copy() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    let head = head_with(FETCHING);
    nginx.put("a.ign", CONFIG);
    assert_eq!(served(&head, &nginx.url("a.ign")).status, 200);
    nginx.put("a.ign", "{\"ignition\": {}}");
    let reply = served(&head, &nginx.url("a.ign"));
    assert_eq!((reply.status, reply.text()), (200, CONFIG));
    let reason = record(&head, 2)["reason"].take();
    let reason = reason.as_str().unwrap();
    assert!(
        reason.starts_with("stale, ")
            && reason.contains("$.ignition.version: not an Ignition config"),
        "{reason}"
    );
    // Where there is no copy, nothing is sent.
    nginx.put("b.ign", "<html>log in first</html>");
    let (status, reason) = refused(&head, &nginx.url("b.ign"));
    assert_eq!(status, 422, "{reason}");
}

#[test]
fn what_an_upstream_does_not_give_has_a_status_of_its_own() {
    let Some(mut nginx) = Nginx::up() else {
        return;
    };
    let head = head_with("[fetch]\nallow = [\"127.0.0.0/8\"]\nmax_size = \"1KiB\"\n");
    nginx.put("empty.ign", "");
    nginx.put("large.ign", " ".repeat(1025));
    for (name, status, reason) in [
        ("gone.ign", 404, "the server has no such file (status 404)"),
        ("empty.ign", 502, "it is empty"),
        ("large.ign", 502, "it is larger than 1024 bytes"),
    ] {
        let url = nginx.url(name);
        assert_eq!(refused(&head, &url).0, status);
        let (_, said) = refused(&head, &url);
        assert!(said.starts_with(&format!("{url}: {reason}")), "{said}");
    }
    nginx.put("broken", "");
    let (status, reason) = refused(&head, &nginx.url("broken.ign"));
    assert_eq!(status, 502, "{reason}");
    assert!(
        reason.contains("the server answered with status 500"),
        "{reason}"
    );
    nginx.stop();
    let (status, reason) = refused(&head, &nginx.url("never.ign"));
    assert_eq!(status, 502, "{reason}");
    assert!(reason.contains("cannot connect to 127.77.0.1"), "{reason}");
}

#[test]
fn an_upstream_that_does_not_answer_is_503_for_the_time_being() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    let head = head_with("[fetch]\nallow = [\"127.0.0.0/8\"]\n");
    nginx.put("a.ign", CONFIG);
    nginx.pause();
    let reply = served(&head, &nginx.url("a.ign"));
    assert_eq!(reply.status, 503, "{reply:?}");
    let seconds = reply.header("Retry-After").unwrap().parse::<u32>();
    assert!(seconds.is_ok_and(|seconds| seconds > 0), "{reply:?}");
    nginx.resume();
    let reply = until("the upstream has answered", || {
        Some(head.get("/ignition/n1")).filter(|reply| reply.status != 503)
    });
    assert_eq!((reply.status, reply.text()), (200, CONFIG));
    // Those who asked meanwhile were one to the upstream.
    assert_eq!(nginx.access_log().lines().count(), 1);
}

#[test]
fn an_upstream_that_never_answers_is_504() {
    let head = head_with("[fetch]\nallow = [\"127.0.0.0/8\"]\ntimeout = \"500ms\"\n");
    // Connections to it are accepted, and no more.
    let silent = TcpListener::bind("127.77.0.1:0").unwrap();
    let url = format!("http://{}/a.ign", silent.local_addr().unwrap());
    let (status, reason) = refused(&head, &url);
    assert_eq!(status, 504, "{reason}");
    assert!(
        reason.contains("the 0.5 s that a fetch may take were over"),
        "{reason}"
    );
}

#[test]
fn a_password_in_a_url_is_refused_and_never_repeated() {
    let head = head_with(FETCHING);
    for place in [
        "http://ada:hunter2@127.0.0.1/a.ign",
        "https://ada:hunter2@git.example/site.git//a.ign",
        "git+https://ada:hunter2@git.example/site.git//a.ign?ref=main",
    ] {
        let (status, reason) = refused(&head, place);
        assert_eq!(status, 422, "{reason}");
        assert!(reason.contains("fetch.credentials"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
        let check = head.try_cli(["check"]);
        assert!(!String::from_utf8_lossy(&check.stdout).contains("hunter2"));
    }
    let ledger = until("three records", || {
        let records = head.ledger("limit=9");
        (records.len() == 3).then_some(records)
    });
    assert!(!format!("{ledger:?}").contains("hunter2"), "{ledger:?}");
    assert!(!head.log().contains("hunter2"), "{}", head.log());
}

#[test]
fn a_place_that_is_none_is_422() {
    let head = head_with(FETCHING);
    for (place, reason) in [
        (
            "ftp://git.example/site.git//a.ign",
            "unknown scheme \"ftp:\"",
        ),
        ("http:///a.ign", "its host is missing"),
        (
            "git+https://git.example/site/a.ign",
            "nothing tells the repository from the file",
        ),
        (
            "git+https://git.example/site.git//a.ign?branch=x",
            "unknown parameter \"branch\"",
        ),
        (
            "git+https://git.example/site.git//a.ign?ref=--x",
            "cannot be the name of a branch or tag",
        ),
    ] {
        let (status, said) = refused(&head, place);
        assert_eq!(status, 422, "{said}");
        assert!(
            said.starts_with("node n1 has an _ignition (set by node): "),
            "{said}"
        );
        assert!(said.contains(reason), "{said}");
    }
}

/// A bare repository with the file `site/a.ign`.
struct Forge {
    work: PathBuf,
    bare: PathBuf,
}

impl Forge {
    fn new(head: &Head) -> Self {
        let forge = Self {
            work: head.path("work"),
            bare: head.path("site.git"),
        };
        fs::create_dir_all(forge.work.join("site")).unwrap();
        let bare = forge.bare.to_str().unwrap();
        forge.git(&["init", "--quiet", "--bare", "-b", "main", bare]);
        forge.git(&["init", "--quiet", "-b", "main"]);
        forge.git(&["remote", "add", "origin", bare]);
        forge
    }

    /// Commits a config that says `mark`, and gives the commit.
    fn commit(&self, mark: &str) -> String {
        fs::write(self.work.join("site/a.ign"), config_of(mark)).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", mark]);
        self.git(&["push", "--quiet", "--all", "origin"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(&self.work);
        git.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.args(["-c", "user.name=Ada", "-c", "user.email=ada@site.example"]);
        let output = run(git.args(arguments));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn url(&self) -> String {
        format!("git+file://{}", self.bare.display())
    }
}

fn config_of(mark: &str) -> String {
    format!("{{ \"ignition\": {{\"version\": \"3.3.0\"}}, \"{mark}\": 1}}")
}

const WITH_GIT_FILE: &str = "[fetch]\nschemes = [\"git+file\"]\n[ignition]\nrefresh = \"0s\"\n";

#[test]
fn a_repository_on_this_disk_is_read_only_where_that_is_configured() {
    let head = head_with("[fetch]\nallow = [\"127.0.0.0/8\"]\n");
    let forge = Forge::new(&head);
    forge.commit("first");
    let (status, reason) = refused(&head, &format!("{}//site/a.ign", forge.url()));
    assert_eq!(status, 403, "{reason}");
    assert!(
        reason.contains("fetch.schemes does not list \"git+file\""),
        "{reason}"
    );
}

#[test]
fn a_branch_a_tag_and_a_commit_are_served_as_they_are() {
    let head = head_with(WITH_GIT_FILE);
    let forge = Forge::new(&head);
    let first = forge.commit("first");
    forge.git(&["tag", "v1"]);
    forge.commit("second");
    forge.git(&["checkout", "--quiet", "-b", "rack/7"]);
    forge.commit("branch");
    forge.git(&["push", "--quiet", "--tags", "origin"]);
    let place = |reference: &str| format!("{}//site/a.ign{reference}", forge.url());
    for (reference, mark) in [
        ("", "second"),
        ("?ref=main", "second"),
        ("?ref=rack/7", "branch"),
        ("?ref=v1", "first"),
        (&*format!("?ref={first}"), "first"),
    ] {
        let reply = served(&head, &place(reference));
        assert_eq!(
            (reply.status, reply.text()),
            (200, &*config_of(mark)),
            "{reference}"
        );
    }
    for (place, reason) in [
        (place("?ref=none"), "has no branch or tag \"none\""),
        (
            format!("{}//site/b.ign", forge.url()),
            "has no file \"site/b.ign\"",
        ),
    ] {
        let (status, said) = refused(&head, &place);
        assert_eq!(status, 404, "{said}");
        assert!(said.contains(reason), "{said}");
    }

    // A push is seen, and the commit recorded.
    let before = head.ledger("limit=1000").len();
    forge.git(&["checkout", "--quiet", "main"]);
    let third = forge.commit("third");
    assert_eq!(served(&head, &place("")).text(), config_of("third"));
    assert_eq!(record(&head, before + 1)["file_revision"], third);

    // And the copy outlives the repository.
    fs::rename(&forge.bare, head.path("away.git")).unwrap();
    let reply = head.get_from(N1, "/ignition/n1");
    assert_eq!((reply.status, reply.text()), (200, &*config_of("third")));
    let reason = record(&head, before + 2)["reason"].take();
    assert!(
        reason.as_str().unwrap().starts_with("stale, confirmed "),
        "{reason}"
    );
}

#[test]
fn a_registered_repository_is_known_by_its_name() {
    let head = head_with(WITH_GIT_FILE);
    let forge = Forge::new(&head);
    forge.commit("first");
    forge.git(&["checkout", "--quiet", "-b", "lab"]);
    forge.commit("lab");
    let (status, reason) = refused(&head, "gitrepo:site//site/a.ign");
    assert_eq!(status, 404, "{reason}");
    assert!(
        reason.contains("no git repository is registered as \"site\""),
        "{reason}"
    );

    head.done(&format!("gitrepo create site url={}", forge.url()));
    for (reference, mark) in [("", "first"), ("?ref=lab", "lab")] {
        let reply = served(&head, &format!("gitrepo:site//site/a.ign{reference}"));
        assert_eq!(
            (reply.status, reply.text()),
            (200, &*config_of(mark)),
            "{reference}"
        );
    }
    let (status, reason) = refused(&head, "gitrepo:site//gone.ign");
    assert_eq!(status, 404, "{reason}");

    // Its own period counts, not that of the settings: what was pushed just now is not looked for.
    head.done("gitrepo update site sync_period=1d");
    let place = "gitrepo:site//site/a.ign?ref=lab";
    assert_eq!(served(&head, place).text(), config_of("lab"));
    forge.commit("later");
    assert_eq!(served(&head, place).text(), config_of("lab"));
    head.done("gitrepo update site sync_period=");
    assert_eq!(served(&head, place).text(), config_of("later"));
    head.done("gitrepo delete site");
    assert_eq!(refused(&head, place).0, 404);
}
