//! The command line, as people and scripts use it.

use std::process::Output;

use super::Head;

impl Head {
    /// What a command of words without blanks prints; it is expected to succeed.
    pub(crate) fn done(&self, words: &str) -> String {
        self.cli(words.split(' '))
    }

    /// The exit code of a command of words without blanks that is expected to fail, and why it does.
    pub(crate) fn failed(&self, words: &str) -> String {
        let output = self.try_cli(words.split(' '));
        let (code, stdout, stderr) = ended(&output);
        assert_ne!(code, 0, "{words}");
        assert_eq!(stdout, "", "{words}");
        format!("{code} {stderr}")
    }
}

/// How a command ended: its exit code, and what it said on standard output and standard error.
pub(crate) fn ended(output: &Output) -> (i32, &str, &str) {
    let text = |bytes| str::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("no signal ended it");
    (code, text(&output.stdout), text(&output.stderr))
}
