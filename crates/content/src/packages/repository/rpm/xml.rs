//! XML as repositories have it.

use std::fmt;

use package::Version;
use package::rpm::Evr;

/// A text as the content of an element or attribute. What XML cannot say is left out.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in self.0.split_inclusive(is_special) {
            let plain = run.trim_end_matches(is_special);
            f.write_str(plain)?;
            match run.get(plain.len()..) {
                Some("&") => f.write_str("&amp;")?,
                Some("<") => f.write_str("&lt;")?,
                Some(">") => f.write_str("&gt;")?,
                Some("\"") => f.write_str("&quot;")?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the character cannot stand for itself.
fn is_special(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '&' | '<' | '>' | '"' | '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => true,
        _ => false,
    }
}

/// The parts of a version as attributes, with a space before each.
pub(super) struct VersionAttributes<'a> {
    epoch: u32,
    version: &'a str,
    release: Option<&'a str>,
}

impl<'a> From<&'a Version> for VersionAttributes<'a> {
    fn from(version: &'a Version) -> Self {
        Self {
            epoch: version.epoch(),
            version: version.version(),
            release: version.release(),
        }
    }
}

impl<'a> From<&'a Evr> for VersionAttributes<'a> {
    fn from(evr: &'a Evr) -> Self {
        Self {
            epoch: evr.epoch,
            version: &evr.version,
            release: evr.release.as_deref(),
        }
    }
}

impl fmt::Display for VersionAttributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = Escaped(self.version);
        write!(f, " epoch=\"{}\" ver=\"{version}\"", self.epoch)?;
        let mut release = self.release.iter();
        release.try_for_each(|release| write!(f, " rel=\"{}\"", Escaped(release)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_no_element_and_no_attribute() {
        for (text, escaped) in [
            (
                "a < b && c > \"d\"",
                "a &lt; b &amp;&amp; c &gt; &quot;d&quot;",
            ),
            ("\0a\x1b\u{ffff}b\t\né\x07", "ab\t\né"),
            ("", ""),
        ] {
            assert_eq!(Escaped(text).to_string(), escaped);
        }
    }
}
