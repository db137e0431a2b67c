//! Nothing is put off.

use super::{
    Finding,
    rust_source::{self, Code},
};
use crate::repository::Repository;

/// A test that is ignored is run by another in its file, in a process of its own.
pub(super) fn check_ignored(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository
        .ending(".rs")
        .filter(|file| !file.text.contains("\"--ignored\""))
    {
        let code = Code::of(&file.text);
        for offset in rust_source::occurrences(&code.text, "#[ignore") {
            let message =
                "nobody runs this test: have it run always, or by another test in this file";
            findings.push(Finding::new(&file.path, code.line(offset), message));
        }
    }
    findings
}

/// No code is left for later.
pub(super) fn check_unfinished(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.ending(".rs") {
        let code = Code::of(&file.text);
        for name in ["todo!", "unimplemented!"] {
            for offset in rust_source::occurrences(&code.text, name) {
                findings.push(Finding::new(
                    &file.path,
                    code.line(offset),
                    format!("write what {name} stands for"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tests_are_run_by_others() {
        let check = |text| check_ignored(&Repository::of(&[("a.rs", text)])).len();
        assert_eq!(check("#[test]\n#[ignore]\nfn a() {}"), 1);
        assert_eq!(check("#[test]\n#[ignore = \"slow\"]\nfn a() {}"), 1);
        assert_eq!(
            check("#[ignore = \"by b\"]\nfn a() {}\nfn b() { run(\"--ignored\") }"),
            0
        );
        assert_eq!(check("// #[ignore] is not allowed"), 0);
    }

    #[test]
    fn unfinished_code_is_seen() {
        let check = |text| check_unfinished(&Repository::of(&[("a.rs", text)])).len();
        assert_eq!(
            check("fn a() { todo!() }\nfn b() { unimplemented!(\"b\") }"),
            2
        );
        assert_eq!(check("// todo!\nconst A: &str = \"todo!\";"), 0);
    }
}
