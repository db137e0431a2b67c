//! `git+ssh`, with an sshd of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use content::upstream::UpstreamSettings;

use super::forge::Forge;
use super::process::{Server, free_port, is_installed};
use super::site::{assert_reason, fetch_with, text_of};

struct Sshd {
    directory: tempfile::TempDir,
    port: u16,
    _server: Server,
}

impl Sshd {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        if !is_installed("sshd") || !is_installed("ssh") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        for key in ["host_key", "user_key", "stranger_key"] {
            make_key(&home.join(key));
        }
        fs::copy(home.join("user_key.pub"), home.join("authorized_keys")).unwrap();
        if rustix::process::getuid().is_root() {
            // Where it insists on locking up its unprivileged part.
            let _ = fs::create_dir("/run/sshd");
        }
        let port = free_port();
        let configuration = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n",
            home.display()
        );
        fs::write(home.join("sshd_config"), configuration).unwrap();
        let host_key = fs::read_to_string(home.join("host_key.pub")).unwrap();
        fs::write(
            home.join("known_hosts"),
            format!("[127.0.0.1]:{port} {host_key}"),
        )
        .unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command
            .arg("-D")
            .arg("-q")
            .arg("-f")
            .arg(home.join("sshd_config"));
        Some(Self {
            _server: Server::start(&mut command, port),
            port,
            directory,
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn trust(&self, settings: &mut UpstreamSettings) {
        settings.ssh_key = Some(self.file("user_key"));
        settings.ssh_known_hosts = Some(self.file("known_hosts"));
    }
}

fn make_key(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_file_comes_over_ssh_from_a_host_whose_key_is_known() {
    let Some(sshd) = Sshd::start() else { return };
    let forge = Forge::new(&sshd.file("site's own.git"));
    let user = user();
    let place = forge
        .bare()
        .display()
        .to_string()
        .replace(' ', "%20")
        .replace('\'', "%27");
    for scheme in ["git+ssh", "ssh"] {
        let url = format!("{scheme}://{user}@127.0.0.1:{}{place}//site.ign", sshd.port);
        let answer = fetch_with(&url, |settings| sshd.trust(settings))
            .await
            .unwrap();
        assert_eq!(text_of(&answer), "{\"on\": \"main\"}");
    }
    let url = format!("git+ssh://{user}@127.0.0.1:{}{place}//site.ign", sshd.port);
    // An old protocol, and a server that leaves out what it does not give later.
    forge.configure("uploadpack.allowFilter", "true");
    let answer = fetch_with(&url, |settings| sshd.trust(settings))
        .await
        .unwrap();
    assert_eq!(text_of(&answer), "{\"on\": \"main\"}");

    let outcome = fetch_with(&url, |settings| {
        sshd.trust(settings);
        settings.ssh_known_hosts = Some(sshd.file("none"));
    })
    .await;
    assert_reason(
        outcome,
        &format!(
            "the ssh key of 127.0.0.1:{} is not a known one; add it to ",
            sshd.port
        ),
    );
    let outcome = fetch_with(&url, |settings| {
        sshd.trust(settings);
        settings.ssh_key = Some(sshd.file("stranger_key"));
    })
    .await;
    assert_reason(outcome, "the repository refuses access: ");
    let outcome = fetch_with(&url.replace("own.git", "none.git"), |settings| {
        sshd.trust(settings);
    })
    .await;
    assert_reason(outcome, "there is no repository: ");
    let closed = free_port();
    let outcome = fetch_with(&format!("git+ssh://127.0.0.1:{closed}/x.git//y"), |_| ()).await;
    assert_reason(outcome, &format!("cannot connect to 127.0.0.1:{closed}: "));
}
