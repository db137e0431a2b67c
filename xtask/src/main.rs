//! The project's own commands, run as `cargo xtask COMMAND`.

mod bench;
mod dist;
mod programs;
mod repository;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the Debian packages that the tests need, as far as this machine lets us
    Packages(programs::Options),
    /// Run all tests: of units, of properties, and from end to end with real programs
    Test(test::Options),
    /// Check what the compiler cannot: floors, purity, the table of routes, manifests, text, links
    Tidy,
    /// Make the packages that nodes and heads install
    Dist(dist::Options),
    /// Measure, beside something well known in the same run
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Rendered boot files, beside nginx serving the same bytes as static files
    Boot,
    /// Ignition configs made from Butane, beside nginx serving the same bytes as static files
    Ignition,
    /// Client packages, beside nginx serving the same files, and rpms made tars beside rpm2archive and bsdtar
    Packages,
    /// Several heads: copying packages beside curl, how soon writes are seen and go on, and what planning needs
    Heads(bench::heads::Options),
    /// One change to the state of a cluster of 100,000 nodes
    State,
}

fn main() -> ExitCode {
    let outcome = match Command::parse().task {
        Task::Packages(options) => programs::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Tidy => tidy::run(),
        Task::Dist(options) => dist::run(&options),
        Task::Bench(Bench::Boot) => bench::boot::run(),
        Task::Bench(Bench::Ignition) => bench::ignition::run(),
        Task::Bench(Bench::Packages) => bench::packages::run(),
        Task::Bench(Bench::Heads(options)) => bench::heads::run(&options),
        Task::Bench(Bench::State) => bench::state::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
