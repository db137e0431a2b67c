//! What went wrong, from what `git` and `ssh` print about it.

use std::path::Path;

use super::error::Fault;
use super::git_file::Remote;

/// Makes a fault of the line that told it.
type Meaning = fn(&str, &Remote, Option<&Path>) -> Fault;

/// What a line holds, and what it means. The first that fits decides; the order is from cause to consequence.
const MEANINGS: [(&str, Meaning); 24] = [
    ("Host key verification failed", host_key),
    ("Could not resolve host", connect),
    ("Connection refused", connect),
    ("Connection timed out", connect),
    ("Network is unreachable", connect),
    ("No route to host", connect),
    ("Failed to connect", connect),
    ("Couldn't connect", connect),
    ("SSL certificate", tls),
    ("certificate verif", tls),
    ("SSL routines", tls),
    ("gnutls_handshake", tls),
    ("Permission denied (", access),
    ("Authentication failed", access),
    ("could not read Username", access),
    ("could not read Password", access),
    ("returned error: 401", access),
    ("returned error: 403", access),
    ("dubious ownership", access),
    ("returned error: 3", redirect),
    ("does not appear to be a git repository", no_repository),
    ("not found", no_repository),
    ("not exported", no_repository),
    ("not a git repository", no_repository),
];

/// How much of a line is told, in characters.
const SHOWN: usize = 300;

pub(super) fn fault_of(complaint: &str, remote: &Remote, known_hosts: Option<&Path>) -> Fault {
    for (sign, meaning) in MEANINGS {
        if let Some(line) = complaint.lines().find(|line| line.contains(sign)) {
            return meaning(&told(line), remote, known_hosts);
        }
    }
    let mut lines = complaint.lines().filter(|line| !line.trim().is_empty());
    let fatal = lines.clone().find(|line| line.starts_with("fatal: "));
    match fatal.or_else(|| lines.next_back()) {
        Some(line) => Fault::Git(told(line)),
        None => Fault::Git("it gave no reason".to_owned()),
    }
}

/// The line, fit for a log.
fn told(line: &str) -> String {
    let line = line.trim();
    let line = ["fatal: ", "remote: ", "ERROR: ", "error: "]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .unwrap_or(line);
    line.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

fn place(remote: &Remote) -> String {
    remote.url.authority()
}

fn host_key(_: &str, remote: &Remote, known_hosts: Option<&Path>) -> Fault {
    Fault::HostKey {
        host: place(remote),
        file: known_hosts.map_or_else(
            || "~/.ssh/known_hosts of the user this head runs as".to_owned(),
            |path| path.display().to_string(),
        ),
    }
}

fn connect(line: &str, remote: &Remote, _: Option<&Path>) -> Fault {
    Fault::Connect {
        place: place(remote),
        reason: line.to_owned(),
    }
}

fn tls(line: &str, remote: &Remote, _: Option<&Path>) -> Fault {
    Fault::Tls {
        host: place(remote),
        reason: line.to_owned(),
    }
}

fn access(line: &str, _: &Remote, _: Option<&Path>) -> Fault {
    Fault::GitAccessRefused(line.to_owned())
}

fn redirect(line: &str, _: &Remote, _: Option<&Path>) -> Fault {
    let status = line
        .rsplit_once("returned error: ")
        .map_or("", |(_, status)| status);
    Fault::GitRedirect {
        status: status.to_owned(),
    }
}

fn no_repository(line: &str, _: &Remote, _: Option<&Path>) -> Fault {
    Fault::NotRepository(line.to_owned())
}
