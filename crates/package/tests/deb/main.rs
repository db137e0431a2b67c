//! Debian packages: those of the real dpkg-deb, and what could be taken for one.
#![allow(clippy::unwrap_used)]

mod laws;

use std::fs;
use std::io::Read as _;
use std::process::Command;

use package::deb::{self, DebError};
use proptest::prelude::*;

const CONTROL: &str = "Package: tool
Version: 1:2.0~rc1-3
Architecture: amd64
Maintainer: A B <a@example.com>
Description: does it
 all of it
 .
 and more
";

/// A package made by dpkg-deb; `None` where it is not installed.
fn built(compression: &str) -> Option<Vec<u8>> {
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/tool")).unwrap();
    fs::write(tree.join("DEBIAN/control"), CONTROL).unwrap();
    fs::write(tree.join("DEBIAN/conffiles"), "").unwrap();
    fs::write(tree.join("usr/share/tool/data"), "data ".repeat(300)).unwrap();
    let file = home.path().join("tool.deb");
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Z", compression, "--build"]);
    let Ok(output) = command.arg(&tree).arg(&file).output() else {
        eprintln!("SKIPPED: reading packages of dpkg-deb: it is not installed");
        return None;
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compression}: {complaint}");
    Some(fs::read(file).unwrap())
}

/// An `ar` archive of these members.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            0, 0, 0, "100644"
        );
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

/// A tar of these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A package with this control archive.
fn package(control_name: &str, control: &[u8]) -> Vec<u8> {
    let members = [
        ("debian-binary", &b"2.0\n"[..]),
        (control_name, control),
        ("data.tar", b"x"),
    ];
    ar(&members)
}

fn complaint(package: &[u8]) -> String {
    deb::read(package).unwrap_err().to_string()
}

#[test]
fn packages_of_dpkg_deb_say_who_they_are_whatever_their_compression() {
    for compression in ["gzip", "xz", "zstd", "none"] {
        let Some(package) = built(compression) else {
            return;
        };
        for deb in [deb::read(&package[..]), deb::read_control(&package[..])] {
            let deb = deb.unwrap();
            assert_eq!(deb.identity.to_string(), "tool-1:2.0~rc1-3.amd64");
            assert_eq!(deb.control.as_str(), CONTROL);
            assert_eq!(deb.control.value("Maintainer"), Some("A B <a@example.com>"));
        }
    }
}

#[test]
fn a_package_cut_anywhere_is_cut_short_and_nothing_else() {
    for compression in ["gzip", "xz", "zstd", "none"] {
        let Some(package) = built(compression) else {
            return;
        };
        for length in 0..package.len() - 1 {
            let read = deb::read(&package[..length]);
            let cut_short = matches!(read, Err(DebError::Truncated(_)));
            assert!(
                cut_short,
                "{compression}, {length} of {}: {read:?}",
                package.len()
            );
        }
    }
}

#[test]
fn any_damage_is_found_or_does_no_harm() {
    for compression in ["gzip", "xz", "zstd", "none"] {
        let Some(package) = built(compression) else {
            return;
        };
        for position in 0..package.len() {
            let mut damaged = package.clone();
            damaged[position] ^= 1 << (position % 8);
            laws::hold(&damaged);
        }
    }
}

#[test]
fn members_for_others_are_passed_over() {
    let control = tar(&[("./control", CONTROL.as_bytes())]);
    let package = ar(&[
        ("debian-binary/", b"2.0\nwhatever\n"),
        ("_before", b"odd"),
        ("control.tar/", &control),
        ("_between", b""),
        ("data.tar.lzma/", b"not looked into"),
        ("_gpgorigin", b"signature"),
        ("other", b"1"),
    ]);
    assert_eq!(deb::read(&package[..]).unwrap().control.as_str(), CONTROL);
}

#[test]
fn what_is_no_package_is_named() {
    let control = tar(&[("control", CONTROL.as_bytes())]);
    let (format, data) = (("debian-binary", &b"2.0\n"[..]), ("data.tar", &b"x"[..]));
    for (package, expected) in [
        (b"<html>no such file</html>".to_vec(), "no Debian package"),
        (ar(&[("x.o", b"")]), "no Debian package"),
        (
            ar(&[("debian-binary", b"3.0\n")]),
            "version \"3.0\\n\" of the format",
        ),
        (
            ar(&[format, data]),
            "there is \"data.tar\" where control.tar",
        ),
        (
            ar(&[format, ("control.tar", &control)]),
            "ends before the archive of files",
        ),
        (
            ar(&[format, ("control.tar", &control), ("x", b"")]),
            "there is \"x\" where data.tar",
        ),
        (package("control.tar.gz", b"not gzip"), "cannot be unpacked"),
        (package("control.tar.xz", b"not xz"), "cannot be unpacked"),
        (
            package("control.tar.zst", b"not zstd"),
            "cannot be unpacked",
        ),
        (
            package("control.tar", &tar(&[("./md5sums", b"")])),
            "no control file",
        ),
        (
            package(
                "control.tar",
                &tar(&[("control", b""), ("./control", CONTROL.as_bytes())]),
            ),
            "two control files",
        ),
        (
            [package("control.tar", &control), vec![b'x'; 70]].concat(),
            "header of a member",
        ),
    ] {
        let complaint = complaint(&package);
        assert!(complaint.contains(expected), "{expected}: {complaint}");
    }
}

#[test]
fn a_package_that_does_not_say_who_it_is_is_refused() {
    for (control, expected) in [
        ("Version: 1\nArchitecture: all\n", "no field Package"),
        ("Package: x\nArchitecture: all\n", "no field Version"),
        ("Package: x\nVersion: 1\n", "no field Architecture"),
        ("Package: ../x\nVersion: 1\nArchitecture: all\n", "\"../x\""),
        ("Package: x\nVersion: 1/2\nArchitecture: all\n", "\"1/2\""),
        ("Package: x\nVersion: 1\nArchitecture: a b\n", "\"a b\""),
        ("Package: x\n\nPackage: y\n", "more than one paragraph"),
    ] {
        let package = package("control.tar", &tar(&[("control", control.as_bytes())]));
        let complaint = complaint(&package);
        assert!(complaint.contains(expected), "{expected}: {complaint}");
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_path("md5sums").unwrap();
    header.set_size(1 << 30);
    header.set_cksum();
    let zeros = std::io::repeat(0).take(65 << 20);
    let bomb = zstd::encode_all(header.as_bytes().chain(zeros), 1).unwrap();
    let refusal = complaint(&package("control.tar.zst", &bomb));
    assert!(
        refusal.contains("control archive has more than"),
        "{refusal}"
    );

    let control = format!("{CONTROL}X: {}\n", "x".repeat(1 << 20));
    let large = package("control.tar", &tar(&[("control", control.as_bytes())]));
    assert!(
        complaint(&large).contains("control file has more than"),
        "{}",
        complaint(&large)
    );
}

proptest! {
    #[test]
    fn garbage_is_refused(garbage in prop::collection::vec(any::<u8>(), 0..2000)) {
        laws::hold(&garbage);
    }

    #[test]
    fn garbage_in_the_right_places_is_refused(
        name in "control.tar(|.gz|.xz|.zst)",
        control in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        laws::hold(&package(&name, &control));
    }

    #[test]
    fn any_text_is_a_control_file_or_none(text in "(Package|Version|Architecture|[ -~]{0,9}|: |\n|\r|\t| )*") {
        laws::hold(&package("control.tar", &tar(&[("control", text.as_bytes())])));
    }
}
