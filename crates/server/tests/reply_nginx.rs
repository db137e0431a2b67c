//! `reply::content` against nginx: the same file, asked for in the same words, must get the same answer from both.
//! Where Pilotlight answers otherwise on purpose, a second table says how each answers, and why.
//!
//! Each server is asked with its own `ETag`; the date is the same on both. Both listen on Unix sockets in a temporary
//! directory, so no port can be taken.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use server::reply::{self, Body, Content, ContentType, ETag, LastModified};
use sha2::{Digest, Sha256};

/// Sun, 06 Nov 1994 08:49:37 GMT, the date of the examples in RFC 9110.
const MODIFIED: u64 = 784_111_777;

// A request is a line: the method, then header fields with ` | ` between them. In them TAG stands for the server's own
// tag, and SAME, BEFORE and AFTER for the file's date and a second to either side of it.

/// Requests for a file of 10,000 bytes that both answer alike in their `Essence`.
const ALIKE: &str = r#"
    GET
    HEAD
    GET Accept-Encoding: gzip, deflate
    GET Cache-Control: no-cache | Pragma: no-cache

    GET If-None-Match: TAG
    HEAD If-None-Match: TAG
    GET If-None-Match: W/TAG
    GET If-None-Match: *
    GET If-None-Match: "other"
    GET If-None-Match: "other", TAG
    GET If-None-Match: "a,b" , W/"c" ,, TAG
    GET If-None-Match: TAGTAG
    GET If-None-Match: nonsense
    GET If-None-Match:

    GET If-Modified-Since: SAME
    HEAD If-Modified-Since: SAME
    GET If-Modified-Since: BEFORE
    GET If-Modified-Since: AFTER
    GET If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT
    GET If-Modified-Since: Sun Nov  6 08:49:37 1994
    GET If-Modified-Since: yesterday
    GET If-Modified-Since: SAME | If-None-Match: TAG
    GET If-Modified-Since: SAME | If-None-Match: "other"

    GET If-Match: TAG
    HEAD If-Match: TAG
    GET If-Match: *
    GET If-Match: "other"
    HEAD If-Match: "other"
    GET If-Match: W/TAG
    GET If-Match: "other", TAG
    GET If-Match: TAG | If-None-Match: TAG
    GET If-Match: "other" | If-None-Match: TAG

    GET If-Unmodified-Since: SAME
    GET If-Unmodified-Since: AFTER
    GET If-Unmodified-Since: BEFORE
    GET If-Unmodified-Since: BEFORE | If-Modified-Since: SAME
    GET If-Unmodified-Since: AFTER | If-Match: "other"

    GET Range: bytes=0-0
    GET Range: bytes=0-
    GET Range: bytes=10-19
    GET Range: bytes=9999-
    GET Range: bytes=9999-9999
    GET Range: bytes=9990-10000
    GET Range: bytes=9990-9223372036854775806
    GET Range: bytes=-1
    GET Range: bytes=-10000
    GET Range: bytes=-10001
    GET Range: BYTES=10-19
    GET Range: bytes= 10-19
    GET Range: bytes=0010-0019
    GET Range: bytes=10000-
    GET Range: bytes=10000-20000
    GET Range: bytes=-0
    GET Range: bytes=18446744073709551615-
    GET Range: bytes=99999999999999999999999999-
    GET Range: bytes=0-,0-,0-
    GET Range: lines=10-19
    GET Range: bytes
    GET Range: bytes=
    GET Range: bytes =10-19
    GET Range:

    GET Range: bytes=10-19 | If-Range: TAG
    GET Range: bytes=10-19 | If-Range: "other"
    GET Range: bytes=10-19 | If-Range: W/TAG
    GET Range: bytes=10-19 | If-Range: SAME
    GET Range: bytes=10-19 | If-Range: BEFORE
    GET Range: bytes=10-19 | If-Range: AFTER
    GET Range: bytes=10-19 | If-Range: yesterday
    GET Range: bytes=10000- | If-Range: "other"
    GET Range: bytes=10000- | If-Range: TAG
    GET If-Range: TAG
    GET If-Range: "other"

    GET Range: bytes=10-19 | If-None-Match: TAG
    GET Range: bytes=10-19 | If-None-Match: "other"
    GET Range: bytes=10000- | If-Modified-Since: SAME
    GET Range: bytes=10-19 | If-Match: TAG
    GET Range: bytes=10-19 | If-Match: "other"
    GET Range: bytes=10-19 | If-Range: SAME | If-Unmodified-Since: SAME
"#;

/// Requests that Pilotlight answers otherwise on purpose.
struct Unlike {
    why: &'static str,
    requests: &'static str,
    nginx: u16,
    ours: u16,
}

const UNLIKE: &[Unlike] = &[
    Unlike {
        why: "a malformed range may be ignored or refused (RFC 9110 §14.2); a whole file always helps",
        requests: "
            GET Range: bytes=-
            GET Range: bytes=10
            GET Range: bytes=a-b
            GET Range: bytes=19-10
            GET Range: bytes=10-19;
        ",
        nginx: 416,
        ours: 200,
    },
    Unlike {
        why: "a space inside a range makes it malformed",
        requests: "GET Range: bytes=10 - 19",
        nginx: 206,
        ours: 200,
    },
    Unlike {
        why: "a number of any size is a position; nginx takes one beyond 63 bits for malformed",
        requests: "
            GET Range: bytes=9990-99999999999999999999999999
            GET Range: bytes=-99999999999999999999999999
        ",
        nginx: 416,
        ours: 206,
    },
    Unlike {
        why: "several ranges may be ignored (RFC 9110 §14.2); no boot client reads multipart/byteranges",
        requests: "
            GET Range: bytes=0-1,10-19
            GET Range: bytes=0-1,20000-
        ",
        nginx: 206,
        ours: 200,
    },
    Unlike {
        why: "several ranges are ignored, even where all lie outside",
        requests: "GET Range: bytes=20000-,30000-",
        nginx: 416,
        ours: 200,
    },
    Unlike {
        why: "a range on HEAD is ignored (RFC 9110 §14.2)",
        requests: "HEAD Range: bytes=10-19",
        nginx: 206,
        ours: 200,
    },
    Unlike {
        why: "a range on HEAD is ignored (RFC 9110 §14.2)",
        requests: "HEAD Range: bytes=10000-",
        nginx: 416,
        ours: 200,
    },
    Unlike {
        why: "a date beside a tag is ignored (RFC 9110 §13.1.3); nginx wants both to hold",
        requests: "GET If-Modified-Since: BEFORE | If-None-Match: TAG",
        nginx: 200,
        ours: 304,
    },
    Unlike {
        why: "a date beside a tag is ignored (RFC 9110 §13.1.4); nginx wants both to hold",
        requests: "GET If-Unmodified-Since: BEFORE | If-Match: TAG",
        nginx: 412,
        ours: 200,
    },
    Unlike {
        why: "a malformed date is ignored (RFC 9110 §13.1.4); nginx takes it for 1969",
        requests: "GET If-Unmodified-Since: yesterday",
        nginx: 412,
        ours: 200,
    },
    Unlike {
        why: "what follows a malformed tag is not read; nginx goes on after the next comma",
        requests: "GET If-None-Match: nonsense, TAG",
        nginx: 304,
        ours: 200,
    },
];

/// The same for a file without a byte.
const ALIKE_WHEN_EMPTY: &str = "
    GET
    HEAD
    GET If-None-Match: TAG
    GET Range: bytes=0-
    GET Range: bytes=0-0
    GET Range: lines=0-0
";

const UNLIKE_WHEN_EMPTY: &[Unlike] = &[Unlike {
    why: "an empty file has no part and is given whole, wherever the range begins",
    requests: "GET Range: bytes=5-",
    nginx: 416,
    ours: 200,
}];

#[test]
fn content_is_served_as_nginx_serves_it() {
    let directory = tempfile::tempdir().unwrap();
    let Some(nginx) = Nginx::start(directory.path()) else {
        // Not by `eprintln!`, which a test that passes keeps to itself.
        let line = "SKIPPED: content_is_served_as_nginx_serves_it: nginx is not installed\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let bytes = (0..10_000_u32).map(|at| (at % 251) as u8).collect();
    compare(&nginx, "full", bytes, ALIKE, UNLIKE);
    compare(
        &nginx,
        "empty",
        Vec::new(),
        ALIKE_WHEN_EMPTY,
        UNLIKE_WHEN_EMPTY,
    );
}

/// Has both serve `bytes` as the file `name`, and asks them.
fn compare(nginx: &Nginx, name: &'static str, bytes: Vec<u8>, alike: &str, unlike: &[Unlike]) {
    let path = nginx.root().join(name);
    fs::write(&path, &bytes).unwrap();
    File::open(&path).unwrap().set_modified(modified()).unwrap();
    let nginx = Server::new(nginx.socket(), name);
    let ours = Server::new(serve(path.with_extension("sock"), bytes), name);

    let mut faults = Vec::new();
    for request in requests(alike) {
        let (theirs, mine) = (nginx.ask(request), ours.ask(request));
        if theirs.essence() != mine.essence() || !mine.is_framed(request) {
            faults.push(format!("{request}\n  nginx: {theirs}\n  ours:  {mine}\n"));
        }
    }
    for case in unlike {
        for request in requests(case.requests) {
            let (theirs, mine) = (nginx.ask(request), ours.ask(request));
            let statuses = (theirs.status, mine.status);
            if statuses != (case.nginx, case.ours) || !mine.is_framed(request) {
                let Unlike {
                    why, nginx, ours, ..
                } = case;
                faults.push(format!(
                    "{request}\n  nginx: {nginx} expected: {theirs}\n  ours:  {ours} expected, since {why}: {mine}\n"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "of the file {name}\n{}", faults.concat());
}

fn requests(lines: &str) -> impl Iterator<Item = &str> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(MODIFIED)
}

/// Serves `bytes` at any path through `reply::content`, until the test ends.
fn serve(socket: PathBuf, bytes: Vec<u8>) -> PathBuf {
    let bytes = bytes::Bytes::from(bytes);
    let content = move || Content {
        etag: ETag::of_sha256(&Sha256::digest(&bytes).into()),
        body: Body::from(bytes.clone()),
        content_type: ContentType::TEXT,
        last_modified: LastModified::of(modified()),
        fields: http::HeaderMap::new(),
    };
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();

    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = service_fn(|request| {
                    let reply = reply::content(request.method(), request.headers(), content());
                    async { Ok::<_, Infallible>(reply) }
                });
                // One request a connection; a client that hangs up is the test's own failure to report.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            }
        });
    });
    socket
}

/// A server and the file asked of it.
struct Server {
    socket: PathBuf,
    file: &'static str,
    tag: String,
}

impl Server {
    fn new(socket: PathBuf, file: &'static str) -> Self {
        let mut server = Self {
            socket,
            file,
            tag: String::new(),
        };
        server.tag = server.ask("GET").fields["etag"].clone();
        server
    }

    fn ask(&self, request: &str) -> Answer {
        let date = |seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let (method, fields) = request.split_once(' ').unwrap_or((request, "Accept: */*"));
        let fields = fields
            .replace("TAG", &self.tag)
            .replace("SAME", &date(MODIFIED))
            .replace("BEFORE", &date(MODIFIED - 1))
            .replace("AFTER", &date(MODIFIED + 1))
            .replace(" | ", "\r\n");
        let file = self.file;
        let request = format!(
            "{method} /{file} HTTP/1.1\r\nHost: head\r\nConnection: close\r\n{fields}\r\n\r\n"
        );

        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::parse(&answer)
    }
}

/// An answer as it came over the wire.
struct Answer {
    status: u16,
    /// By name in lower case; a field sent twice has both values, a comma between.
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn parse(wire: &[u8]) -> Self {
        let end = wire
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&wire[..end]).unwrap();
        let (status_line, lines) = head.split_once("\r\n").unwrap();
        let mut fields = BTreeMap::<String, String>::new();
        for line in lines.split("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            fields
                .entry(name.to_lowercase())
                .and_modify(|earlier| *earlier = format!("{earlier}, {value}"))
                .or_insert_with(|| value.to_owned());
        }
        Self {
            status: status_line.split(' ').nth(1).unwrap().parse().unwrap(),
            fields,
            body: wire[end + 4..].to_vec(),
        }
    }

    fn essence(&self) -> Essence<'_> {
        let value = |name| self.fields.get(name).map(String::as_str);
        let is_content = matches!(self.status, 200 | 206);
        Essence {
            status: self.status,
            fields: [
                value("content-range"),
                value("last-modified"),
                value("accept-ranges"),
                value("content-encoding"),
                value("transfer-encoding"),
            ],
            has_etag: self.fields.contains_key("etag"),
            has_length: self.fields.contains_key("content-length"),
            content: is_content.then_some((
                value("content-length"),
                value("content-type"),
                &self.body,
            )),
        }
    }

    /// Whether the length is promised, and kept: always but for 304.
    fn is_framed(&self, request: &str) -> bool {
        let promised = self
            .fields
            .get("content-length")
            .map(|length| length.parse());
        match (self.status, request.starts_with("HEAD")) {
            (304, _) => promised.is_none() && self.body.is_empty(),
            (_, true) => matches!(promised, Some(Ok(_))) && self.body.is_empty(),
            (_, false) => promised == Some(Ok(self.body.len())),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {:?}, {} bytes",
            self.status,
            self.fields,
            self.body.len()
        )
    }
}

/// What two servers of one file must agree on. The words of an error are each server's own.
#[derive(PartialEq)]
struct Essence<'a> {
    status: u16,
    fields: [Option<&'a str>; 5],
    has_etag: bool,
    has_length: bool,
    /// Of a 200 or 206: its length and type as declared, and its bytes.
    content: Option<(Option<&'a str>, Option<&'a str>, &'a [u8])>,
}

/// A running nginx, stopped when dropped.
struct Nginx {
    process: Child,
    prefix: PathBuf,
}

impl Nginx {
    /// Starts nginx in `prefix`. `None` where it is not installed.
    fn start(prefix: &Path) -> Option<Self> {
        // One process, so that killing it leaves no worker, and as the user of the test, who can read the files.
        let configuration = r#"
            daemon off;
            master_process off;
            pid nginx.pid;
            error_log error.log;
            events {}
            http {
                access_log off;
                client_body_temp_path body;
                proxy_temp_path proxy;
                fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                default_type "text/plain; charset=utf-8";
                # By default nginx wants the very date, where RFC 9110 §13.1.3 wants one that is not earlier.
                if_modified_since before;
                server {
                    listen unix:nginx.sock;
                    root files;
                }
            }
        "#;
        let configuration = configuration.replace("unix:", &format!("unix:{}/", prefix.display()));
        fs::create_dir(prefix.join("files")).unwrap();
        fs::write(prefix.join("nginx.conf"), configuration).unwrap();

        // Debian keeps it in /usr/sbin, which is on no plain user's PATH.
        let started = ["nginx", "/usr/sbin/nginx"]
            .into_iter()
            .find_map(|program| {
                let spawned = Command::new(program)
                    .arg("-p")
                    .arg(prefix)
                    .arg("-c")
                    .arg(prefix.join("nginx.conf"))
                    .arg("-e")
                    .arg(prefix.join("error.log"))
                    .stderr(Stdio::inherit())
                    .spawn();
                match spawned {
                    Ok(process) => Some(process),
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    Err(error) => panic!("{program}: {error}"),
                }
            });
        let mut nginx = Self {
            process: started?,
            prefix: prefix.to_owned(),
        };
        nginx.wait_until_it_listens();
        Some(nginx)
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = self.process.try_wait().unwrap() {
                let log = fs::read_to_string(self.prefix.join("error.log")).unwrap_or_default();
                panic!("nginx ended with {status}: {log}");
            }
            assert!(Instant::now() < deadline, "nginx does not listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn root(&self) -> PathBuf {
        self.prefix.join("files")
    }

    fn socket(&self) -> PathBuf {
        self.prefix.join("nginx.sock")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has reported by now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
