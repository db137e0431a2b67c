use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// Every command that does something, with its words.
fn commands() -> Vec<(String, clap::Command)> {
    let mut waiting = vec![(String::new(), Cli::command())];
    let mut leaves = Vec::new();
    while let Some((path, command)) = waiting.pop() {
        let inner: Vec<_> = command.get_subcommands().cloned().collect();
        if inner.is_empty() {
            leaves.push((path.clone(), command));
        }
        for command in inner {
            waiting.push((format!("{path} {}", command.get_name()), command));
        }
    }
    leaves
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for (path, command) in commands() {
        assert!(
            command.get_about().is_some(),
            "pilotlight{path} has no help"
        );
        let example = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let words = path.split(' ').next_back().unwrap_or_default();
        assert!(
            example.contains("Example")
                && example.contains("pilotlight")
                && example.contains(words),
            "pilotlight{path} has no example: {example:?}"
        );
    }
}

/// Scripts rely on these names.
#[test]
fn the_commands_are_those_documented() {
    let mut paths: Vec<String> = commands().into_iter().map(|(path, _)| path).collect();
    paths.sort();
    let expected = [
        "admin create, admin delete, admin list, admin show, admin update",
        "bootconfig create, bootconfig delete, bootconfig list, bootconfig show, bootconfig update",
        "butane, check, cluster show, cluster status, cluster update, completions, config check, demo",
        "file delete, file list, file put, file show",
        "gitrepo create, gitrepo delete, gitrepo list, gitrepo show, gitrepo update",
        "group clear, group create, group delete, group list, group set, group show, group update",
        "head leave, head list, head remove, head show, head-package, init, join",
        "ledger, login, logout, man",
        "node clear, node create, node delete, node join, node leave, node list, node set, node show, node update",
        "package add, package convert, package list, package rm, package show",
        "render ignition, render kickstart, render ztp, serve",
        "store backup, store migrate, store restore, token",
    ];
    assert_eq!(paths.join(",").trim_start(), expected.join(", "));
}

fn error_kind(words: &str) -> clap::error::ErrorKind {
    match Cli::try_parse_from(words.split(' ')) {
        Ok(cli) => panic!("{words} was accepted: {cli:?}"),
        Err(error) => error.kind(),
    }
}

#[test]
fn options_stand_anywhere_and_faults_are_found() {
    use clap::error::ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};
    for words in [
        "pilotlight --json node list name=n* --head http://10.0.0.1",
        "pilotlight node list -q --socket /run/x",
        "pilotlight serve --data /d --listen 127.0.0.1:0 --listen [::1]:0 --admin-pass-file /f",
        "pilotlight render ztp --node leaf1 --provenance",
        "pilotlight file create a.ks -",
    ] {
        assert!(
            Cli::try_parse_from(words.split(' ')).is_ok(),
            "{words} was refused"
        );
    }
    assert_eq!(
        error_kind("pilotlight node list --head http://a --socket /s"),
        ArgumentConflict
    );
    assert_eq!(
        error_kind("pilotlight node list --head ftp://a"),
        ValueValidation
    );
    assert_eq!(error_kind("pilotlight node create n4 mac"), ValueValidation);
    assert_eq!(
        error_kind("pilotlight node set n4"),
        MissingRequiredArgument
    );
    assert_eq!(error_kind("pilotlight serve --listen 80"), ValueValidation);
    assert_eq!(
        error_kind("pilotlight ledger --since yesterday"),
        ValueValidation
    );
}

#[test]
fn no_option_takes_a_password() {
    for (path, command) in commands() {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            assert!(
                !name.contains("pass") || name.ends_with("_file"),
                "pilotlight{path}: {name}"
            );
        }
    }
}
