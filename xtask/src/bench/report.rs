//! What was measured, as Markdown.

use std::{fmt::Write as _, fs, time::Duration};

use anyhow::{Context, Result};

use super::{
    cluster::{NODES, NodeFile},
    machine,
    outcome::Outcome,
    side_by_side::{CONNECTIONS, ROUND, ROUNDS, Round},
    storm,
};
use crate::repository;

/// Shows the report on `cargo xtask bench NAME`, and keeps it.
pub(crate) fn keep(name: &str, text: &str) -> Result<()> {
    println!("\n{text}");
    let results = repository::root().join("bench/results");
    fs::create_dir_all(&results)?;
    let path = results.join(format!("{name}-{}.md", machine::slug()));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

/// What nginx does the same work with, and what the numbers are.
pub(crate) fn method(nginx_serves: &str) -> String {
    format!(
        "beside it nginx (2 workers, `sendfile`, `tcp_nopush`, no access log) with {nginx_serves}. Clients and servers \
         share the cores. Each number is the median of {ROUNDS} rounds, and each ratio the median of the rounds' own \
         ratios: a round asks both servers, one right after the other.\n"
    )
}

/// The section on connections that stay.
pub(crate) fn load(text: &mut String, addresses: usize, rounds: &[Round]) -> Result<()> {
    write!(
        text,
        "\n## {CONNECTIONS} connections kept alive, from {addresses} source addresses\n\n\
         `wrk -t{addresses} -c{CONNECTIONS} -d{}s --latency`, each round as other nodes\n\n",
        ROUND.as_secs(),
    )?;
    table(text, rounds, ROWS)
}

/// The section on a cluster that powers on.
pub(crate) fn storm(text: &mut String, file: NodeFile, rounds: &[Round]) -> Result<()> {
    write!(
        text,
        "\n## A cluster powers on: each of the {NODES} nodes once, on a connection of its own, {} at a time\n\n\
         The cluster changes before each round, so that every {file} is rendered afresh.\n\n",
        storm::AT_ONCE,
    )?;
    table(text, rounds, ROWS)
}

/// What is told of an outcome: its name, how many decimals, and the value.
pub(crate) type Row<T> = (&'static str, usize, fn(&T) -> f64);

const ROWS: &[Row<Outcome>] = &[
    ("requests/s", 0, |outcome| outcome.rate),
    ("p50, ms", 2, |outcome| milliseconds(outcome.p50)),
    ("p99, ms", 2, |outcome| milliseconds(outcome.p99)),
    ("CPU µs a request", 1, |outcome| outcome.cpu_micros),
];

/// Both servers beside each other.
pub(crate) fn table<T>(text: &mut String, rounds: &[Round<T>], rows: &[Row<T>]) -> Result<()> {
    text.push_str("| | nginx | Pilotlight | ratio |\n| --- | ---: | ---: | ---: |\n");
    for (name, decimals, value) in rows {
        let nginx = median(rounds.iter().map(|round| value(&round.nginx)));
        let pilotlight = median(rounds.iter().map(|round| value(&round.pilotlight)));
        let ratio = ratio(rounds, *value);
        writeln!(
            text,
            "| {name} | {nginx:.decimals$} | {pilotlight:.decimals$} | {ratio:.2} |"
        )?;
    }
    Ok(())
}

/// The middle of the rounds' ratios.
pub(crate) fn ratio<T>(rounds: &[Round<T>], value: fn(&T) -> f64) -> f64 {
    let ratio = |round: &Round<T>| value(&round.pilotlight) / value(&round.nginx);
    median(rounds.iter().map(ratio))
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What the system counts in KiB.
pub(crate) fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}
