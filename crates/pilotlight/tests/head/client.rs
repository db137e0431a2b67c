//! Who asks a head: curl, bare sockets, and other programs.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{DEADLINE, Head, Reply};

impl Head {
    /// GET of a path under `/api/v1`, from 127.0.0.1.
    pub(crate) fn get(&self, path: &str) -> Reply {
        curl([&self.url(path)])
    }

    /// GET of a path under `/api/v1`, from this address.
    pub(crate) fn get_from(&self, address: &str, path: &str) -> Reply {
        self.ask_from(address, path, &[])
    }

    /// Asks for a path under `/api/v1` from this address, with more options of curl.
    pub(crate) fn ask_from(&self, address: &str, path: &str, options: &[&str]) -> Reply {
        let (address, url) = (format!("host!{address}"), self.url(path));
        curl(["--interface", &address, &url].iter().chain(options))
    }

    /// Asks the management API for a path under `/api/v1` through the local socket, as root or the owner.
    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let socket = self.socket();
        let url = format!("http://localhost/api/v1{path}");
        let mut arguments = vec![
            "--unix-socket",
            socket.to_str().unwrap(),
            "-X",
            method,
            &url,
        ];
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            arguments.extend(["-H", "Content-Type: application/json", "-d", body]);
        }
        curl(arguments)
    }

    /// The ledger's records that a query (`node=n1&status=200`) selects, newest first.
    pub(crate) fn ledger(&self, query: &str) -> Vec<Value> {
        let reply = self.api("GET", &format!("/ledger?{query}"), None);
        match reply.data() {
            Value::Array(records) => records,
            other => panic!("no list of records: {other}"),
        }
    }

    /// The cluster state's revision: it grows with every change.
    pub(crate) fn state_revision(&self) -> u64 {
        let cluster = self.api("GET", "/cluster", None).data();
        cluster["state_revision"].as_u64().unwrap()
    }

    /// An access token of the administrator `admin`.
    pub(crate) fn token(&self) -> String {
        let password = std::fs::read_to_string(self.data().join("admin_pass")).unwrap();
        let login = serde_json::json!({"user": "admin", "password": password.trim()});
        let tokens = self.api("POST", "/auth/login", Some(&login)).data();
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    /// A connection whose reads fail the test rather than wait for ever.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends these bytes and says no more; everything that comes back until the head closes.
    pub(crate) fn exchange(&self, request: impl AsRef<[u8]>) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request.as_ref()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// The one answer to this request, as it is on the wire.
    pub(crate) fn ask_raw(&self, request: impl AsRef<[u8]>) -> Reply {
        let to_head = request.as_ref().starts_with(b"HEAD");
        let answer = self.exchange(request);
        let (reply, rest) = Reply::parse(&answer, to_head);
        assert_eq!(String::from_utf8_lossy(rest), "", "more than one answer");
        reply
    }
}

/// A GET as HTTP/1.1 has it, with more header lines.
pub(crate) fn get_request(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: head\r\n{lines}\r\n")
}

/// Reads, without a word more, until the head closes.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// What a Host header may hold that is no host: none of it may get into a script.
pub(crate) const NO_HOSTS: [&str; 18] = [
    "a;reboot",
    "a$(reboot)",
    "a`reboot`",
    "a'b",
    "a\"b",
    "a b",
    "a/b",
    "a@b",
    "a\\b",
    "a%27",
    "a#b",
    "a?b",
    "<a[x]>",
    "a:b",
    "a:99999",
    "[::1",
    "",
    "-a",
];

/// Runs curl, which is expected to get an answer, whatever its status. The path goes out as it is written.
pub(crate) fn curl(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Reply {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--include",
        "--path-as-is",
        "--globoff",
    ]);
    command.args(["--noproxy", "*", "--max-time", "120"]);
    let mut to_head = false;
    for argument in arguments {
        to_head |= matches!(argument.as_ref().to_str(), Some("-I" | "--head"));
        command.arg(argument);
    }
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}: {said}",
        output.status
    );
    Reply::parse(&output.stdout, to_head).0
}

/// Runs a program to its end, without input.
pub(crate) fn run(command: &mut Command) -> Output {
    let started = command.stdin(Stdio::null()).output();
    started.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Whether these programs are here; where one is not, this is said loudly.
pub(crate) fn have(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| {
        let look = "PATH=$PATH:/usr/sbin:/sbin command -v \"$0\"";
        !run(Command::new("sh").args(["-c", look, program]))
            .status
            .success()
    };
    let missing = programs.iter().find(is_missing);
    if let Some(program) = missing {
        skip(&format!("there is no {program} here"));
    }
    missing.is_none()
}

/// Says that something cannot be tested on this machine, past the capture of the test runner.
pub(crate) fn skip(what: &str) {
    // Where even this cannot be said, nobody listens.
    let _ = writeln!(io::stderr(), "SKIPPED: {what}");
}

/// Whether a harness script said that it cannot run on this machine; then this is said loudly, too.
pub(crate) fn skipped(output: &Output) -> bool {
    let skipped = output.status.code() == Some(77);
    if skipped {
        let said = String::from_utf8_lossy(&output.stderr);
        skip(said.trim_end().trim_start_matches("SKIPPED: "));
    }
    skipped
}
