//! [`Process`]: etcd as a child, started again whenever it ends.

use std::{
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};
use tokio::sync::watch;

use super::{
    directory::Directory,
    launch::Launch,
    log_line::{Hopeless, LogLine},
};

/// How long to wait before etcd is started again: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// When etcd ran as long as this, it is started again as if it had never failed.
const STEADY: Duration = Duration::from_secs(60);
/// How long etcd may take to end when asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long another process may hold the data directory before that is worth a word: one that is being killed.
const HELD: Duration = Duration::from_secs(3);
/// The longest line of etcd's log that is passed on, in bytes.
const LINE: u64 = 64 * 1024;

/// How the etcd of this head is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Running {
        /// Its process.
        pid: u32,
    },
    /// It does not run, and will be started.
    Waiting {
        /// What became of it.
        why: String,
    },
    /// It will not be started again.
    GaveUp(Hopeless),
    /// It was stopped.
    Stopped,
}

/// The etcd of this head, supervised. Dropping it kills etcd; [`Self::stop`] ends it in order.
///
/// A thread of its own starts etcd and waits for it, because the kernel kills etcd when the thread ends that started it:
/// so etcd never outlives a head that was killed.
#[derive(Debug)]
pub struct Process {
    events: Sender<Event>,
    state: watch::Receiver<ProcessState>,
    supervisor: Option<JoinHandle<()>>,
}

/// What the supervising thread is told.
#[derive(Debug)]
enum Event {
    /// End etcd in order.
    Stop,
    /// End etcd at once.
    Kill,
    /// etcd closed its log, which it does by ending.
    LogEnded,
}

impl Process {
    /// Starts etcd, and keeps it running.
    ///
    /// # Errors
    /// There can be no other thread.
    pub(super) fn start(launch: Launch, directory: Directory) -> io::Result<Self> {
        let (events, told) = mpsc::channel();
        let starting = ProcessState::Waiting {
            why: "it is being started".into(),
        };
        let (state, states) = watch::channel(starting);
        let supervisor = Supervisor {
            launch,
            directory,
            events: events.clone(),
            told,
            state,
        };
        let supervisor = thread::Builder::new()
            .name("etcd".into())
            .spawn(move || supervisor.run())?;
        Ok(Self {
            events,
            state: states,
            supervisor: Some(supervisor),
        })
    }

    /// How it is, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<ProcessState> {
        self.state.clone()
    }

    /// Ends etcd: asks it to, and kills it when it takes longer than 5 seconds.
    pub async fn stop(mut self) {
        // A supervisor that has ended has nothing to stop.
        let _ = self.events.send(Event::Stop);
        while self.state.changed().await.is_ok() {}
        self.join();
    }

    /// Waits for the supervisor, which is about to end.
    fn join(&mut self) {
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("the thread that supervises etcd panicked");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Kill);
        self.join();
    }
}

struct Supervisor {
    launch: Launch,
    directory: Directory,
    events: Sender<Event>,
    told: Receiver<Event>,
    state: watch::Sender<ProcessState>,
}

/// How a run of etcd ended.
enum Ended {
    /// We ended it.
    Asked,
    /// It ended, or never began.
    ByItself(LastWords),
}

/// What is known of why etcd ended.
struct LastWords {
    why: String,
    hopeless: Option<Hopeless>,
}

impl From<String> for LastWords {
    fn from(why: String) -> Self {
        Self {
            why,
            hopeless: None,
        }
    }
}

impl Supervisor {
    fn run(self) {
        let mut backoff = BACKOFF.0;
        let mut said = String::new();
        loop {
            let started = Instant::now();
            let LastWords { why, hopeless } = match self.run_once() {
                Ended::Asked => break,
                Ended::ByItself(last_words) => last_words,
            };
            if let Some(reason) = hopeless {
                tracing::error!("etcd gave up: {reason}");
                self.state.send_replace(ProcessState::GaveUp(reason));
                return;
            }
            if started.elapsed() >= STEADY {
                backoff = BACKOFF.0;
                said.clear();
            }
            // Once: it is the same every few seconds from now on.
            if why == said {
                tracing::debug!("etcd ended again: {why}");
            } else {
                tracing::error!("etcd ended: {why}; it is started again until it stays");
                said.clone_from(&why);
            }
            self.state.send_replace(ProcessState::Waiting { why });
            match self.told.recv_timeout(backoff) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => break,
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
        self.state.send_replace(ProcessState::Stopped);
    }

    /// Starts etcd once, and returns when it has ended.
    fn run_once(&self) -> Ended {
        if let Some(ended) = self.wait_for_the_directory() {
            return ended;
        }
        let program = self.launch.program.path().display();
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => return Ended::ByItself(format!("cannot run {program}: {error}").into()),
        };
        let pid = child.id();
        tracing::info!(pid, %program, "etcd started");
        let reading = child.stderr.take().map(|log| self.read_log(log));
        let Some(Ok(reader)) = reading else {
            let ended = describe(end(&mut child), None);
            return Ended::ByItself(format!("its log cannot be read ({ended})").into());
        };
        self.state.send_replace(ProcessState::Running { pid });

        let asked = self.attend(&child);
        // One that closes its log and lives on is of no use; one that has ended does not feel this.
        let ended = end(&mut child);
        let last = reader.join().unwrap_or_default();
        if asked {
            tracing::info!(pid, "etcd stopped");
            return Ended::Asked;
        }
        Ended::ByItself(LastWords {
            why: describe(ended, last.complaint),
            hopeless: last.hopeless,
        })
    }

    /// Waits for another process to let go of the data directory: an etcd that is being killed with its head.
    fn wait_for_the_directory(&self) -> Option<Ended> {
        let since = Instant::now();
        while let Some(holder) = self.directory.holder() {
            if since.elapsed() > HELD {
                let path = self.directory.path().display();
                let why = format!("{holder} uses {path}, which only one etcd can");
                return Some(Ended::ByItself(why.into()));
            }
            match self.told.recv_timeout(BACKOFF.0) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return Some(Ended::Asked),
            }
        }
        None
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(self.launch.program.path());
        command
            .args(self.launch.arguments())
            // etcd takes settings, and Go proxies, from the environment.
            .env_clear()
            // 3.4 wants to be told that this is meant.
            .envs(cfg!(target_arch = "aarch64").then_some(("ETCD_UNSUPPORTED_ARCH", "arm64")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // ^C on a terminal is for the head, which stops etcd when it needs it no more.
            .process_group(0);
        die_with_this_thread(&mut command);
        command.spawn()
    }

    /// Passes the log on until it ends, on a thread of its own.
    fn read_log(&self, log: ChildStderr) -> io::Result<JoinHandle<LogSummary>> {
        let events = self.events.clone();
        thread::Builder::new()
            .name("etcd log".into())
            .spawn(move || {
                let summary = pass_on(BufReader::new(log));
                // The supervisor is there: it waits for this.
                let _ = events.send(Event::LogEnded);
                summary
            })
    }

    /// Waits until etcd has ended; whether it was us who ended it.
    fn attend(&self, child: &Child) -> bool {
        match self.told.recv() {
            Ok(Event::LogEnded) => return false,
            Ok(Event::Stop) => signal(child, Signal::TERM),
            Ok(Event::Kill) | Err(_) => {
                signal(child, Signal::KILL);
            }
        }
        let until = Instant::now() + GRACE;
        loop {
            match self
                .told
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Stop) => {}
                Ok(Event::LogEnded) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Event::Kill) => signal(child, Signal::KILL),
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!(pid = child.id(), "etcd does not end; killing it");
                    return true;
                }
            }
        }
    }
}

/// Has the kernel kill the child when the thread that starts it ends.
fn die_with_this_thread(command: &mut Command) {
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Its parent may have died before that.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(
                rustix::io::Errno::SRCH.raw_os_error(),
            ))
        }
    };
    // SAFETY: between fork and exec only what is async-signal-safe may be done. The closure makes two system calls, takes
    // no lock and allocates nothing.
    unsafe {
        command.pre_exec(before_exec);
    }
}

fn signal(child: &Child, signal: Signal) {
    // Not waited for yet, so the number is still its own. It fails only if etcd has ended by itself.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Makes sure that the child is gone.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // Fails only for one that is gone.
    let _ = child.kill();
    child.wait()
}

/// How it ended, and what it said of that. One that was killed had no time to say anything.
fn describe(ended: io::Result<ExitStatus>, complaint: Option<String>) -> String {
    match (ended, complaint) {
        (Ok(status), Some(complaint)) if status.code().is_some() => {
            format!("{status}, {complaint}")
        }
        (Ok(status), _) => status.to_string(),
        (Err(error), _) => format!("nobody knows how: {error}"),
    }
}

/// What of a log is remembered when it has ended.
#[derive(Default)]
struct LogSummary {
    /// The last line that was worse than a warning, else the last warning.
    complaint: Option<String>,
    hopeless: Option<Hopeless>,
}

/// Passes each line on to this process's own log.
fn pass_on(mut log: BufReader<ChildStderr>) -> LogSummary {
    let mut summary = LogSummary::default();
    let mut error_seen = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        match log.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return summary,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let line = LogLine::parse(text.trim_end());
        line.trace();
        summary.hopeless = summary.hopeless.or_else(|| line.hopeless());
        let is_error = line.level == tracing::Level::ERROR;
        if is_error || (line.level == tracing::Level::WARN && !error_seen) {
            error_seen |= is_error;
            summary.complaint = Some(line.text);
        }
    }
}
