//! What a result was measured on.

use std::{fmt::Write as _, fs, process::Command, thread};

use anyhow::Result;

/// The machine, the programs and the moment, as a Markdown list.
pub(crate) fn describe() -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "- machine: {}, {} cores, {} of memory",
        cpu(),
        cores(),
        memory()
    )?;
    writeln!(
        text,
        "- system: Linux {}, {}",
        read("/proc/sys/kernel/osrelease"),
        distribution()
    )?;
    writeln!(
        text,
        "- TCP congestion control: {}",
        read("/proc/sys/net/ipv4/tcp_congestion_control")
    )?;
    writeln!(
        text,
        "- versions: {}, {}, {}",
        version("nginx", "-v"),
        version("wrk", "-v"),
        version("rustc", "-V")
    )?;
    writeln!(text, "- load average at the end: {}", read("/proc/loadavg"))?;
    writeln!(
        text,
        "- date: {}",
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
    )?;
    Ok(text)
}

/// The machine's name in the name of a file.
pub(crate) fn slug() -> String {
    let words: Vec<String> = format!("{} {} cores", cpu(), cores())
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.join("-")
}

fn cpu() -> String {
    field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn memory() -> String {
    let total = field(&read("/proc/meminfo"), "MemTotal");
    let kib = total.and_then(|total| total.split(' ').next()?.parse::<u64>().ok());
    kib.map_or_else(
        || "unknown".to_owned(),
        |kib| format!("{} GiB", kib.div_ceil(1 << 20)),
    )
}

fn distribution() -> String {
    let release = read("/etc/os-release");
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("an unnamed distribution")
        .trim_matches('"')
        .to_owned()
}

fn field(text: &str, name: &str) -> Option<String> {
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// The first line that a program says of its version; many say it on standard error.
pub(crate) fn version(program: &str, option: &str) -> String {
    let first = said(program, &[option]);
    first
        .split(" Copyright")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return format!("no {program}");
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
