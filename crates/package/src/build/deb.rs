//! Debian packages: an `ar` archive of the format's version, what dpkg is to know, and the files (deb(5)).

use std::io::Write;
use std::path::Path;

use md5::{Digest, Md5};

use super::{BuildError, Contents, Member, gzip::gzip, scriptlets::first_of, tar::Archive};
use crate::Kind;

pub(super) fn write(contents: &Contents<'_>, out: &mut impl Write) -> Result<(), BuildError> {
    out.write_all(b"!<arch>\n")?;
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", control(contents)?),
        ("data.tar.gz", data(contents)?),
    ] {
        let (modified, size) = (contents.modified, bytes.len());
        let header = format!("{name:<16}{modified:<12}0     0     100644  {size:<10}`\n");
        out.write_all(header.as_bytes())?;
        out.write_all(&bytes)?;
        if size % 2 == 1 {
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// The files, after every directory that leads to one: dpkg makes none by itself.
fn data(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    gzip(Vec::new(), |out| {
        let mut archive = Archive::new(out, contents.modified);
        for member in &contents.members {
            archive.add_parents(member)?;
            archive.add(member)?;
        }
        Ok(archive.finish()?)
    })
}

fn control(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    gzip(Vec::new(), |out| {
        let mut archive = Archive::new(out, contents.modified);
        let mut add =
            |name, mode, text: &str| archive.add_file(Path::new(name), mode, text.as_bytes());
        add("control", 0o644, &paragraph(contents))?;
        add("md5sums", 0o644, &md5sums(contents))?;
        let config_files = config_files(contents);
        if !config_files.is_empty() {
            add("conffiles", 0o644, &config_files)?;
        }
        for (name, script) in scripts(contents) {
            if let Some(script) = script {
                add(name, 0o755, &format!("#!/bin/sh\nset -e\n{script}"))?;
            }
        }
        Ok(archive.finish()?)
    })
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
    let architecture = contents.architecture_name(Kind::Deb);
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
    let recommends = match contents.recommends {
        [] => String::new(),
        names => format!("Recommends: {}\n", names.join(", ")),
    };
    format!(
        "Package: {name}\nVersion: {version}-{release}\nArchitecture: {architecture}\nMaintainer: {maintainer}\n\
         Installed-Size: {size}\n{recommends}Section: admin\nPriority: optional\n\
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
