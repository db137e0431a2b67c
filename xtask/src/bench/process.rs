//! A running server, and what it takes.

use std::{
    fs,
    process::{Child, ExitStatus},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A server, ended with this value.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    /// The process's identifier.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The CPU time that it and its children have used. Linux counts it in hundredths of a second.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let id = self.id();
        let children =
            fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let mut cpu = cpu_of(&format!("/proc/{id}/stat"))?;
        for child in children.split_whitespace() {
            cpu += cpu_of(&format!("/proc/{child}/stat"))?;
        }
        Ok(cpu)
    }

    /// The CPU time that its threads of this name have used.
    pub(crate) fn cpu_of_threads(&self, name: &str) -> Result<Duration> {
        let mut cpu = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let thread = thread?.path();
            if fs::read_to_string(thread.join("comm"))?.trim() == name {
                cpu += cpu_of(&thread.join("stat").to_string_lossy())?;
            }
        }
        Ok(cpu)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was resident at any time, in KiB.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Begins anew to look for the most memory.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        // "Resident set high water mark", proc(5).
        Ok(fs::write(format!("/proc/{}/clear_refs", self.id()), "5")?)
    }

    fn status(&self, key: &str) -> Result<u64> {
        status(&self.id().to_string(), key)
    }

    /// Waits until it does nothing for a moment, but not for ever.
    pub(crate) fn settle(&self) -> Result<()> {
        let mut before = self.cpu()?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(200));
            let now = self.cpu()?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Its children of this name.
    pub(crate) fn children(&self, name: &str) -> Result<Vec<Pid>> {
        let mut children = Vec::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let of_thread = fs::read_to_string(thread?.path().join("children"))?;
            children.extend(of_thread.split_whitespace().filter_map(|child| {
                let of_name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
                Pid::from_raw(child.parse().ok()?).filter(|_| of_name.trim() == name)
            }));
        }
        Ok(children)
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.0.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        Ok(self.0.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("process {} cannot be ended: {error:#}", self.id());
        }
    }
}

/// Resident memory of a process that another has started, in KiB.
pub(crate) fn resident(process: Pid) -> Result<u64> {
    status(&process.as_raw_nonzero().to_string(), "VmRSS:")
}

fn status(id: &str, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    kib.with_context(|| format!("no {key} of process {id}"))
}

fn cpu_of(path: &str) -> Result<Duration> {
    let stat = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_millis(10 * ticks))
        .with_context(|| format!("{path} has no times"))
}

/// User and system time of a line of `/proc/PID/stat`: fields 14 and 15, where the second is a name in parentheses that
/// may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_move_its_times() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 120 34 0 0 20 0 4 0 100 1 1";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7 (a) S 1"), None);
    }
}
