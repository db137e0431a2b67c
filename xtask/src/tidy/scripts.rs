//! Shell scripts.

use super::Finding;
use crate::repository::Repository;

/// Programs name their interpreter, and those that are run from the repository can be.
pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repository.files {
        let has_interpreter = file.text.starts_with("#!/");
        // What these hold is handed to other machines, which decide for themselves.
        let handed_out = ["assets/", "packaging/"];
        let runs_here = !handed_out
            .iter()
            .any(|directory| file.path.starts_with(directory));
        let is_script = file.path.ends_with(".sh") || file.path == ".ci/run";
        if is_script && !has_interpreter {
            findings.push(Finding::new(
                &file.path,
                1,
                "name the interpreter, say `#!/bin/sh`",
            ));
        }
        if runs_here && is_script && !file.executable {
            findings.push(Finding::new(&file.path, 1, "make it executable: chmod +x"));
        }
        if file.executable && !has_interpreter {
            findings.push(Finding::new(
                &file.path,
                1,
                "it is executable but no program: chmod -x",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str, executable: bool) -> usize {
        let mut repository = Repository::of(&[(path, text)]);
        repository.files[0].executable = executable;
        check(&repository).len()
    }

    #[test]
    fn scripts_are_programs() {
        assert_eq!(found("tests/a.sh", "#!/bin/sh\n", true), 0);
        assert_eq!(found("tests/a.sh", "#!/bin/sh\n", false), 1);
        assert_eq!(found("tests/a.sh", "echo\n", false), 2);
        assert_eq!(found("assets/a.sh", "#!/bin/sh\n", false), 0);
        assert_eq!(found("assets/a.sh", "echo\n", false), 1);
        assert_eq!(found("README.md", "# A\n", true), 1);
    }
}
