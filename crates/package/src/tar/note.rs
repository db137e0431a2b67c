//! The note by which a tar that was made of an rpm is known again: the comment of its gzip header.

use std::fmt::{self, Write};
use std::str::FromStr;

use crate::rpm::Rpm;
use crate::{Identity, Version};

/// `pilotlight NAME EPOCH VERSION RELEASE ARCHITECTURE SHA-256-OF-THE-RPM SCRIPTLET,SCRIPTLET`, with `-` for no release
/// and for no scriptlets.
pub(crate) struct Note {
    pub(crate) rpm: Rpm,
    /// The SHA-256 of the rpm.
    pub(crate) made_of: [u8; 32],
}

const MAKER: &str = "pilotlight";
const NONE: &str = "-";

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity {
            name,
            version,
            architecture,
        } = &self.rpm.identity;
        let (epoch, release) = (version.epoch(), version.release().unwrap_or(NONE));
        let version = version.version();
        write!(
            f,
            "{MAKER} {name} {epoch} {version} {release} {architecture} "
        )?;
        self.made_of
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_char(' ')?;
        if self.rpm.scriptlets.is_empty() {
            return f.write_str(NONE);
        }
        f.write_str(&self.rpm.scriptlets.join(","))
    }
}

/// Not a note of ours: a tar may have any comment.
pub(crate) struct NoNote;

impl FromStr for Note {
    type Err = NoNote;

    fn from_str(comment: &str) -> Result<Self, NoNote> {
        let mut words = comment.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(NoNote);
        if word()? != MAKER {
            return Err(NoNote);
        }
        let name = word()?.parse().map_err(|_| NoNote)?;
        let epoch = word()?.parse().map_err(|_| NoNote)?;
        let version = word()?;
        let release = Some(word()?).filter(|&word| word != NONE);
        let version = Version::new(epoch, version, release).map_err(|_| NoNote)?;
        let architecture = word()?.parse().map_err(|_| NoNote)?;
        let made_of = sha256(word()?).ok_or(NoNote)?;
        let scriptlets = Some(word()?)
            .filter(|&word| word != NONE)
            .unwrap_or_default();
        let scriptlets = scriptlets.split(',').filter(|name| !name.is_empty());
        Ok(Self {
            rpm: Rpm {
                identity: Identity {
                    name,
                    version,
                    architecture,
                },
                scriptlets: scriptlets.map(str::to_owned).collect(),
            },
            made_of,
        })
    }
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for (release, scriptlets) in [(Some("1.el9"), vec!["pre", "post"]), (None, vec![])] {
            let identity = Identity {
                name: "tool".parse().unwrap(),
                version: Version::new(7, "1.0~rc1", release).unwrap(),
                architecture: "x86_64".parse().unwrap(),
            };
            let scriptlets = scriptlets.into_iter().map(str::to_owned).collect();
            let rpm = Rpm {
                identity,
                scriptlets,
            };
            let note = Note {
                rpm,
                made_of: [0x5a; 32],
            };
            let read: Note = note.to_string().parse().ok().unwrap();
            assert_eq!((read.rpm, read.made_of), (note.rpm, note.made_of));
        }
    }

    #[test]
    fn other_comments_are_no_notes() {
        let sha256 = "5a".repeat(32);
        for comment in [
            String::new(),
            "made by hand".to_owned(),
            "pilotlight".to_owned(),
            format!("pilotlight tool x 1 1 noarch {sha256} -"),
            format!("pilotlight ../tool 0 1 1 noarch {sha256} -"),
            format!("pilotlight tool 0 1 1 noarch {} -", &sha256[1..]),
            format!("pilotlight tool 0 1 1 noarch {sha256}"),
        ] {
            assert!(comment.parse::<Note>().is_err(), "{comment}");
        }
    }
}
