//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md and CONTRIBUTING.md that a script can check.

mod documents;
mod floors;
mod manifests;
mod packages;
mod purity;
mod routes;
mod rust_source;
mod scripts;
mod tests_run;
mod text;

use std::fmt;

use anyhow::{Result, bail};
use packages::Package;

use crate::repository::{self, Repository};

/// Something that a rule found, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// What a rule looks at.
struct Workspace {
    repository: Repository,
    packages: Vec<Package>,
}

struct Rule {
    name: &'static str,
    why: &'static str,
    check: fn(&Workspace) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "floors",
        why: "a crate that uses only lower floors can be understood, tested and replaced without the rest",
        check: |workspace| floors::check(&workspace.packages, &workspace.repository),
    },
    Rule {
        name: "pure crates link nothing that does I/O",
        why: "what a cluster is and what a boot file says depend on their input alone",
        check: |workspace| purity::check_dependencies(&workspace.packages),
    },
    Rule {
        name: "pure crates do no I/O",
        why: "what a cluster is and what a boot file says depend on their input alone",
        check: |workspace| purity::check_sources(&workspace.repository),
    },
    Rule {
        name: "handlers are in the table",
        why: "only the table of routes gives an endpoint its access class and its description",
        check: |workspace| routes::check_handlers(&workspace.repository),
    },
    Rule {
        name: "one router",
        why: "an endpoint beside the table of routes would have no access class",
        check: |workspace| routes::check_router(&workspace.repository),
    },
    Rule {
        name: "manifests inherit",
        why: "versions, lints and what may be published are decided in one place",
        check: |workspace| manifests::check_members(&workspace.repository),
    },
    Rule {
        name: "no version at random",
        why: "a wildcard lets any release in, unseen",
        check: |workspace| manifests::check_versions(&workspace.repository),
    },
    Rule {
        name: "no unused dependency",
        why: "what is linked is built, audited and updated, used or not",
        check: |workspace| manifests::check_used(&workspace.repository),
    },
    Rule {
        name: "plain text",
        why: "a difference that nobody sees costs a review",
        check: |workspace| text::check_whitespace(&workspace.repository),
    },
    Rule {
        name: "no machine's paths",
        why: "what works only where it was written does not work",
        check: |workspace| text::check_machine_paths(&workspace.repository),
    },
    Rule {
        name: "every test runs",
        why: "a test that nobody runs says nothing",
        check: |workspace| tests_run::check_ignored(&workspace.repository),
    },
    Rule {
        name: "nothing left to do",
        why: "unfinished code panics in front of a user",
        check: |workspace| tests_run::check_unfinished(&workspace.repository),
    },
    Rule {
        name: "scripts can be run",
        why: "a shell script is run by its first line, where it may be run at all",
        check: |workspace| scripts::check(&workspace.repository),
    },
    Rule {
        name: "links lead somewhere",
        why: "readers give up at the second dead link",
        check: |workspace| documents::check_links(&workspace.repository),
    },
    Rule {
        name: "a changelog",
        why: "users read what changed before they update",
        check: |workspace| documents::check_changelog(&workspace.repository),
    },
];

/// Prints what every rule finds; fails if any does.
pub(crate) fn run() -> Result<()> {
    let root = repository::root();
    let workspace = Workspace {
        repository: Repository::read(&root)?,
        packages: packages::read(&root)?,
    };
    let mut found = 0;
    for rule in RULES {
        let findings = (rule.check)(&workspace);
        if !findings.is_empty() {
            println!("{}, because {}:", rule.name, rule.why);
        }
        for finding in &findings {
            println!("  {finding}");
        }
        found += findings.len();
    }
    if found > 0 {
        bail!("{found} findings; each says what to do");
    }
    println!(
        "tidy: {} rules hold in {} files",
        RULES.len(),
        workspace.repository.files.len()
    );
    Ok(())
}
