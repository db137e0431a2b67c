//! What the scripts that are handed out are made of: parts in `assets/install`, and words that stand for themselves.

use std::fmt;

/// Which programs there are.
pub(super) const PROGRAMS: &str = include_str!("../../../../assets/install/programs.sh");
/// Downloads.
pub(super) const DOWNLOAD: &str = include_str!("../../../../assets/install/download.sh");
/// Which packages are to be installed, and getting them.
pub(super) const WANTED: &str = include_str!("../../../../assets/install/wanted.sh");
/// Enabling and starting a service.
pub(super) const SERVICE: &str = include_str!("../../../../assets/install/service.sh");
/// Packages by dnf, yum or rpm.
pub(super) const RPM: &str = include_str!("../../../../assets/install/rpm.sh");
/// Packages by apt-get or dpkg.
pub(super) const DEB: &str = include_str!("../../../../assets/install/deb.sh");
/// Packages that are tars.
pub(super) const TAR: &str = include_str!("../../../../assets/install/tar.sh");

/// The parts of a script, each without its first line, which names the shell.
pub(super) struct Parts<'a>(pub(super) &'a [&'a str]);

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| {
            let (_, rest) = part.split_once('\n').unwrap_or_default();
            write!(f, "\n{rest}")
        })
    }
}

/// A text as one word of a shell script, which stands for nothing but itself.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No shell can hold a NUL.
        let text = self.0.replace('\0', "").replace('\'', r"'\''");
        write!(f, "'{text}'")
    }
}

/// A text that stays in its comment.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace(char::is_control, " "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_quoted_text_is_one_word_that_stands_for_itself(
            texts in proptest::collection::vec(r#"([^\x00]|['"$`\\\n!*;&|<>(){} ~#-]){0,40}"#, 1..20),
        ) {
            let words: Vec<_> = texts.iter().map(|text| Quoted(text).to_string()).collect();
            let script = format!("printf '%s\\000' {}\n", words.join(" "));
            let expected: String = texts.iter().flat_map(|text| [text, "\0"]).collect();
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            prop_assert_eq!((String::from_utf8_lossy(&output.stdout), &*said), (expected.into(), ""));
        }
    }
}
