//! What runs on a machine as a package comes and goes.

/// Pieces of POSIX shell; an empty one does nothing. rpm and dpkg tell scripts what happens in ways of their own, which
/// the scripts made of these know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scriptlets<'a> {
    /// The package is there, and was not before.
    pub after_install: &'a str,
    /// The package is there in place of another version.
    pub after_upgrade: &'a str,
    /// The package will go.
    pub before_removal: &'a str,
    /// The package has gone, and its configuration with it. Debian keeps that until the package is purged.
    pub after_purge: &'a str,
}

/// A shell script that runs the first piece whose test succeeds; none if all are empty.
pub(super) fn first_of<const N: usize>(cases: [(&str, &str); N]) -> Option<String> {
    // In the middle of a script, the line that names the interpreter says nothing.
    let cases =
        cases.map(|(test, piece)| (test, piece.trim_start_matches("#!/bin/sh\n").trim_end()));
    let mut script = String::new();
    for (test, piece) in cases {
        if !piece.is_empty() {
            let word = if script.is_empty() { "if" } else { "elif" };
            script.push_str(&format!("{word} {test}; then\n{piece}\n"));
        }
    }
    (!script.is_empty()).then(|| script + "fi\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pieces_are_left_out() {
        assert_eq!(first_of([("a", ""), ("b", " \n")]), None);
        assert_eq!(
            first_of([("a", ""), ("b", "echo\n")]).as_deref(),
            Some("if b; then\necho\nfi\n")
        );
        assert_eq!(
            first_of([("a", "#!/bin/sh\none"), ("b", "two")]).as_deref(),
            Some("if a; then\none\nelif b; then\ntwo\nfi\n")
        );
    }
}
