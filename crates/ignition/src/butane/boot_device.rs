//! `boot_device`: the disk of the operating system, mirrored, encrypted or both.

use super::{Release, Report, merge};
use crate::{
    Severity::Error,
    Tree, Value,
    Version::{self, V3_2, V3_5},
};

/// The name under which configs may refer to the disk of the operating system, whichever it is.
pub(super) const BOOT_DISK: &str = "/dev/disk/by-id/coreos-boot-disk";

/// How the operating system lays out its disk on an architecture.
struct Layout {
    name: &'static str,
    since: Version,
    /// The partitions before those of `/boot` and `/`.
    firmware: [&'static Firmware; 2],
    /// What the name of a disk for LUKS begins with, and the partition on it that is encrypted.
    luks: Option<(&'static str, &'static str)>,
}

/// A partition that is there for the firmware's sake.
struct Firmware {
    label: &'static str,
    mebibytes: i64,
    type_guid: &'static str,
}

// Sizes and order are those of the images: a generated partition may not be smaller than the one it stands for.
const RESERVED: &Firmware = &Firmware {
    label: "reserved",
    mebibytes: 1,
    type_guid: "8DA63339-0007-60C0-C436-083AC8230908",
};
const BIOS: &Firmware = &Firmware {
    label: "bios",
    mebibytes: 1,
    type_guid: "21686148-6449-6E6F-744E-656564454649",
};
const PREP: &Firmware = &Firmware {
    label: "prep",
    mebibytes: 4,
    type_guid: "9E1A2D38-C612-4316-AA26-8B49521E5A8B",
};
const ESP: &Firmware = &Firmware {
    label: "esp",
    mebibytes: 127,
    type_guid: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
};
const BOOT_MEBIBYTES: i64 = 384;

const X86_64: Layout = Layout {
    name: "x86_64",
    since: V3_2,
    firmware: [BIOS, ESP],
    luks: None,
};

/// In the order of their names. Those of s390x have no mirror.
const LAYOUTS: &[Layout] = &[
    Layout {
        name: "aarch64",
        since: V3_2,
        firmware: [RESERVED, ESP],
        luks: None,
    },
    Layout {
        name: "ppc64le",
        since: V3_2,
        firmware: [PREP, RESERVED],
        luks: None,
    },
    Layout {
        name: "s390x-eckd",
        since: V3_5,
        firmware: [RESERVED, RESERVED],
        luks: Some(("/dev/dasd", "2")),
    },
    Layout {
        name: "s390x-virt",
        since: V3_5,
        firmware: [RESERVED, RESERVED],
        luks: None,
    },
    Layout {
        name: "s390x-zfcp",
        since: V3_5,
        firmware: [RESERVED, RESERVED],
        luks: Some(("/dev/sd", "4")),
    },
    X86_64,
];

/// What is wanted of the disk.
struct BootDevice<'t> {
    layout: Option<&'t str>,
    luks: Option<&'t Tree>,
    /// The mapping and the devices in it.
    mirror: Option<(&'t Tree, &'t [Tree])>,
}

impl<'t> BootDevice<'t> {
    fn of(tree: &'t Tree) -> Self {
        let mirror = tree.get("mirror");
        let devices = mirror
            .and_then(|mirror| mirror.get("devices"))
            .map(Tree::items);
        Self {
            layout: tree.get("layout").and_then(Tree::text),
            luks: tree.get("luks"),
            mirror: mirror
                .zip(devices)
                .filter(|(_, devices)| !devices.is_empty()),
        }
    }

    fn in_luks(&self, key: &str) -> Option<&'t Tree> {
        self.luks.and_then(|luks| luks.get(key))
    }

    fn has_clevis(&self) -> bool {
        let tang = self
            .in_luks("tang")
            .is_some_and(|tang| !tang.items().is_empty());
        tang || self.in_luks("tpm2").is_some_and(Tree::is_true)
    }

    /// Whether a crypto card is to hold the key.
    fn has_cex(&self) -> bool {
        self.in_luks("cex")
            .and_then(|cex| cex.get("enabled"))
            .is_some_and(Tree::is_true)
    }

    fn known_layout(&self, release: &Release) -> Option<&'static Layout> {
        let name = self.layout.unwrap_or(X86_64.name);
        let mut known = LAYOUTS
            .iter()
            .filter(|layout| layout.since <= release.ignition);
        known.find(|layout| layout.name == name)
    }
}

/// Checks the section as it is written.
pub(super) fn check(tree: &Tree, release: &Release, report: &mut Report) {
    let boot = BootDevice::of(tree);
    if let Some((mirror, [_])) = boot.mirror {
        report.at_key(
            Error,
            mirror,
            "devices",
            "a mirror needs at least two devices",
        );
    }
    if let (true, true, Some(luks)) = (boot.has_cex(), boot.has_clevis(), boot.luks) {
        report.at(Error, luks, "cex excludes tang and tpm2");
    }
    let Some(layout) = boot.known_layout(release) else {
        let known = LAYOUTS
            .iter()
            .filter(|layout| layout.since <= release.ignition);
        let known: Vec<&str> = known.map(|layout| layout.name).collect();
        let message = format!("unknown layout: {}", known.join(", "));
        return report.at_key(Error, tree, "layout", message);
    };
    let s390x = layout.name.starts_with("s390x");
    if boot.has_cex() && !s390x {
        let message = "crypto cards need a layout of s390x";
        match (boot.layout, boot.luks) {
            (None, Some(luks)) => report.at_key(Error, luks, "cex", message),
            _ => report.at_key(Error, tree, "layout", message),
        }
    }
    if let Some((prefix, _)) = layout.luks {
        let device = boot
            .in_luks("device")
            .and_then(Tree::text)
            .unwrap_or_default();
        let letter = device
            .rsplit_once(prefix)
            .map(|(_, letter)| letter.as_bytes());
        if !matches!(letter, Some([b'a'..=b'z'])) {
            let message =
                format!("this layout needs luks.device, a disk named {prefix} and a letter");
            report.at_key(Error, tree, "layout", message);
        }
    }
    if s390x && boot.mirror.is_some() {
        report.at_key(Error, tree, "layout", "this layout cannot be mirrored");
    }
}

/// Makes the section into disks, arrays, filesystems and what else it means.
pub(super) fn add(config: &mut Tree, release: &Release) {
    let Some(tree) = config.take("boot_device") else {
        return;
    };
    let boot = BootDevice::of(&tree);
    let encrypted = boot.luks.filter(|_| boot.has_clevis() || boot.has_cex());
    let Some(layout) = boot.known_layout(release) else {
        return;
    };
    let mut storage = Tree::made_from(&tree, Value::Map(Vec::new()));
    let mut filesystems = Vec::new();
    if let Some((mirror, devices)) = boot.mirror {
        let mut disks = Vec::with_capacity(devices.len());
        for (device, number) in devices.iter().zip(1..) {
            disks.push(disk(device, number, layout));
            if layout
                .firmware
                .iter()
                .any(|firmware| firmware.label == ESP.label)
            {
                let label = format!("esp-{number}");
                let by_label = format!("/dev/disk/by-partlabel/{label}");
                filesystems.push(filesystem(device, &by_label, "vfat", &label));
            }
        }
        filesystems.push(filesystem(mirror, "/dev/md/md-boot", "ext4", "boot"));
        let mut boot_array = array(mirror, "boot", devices.len());
        // At its end, where firmware and GRUB that know nothing of arrays do not stumble over it.
        boot_array.set(
            "options",
            vec![Tree::made_from(mirror, "--metadata=1.0".into())].into(),
        );
        let arrays = vec![boot_array, array(mirror, "root", devices.len())];
        storage.put("disks", Tree::made_from(mirror, disks.into()));
        storage.put("raid", Tree::made_from(mirror, arrays.into()));
    } else if encrypted.is_none() {
        return;
    }
    let unencrypted = match (layout.luks, boot.mirror) {
        (Some((_, partition)), _) => {
            let disk = boot
                .in_luks("device")
                .and_then(Tree::text)
                .unwrap_or_default();
            format!("{disk}{partition}")
        }
        (None, Some(_)) => "/dev/md/md-root".into(),
        (None, None) => "/dev/disk/by-partlabel/root".into(),
    };
    let root = if encrypted.is_some() {
        "/dev/mapper/root"
    } else {
        &unencrypted
    };
    filesystems.push(filesystem(&tree, root, "xfs", "root"));
    storage.set("filesystems", filesystems.into());
    if let Some(luks) = encrypted {
        let volume = volume(luks, unencrypted, boot.has_cex());
        storage.put("luks", Tree::made_from(luks, vec![volume].into()));
    }
    let mut generated = Tree::made_from(&tree, Value::Map(Vec::new()));
    generated.put("storage", storage);
    merge::add_generated(config, generated, release.ignition);
}

/// A disk that can be booted from on its own.
fn disk(device: &Tree, number: usize, layout: &Layout) -> Tree {
    let label = |name: &str| Value::Text(format!("{name}-{number}"));
    let firmware = layout.firmware.iter().map(|firmware| {
        let entries = [
            ("label", label(firmware.label)),
            ("sizeMiB", firmware.mebibytes.into()),
            ("typeGuid", firmware.type_guid.into()),
        ];
        Tree::map_from(device, entries)
    });
    let mut partitions: Vec<Tree> = firmware.collect();
    let boot = [("label", label("boot")), ("sizeMiB", BOOT_MEBIBYTES.into())];
    partitions.push(Tree::map_from(device, boot));
    partitions.push(Tree::map_from(device, [("label", label("root"))]));
    let entries = [
        ("device", device.value.clone()),
        ("partitions", partitions.into()),
        ("wipeTable", true.into()),
    ];
    Tree::map_from(device, entries)
}

fn array(mirror: &Tree, name: &str, disks: usize) -> Tree {
    let partition = |number| format!("/dev/disk/by-partlabel/{name}-{number}");
    let devices = (1..=disks).map(|number| Tree::made_from(mirror, partition(number).into()));
    let entries = [
        ("devices", devices.collect::<Vec<_>>().into()),
        ("level", "raid1".into()),
        ("name", format!("md-{name}").into()),
    ];
    Tree::map_from(mirror, entries)
}

fn filesystem(origin: &Tree, device: &str, format: &str, label: &str) -> Tree {
    let entries = [
        ("device", device.into()),
        ("format", format.into()),
        ("label", label.into()),
        ("wipeFilesystem", true.into()),
    ];
    Tree::map_from(origin, entries)
}

/// The encrypted volume of the root filesystem.
fn volume(luks: &Tree, device: String, cex: bool) -> Tree {
    let mut volume = Tree::map_from(
        luks,
        [
            ("device", device.into()),
            ("label", "luks-root".into()),
            ("name", "root".into()),
            ("wipeVolume", true.into()),
        ],
    );
    let unlocked_by = if cex {
        ("cex", luks.get("cex").cloned())
    } else {
        let mut clevis = Tree::made_from(luks, Value::Map(Vec::new()));
        for key in ["tang", "threshold", "tpm2"] {
            if let Some(value) = luks.get(key) {
                clevis.put(key, value.clone());
            }
        }
        ("clevis", Some(clevis))
    };
    for (key, value) in [unlocked_by, ("discard", luks.get("discard").cloned())] {
        if let Some(value) = value {
            volume.put(key, value);
        }
    }
    volume
}
