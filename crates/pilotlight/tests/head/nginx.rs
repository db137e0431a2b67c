//! A web server that heads fetch from, and that fails when it is told to.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{run, skip, until};

/// nginx, up or down, at an address that no head listens on: its port stays free while it is down.
pub(crate) struct Nginx {
    directory: TempDir,
    address: String,
    process: Option<Child>,
}

impl Nginx {
    /// One that is down. `None`, said loudly, where it is not installed.
    pub(crate) fn down() -> Option<Self> {
        Self::with_locations("")
    }

    /// One that is up, and hands on to a server what it has no file for.
    pub(crate) fn before(server: SocketAddr) -> Option<Self> {
        let mut nginx = Self::with_locations(&format!(
            "location / {{ try_files $uri @server; }}
             location @server {{ proxy_pass http://{server}; proxy_set_header Host $http_host; }}"
        ))?;
        nginx.start();
        Some(nginx)
    }

    fn with_locations(locations: &str) -> Option<Self> {
        if !run(Command::new("sh").args(["-c", "PATH=$PATH:/usr/sbin command -v nginx"]))
            .status
            .success()
        {
            skip("there is no nginx here");
            return None;
        }
        let port = TcpListener::bind("127.77.0.1:0").unwrap().local_addr();
        let nginx = Self {
            directory: tempfile::tempdir().unwrap(),
            address: port.unwrap().to_string(),
            process: None,
        };
        fs::create_dir(nginx.path("site")).unwrap();
        fs::write(nginx.path("nginx.conf"), nginx.configuration(locations)).unwrap();
        Some(nginx)
    }

    /// One that is up.
    pub(crate) fn up() -> Option<Self> {
        let mut nginx = Self::down()?;
        nginx.start();
        Some(nginx)
    }

    fn configuration(&self, locations: &str) -> String {
        let (home, address) = (self.directory.path().display(), &self.address);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {home}/{kind};"));
        // One process, which may be paused and killed.
        format!(
            "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
             events {{}}
             http {{
                 {temporary} access_log {home}/access.log;
                 server {{
                     listen {address}; root {home}/site;
                     if (-e {home}/site/broken) {{ return 500; }}
                     location /moved {{ return 302 http://169.254.169.254/a.ign; }}
                     {locations}
                 }}
             }}",
            temporary = temporary.join(" ")
        )
    }

    /// Returns when it listens.
    pub(crate) fn start(&mut self) {
        let mut nginx = Command::new("sh");
        nginx.args([
            "-c",
            "PATH=$PATH:/usr/sbin exec nginx -p \"$0\" -c \"$0/nginx.conf\" -e \"$0/error.log\"",
        ]);
        self.process = Some(nginx.arg(self.directory.path()).spawn().unwrap());
        until("nginx listens", || TcpStream::connect(&self.address).ok());
    }

    /// Nobody listens then.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Connections are accepted then, but not answered.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// After [`Self::pause`]: those that wait are answered.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("nginx is up");
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// Puts a file where it is served.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.path("site").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Takes it away again.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path("site").join(name)).unwrap();
    }

    /// Where a file is served.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// What it was asked for, a line each.
    pub(crate) fn access_log(&self) -> String {
        fs::read_to_string(self.path("access.log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}
