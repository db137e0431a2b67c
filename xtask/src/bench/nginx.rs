//! nginx, serving static files.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::process::Process;
use crate::programs;

const PORT: u16 = 8081;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx.
pub(crate) struct Nginx(Process);

/// Where nginx looks for the file at this path of a URL.
pub(crate) fn file(directory: &Path, path: &str) -> PathBuf {
    directory.join(format!("nginx/www{path}"))
}

impl Nginx {
    /// Fails unless nginx is installed.
    pub(crate) fn require() -> Result<()> {
        ensure!(
            programs::find("nginx").is_some(),
            "nginx is not installed (Debian package nginx-light)"
        );
        Ok(())
    }

    /// Starts it with all that is its own in `directory`, serving files by their paths.
    pub(crate) fn start(
        directory: &Path,
        files: impl Iterator<Item = Result<(String, Vec<u8>)>>,
    ) -> Result<Self> {
        let program = programs::find("nginx").context("nginx is not installed")?;
        for entry in files {
            let (path, bytes) = entry?;
            let file = file(directory, &path);
            fs::create_dir_all(file.parent().unwrap_or(directory))?;
            fs::write(&file, bytes)?;
        }
        let directory = directory.join("nginx");
        let configuration = directory.join("nginx.conf");
        fs::write(&configuration, text(&directory))?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&configuration)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run nginx")?;
        let mut process = Process::new(child);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", PORT)).is_err() {
            if began.elapsed() > PATIENCE {
                process.stop()?;
                bail!(
                    "nginx does not start: {}",
                    fs::read_to_string(directory.join("error.log")).unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self(process))
    }

    pub(crate) fn port(&self) -> u16 {
        PORT
    }

    pub(crate) fn process(&self) -> &Process {
        &self.0
    }
}

fn text(directory: &Path) -> String {
    let directory = directory.display();
    // The workers' user must be able to read a directory that is private to whoever measures.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user}
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    types {{ }}
    default_type \"text/plain; charset=utf-8\";
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {PORT} reuseport backlog=16384;
        root {directory}/www;
    }}
}}
"
    )
}
