//! Versions, and which is newer.

mod dpkg;
mod rpm;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The version of a package: rpm's epoch, version and release, or Debian's epoch, upstream version and revision.
///
/// Two that are not equal may still be as new as each other (`1.0` and `1.00`), and the two packaging systems disagree
/// on what is newer, so this has no order of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    epoch: u32,
    version: String,
    release: Option<String>,
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version: expected [epoch:]version[-release] of letters, digits and .+_~^")]
pub struct VersionError(String);

impl Version {
    /// A version of these parts. None of them can lead out of a directory or means anything to a shell but `~`, and
    /// the text that they make is read as the same parts.
    ///
    /// # Errors
    /// A part is empty or has a character that versions have not: only an upstream version with a revision has `-`.
    pub fn new(epoch: u32, version: &str, release: Option<&str>) -> Result<Self, VersionError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+_~^".contains(&byte);
        let in_version = |byte| plain(byte) || byte == b':' || byte == b'-' && release.is_some();
        let this = Self {
            epoch,
            version: version.to_owned(),
            release: release.map(str::to_owned),
        };
        let is_sound = !version.is_empty()
            && version.bytes().all(in_version)
            && release.is_none_or(|release| !release.is_empty() && release.bytes().all(plain))
            && this.to_string().len() <= 255;
        if is_sound {
            Ok(this)
        } else {
            Err(VersionError(this.to_string()))
        }
    }

    /// Counts above everything else; 0 where none is given.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What upstream calls it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Which packaging of it: rpm's release, Debian's revision.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// Which is newer, as rpm orders versions (rpm-version(7)).
    ///
    /// Without a release it is older than with any: among packages one must be the newest. In a dependency rpm would
    /// take it for equal to all of them.
    #[must_use]
    pub fn compare_as_rpm(&self, other: &Self) -> Ordering {
        let release = match (&self.release, &other.release) {
            (Some(ours), Some(theirs)) => rpm::compare(ours, theirs),
            (ours, theirs) => ours.is_some().cmp(&theirs.is_some()),
        };
        let version = rpm::compare(&self.version, &other.version);
        self.epoch.cmp(&other.epoch).then(version).then(release)
    }

    /// Which is newer, as dpkg orders versions (deb-version(7)). No revision is as old as the revision 0.
    #[must_use]
    pub fn compare_as_deb(&self, other: &Self) -> Ordering {
        let revision = dpkg::compare(
            self.release().unwrap_or_default(),
            other.release().unwrap_or_default(),
        );
        let version = dpkg::compare(&self.version, &other.version);
        self.epoch.cmp(&other.epoch).then(version).then(revision)
    }
}

/// `[epoch:]version[-release]`: the epoch before the first colon, the release after the last hyphen.
impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError(text.to_owned());
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        if !epoch.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let epoch = epoch.parse().map_err(|_| error())?;
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release)),
            None => (rest, None),
        };
        Self::new(epoch, version, release).map_err(|_| error())
    }
}

/// `[epoch:]version[-release]`
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 || self.version.contains(':') {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(&self.version)?;
        self.release
            .iter()
            .try_for_each(|release| write!(f, "-{release}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_ends_at_the_first_colon_and_the_release_begins_at_the_last_hyphen() {
        for (text, epoch, version, release) in [
            ("1.2", 0, "1.2", None),
            ("1.2-3.el9", 0, "1.2", Some("3.el9")),
            ("4:1.2-3", 4, "1.2", Some("3")),
            ("0:1:2-a-3", 0, "1:2-a", Some("3")),
            (
                "1.0~rc1^20240101-1_2+b1",
                0,
                "1.0~rc1^20240101",
                Some("1_2+b1"),
            ),
        ] {
            let parsed: Version = text.parse().unwrap();
            assert_eq!(parsed, Version::new(epoch, version, release).unwrap());
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = "1".repeat(256);
        for text in [
            "",
            ":1",
            "x:1",
            "+1:1",
            "4294967296:1",
            "1:",
            "-1",
            "1-",
            "1-:",
            "1/2",
            "..1/",
            "1 2",
            "1\n",
            "1\0",
            "1;reboot",
            "1%",
            "é",
            &long,
        ] {
            let error = text.parse::<Version>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        // rpm has no hyphen in a version, and read again this would be a release.
        assert!(Version::new(0, "1-2", None).is_err());
    }

    #[test]
    fn an_epoch_counts_above_all_else() {
        let old: Version = "9.9-9".parse().unwrap();
        let new: Version = "1:0.1-1".parse().unwrap();
        assert_eq!(new.compare_as_rpm(&old), Ordering::Greater);
        assert_eq!(new.compare_as_deb(&old), Ordering::Greater);
    }

    #[test]
    fn where_the_two_disagree() {
        for (ours, theirs, as_rpm, as_deb) in [
            ("1.0", "1.0-0", Ordering::Less, Ordering::Equal),
            ("1.0^1", "1.0.1", Ordering::Less, Ordering::Greater),
            ("1_0", "1.0", Ordering::Equal, Ordering::Greater),
            ("1.a", "1.1", Ordering::Less, Ordering::Greater),
        ] {
            let [ours, theirs] = [ours, theirs].map(|text| text.parse::<Version>().unwrap());
            assert_eq!(ours.compare_as_rpm(&theirs), as_rpm, "{ours} {theirs}");
            assert_eq!(ours.compare_as_deb(&theirs), as_deb, "{ours} {theirs}");
        }
    }
}
