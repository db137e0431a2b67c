//! What real clients make of the repositories.

use std::fs;
use std::path::Path;

use super::site::{Gpg, Site, WebServer, are_installed, run};

/// All that an index tells of a package, and what would break an index that is not escaped.
const RICH: &str = "Epoch: 3
Group: Site/<Tools>
URL: https://example.com/?a=1&b=\"2\"
Vendor: A & B <a@b.example>
Packager: P <p@example.com>
Requires: /bin/sh, plain >= 2:1.0-3, other < 4, other > 1, missing = 5
Requires(pre): shadow
Requires(post): systemd
Provides: virtual = 1.5, /usr/bin/provided, bundled(x) = 1:2-3
Conflicts: enemy <= 2
Obsoletes: ancestor < 3
Recommends: friend
Suggests: hint > 0
Supplements: (a and b)
Enhances: better
%description
<Rich> & \"quoted\"
é
%post
true
%install
mkdir -p %{buildroot}/etc/rich.d %{buildroot}/usr/bin %{buildroot}/usr/share/rich %{buildroot}/var/log
echo a > %{buildroot}/etc/rich.d/conf
echo a > %{buildroot}/usr/bin/rich
echo a > '%{buildroot}/usr/share/rich/a & <b>'
echo a > %{buildroot}/var/log/rich.log
%files
%dir /etc/rich.d
%config(noreplace) /etc/rich.d/conf
/usr/bin/rich
/usr/share/rich
%ghost /var/log/rich.log
%changelog
* Wed Jan 10 2024 A <a@example.com> - 2.0-1
- second & last
* Tue Jan 09 2024 A <a@example.com> - 1.0-1
- first
";
const PLAIN: &str = "%description\nplain\n%files\n";

fn with_rpms() -> Site {
    let site = Site::new();
    site.add_rpm("rich", "2.0~rc1", RICH);
    site.add_rpm("plain", "1.9", PLAIN);
    site.add_rpm("plain", "1.10", PLAIN);
    let directory = site.packages("rpm");
    fs::create_dir(directory.join("site tools, 100%")).unwrap();
    let file = "plain-1.10-1.noarch.rpm";
    fs::rename(
        directory.join(file),
        directory.join("site tools, 100%").join(file),
    )
    .unwrap();
    site
}

fn essentials(repository: &Path) -> String {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/repository/essentials.py"
    );
    run("python3", |python| python.arg(script).arg(repository))
}

#[test]
fn an_index_of_rpms_says_what_that_of_createrepo_c_says() {
    if !are_installed(&["rpmbuild", "createrepo_c", "python3"]) {
        return;
    }
    let site = with_rpms();
    site.repository(None).rebuild(&site.entries()).unwrap();
    let ours = essentials(&site.path("repo/rpm"));

    run("createrepo_c", |createrepo| {
        createrepo
            .args(["--quiet", "--no-database"])
            .arg(site.packages("rpm"))
    });
    let theirs = essentials(&site.packages("rpm"));
    assert_eq!(ours, theirs);
}

#[test]
fn dnf_reads_the_repository_signed_or_not() {
    if !are_installed(&["rpmbuild", "dnf", "gpg", "python3"]) {
        return;
    }
    let site = with_rpms();
    let gpg = Gpg::with_key("packages@example.com");
    for signing in [None, Some(gpg.key("packages@example.com"))] {
        let is_signed = u8::from(signing.is_some());
        site.repository(signing).rebuild(&site.entries()).unwrap();
        let server = WebServer::start(&site.served("rpm"));
        let (url, key) = (&server.url, site.path("repo/key.asc"));
        let key = key.display();
        let repositories = site.path("repositories");
        fs::create_dir_all(&repositories).unwrap();
        let configuration = format!(
            "[site]\nname=site\nbaseurl={url}\nrepo_gpgcheck={is_signed}\ngpgcheck=0\ngpgkey=file://{key}\n"
        );
        fs::write(repositories.join("site.repo"), configuration).unwrap();
        let root = site.path(&format!("root{is_signed}"));
        let dnf = |arguments: &[&str]| {
            run("dnf", |dnf| {
                dnf.args(["-y", "-q", "--releasever=9", "--installroot"])
                    .arg(&root);
                dnf.arg(format!("--setopt=reposdir={}", repositories.display()));
                dnf.arg(format!(
                    "--setopt=cachedir={}",
                    root.join("cache").display()
                ));
                dnf.args(arguments)
            })
        };
        let newest = dnf(&["repoquery", "--latest-limit=1", "*"]);
        assert_eq!(newest, "plain-0:1.10-1.noarch\nrich-3:2.0~rc1-1.noarch\n");
        let owner = dnf(&["repoquery", "--file", "/usr/share/rich/a & <b>"]);
        assert_eq!(owner, "rich-3:2.0~rc1-1.noarch\n");
        let requires = dnf(&["repoquery", "--requires", "rich"]);
        assert!(requires.contains("plain >= 2:1.0-3\n"), "{requires}");
        dnf(&["install", "--downloadonly", "plain"]);
        let found = run("find", |find| {
            find.arg(&root).args(["-name", "plain-1.10-1.noarch.rpm"])
        });
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn apt_reads_the_repository_signed_or_not() {
    if !are_installed(&["dpkg-deb", "apt-get", "apt-cache", "gpg"]) {
        return;
    }
    let site = Site::new();
    site.add_deb("tool", "1.9-1", "Depends: libc6 (>= 2)\n");
    site.add_deb("tool", "1.10~rc1-1", "");
    site.add_deb(
        "tool",
        "1.10-1",
        "Filename: ../../lie\nSHA256: 00\nsize: 1\n",
    );
    site.add_deb("other", "2:1", "");
    let gpg = Gpg::with_key("packages@example.com");
    for signing in [None, Some(gpg.key("packages@example.com"))] {
        let option = match signing {
            None => "trusted=yes".to_owned(),
            Some(_) => format!("signed-by={}", site.path("repo/key.asc").display()),
        };
        site.repository(signing).rebuild(&site.entries()).unwrap();
        let served = site.served("deb");
        let source = format!("deb [{option}] copy:{} ./\n", served.display());
        let home = site.path(if option == "trusted=yes" {
            "unsigned"
        } else {
            "signed"
        });
        let state = home.join("state/lists/partial");
        fs::create_dir_all(state).unwrap();
        fs::create_dir_all(home.join("cache/archives/partial")).unwrap();
        fs::write(home.join("sources.list"), source).unwrap();
        fs::write(home.join("status"), "").unwrap();
        let configuration = format!(
            "Dir::State \"{0}/state\";\nDir::State::status \"{0}/status\";\nDir::Cache \"{0}/cache\";\n\
             Dir::Etc::SourceList \"{0}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Etc::Parts \"/dev/null\";\nAPT::Sandbox::User \"root\";\nAPT::Architecture \"amd64\";\n",
            home.display()
        );
        fs::write(home.join("apt.conf"), configuration).unwrap();
        let apt = |program: &str, arguments: &[&str]| {
            run(program, |apt| {
                apt.env("APT_CONFIG", home.join("apt.conf"))
                    .current_dir(&home)
                    .args(arguments)
            })
        };
        let told = apt("apt-get", &["update", "--error-on=any"]);
        assert!(!told.contains("Ign:2"), "{told}");
        let policy = apt("apt-cache", &["policy", "tool"]);
        assert!(policy.contains("Candidate: 1.10-1\n"), "{policy}");
        assert!(
            policy.contains(" 1.10~rc1-1 ") && policy.contains(" 1.9-1 "),
            "{policy}"
        );
        let show = apt("apt-cache", &["show", "tool=1.9-1"]);
        assert!(show.contains("Depends: libc6 (>= 2)\n"), "{show}");
        // Which checks size and digest.
        apt("apt-get", &["download", "tool"]);
        let downloaded = fs::read(home.join("tool_1.10-1_all.deb")).unwrap();
        assert_eq!(
            downloaded,
            fs::read(site.packages("deb").join("tool_1.10-1.deb")).unwrap()
        );
    }
}
