//! The management API, as programs use it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{Head, Reply, curl, run};

/// One request of [`Head::at_once`]: method, path under `/api/v1`, body.
pub(crate) type Request = (&'static str, String, Value);

impl Head {
    /// Creates an object: its UID.
    pub(crate) fn create(&self, collection: &str, object: &Value) -> String {
        let reply = self.api("POST", collection, Some(object));
        assert_eq!(reply.status, 201, "{object}: {reply:?}");
        reply.data().as_str().unwrap().to_owned()
    }

    /// Asks the management API through the local socket, with more options of curl.
    pub(crate) fn api_with(&self, method: &str, path: &str, options: &[&str]) -> Reply {
        let socket = self.socket();
        let url = format!("http://localhost/api/v1{path}");
        let socket = ["--unix-socket", socket.to_str().unwrap()];
        let request = ["-X", method, &url];
        curl(socket.iter().chain(&request).chain(options))
    }

    /// Asks the management API over the network, with this token.
    pub(crate) fn api_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Reply {
        let (url, bearer) = (self.url(path), format!("Authorization: Bearer {token}"));
        let mut arguments = vec!["-X", method, &url, "-H", &bearer];
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            arguments.extend(["-H", "Content-Type: application/json", "-d", body]);
        }
        curl(arguments)
    }

    /// Sends all these requests at the same time: the statuses of the answers, in any order.
    pub(crate) fn at_once(&self, requests: &[Request]) -> Vec<u16> {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let socket = quoted(self.socket().to_str().unwrap());
        let stanza = |(method, path, body): &Request| {
            format!(
                "unix-socket = \"{socket}\"\nurl = \"http://localhost/api/v1{}\"\nrequest = {method}\ndata = \"{}\"\n\
                 output = /dev/null\nwrite-out = \"%{{http_code}}\\n\"\nmax-time = 60\n",
                quoted(path),
                quoted(&body.to_string())
            )
        };
        let stanzas: Vec<String> = requests.iter().map(stanza).collect();
        let config = self.path("at-once");
        fs::write(&config, stanzas.join("next\n")).unwrap();
        let mut together = Command::new("curl");
        together.args(["--silent", "--show-error", "--noproxy", "*"]);
        together.args([
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            "200",
        ]);
        let output = run(together.arg("--config").arg(config));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        let statuses = String::from_utf8(output.stdout).unwrap();
        let statuses: Vec<u16> = statuses.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(statuses.len(), requests.len());
        statuses
    }
}

impl Reply {
    /// The status and reason of a management answer that says no, as `404 there is no node "n1"`.
    pub(crate) fn refusal(&self) -> String {
        let json = self.json();
        assert_eq!(json["success"], false, "{self:?}");
        assert_eq!(json.as_object().unwrap().len(), 2, "{self:?}");
        format!("{} {}", self.status, json["reason"].as_str().unwrap())
    }
}
