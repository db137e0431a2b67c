//! The crates that do no I/O.

use super::{
    Finding,
    packages::{Package, all_used},
    rust_source::{self, Code},
};
use crate::repository::Repository;

const PURE: &[&str] = &["model", "template"];

/// Nothing reaches the system but through one of these, or through std.
const SYSTEM: &[&str] = &["libc", "rustix", "tokio", "mio", "socket2", "nix"];

/// They reach the system to ask it for the processor's instructions, and nothing else.
const HARMLESS: &[&str] = &["cpufeatures"];

/// What of std reaches the system. `std::net` is not here: an address is a value.
const STD: &[&str] = &[
    "fs",
    "process",
    "env",
    "thread",
    "stdin",
    "stdout",
    "stderr",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "UnixListener",
    "UnixStream",
    "UnixDatagram",
];

const MACROS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// A pure crate is built from nothing that could do I/O for it.
pub(super) fn check_dependencies(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages
        .iter()
        .filter(|package| PURE.contains(&package.name.as_str()))
    {
        let Some(manifest) = &package.manifest else {
            continue;
        };
        for used in all_used(packages, package, HARMLESS) {
            if SYSTEM.contains(&used.name.as_str()) {
                let message = format!(
                    "{} is built from {}: `cargo tree -p {} -i {}` says by way of what; do without that",
                    package.name, used.name, package.name, used.name
                );
                findings.push(Finding::new(manifest, 1, message));
            }
        }
    }
    findings
}

/// A pure crate's sources name nothing that does I/O, but in tests.
pub(super) fn check_sources(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in PURE {
        let directory = format!("crates/{name}/src/");
        let sources = repository
            .ending(".rs")
            .filter(|file| file.path.starts_with(&directory));
        for file in sources.filter(|file| !file.path.ends_with("/tests.rs")) {
            let code = Code::of(&file.text).without_tests();
            for (offset, word) in std_words(&code.text) {
                if STD.contains(&word) {
                    let message = format!(
                        "{name} uses std's {word}: have the caller do it, and take what it got"
                    );
                    findings.push(Finding::new(&file.path, code.line(offset), message));
                }
            }
            for name in MACROS {
                for offset in rust_source::occurrences(&code.text, name) {
                    let message = format!("{name} writes to the terminal: return it to the caller");
                    findings.push(Finding::new(&file.path, code.line(offset), message));
                }
            }
        }
    }
    findings
}

/// The names in each path that begins with std, and in each group behind one.
fn std_words(code: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    for start in rust_source::occurrences(code, "std::") {
        let path = &code[start..];
        let path = &path[..length_of_path(path)];
        words.extend(rust_source::words(path).map(|(offset, word)| (start + offset, word)));
    }
    words
}

/// Up to what cannot belong to a path; inside of braces, up to the last brace.
fn length_of_path(code: &str) -> usize {
    let mut depth = 0_u32;
    for (offset, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '_' | ':' => {}
            c if c.is_alphanumeric() || depth > 0 => {}
            _ => return offset,
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::{super::packages::package, *};

    fn found(source: &str) -> Vec<usize> {
        let repository = Repository::of(&[("crates/model/src/node.rs", source)]);
        check_sources(&repository)
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn every_way_to_name_it_is_seen() {
        assert_eq!(found("use std::fs;"), [1]);
        assert_eq!(
            found("use std::{\n    fmt,\n    fs::{self, File},\n};\n"),
            [3]
        );
        assert_eq!(found("\nfn f() { let x = std::env::var(\"X\"); }"), [2]);
        assert_eq!(found("use std::net::{IpAddr, TcpStream};"), [1]);
        assert_eq!(found("fn f() { println!(\"x\"); }"), [1]);
    }

    #[test]
    fn values_prose_and_tests_are_not_io() {
        assert!(found("use std::{fmt, net::IpAddr};\nfn fs(env: u8) {}").is_empty());
        assert!(found("// as std::fs does\nconst X: &str = \"std::fs\";").is_empty());
        assert!(found("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n").is_empty());
        assert!(found("fn f() -> std::fmt::Result { fs }").is_empty());
    }

    #[test]
    fn indirect_dependencies_count() {
        let packages = [
            package("model", &["a"]),
            package("a", &["tokio"]),
            package("tokio", &[]),
        ];
        assert_eq!(check_dependencies(&packages).len(), 1);
        let packages = [
            package("model", &["cpufeatures"]),
            package("cpufeatures", &["libc"]),
            package("libc", &[]),
        ];
        assert!(check_dependencies(&packages).is_empty());
        let packages = [
            package("server", &["tokio"]),
            package("tokio", &[]),
            package("model", &[]),
        ];
        assert!(check_dependencies(&packages).is_empty());
    }
}
