//! Units and their drop-ins.

mod unit_file;

pub(crate) use unit_file::UnitFile;

use std::collections::HashMap;

use super::{Findings, Node, Rule};

pub(super) fn check(systemd: Node, findings: &mut Findings) {
    let units = systemd.get("units");
    units.items().for_each(|unit| check_unit(unit, findings));
    check_instances(units, findings);
}

fn check_unit(unit: Node, findings: &mut Findings) {
    const TYPES: [&str; 12] = [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "snapshot",
        "slice",
        "scope",
    ];
    let [name, contents] = ["name", "contents"].map(|key| unit.get(key));
    if !extension(name.text()).is_some_and(|extension| TYPES.contains(&extension)) {
        findings.add(name, Rule::UnitName);
    }
    match unit_file::has_install_section(contents.text()) {
        Err(broken) => findings.add_about(contents, Rule::UnitContents, &broken),
        Ok(false) if unit.get("enabled").is_true() && !contents.text().is_empty() => {
            findings.add(contents, Rule::UnitNotInstallable);
        }
        Ok(_) => {}
    }
    for dropin in unit.get("dropins").items() {
        let [name, contents] = ["name", "contents"].map(|key| dropin.get(key));
        if extension(name.text()) != Some("conf") {
            findings.add(name, Rule::DropinName);
        }
        if let Err(broken) = unit_file::has_install_section(contents.text()) {
            findings.add_about(contents, Rule::UnitContents, &broken);
        }
    }
}

fn extension(name: &str) -> Option<&str> {
    Some(name.rsplit_once('.')?.1)
}

/// Enabled instances whose template, of the same config, cannot be enabled.
fn check_instances(units: Node, findings: &mut Findings) {
    let contents: HashMap<&str, &str> = units
        .items()
        .map(|unit| (unit.get("name").text(), unit.get("contents").text()))
        .collect();
    for unit in units.items().filter(|unit| unit.get("enabled").is_true()) {
        let Some(template) = template(unit.get("name").text()) else {
            continue;
        };
        let contents = contents
            .get(template.as_str())
            .filter(|contents| !contents.is_empty());
        if contents.is_some_and(|contents| unit_file::has_install_section(contents) == Ok(false)) {
            findings.add_about(
                unit.get("contents"),
                Rule::TemplateNotInstallable,
                &template,
            );
        }
    }
}

/// Of `NAME@INSTANCE.service` it is `NAME@.service`.
fn template(name: &str) -> Option<String> {
    let (name, instance) = name.strip_suffix(".service")?.split_once('@')?;
    (!name.is_empty() && !instance.is_empty()).then(|| format!("{name}@.service"))
}
