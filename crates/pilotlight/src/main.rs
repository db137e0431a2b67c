//! Pilotlight, the boot-time head node of a bare-metal cluster: one command that is the head and manages it.

mod cli;
mod client;
mod cluster_store;
mod config;
mod data_directory;
mod demo;
mod error;
mod serve;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pilotlight: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
