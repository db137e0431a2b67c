//! [`Rule`]: the rules of the specification, one line each. The checks in the modules beside this one say where a rule is
//! broken; whether it holds for a version, and how bad that is, stands here alone.

use std::fmt;

use super::{Node, Version};
use crate::{Diagnostic, Severity};

/// Declares the rules: severity, first version, last version if there is one, and what is wrong.
macro_rules! rules {
    ($($name:ident: $severity:ident, $since:ident $(to $until:ident)?, $message:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Rule { $($name),* }

        impl Rule {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        severity: Severity::$severity,
                        since: Version::$since,
                        until: [$(Some(Version::$until),)? None][0],
                        message: $message,
                    }),*
                }
            }
        }
    };
}

struct Row {
    severity: Severity,
    since: Version,
    /// The last version it holds for, where a later one lifted it.
    until: Option<Version>,
    message: &'static str,
}

rules! {
    Duplicate: Error, V3_0, "stands twice: another entry has the same key";

    SourceMissing: Error, V3_1, "a source is required";
    UrlUnreadable: Error, V3_0, "not a URL";
    UrlScheme: Error, V3_0, "URLs of this scheme cannot be fetched in this version";
    UrlS3Version: Error, V3_0, "the versionId of an S3 object is empty";
    UrlArn: Error, V3_4, "not the ARN of an S3 object";
    UrlData: Error, V3_0, "not a data: URL";
    Compression: Error, V3_0, "the only compression is gzip";
    HashWithoutSource: Error, V3_0, "a verification needs a source to verify";
    HashForm: Error, V3_0, "a hash is written FUNCTION-HEX";
    HashFunction: Error, V3_0, "unknown hash function: sha512, and from 3.1.0 sha256";
    HashLength: Error, V3_0, "the hash is not as long as its function makes them";
    HeadersWithoutHttp: Error, V3_1, "HTTP headers need an http or https source";
    HeaderName: Error, V3_1, "an HTTP header needs a name";
    HeaderValue: Error, V3_1, "the value of an HTTP header is empty; leave it out to remove the header";
    Proxy: Error, V3_1, "a proxy is an http or https URL";
    ProxyInsecure: Warning, V3_1, "HTTPS through a proxy that is spoken to in plain text";

    PathMissing: Error, V3_0, "a path is required";
    PathRelative: Error, V3_0, "the path is not absolute";
    PathUnclean: Error, V3_0, "the path is not in its simplest form";
    PathOfUnit: Error, V3_4, "the path is that of a systemd unit or drop-in of this config";
    PathThroughLink: Error, V3_0, "the path leads through a link of this config";
    Mode: Error, V3_0, "the mode is not between 0 and 4095 (octal 7777)";
    ModeSpecial: Warning, V3_0 to V3_3, "setuid, setgid and sticky bits are ignored before 3.4.0";
    OwnerTwice: Error, V3_0, "an owner has an id or a name, not both";
    OverwriteWithoutSource: Error, V3_0, "overwrite needs a source to overwrite with";
    LinkTarget: Error, V3_3, "a link needs a target";
    HardLinkToDirectory: Error, V3_0, "the target of the hard link is a directory of this config";
    HardLinkOwner: Warning, V3_0, "a hard link has the owner of its target; this one is ignored";

    DeviceMissing: Error, V3_0, "a device is required";
    PartitionNumbers: Error, V3_0, "another partition has the same number";
    PartitionLabels: Error, V3_0, "another partition has the same label";
    PartitionsOverlap: Error, V3_0, "the partition overlaps another";
    PartitionAutomatic: Error, V3_0, "one partition is to be absent and another has no number: which would be taken is unclear";
    PartitionAbsent: Error, V3_0, "a partition that is to be absent has nothing but a number";
    PartitionUnnamed: Error, V3_0, "a partition needs a number of 1 or more, or a label";
    PartitionLabelLong: Error, V3_0, "a partition label has at most 36 bytes";
    PartitionLabelColon: Error, V3_0, "a partition label has no colon";
    PartitionGuid: Error, V3_0, "a GUID is written like 01234567-89AB-CDEF-EDCB-A98765432101";

    RaidLevelMissing: Error, V3_0, "an array needs a level";
    RaidLevel: Error, V3_0, "unknown RAID level: linear, raid0, raid1, raid4, raid5, raid6 or raid10";
    RaidSpares: Error, V3_0, "linear and raid0 arrays have no spares";
    RaidDevices: Error, V3_0, "an array needs devices";

    FormatMissing: Error, V3_0, "a format is required with a path, label, uuid, wipeFilesystem, options or mountOptions";
    Format: Error, V3_0, "unknown filesystem format: ext4, btrfs, xfs, vfat, swap, and from 3.3.0 none";
    LabelWithoutFormat: Error, V3_0, "a label needs a format";
    LabelLong: Error, V3_0, "the label is too long for the format: ext4 16 bytes, btrfs 256, xfs 12, swap 15, vfat 11";
    FilesystemOverPartitions: Warning, V3_0, "the filesystem overwrites a disk that this config partitions";
    FilesystemWiped: Warning, V3_0, "the filesystem is wiped: it is on a disk whose table this config wipes";

    LuksName: Error, V3_2, "the name of a device has no slash";
    LuksLabel: Error, V3_2, "a LUKS label has at most 47 bytes";
    LuksKeyFile: Error, V3_2, "the source of the key file is not valid";
    ClevisCustom: Error, V3_2, "custom excludes tpm2, tang and threshold";
    ClevisPinMissing: Error, V3_3, "a custom pin is required";
    ClevisPin: Error, V3_2, "unknown custom pin: tpm2, tang, sss, and from 3.6.0 trustee";
    ClevisConfig: Error, V3_2, "a custom pin needs a config";
    TangThumbprint: Error, V3_2, "a thumbprint is required";
    TangAdvertisement: Error, V3_4, "the advertisement is not JSON";
    CexWithClevis: Error, V3_5, "cex excludes clevis";
    CexWithKeyFile: Error, V3_5, "cex excludes a key file";

    UnitName: Error, V3_0, "the name of a unit ends in .service, .socket, .timer or another type of systemd's";
    UnitContents: Error, V3_0, "systemd could not read the unit";
    UnitNotInstallable: Warning, V3_0, "the unit is enabled but has no [Install] section, so nothing starts it";
    TemplateNotInstallable: Warning, V3_0, "the unit is enabled but its template has no [Install] section, so nothing starts it";
    DropinName: Error, V3_0, "the name of a drop-in ends in .conf";
}

/// What has been found so far in a config of a version.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) version: Version,
    pub(super) found: Vec<Diagnostic>,
}

impl Findings {
    /// The rule is broken here; which says nothing if this version has no such rule.
    pub(super) fn add(&mut self, at: Node, rule: Rule) {
        self.push(at, rule, None);
    }

    /// As [`add`](Self::add), with what exactly.
    pub(super) fn add_about(&mut self, at: Node, rule: Rule, about: &dyn fmt::Display) {
        self.push(at, rule, Some(about));
    }

    fn push(&mut self, at: Node, rule: Rule, about: Option<&dyn fmt::Display>) {
        let row = rule.row();
        if self.version < row.since || row.until.is_some_and(|until| until < self.version) {
            return;
        }
        let message = match about {
            Some(about) => format!("{}: {about}", row.message),
            None => row.message.to_string(),
        };
        self.found.push(Diagnostic {
            severity: row.severity,
            path: Some(at.path()),
            position: at.position(),
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `docs/src/ignition-rules.md`.
    fn table() -> String {
        let mut table =
            "| Rule | Severity | Versions | Meaning |\n| --- | --- | --- | --- |\n".to_string();
        for rule in Rule::ALL {
            let Row {
                severity,
                since,
                until,
                message,
            } = rule.row();
            let until = until.map_or_else(String::new, |until| format!(" to {until}"));
            let from = if until.is_empty() { "from " } else { "" };
            table += &format!("| {rule:?} | {severity} | {from}{since}{until} | {message} |\n");
        }
        table
    }

    #[test]
    fn the_documentation_lists_the_rules() {
        let documentation = include_str!("../../../../docs/src/ignition-rules.md");
        assert!(
            documentation.ends_with(&table()),
            "docs/src/ignition-rules.md should end with:\n{}",
            table()
        );
    }
}
