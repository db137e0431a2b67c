//! Reads unit files as the client does, to know what it refuses.

/// Why a unit file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("a line has more than 2047 bytes")]
    LineTooLong,
    #[error("a section has no ]")]
    SectionOpen,
    #[error("something follows the ] of a section")]
    AfterSection,
    #[error("a line in a section is neither a comment nor KEY=VALUE")]
    NoOption,
}

/// All that the rules see of the text of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitFile {
    is_empty: bool,
    has_install_section: Result<bool, Broken>,
}

impl UnitFile {
    pub(crate) fn read(text: &str) -> Self {
        Self {
            is_empty: text.is_empty(),
            has_install_section: has_install_section(text),
        }
    }
}

/// Lines of options have one byte less.
const LONGEST_LINE: usize = 2048;

/// Whether there is anything in an `[Install]` section; empty sections do not count.
pub(super) fn has_install_section(text: &str) -> Result<bool, Broken> {
    if text.split('\n').any(|line| line.len() > LONGEST_LINE) {
        return Err(Broken::LineTooLong);
    }
    let (mut section, mut found) = (None, false);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next == '[' {
            let (name, after) = rest[1..].split_once(']').ok_or(Broken::SectionOpen)?;
            let (garbage, after) = split_line(after);
            if !garbage.trim().is_empty() {
                return Err(Broken::AfterSection);
            }
            (section, rest) = (Some(name), after);
        } else if matches!(next, '#' | ';') {
            rest = after_continued(rest, |line| {
                line.strip_suffix(' ').unwrap_or(line).ends_with('\\')
            });
        } else if section.is_none() || next.is_whitespace() {
            // Whatever stands before the first section is passed over.
            rest = &rest[next.len_utf8()..];
        } else {
            let (line, _) = split_line(rest);
            if !line
                .find(['=', '\r'])
                .is_some_and(|at| line[at..].starts_with('='))
            {
                return Err(Broken::NoOption);
            }
            let after = after_continued(rest, |line| line.ends_with('\\'));
            let lines = &rest[..rest.len() - after.len()];
            if lines.split('\n').any(|line| line.len() == LONGEST_LINE) {
                return Err(Broken::LineTooLong);
            }
            found |= section == Some("Install");
            rest = after;
        }
    }
    Ok(found)
}

fn split_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// What follows a line and all the lines that it goes on to.
fn after_continued(mut text: &str, goes_on: impl Fn(&str) -> bool) -> &str {
    loop {
        let (line, rest) = split_line(text);
        if rest.is_empty() || !goes_on(line) {
            return rest;
        }
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_reads() {
        for text in [
            "",
            "x",
            "[a]",
            "[a]\nb=",
            "[a]\nb=c\\\n",
            "[a]\nb=c\\",
            "[a]\n=c",
            "[a]\n#x",
            "[a]\n;x\\\n[b",
            "#[a",
            "[a\n]\nx=y",
            "[a]\r\nb=c\r\n",
            "[a]\n\u{a0}\nb=c",
        ] {
            assert_eq!(has_install_section(text), Ok(false), "{text:?}");
        }
    }

    #[test]
    fn what_it_does_not() {
        for (text, broken) in [
            ("[", Broken::SectionOpen),
            ("x\n[a", Broken::SectionOpen),
            ("[a]\nb=x \\ y\n[e", Broken::SectionOpen),
            ("[a] x", Broken::AfterSection),
            ("[a]\nb", Broken::NoOption),
            ("[a]\nb\n", Broken::NoOption),
            ("[a]\nb=\\\n\nc\n", Broken::NoOption),
        ] {
            assert_eq!(has_install_section(text), Err(broken), "{text:?}");
        }
    }

    #[test]
    fn long_lines() {
        for (before, longest) in [("[a]\nb=", 2045), ("[a]\n", 2047), ("#", 2047), ("", 2048)] {
            let line = |length| {
                format!(
                    "{before}{}{}",
                    "=".repeat(length),
                    if before == "[a]\n" { "\n" } else { "" }
                )
            };
            assert_eq!(has_install_section(&line(longest)), Ok(false), "{before:?}");
            assert_eq!(
                has_install_section(&line(longest + 1)),
                Err(Broken::LineTooLong),
                "{before:?}"
            );
        }
    }

    #[test]
    fn install_sections_count_if_they_say_something() {
        assert_eq!(has_install_section("[Install]\nWantedBy=x\n"), Ok(true));
        assert_eq!(
            has_install_section("[Install]\n[Unit]\nAfter=x\n"),
            Ok(false)
        );
    }
}
