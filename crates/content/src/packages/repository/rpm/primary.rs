//! What dnf needs to choose packages: who they are, what they need, and the files that others are likely to need.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use package::Identity;
use package::rpm::{Comparison, Dependency, Requirement};

use super::xml::{Escaped, VersionAttributes};
use super::{Rpm, write_paths};

pub(super) fn write(out: &mut dyn Write, rpm: &Rpm<'_>) -> io::Result<()> {
    let Identity {
        name,
        version,
        architecture,
    } = rpm.identity();
    let metadata = rpm.metadata;
    // The path is written as it is: dnf encodes it for the URL.
    write!(
        out,
        "<package type=\"rpm\">
  <name>{name}</name>
  <arch>{architecture}</arch>
  <version{version}/>
  <checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum>
  <summary>{summary}</summary>
  <description>{description}</description>
  <packager>{packager}</packager>
  <url>{url}</url>
  <time file=\"{modified}\" build=\"{built}\"/>
  <size package=\"{package_size}\" installed=\"{installed_size}\" archive=\"{archive_size}\"/>
  <location href=\"{href}\"/>
  <format>
    <rpm:license>{license}</rpm:license>
    <rpm:vendor>{vendor}</rpm:vendor>
    <rpm:group>{group}</rpm:group>
    <rpm:buildhost>{build_host}</rpm:buildhost>
    <rpm:sourcerpm>{source_rpm}</rpm:sourcerpm>
    <rpm:header-range start=\"{header_start}\" end=\"{header_end}\"/>
",
        version = VersionAttributes::from(version),
        sha256 = rpm.sha256,
        summary = Escaped(&metadata.summary),
        description = Escaped(&metadata.description),
        packager = Escaped(&metadata.packager),
        url = Escaped(&metadata.url),
        modified = seconds(rpm.modified),
        built = metadata.build_time,
        package_size = metadata.package_size,
        installed_size = metadata.installed_size,
        archive_size = metadata.archive_size,
        href = Escaped(rpm.name.as_str()),
        license = Escaped(&metadata.license),
        vendor = Escaped(&metadata.vendor),
        group = Escaped(&metadata.group),
        build_host = Escaped(&metadata.build_host),
        source_rpm = Escaped(&metadata.source_rpm),
        header_start = metadata.header.start,
        header_end = metadata.header.end,
    )?;
    let provides: Vec<_> = metadata.provides.iter().map(entry).collect();
    write_entries(out, "provides", &provides)?;
    write_entries(out, "requires", &requires(&metadata.requires, &provides))?;
    for (element, dependencies) in [
        ("conflicts", &metadata.conflicts),
        ("obsoletes", &metadata.obsoletes),
        ("suggests", &metadata.suggests),
        ("enhances", &metadata.enhances),
        ("recommends", &metadata.recommends),
        ("supplements", &metadata.supplements),
    ] {
        let entries: Vec<_> = dependencies.iter().map(entry).collect();
        write_entries(out, element, &entries)?;
    }
    write_paths(out, rpm, "    ", is_primary)?;
    writeln!(out, "  </format>\n</package>")
}

/// Whether others are likely to need this path. For any other, dnf has to load the lists of all files.
fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("bin/") || path == "/usr/lib/sendmail"
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The attributes of a dependency.
fn entry(dependency: &Dependency) -> String {
    let name = Escaped(&dependency.name);
    match &dependency.versions {
        None => format!("name=\"{name}\""),
        Some((comparison, version)) => {
            let (flags, version) = (flags(*comparison), VersionAttributes::from(version));
            format!("name=\"{name}\" flags=\"{flags}\"{version}")
        }
    }
}

/// The attributes of what the package needs of others: each once, and nothing that it has itself.
fn requires(requires: &[Requirement], provides: &[String]) -> Vec<String> {
    let provides: HashSet<_> = provides.iter().collect();
    let mut seen = HashSet::new();
    requires
        .iter()
        .map(|requirement| (entry(&requirement.dependency), requirement.before_install))
        .filter(|(entry, _)| !provides.contains(entry))
        .map(|(entry, before)| if before { entry + " pre=\"1\"" } else { entry })
        .filter(|entry| seen.insert(entry.clone()))
        .collect()
}

/// Nothing at all if there are none.
fn write_entries(out: &mut dyn Write, element: &str, entries: &[String]) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "    <rpm:{element}>")?;
    for entry in entries {
        writeln!(out, "      <rpm:entry {entry}/>")?;
    }
    writeln!(out, "    </rpm:{element}>")
}

fn flags(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "LT",
        Comparison::LessOrEqual => "LE",
        Comparison::Equal => "EQ",
        Comparison::GreaterOrEqual => "GE",
        Comparison::Greater => "GT",
    }
}
