//! Debian packages: an `ar` archive of the format's version, what dpkg is to know, and the files (deb(5)).

use std::path::Path;

use md5::{Digest, Md5};

use super::{BuildError, Contents, Member, gzip::gzip, scriptlets::first_of, tar::Archive};

pub(super) fn build(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", control(contents)?),
        ("data.tar.gz", data(contents)?),
    ] {
        let (modified, size) = (contents.modified, bytes.len());
        let header = format!("{name:<16}{modified:<12}0     0     100644  {size:<10}`\n");
        ar.extend_from_slice(header.as_bytes());
        ar.extend_from_slice(&bytes);
        if size % 2 == 1 {
            ar.push(b'\n');
        }
    }
    Ok(ar)
}

/// The files, after every directory that leads to one: dpkg makes none by itself.
fn data(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    let mut archive = Archive::new(contents.modified);
    for member in &contents.members {
        archive.add_parents(member)?;
        archive.add(member)?;
    }
    Ok(gzip(&archive.finish()?)?)
}

fn control(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    let mut archive = Archive::new(contents.modified);
    archive.add_file(Path::new("control"), 0o644, paragraph(contents).as_bytes())?;
    archive.add_file(Path::new("md5sums"), 0o644, md5sums(contents).as_bytes())?;
    let config_files = config_files(contents);
    if !config_files.is_empty() {
        archive.add_file(Path::new("conffiles"), 0o644, config_files.as_bytes())?;
    }
    for (name, script) in scripts(contents) {
        if let Some(script) = script {
            let script = format!("#!/bin/sh\nset -e\n{script}");
            archive.add_file(Path::new(name), 0o755, script.as_bytes())?;
        }
    }
    Ok(gzip(&archive.finish()?)?)
}

fn paragraph(contents: &Contents<'_>) -> String {
    let Contents {
        name,
        version,
        release,
        summary,
        maintainer,
        ..
    } = contents;
    let size: usize = contents
        .members
        .iter()
        .map(|member| kibibytes(member))
        .sum();
    // An empty line would end the paragraph.
    let description: String = contents
        .description
        .lines()
        .map(|line| {
            if line.is_empty() {
                " .\n".to_owned()
            } else {
                format!(" {line}\n")
            }
        })
        .collect();
    format!(
        "Package: {name}\nVersion: {version}-{release}\nArchitecture: all\nMaintainer: {maintainer}\n\
         Installed-Size: {size}\nSection: admin\nPriority: optional\n\
         Description: {summary}\n{description}"
    )
}

/// As Debian counts: every member takes one at least.
fn kibibytes(member: &Member<'_>) -> usize {
    match member {
        Member::File { bytes, .. } => bytes.len().div_ceil(1024).max(1),
        Member::Directory { .. } | Member::Symlink { .. } => 1,
    }
}

/// What `dpkg --verify` compares with; configuration is not in it.
fn md5sums(contents: &Contents<'_>) -> String {
    let line = |member: &Member<'_>| match member {
        Member::File {
            path,
            bytes,
            config: false,
            ..
        } => {
            let digest: String = Md5::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            Some(format!("{digest}  {}\n", path.trim_start_matches('/')))
        }
        Member::File { .. } | Member::Directory { .. } | Member::Symlink { .. } => None,
    };
    contents.members.iter().filter_map(line).collect()
}

fn config_files(contents: &Contents<'_>) -> String {
    let path = |member: &Member<'_>| match member {
        Member::File {
            path, config: true, ..
        } => Some(format!("{path}\n")),
        Member::File { .. } | Member::Directory { .. } | Member::Symlink { .. } => None,
    };
    contents.members.iter().filter_map(path).collect()
}

/// By the words that dpkg calls them with (deb-postinst(5) and its neighbours).
fn scripts(contents: &Contents<'_>) -> [(&'static str, Option<String>); 3] {
    let scriptlets = &contents.scriptlets;
    [
        (
            "postinst",
            first_of([
                (
                    r#"[ "$1" = configure ] && [ -z "$2" ]"#,
                    scriptlets.after_install,
                ),
                (
                    r#"[ "$1" = configure ] && [ -n "$2" ]"#,
                    scriptlets.after_upgrade,
                ),
            ]),
        ),
        (
            "prerm",
            first_of([(r#"[ "$1" = remove ]"#, scriptlets.before_removal)]),
        ),
        (
            "postrm",
            first_of([(r#"[ "$1" = purge ]"#, scriptlets.after_purge)]),
        ),
    ]
}
