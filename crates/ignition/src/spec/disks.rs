//! Disks and what is made of them: partitions, arrays, encrypted volumes, filesystems.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use super::{Findings, Node, Rule, Version, file_tree::check_path, resource, url};

pub(super) fn check(storage: Node, findings: &mut Findings) {
    storage
        .get("disks")
        .items()
        .for_each(|disk| check_disk(disk, findings));
    storage
        .get("raid")
        .items()
        .for_each(|array| check_array(array, findings));
    storage
        .get("luks")
        .items()
        .for_each(|volume| check_volume(volume, findings));
    storage
        .get("filesystems")
        .items()
        .for_each(|filesystem| check_filesystem(filesystem, findings));
    check_filesystems_on_disks(storage, findings);
}

fn check_disk<'t>(disk: Node<'t>, findings: &mut Findings) {
    let partitions = disk.get("partitions");
    partitions
        .items()
        .for_each(|partition| check_partition(partition, findings));
    if disk.get("device").text().is_empty() {
        // Nothing more is said of partitions that are nowhere.
        return findings.add(disk.get("device"), Rule::DeviceMissing);
    }
    check_path(disk.get("device"), findings);
    let numbered = partitions
        .items()
        .map(|partition| (number(partition), partition));
    if let Some(repeated) = first_repeated(numbered.filter(|(number, _)| *number != 0)) {
        findings.add(repeated, Rule::PartitionNumbers);
    }
    let labelled =
        |partition: Node<'t>| Some((partition.get("label").text_if_present()?, partition));
    if let Some(repeated) = first_repeated(partitions.items().filter_map(labelled)) {
        findings.add(repeated, Rule::PartitionLabels);
    }
    if let Some(overlapping) = overlapping(partitions) {
        findings.add(overlapping, Rule::PartitionsOverlap);
    }
    if partitions
        .items()
        .any(|partition| partition.get("shouldExist").is_false())
        && partitions.items().any(|partition| number(partition) == 0)
    {
        findings.add(partitions, Rule::PartitionAutomatic);
    }
}

fn number(partition: Node) -> i64 {
    partition.get("number").integer().unwrap_or(0)
}

fn first_repeated<'t, K: Eq + Hash>(
    mut partitions: impl Iterator<Item = (K, Node<'t>)>,
) -> Option<Node<'t>> {
    let mut seen = HashSet::new();
    partitions.find_map(|(key, partition)| (!seen.insert(key)).then_some(partition))
}

/// The first partition that overlaps one of which the place is given, too.
fn overlapping(partitions: Node) -> Option<Node> {
    // A start of 0 is wherever there is room, and a size of 0 is whatever is left.
    let placed: Vec<(Node, i64, i64)> = partitions
        .items()
        .filter_map(|partition| {
            let start = partition
                .get("startMiB")
                .integer()
                .filter(|start| *start != 0)?;
            let size = partition.get("sizeMiB").integer()?;
            Some((
                partition,
                start,
                if size == 0 {
                    start
                } else {
                    start.saturating_add(size) - 1
                },
            ))
        })
        .collect();
    placed
        .iter()
        .enumerate()
        .find_map(|(index, (_, start, end))| {
            let mut others = placed
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            others.find_map(|(_, (other, other_start, other_end))| {
                let other_range = other_start..=other_end;
                let overlap = other_range.contains(&start)
                    || other_range.contains(&end)
                    || (start < other_start && other_end < end);
                overlap.then_some(*other)
            })
        })
}

fn check_partition(partition: Node, findings: &mut Findings) {
    let label = partition.get("label");
    let given = |key| partition.get(key).is_present();
    let has_others = label.is_present()
        || given("startMiB")
        || given("sizeMiB")
        || ["typeGuid", "guid"]
            .iter()
            .any(|key| !partition.get(key).text().is_empty());
    if partition.get("shouldExist").is_false() && has_others {
        findings.add(partition, Rule::PartitionAbsent);
    }
    if number(partition) == 0 && !label.is_present() {
        findings.add(partition, Rule::PartitionUnnamed);
    }
    if label.text().len() > 36 {
        findings.add(label, Rule::PartitionLabelLong);
    } else if label.text().contains(':') {
        findings.add(label, Rule::PartitionLabelColon);
    }
    for guid in [partition.get("guid"), partition.get("typeGuid")] {
        if !guid.text().is_empty() && !is_guid(guid.text()) {
            findings.add(guid, Rule::PartitionGuid);
        }
    }
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn check_array(array: Node, findings: &mut Findings) {
    let (level, devices) = (array.get("level"), array.get("devices"));
    match level.text() {
        "" => findings.add(level, Rule::RaidLevelMissing),
        "linear" | "raid0" | "0" | "stripe" => {
            if array
                .get("spares")
                .integer()
                .is_some_and(|spares| spares != 0)
            {
                findings.add(level, Rule::RaidSpares);
            }
        }
        "raid1" | "1" | "mirror" | "raid4" | "4" | "raid5" | "5" | "raid6" | "6" | "raid10"
        | "10" => {}
        _ => findings.add(level, Rule::RaidLevel),
    }
    if devices.items().len() == 0 {
        findings.add(devices, Rule::RaidDevices);
    }
    devices
        .items()
        .for_each(|device| check_path(device, findings));
}

fn check_volume(volume: Node, findings: &mut Findings) {
    let [name, label, device] = ["name", "label", "device"].map(|key| volume.get(key));
    if name.text().contains('/') {
        findings.add(name, Rule::LuksName);
    }
    if label.text().len() > 47 {
        findings.add(label, Rule::LuksLabel);
    }
    match device.text() {
        "" => findings.add(device, Rule::DeviceMissing),
        _ => check_path(device, findings),
    }
    let key_file = volume.get("keyFile");
    resource::check(key_file, findings);
    let source = key_file.get("source").text();
    if !source.is_empty() && url::check(source, findings.version).is_some() {
        // The reference names a field that is not there.
        findings.add(volume.get("keys"), Rule::LuksKeyFile);
    }
    check_clevis(volume.get("clevis"), findings);
    if volume.get("cex").get("enabled").is_true() {
        if has_clevis(volume.get("clevis")) {
            findings.add(volume.get("cex"), Rule::CexWithClevis);
        }
        if !source.is_empty() {
            findings.add(volume.get("cex"), Rule::CexWithKeyFile);
        }
    }
}

/// Whether a volume is to be opened by anything but a custom pin.
fn has_standard_pin(clevis: Node) -> bool {
    clevis.get("tang").items().len() > 0
        || clevis.get("tpm2").is_true()
        || clevis
            .get("threshold")
            .integer()
            .is_some_and(|threshold| threshold != 0)
}

fn has_clevis(clevis: Node) -> bool {
    has_standard_pin(clevis) || !clevis.get("custom").get("pin").text().is_empty()
}

fn check_clevis(clevis: Node, findings: &mut Findings) {
    const PINS: [(&str, Version); 4] = [
        ("tpm2", Version::V3_2),
        ("tang", Version::V3_2),
        ("sss", Version::V3_2),
        ("trustee", Version::V3_6),
    ];
    let custom = clevis.get("custom");
    let [pin, config] = ["pin", "config"].map(|key| custom.get(key));
    // 3.2.0 still told an empty mapping from none.
    let is_custom = match findings.version {
        Version::V3_2 => custom.is_present(),
        _ => !pin.text().is_empty(),
    };
    if is_custom && has_standard_pin(clevis) {
        findings.add(clevis, Rule::ClevisCustom);
    }
    let needs_network = custom.get("needsNetwork").is_true() && findings.version > Version::V3_2;
    if !pin.text().is_empty() || !config.text().is_empty() || needs_network {
        match pin.text() {
            "" if findings.version > Version::V3_2 => findings.add(pin, Rule::ClevisPinMissing),
            name if PINS
                .iter()
                .any(|(known, since)| *known == name && *since <= findings.version) => {}
            _ => findings.add(pin, Rule::ClevisPin),
        }
        if config.text().is_empty() {
            findings.add(config, Rule::ClevisConfig);
        }
    }
    for tang in clevis.get("tang").items() {
        let [url, thumbprint, advertisement] =
            ["url", "thumbprint", "advertisement"].map(|key| tang.get(key));
        if let Some(rule) = url::check(url.text(), findings.version) {
            findings.add(url, rule);
        }
        if thumbprint.text().is_empty() {
            findings.add(thumbprint, Rule::TangThumbprint);
        }
        if !advertisement.text().is_empty() && !crate::json::is_json(advertisement.text()) {
            findings.add(advertisement, Rule::TangAdvertisement);
        }
    }
}

fn check_filesystem(filesystem: Node, findings: &mut Findings) {
    /// The formats, since when, and how many bytes their labels have at most.
    const FORMATS: [(&str, Version, usize); 6] = [
        ("ext4", Version::V3_0, 16),
        ("btrfs", Version::V3_0, 256),
        ("xfs", Version::V3_0, 12),
        ("swap", Version::V3_0, 15),
        ("vfat", Version::V3_0, 11),
        ("none", Version::V3_3, usize::MAX),
    ];
    let [path, format, label] = ["path", "format", "label"].map(|key| filesystem.get(key));
    check_path(filesystem.get("device"), findings);
    if !path.text().is_empty() {
        check_path(path, findings);
    }
    if format.text().is_empty() {
        let needs_format = [path, label, filesystem.get("uuid")]
            .iter()
            .any(|text| !text.text().is_empty())
            || filesystem.get("wipeFilesystem").is_true()
            || ["options", "mountOptions"]
                .iter()
                .any(|key| filesystem.get(key).items().len() > 0);
        if needs_format {
            findings.add(format, Rule::FormatMissing);
        }
        if !label.text().is_empty() {
            findings.add(label, Rule::LabelWithoutFormat);
        }
        return;
    }
    match FORMATS
        .iter()
        .find(|(name, since, _)| *name == format.text() && *since <= findings.version)
    {
        None => findings.add(format, Rule::Format),
        Some((_, _, longest)) if label.text().len() > *longest => {
            findings.add(label, Rule::LabelLong);
        }
        Some(_) => {}
    }
}

fn check_filesystems_on_disks(storage: Node, findings: &mut Findings) {
    let disks: HashMap<&str, Node> = storage
        .get("disks")
        .items()
        .map(|disk| (disk.get("device").text(), disk))
        .collect();
    for filesystem in storage.get("filesystems").items() {
        let device = filesystem.get("device");
        let Some(disk) = disks.get(device.text()) else {
            continue;
        };
        if disk.get("partitions").items().len() > 0 {
            findings.add(device, Rule::FilesystemOverPartitions);
        } else if disk.get("wipeTable").is_true() && !filesystem.get("wipeFilesystem").is_true() {
            findings.add(device, Rule::FilesystemWiped);
        }
    }
}
