use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit of open files towards `wanted`, as far as it may; gives the limit that now holds.
///
/// Each connection is a file, and the usual limit of 1024 is far below [`Connections`](super::Connections)'.
///
/// # Errors
/// The kernel refuses a limit that it said was allowed.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let reachable = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    if current >= reachable {
        return Ok(current);
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(reachable),
            maximum: limit.maximum,
        },
    )?;
    Ok(reachable)
}
