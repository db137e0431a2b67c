//! `cargo xtask test`: everything that can be tested on this machine, and a word on what cannot.

use std::{
    env,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{programs, repository};

/// What `cargo xtask test` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Boot virtual machines, too (minutes; downloads a kernel and QEMU), and take the time for several heads that
    /// --heads takes
    #[arg(long)]
    vm: bool,
    /// Only test several heads, and as often as it takes to find what is rare (minutes)
    #[arg(long, conflicts_with = "vm")]
    heads: bool,
    /// Install no Debian packages
    #[arg(long)]
    no_install: bool,
    /// Run only the tests whose names hold one of these
    filter: Vec<String>,
}

/// How a script says that it cannot run on this machine.
const SKIPPED: i32 = 77;

/// Prepares the machine and runs the tests, cargo's last, so that their summary ends the output.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = repository::root();
    let mut skipped = programs::provide(!options.no_install)?;
    let mut failed = Vec::new();

    if !options.heads {
        build(&root)?;
        heading("pykickstart, which reads kickstarts as Anaconda does");
        match script(Command::new(root.join("tests/clients/pykickstart.sh")).arg("true"))? {
            Outcome::Passed => {}
            Outcome::Failed(how) => failed.push(format!("tests/clients/pykickstart.sh {how}")),
            Outcome::Skipped(why) => skipped.push(why),
        }
    }

    if options.vm {
        heading("boot virtual machines");
        let pilotlight = target_directory(&root).join("debug/pilotlight");
        match script(Command::new(root.join("tests/vm/boot.sh")).arg(pilotlight))? {
            Outcome::Passed => println!("virtual machines booted and got what is theirs"),
            Outcome::Failed(how) => failed.push(format!("tests/vm/boot.sh {how}")),
            Outcome::Skipped(why) => skipped.push(format!("boot of virtual machines: {why}")),
        }
    }

    heading("cargo test");
    let began = Instant::now();
    let report = cargo_test(&root, options)?;
    skipped.extend(report.skipped);
    if !report.passed {
        failed.push(format!("cargo test ({})", report.failed.join(", ")));
    }

    heading("summary");
    for line in &report.summaries {
        println!("{line}");
    }
    println!(
        "{} tests passed in {} s",
        passed_in_all(&report.summaries),
        began.elapsed().as_secs()
    );
    for what in &report.measured {
        println!("MEASURED: {what}");
    }
    for what in &skipped {
        println!("SKIPPED: {what}");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn build(root: &Path) -> Result<()> {
    heading("build");
    let status = cargo(root)
        .args(["build", "--workspace", "--bins", "--tests"])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the workspace does not build");
    Ok(())
}

fn heading(what: &str) {
    println!("\n--- {what}");
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).stdin(Stdio::null());
    command
}

fn target_directory(root: &Path) -> PathBuf {
    // An absolute CARGO_TARGET_DIR takes the place of the root.
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs a script of tests/, which says by its exit code whether it could run at all.
fn script(command: &mut Command) -> Result<Outcome> {
    let mut last_line = String::new();
    let status = watch(command.stdin(Stdio::null()), |line| {
        line.clone_into(&mut last_line);
        true
    })?;
    Ok(match status.code() {
        Some(0) => Outcome::Passed,
        Some(SKIPPED) => Outcome::Skipped(last_line.trim_start_matches("SKIPPED: ").to_owned()),
        _ => Outcome::Failed(format!("ended with {status}")),
    })
}

/// Asks the tests of several heads to take their time.
const HEADS_IN_FULL: &str = "HEADS_IN_FULL";

fn cargo_test(root: &Path, options: &Options) -> Result<Report> {
    let mut report = Report::default();
    let mut command = cargo(root);
    command.args(["test", "--no-fail-fast"]);
    if options.heads {
        command.args(["--package", "pilotlight", "--test", "heads"]);
    } else {
        command.arg("--workspace");
    }
    if options.heads || options.vm {
        command.env(HEADS_IN_FULL, "1");
    }
    // What passed tests have written is asked for to learn what they skipped and measured.
    command.args(["--", "--show-output"]).args(&options.filter);
    let status = watch(&mut command, |line| report.read(line))?;
    report.passed = status.success();
    Ok(report)
}

/// What cargo test came to.
#[derive(Default)]
struct Report {
    passed: bool,
    /// The line of each test program that ran a test.
    summaries: Vec<String>,
    /// The names of the tests that failed.
    failed: Vec<String>,
    /// What tests said they could not do here.
    skipped: Vec<String>,
    /// Figures that tests told, which fail none.
    measured: Vec<String>,
    in_output_of_passed: bool,
}

impl Report {
    /// Reads a line of the test programs' output, and says whether people want to see it.
    fn read(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.in_output_of_passed = true,
            "failures:" => self.in_output_of_passed = false,
            _ => {}
        }
        if line.starts_with("test result: ") {
            self.in_output_of_passed = false;
            if !line.contains(" 0 passed; 0 failed;") {
                self.summaries.push(line.to_owned());
            }
        }
        let failed = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"));
        self.failed.extend(failed.map(str::to_owned));
        for (mark, told) in [
            ("SKIPPED: ", &mut self.skipped),
            ("MEASURED: ", &mut self.measured),
        ] {
            if let Some((_, what)) = line.split_once(mark) {
                if !told.iter().any(|known| known == what) {
                    told.push(what.to_owned());
                }
                return true;
            }
        }
        !self.in_output_of_passed
    }
}

fn passed_in_all(summaries: &[String]) -> u32 {
    let passed = |line: &String| {
        let (before, _) = line.split_once(" passed;")?;
        before.rsplit(' ').next()?.parse::<u32>().ok()
    };
    summaries.iter().filter_map(passed).sum()
}

/// Runs a command, gives `see` each line that it writes, to either stream, and shows those for which that is true.
fn watch(command: &mut Command, mut see: impl FnMut(&str) -> bool) -> Result<ExitStatus> {
    enum Event {
        Wrote(Vec<u8>),
        Ended(io::Result<ExitStatus>),
    }
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    // The command holds writing ends, which would keep this from ever seeing the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (events, happening) = mpsc::channel();
    let lines = events.clone();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if lines.send(Event::Wrote(line)).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || events.send(Event::Ended(child.wait())));

    let mut status = None;
    loop {
        // What a test leaves running holds the pipe open; the last lines come at once, so do not wait for its end.
        let event = match status {
            None => happening.recv().ok(),
            Some(_) => happening.recv_timeout(Duration::from_secs(1)).ok(),
        };
        match event {
            Some(Event::Wrote(line)) => {
                let line = String::from_utf8_lossy(&line);
                if see(&line) {
                    println!("{line}");
                }
            }
            Some(Event::Ended(ended)) => status = Some(ended?),
            None => return status.with_context(|| format!("lost sight of {program}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script_text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script_text]);
        command
    }

    #[test]
    fn both_streams_are_seen() {
        let mut seen = Vec::new();
        let status = watch(&mut shell("echo a; echo b >&2; printf c; exit 3"), |line| {
            seen.push(line.to_owned());
            true
        })
        .unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_left_running_is_not_waited_for() {
        let began = Instant::now();
        let mut seen = Vec::new();
        watch(&mut shell("sleep 600 & echo $!"), |line| {
            seen.push(line.to_owned());
            true
        })
        .unwrap();
        assert!(began.elapsed() < Duration::from_secs(300));
        shell(&format!("kill {}", seen[0])).status().unwrap();
    }

    #[test]
    fn a_script_that_cannot_run_has_not_failed() {
        let skipped = script(&mut shell("echo no tun >&2; exit 77")).unwrap();
        assert!(matches!(skipped, Outcome::Skipped(why) if why == "no tun"));
        assert!(matches!(
            script(&mut shell("exit 1")).unwrap(),
            Outcome::Failed(_)
        ));
        assert!(matches!(
            script(&mut shell("true")).unwrap(),
            Outcome::Passed
        ));
    }

    #[test]
    fn of_passed_tests_only_what_they_skipped_and_measured_is_told() {
        let output = "test a ... ok\ntest b ... FAILED\n\nsuccesses:\n\n---- a stdout ----\nchatter\nSKIPPED: no curl\nSKIPPED: no curl\nMEASURED: 1 s\n\n\
                      successes:\n    a\n\ntest result: ok. 1 passed; 0 failed;\ntest result: ok. 0 passed; 0 failed;\nafter";
        let mut report = Report::default();
        let shown: Vec<_> = output.lines().filter(|line| report.read(line)).collect();
        assert!(
            shown.contains(&"after") && !shown.contains(&"chatter"),
            "{shown:?}"
        );
        assert_eq!(report.failed, ["b"]);
        assert_eq!(report.skipped, ["no curl"]);
        assert_eq!(report.measured, ["1 s"]);
        assert_eq!(report.summaries, ["test result: ok. 1 passed; 0 failed;"]);
    }

    #[test]
    fn passed_tests_add_up() {
        let lines = [
            "test result: ok. 30 passed; 0 failed; 1 ignored;",
            "test result: FAILED. 12 passed; 1 failed;",
        ];
        assert_eq!(passed_in_all(&lines.map(str::to_owned)), 42);
    }
}
