//! Rpms that are hostile, damaged or of old and new versions of the format: each is converted whole, or refused by name.
#![allow(clippy::unwrap_used)]

mod forge;

use std::io::{Cursor, Read};

use flate2::read::GzDecoder;
use forge::{File, Format, GHOST, Rpm, Value, directory, file, rpm, symlink};
use package::rpm::{Excess, Limits, Refusal, RpmError, metadata, read, to_tar};

fn convert_within(rpm: &Rpm, limits: Limits) -> Result<Vec<u8>, RpmError> {
    let mut tar = Vec::new();
    to_tar(Cursor::new(rpm.bytes()), [7; 32], &mut tar, limits, 2)?;
    Ok(tar)
}

fn convert(rpm: &Rpm) -> Result<Vec<u8>, RpmError> {
    convert_within(rpm, Limits::default())
}

/// The names in the tar, with what regular files hold and where links lead.
fn tree(rpm: &Rpm) -> Vec<String> {
    let tar = convert(rpm).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(&tar[..]));
    let entry = |entry: Result<tar::Entry<'_, _>, _>| {
        let mut entry = entry.unwrap();
        let mut text = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        if let Some(target) = entry.link_name_bytes() {
            text += &format!(" -> {}", String::from_utf8(target.into_owned()).unwrap());
        } else if entry.header().entry_type().is_file() {
            text += ": ";
            entry.read_to_string(&mut text).unwrap();
        }
        text
    };
    archive.entries().unwrap().map(entry).collect()
}

fn refusal(files: impl Into<Vec<File>>) -> Refusal {
    match convert(&rpm(files)) {
        Err(RpmError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn fault(rpm: &Rpm) -> String {
    match convert(rpm) {
        Err(RpmError::Damaged { section, fault }) => format!("{section}: {fault}"),
        other => panic!("{other:?}"),
    }
}

const FORMATS: [Format; 3] = [Format::V3, Format::V4, Format::V6];

#[test]
fn every_version_of_the_format_is_read() {
    for format in FORMATS {
        let package = Rpm {
            format,
            ..rpm([
                directory("/opt"),
                directory("/opt/empty"),
                file("/opt/a", "text of a"),
                symlink("/opt/link", "../etc/passwd"),
                File {
                    flags: GHOST,
                    times_in_payload: 0,
                    ..file("/var/log/ghost", "")
                },
                file("/usr/bin/é", ""),
                File {
                    mode: 0o010_644,
                    ..file("/var/fifo", "")
                },
            ])
        };
        let bytes = package.bytes();
        let rpm = read(Cursor::new(&bytes)).unwrap();
        assert_eq!(rpm.identity.to_string(), "forged-1.0-1.noarch");
        let metadata = metadata(Cursor::new(&bytes)).unwrap();
        assert_eq!(metadata.paths.len(), 7, "{format:?}");
        let expected = [
            "opt/",
            "opt/empty/",
            "opt/a: text of a",
            "opt/link -> ../etc/passwd",
            "usr/bin/é: ",
            "var/fifo",
        ];
        assert_eq!(tree(&package), expected, "{format:?}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let split_at = |split, name: &str| File {
        split: Some(split),
        ..file(name, "")
    };
    for (file, expected) in [
        (file("/opt/../../etc/passwd", ""), Refusal::DotName),
        (file("/..", ""), Refusal::DotName),
        (file("/opt/./a", ""), Refusal::DotName),
        (file("/opt//a", ""), Refusal::EmptyName),
        (file("", ""), Refusal::EmptyName),
        (file("/", ""), Refusal::EmptyName),
        (file("//etc/passwd", ""), Refusal::AbsoluteName),
        (split_at(5, "/opt//etc/passwd"), Refusal::AbsoluteName),
        (split_at(1, "/../../etc/passwd"), Refusal::DotName),
        (symlink("/opt/link", ""), Refusal::NoTarget),
        (file("/lib64", ""), Refusal::ReplacesSystemDirectory),
        (
            symlink("/lib", "tmp/evil"),
            Refusal::ReplacesSystemDirectory,
        ),
        (
            File {
                mode: 0o140_755,
                ..file("/run/socket", "")
            },
            Refusal::FileType(0o140_000),
        ),
        (
            File {
                capabilities: "cap_all_of_them=ep".to_owned(),
                ..file("/a", "")
            },
            Refusal::Capabilities("cap_all_of_them=ep".to_owned()),
        ),
    ] {
        assert_eq!(refusal([file.clone()]), expected, "{:?}", file.name);
    }
}

#[test]
fn nothing_goes_by_way_of_a_symlink_of_the_package() {
    let through = |name: &str| Refusal::ThroughFile(name.to_owned());
    let link = || symlink("/opt/link", "/etc");
    assert_eq!(
        refusal([link(), file("/opt/link/passwd", "")]),
        through("opt/link")
    );
    assert_eq!(
        refusal([file("/opt/link/deep/down", ""), link()]),
        through("opt/link")
    );
    // Sorted as bytes, the names of the two are not neighbours.
    assert_eq!(
        refusal([
            link(),
            file("/opt/link-a", ""),
            file("/opt/link/passwd", "")
        ]),
        through("opt/link")
    );
    assert_eq!(
        refusal([file("/opt/a", ""), file("/opt/a/b", "")]),
        through("opt/a")
    );
    assert_eq!(
        refusal([symlink("/usr/bin", "x"), file("/bin/a", "")]),
        through("usr/bin")
    );
    let beside = [link(), file("/opt/link2", ""), file("/opt/lin/k", "")];
    assert_eq!(tree(&rpm(beside)).len(), 3);
}

#[test]
fn what_every_system_has_is_left_out_and_its_content_goes_into_usr() {
    let merged = [
        directory("/"),
        directory("/bin"),
        file("/bin/a", "a"),
        directory("/lib"),
        directory("/lib/modules"),
        symlink("/lib64", "usr/lib64"),
        file("/libexec", ""),
        directory("/usr/lib"),
        directory("/usr/lib/modules"),
    ];
    for format in FORMATS {
        let package = Rpm {
            format,
            ..rpm(merged.clone())
        };
        let expected = ["usr/bin/a: a", "usr/lib/modules/", "libexec: ", "usr/lib/"];
        assert_eq!(tree(&package), expected, "{format:?}");
    }
    let twice = [file("/bin/a", ""), file("/usr/bin/a", "")];
    assert_eq!(refusal(twice), Refusal::SameInUsr("/bin/a".to_owned()));
    assert_eq!(
        refusal([file("/a", ""), file("/a", "")]),
        Refusal::Duplicate
    );
    assert_eq!(
        refusal([directory("/a"), file("/a", "")]),
        Refusal::Duplicate
    );
}

#[test]
fn names_of_one_file_become_links_to_the_one_with_the_content() {
    let linked = |name: &str, payload: &str| File {
        inode: 5,
        payload_content: Some(payload.as_bytes().to_vec()),
        ..file(name, "content")
    };
    for format in FORMATS {
        let files = [
            linked("/a", ""),
            file("/b", "b"),
            linked("/c", ""),
            linked("/d", "content"),
        ];
        let package = Rpm {
            format,
            ..rpm(files)
        };
        let expected = ["b: b", "d: content", "a -> d", "c -> d"];
        assert_eq!(tree(&package), expected, "{format:?}");
    }
    let content_first = rpm([linked("/a", "content"), linked("/b", "")]);
    assert_eq!(tree(&content_first), ["a: content", "b -> a"]);
    let empty = |name: &str| File {
        inode: 5,
        ..file(name, "")
    };
    assert_eq!(tree(&rpm([empty("/a"), empty("/b")])), ["b: ", "a -> b"]);
    let unlike = [
        linked("/a", ""),
        File {
            inode: 5,
            ..file("/b", "other")
        },
    ];
    assert_eq!(refusal(unlike), Refusal::UnlikeHardLink("/a".to_owned()));
    let without = rpm([linked("/a", ""), linked("/b", "")]);
    assert!(
        fault(&without).contains("\"/b\" has 0 bytes, by the header 7"),
        "{}",
        fault(&without)
    );
    let with_two = rpm([linked("/a", "content"), linked("/b", "content")]);
    assert!(
        fault(&with_two).contains("another name"),
        "{}",
        fault(&with_two)
    );
}

#[test]
fn every_digest_is_checked() {
    let mismatch = |package: &Rpm| match convert(package) {
        Err(error @ RpmError::Mismatch { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let sound = || rpm([file("/opt/a", "content")]);
    for (format, algorithm) in [
        (Format::V3, "MD5"),
        (Format::V4, "SHA-256"),
        (Format::V6, "SHA-256"),
    ] {
        let other = File {
            payload_content: Some(b"CONTENT".to_vec()),
            ..file("/opt/a", "content")
        };
        let message = mismatch(&Rpm {
            format,
            ..rpm([other])
        });
        assert!(
            message.starts_with(&format!("/opt/a does not match its {algorithm} digest")),
            "{message}"
        );
    }
    let zeros = || "0".repeat(64);
    for (tag, what) in [
        (5092, "its payload does not match its SHA-256 digest"),
        (
            5097,
            "its unpacked payload does not match its SHA-256 digest",
        ),
        (5123, "its payload does not match its SHA3-256 digest"),
        (
            5124,
            "its unpacked payload does not match its SHA3-256 digest",
        ),
    ] {
        let wrong = Rpm {
            entries: vec![(tag, Value::Text(zeros()))],
            ..sound()
        };
        assert!(mismatch(&wrong).starts_with(what), "{}", mismatch(&wrong));
    }
    let of_unknown_kind = Rpm {
        entries: vec![(5011, Value::I32(vec![77]))],
        ..sound()
    };
    assert!(fault(&of_unknown_kind).contains("unknown kind 77"));
    let no_digest = File {
        declared_digest: Some("quite long".to_owned()),
        ..file("/a", "")
    };
    assert!(fault(&rpm([no_digest])).contains("not hexadecimal"));
}

#[test]
fn the_oldest_digest_of_all_is_checked() {
    let package = Rpm {
        format: Format::V3,
        ..rpm([symlink("/opt/a", "target")])
    };
    let mut bytes = package.bytes();
    // The modification time that cpio has of it, which nothing else looks at.
    let magic = bytes
        .windows(6)
        .rposition(|window| window == b"070701")
        .unwrap();
    bytes[magic + 46] = b'1';
    let error = to_tar(
        Cursor::new(bytes),
        [0; 32],
        Vec::new(),
        Limits::default(),
        1,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "its payload does not match its MD5 digest: copy the package again"
    );
}

#[test]
fn the_payload_holds_what_the_header_says_and_nothing_else() {
    let is_elsewhere = |name: &str| File {
        payload_name: Some(name.to_owned()),
        ..file("/opt/a", "")
    };
    let repeated = |file: File| File {
        times_in_payload: 100,
        ..file
    };
    for (files, expected) in [
        (
            vec![File {
                times_in_payload: 0,
                ..file("/opt/a", "")
            }],
            "\"/opt/a\" is missing",
        ),
        (
            vec![is_elsewhere("./opt/b")],
            "it has \"./opt/b\", which the header does not have",
        ),
        (vec![is_elsewhere("../opt/a")], "it has \"../opt/a\""),
        (
            vec![file("/opt/b", ""), is_elsewhere("./opt/b")],
            "\"/opt/b\" comes twice",
        ),
        (
            vec![File {
                declared_size: Some(4),
                ..file("/opt/a", "12345")
            }],
            "has 5 bytes, by the header 4",
        ),
        (
            vec![File {
                payload_content: Some(b"/tmp".to_vec()),
                ..symlink("/a", "/etc")
            }],
            "points elsewhere",
        ),
        (
            vec![File {
                mode: 0o040_755,
                ..file("/opt", "content")
            }],
            "has content, but is no file",
        ),
        (
            vec![File {
                flags: GHOST,
                ..file("/opt/ghost", "")
            }],
            "which the header does not have",
        ),
        (
            vec![File {
                mode: 0o040_755,
                ..file("/bin", &"x".repeat(5000))
            }],
            "left out of the tar has content",
        ),
        (
            vec![repeated(directory("/bin"))],
            "more files than the header",
        ),
        (
            vec![repeated(directory("/opt"))],
            "more files than the header",
        ),
        (
            vec![File {
                payload_name: Some(format!("./{}", "n".repeat(5000))),
                ..file("/opt/a", "")
            }],
            "the name of a file is too long",
        ),
    ] {
        let fault = fault(&rpm(files));
        assert!(
            fault.starts_with("payload: ") && fault.contains(expected),
            "{fault}"
        );
    }
    let number = Rpm {
        format: Format::V6,
        ..rpm([file("/a", "")])
    };
    let mut bytes = number.bytes();
    let magic = bytes
        .windows(6)
        .rposition(|window| window == b"07070X")
        .unwrap();
    bytes[magic + 13] = b'5';
    let error = to_tar(
        Cursor::new(bytes),
        [0; 32],
        Vec::new(),
        Limits::default(),
        1,
    )
    .unwrap_err();
    assert!(error.to_string().contains("it has file 5 of 1"), "{error}");
    let followed = |end: &[u8]| Rpm {
        payload_end: end.to_vec(),
        ..rpm([file("/a", "")])
    };
    assert_eq!(tree(&followed(&[0; 1000])), ["a: "]);
    assert!(fault(&followed(b"\0\0x")).contains("something follows its last file"));
}

#[test]
fn what_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
    let limits = Limits {
        unpacked: 1000,
        members: 3,
        ratio: 10,
    };
    let excess = |package: &Rpm, limits| match convert_within(package, limits) {
        Err(RpmError::TooLarge(excess)) => excess,
        other => panic!("{other:?}"),
    };
    let many = rpm([
        file("/a", ""),
        file("/b", ""),
        file("/c", ""),
        file("/d", ""),
    ]);
    assert_eq!(
        excess(&many, limits),
        Excess::Members {
            members: 4,
            limit: 3
        }
    );
    let large = rpm([file("/a", &"x".repeat(1001))]);
    assert_eq!(
        excess(&large, limits),
        Excess::Unpacked {
            unpacked: 1001,
            limit: 1000
        }
    );
    let declared = rpm([File {
        declared_size: Some(100 << 20),
        ..file("/a", "")
    }]);
    let unlimited = Limits {
        unpacked: u64::MAX,
        ..limits
    };
    let Excess::Ratio {
        unpacked,
        limit: 10,
        ..
    } = excess(&declared, unlimited)
    else {
        panic!("{:?}", excess(&declared, unlimited));
    };
    assert_eq!(unpacked, 100 << 20);
    let sizes = [u64::MAX, u64::MAX].map(|size| File {
        declared_size: Some(size),
        ..file(&format!("/{}", size & 1), "")
    });
    let [a, b] = sizes;
    let endless = Rpm {
        format: Format::V6,
        ..rpm([
            a,
            File {
                name: "/b".to_owned(),
                ..b
            },
        ])
    };
    assert!(matches!(
        excess(&endless, Limits::default()),
        Excess::Unpacked { .. }
    ));
}

/// 64 MiB of zeros in a few kilobytes, which the header says nothing of.
#[test]
fn a_bomb_is_stopped_at_what_the_header_declares() {
    let zeros = vec![0; 64 << 20];
    let bomb = Rpm {
        compress: |archive| zstd::encode_all(archive, 3).unwrap(),
        ..rpm([File {
            payload_content: Some(zeros.clone()),
            ..file("/a", "a")
        }])
    };
    assert!(fault(&bomb).contains("has 67108864 bytes, by the header 1"));
    let behind = Rpm {
        payload_end: zeros,
        compress: bomb.compress,
        ..rpm([file("/a", "a")])
    };
    assert!(fault(&behind).contains("something follows its last file"));
}

#[test]
fn a_package_cut_anywhere_is_cut_short() {
    let bytes = rpm([file("/opt/a", "content")]).bytes();
    for length in 0..bytes.len() {
        let error = read(Cursor::new(&bytes[..length])).unwrap_err();
        let RpmError::Truncated {
            length: said,
            expected,
        } = error
        else {
            panic!("{length}: {error:?}");
        };
        assert_eq!(said, length as u64);
        assert!(
            expected > said && expected <= bytes.len() as u64,
            "{length}: {expected}"
        );
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(
        read(Cursor::new(longer)),
        Err(RpmError::Trailing { .. })
    ));
    assert!(matches!(
        read(Cursor::new(b"<html>")),
        Err(RpmError::NotRpm)
    ));
}

#[test]
fn headers_that_promise_too_much_are_refused() {
    let package = rpm([file("/opt/a", "content")]);
    let damaged = |entries: Vec<(u32, Value)>| {
        fault(&Rpm {
            entries,
            ..package.clone()
        })
    };
    for (entries, expected) in [
        (
            vec![(1117, Value::Texts(Vec::new()))],
            "DIRINDEXES: 1 values for 0 files",
        ),
        (
            vec![(1030, Value::I16(vec![1, 2]))],
            "FILEMODES: 2 values for 1 files",
        ),
        (
            vec![(1116, Value::I32(vec![9]))],
            "DIRINDEXES: there is no such directory",
        ),
        (
            vec![(1028, Value::Text("large".to_owned()))],
            "FILESIZES: of the wrong type",
        ),
        (vec![(1000, Value::Text("../etc".to_owned()))], "NAME: "),
        (vec![(1001, Value::Text("1/2".to_owned()))], "VERSION: "),
        (vec![(1022, Value::Text("x 86".to_owned()))], "ARCH: "),
        (vec![(1003, Value::I64(vec![u64::MAX]))], "EPOCH: too large"),
        (
            vec![(5092, Value::Text("12".to_owned()))],
            "PAYLOADSHA256: a digest of the wrong length",
        ),
    ] {
        let fault = damaged(entries);
        assert!(fault.starts_with(&format!("header: {expected}")), "{fault}");
    }
    let source = Rpm {
        entries: vec![(1106, Value::I32(vec![1]))],
        ..package
    };
    assert!(matches!(
        read(Cursor::new(source.bytes())),
        Err(RpmError::SourcePackage)
    ));
}

/// That it is broken is told where it is listed, not where it is converted.
fn header_fault(package: &Rpm) -> String {
    let bytes = package.bytes();
    let faults = [
        read(Cursor::new(&bytes)).unwrap_err(),
        metadata(Cursor::new(&bytes)).unwrap_err(),
    ];
    let [read, metadata] = faults.map(|error| error.to_string());
    assert_eq!(read, metadata);
    let converted = fault(package).replacen("header:", "its header is damaged:", 1);
    assert_eq!(read, converted);
    read
}

/// Thousands of files in a directory that the header has once, all of whose names are kept whole.
#[test]
fn names_that_take_all_memory_are_refused() {
    let in_directory = |length: usize, files: usize| Rpm {
        entries: vec![
            (1116, Value::I32(vec![0; files])),
            (
                1118,
                Value::Texts(vec![format!("/{}/", "d".repeat(length - 2))]),
            ),
        ],
        ..rpm((0..files).map(|_| file("/f", "")).collect::<Vec<_>>())
    };
    let too_long = header_fault(&in_directory(1 << 20, 2));
    assert!(
        too_long.ends_with("BASENAMES: a name of 1048577 bytes, more than 4096"),
        "{too_long}"
    );
    let whole = Rpm {
        format: Format::V3,
        ..rpm([file(&format!("/{}", "n".repeat(4096)), "")])
    };
    let too_long = header_fault(&whole);
    assert!(
        too_long.contains("OLDFILENAMES: a name of 4097 bytes"),
        "{too_long}"
    );
    let longest = format!("/{}", "n".repeat(4095));
    assert_eq!(
        tree(&rpm([file(&longest, "")])),
        [format!("{}: ", &longest[1..])]
    );
    let too_many = header_fault(&in_directory(4000, 68_000));
    assert!(
        too_many.ends_with("BASENAMES: names of more than 268435456 bytes"),
        "{too_many}"
    );
}

/// Entries may lie over each other in the store, so that few bytes are many values.
#[test]
fn more_values_than_files_can_have_are_refused() {
    let empty = Value::Texts(vec![String::new(); (1 << 20) + 1]);
    let of = |tag| Rpm {
        entries: vec![(tag, empty.clone())],
        ..rpm([file("/a", "")])
    };
    let names = header_fault(&of(1117));
    assert!(
        names.ends_with("BASENAMES: 1048577 values, more than 1048576"),
        "{names}"
    );
    let sizes = Rpm {
        entries: vec![(1028, Value::I32(vec![0; (1 << 20) + 1]))],
        ..rpm([file("/a", "")])
    };
    assert!(header_fault(&sizes).ends_with("FILESIZES: 1048577 values, more than 1048576"));
    let provides = Rpm {
        entries: vec![(1047, Value::Texts(vec![String::new(); (1 << 17) + 1]))],
        ..rpm([file("/a", "")])
    };
    let provides = metadata(Cursor::new(provides.bytes()))
        .unwrap_err()
        .to_string();
    assert!(
        provides.ends_with("PROVIDENAME: 131073 values, more than 131072"),
        "{provides}"
    );
}
