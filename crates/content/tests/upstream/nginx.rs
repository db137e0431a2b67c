//! nginx, with what the tests ask of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::forge::exec_path;
use super::process::{Server, eventually, free_port, is_installed};

pub(crate) struct Nginx {
    directory: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    nginx: Option<Server>,
    _fcgiwrap: Option<Server>,
}

impl Nginx {
    /// `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !is_installed("nginx") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(home.join("cert.pem"), certificate.cert.pem()).unwrap();
        fs::write(
            home.join("key.pem"),
            certificate.signing_key.serialize_pem(),
        )
        .unwrap();
        fs::write(home.join("users"), "alice:{PLAIN}hunter2\n").unwrap();
        fs::create_dir(home.join("site")).unwrap();
        fs::create_dir(home.join("site/private")).unwrap();
        fs::create_dir(home.join("repositories")).unwrap();
        let fcgiwrap = is_installed("fcgiwrap").then(|| {
            let socket = home.join("fcgi.sock");
            let place = format!("unix:{}", socket.display());
            let server = Server::start_silent(Command::new("fcgiwrap").args(["-s", &place]));
            eventually("fcgiwrap listens", || socket.exists());
            server
        });
        let mut nginx = Self {
            port: free_port(),
            tls_port: free_port(),
            directory,
            nginx: None,
            _fcgiwrap: fcgiwrap,
        };
        fs::write(nginx.home().join("nginx.conf"), nginx.configuration()).unwrap();
        nginx.restart();
        Some(nginx)
    }

    /// The same, if scripts can be run behind it.
    pub(crate) fn start_with_git() -> Option<Self> {
        if is_installed("fcgiwrap") {
            Self::start()
        } else {
            None
        }
    }

    fn configuration(&self) -> String {
        let home = self.home().display();
        let (port, tls_port) = (self.port, self.tls_port);
        let backend = exec_path();
        let backend = backend.display();
        let script = format!(
            "fastcgi_pass unix:{home}/fcgi.sock;
             fastcgi_param SCRIPT_FILENAME {backend}/git-http-backend;
             fastcgi_param GIT_PROJECT_ROOT {home}/repositories;
             fastcgi_param GIT_HTTP_EXPORT_ALL 1;
             fastcgi_param PATH_INFO /$1;
             fastcgi_param QUERY_STRING $query_string;
             fastcgi_param REQUEST_METHOD $request_method;
             fastcgi_param CONTENT_TYPE $content_type;
             fastcgi_param CONTENT_LENGTH $content_length;"
        );
        let login = format!("auth_basic site; auth_basic_user_file {home}/users;");
        let locations = format!(
            "root {home}/site;
             location /private/ {{ {login} }}
             location /moved {{ return 301 /site.ign; }}
             location ~ ^/git/(.*)$ {{ {script} }}
             location ~ ^/private-git/(.*)$ {{ {login} {script} }}
             location /moved-git/ {{ return 301 /git$request_uri; }}"
        );
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {home}/{kind};\n"))
            .collect();
        let user = if rustix::process::getuid().is_root() {
            "user root;"
        } else {
            ""
        };
        format!(
            "{user} daemon off; pid {home}/pid; error_log {home}/error.log;
             events {{}}
             http {{
                 {temporary}
                 access_log {home}/access.log;
                 server {{ listen 127.0.0.1:{port}; {locations} }}
                 server {{
                     listen 127.0.0.1:{tls_port} ssl;
                     ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;
                     {locations}
                 }}
             }}"
        )
    }

    pub(crate) fn restart(&mut self) {
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(self.home())
            .arg("-c")
            .arg(self.home().join("nginx.conf"));
        command.arg("-e").arg(self.home().join("error.log"));
        self.nginx = Some(Server::start(&mut command, self.port));
    }

    /// Ends it in good order: what it answered is in its log then.
    pub(crate) fn stop(&mut self) {
        let server = self.nginx.take().unwrap();
        let pid = rustix::process::Pid::from_raw(server.pid().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        server.wait();
    }

    /// The status of each answer so far. Complete only once it is stopped.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let log = fs::read_to_string(self.home().join("access.log")).unwrap();
        log.lines()
            .map(|line| {
                line.rsplit('"')
                    .nth(4)
                    .unwrap()
                    .split_whitespace()
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    pub(crate) fn home(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.home().join("cert.pem")
    }

    pub(crate) fn put(&self, name: &str, content: &str) {
        fs::write(self.home().join("site").join(name), content).unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/{path}", self.tls_port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed outright, its workers would go on.
        if self.nginx.is_some() {
            self.stop();
        }
    }
}
