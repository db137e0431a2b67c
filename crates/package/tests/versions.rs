//! Versions in the order of the real rpm and dpkg, and the laws of an order.
#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use package::Version;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use proptest::{sample::select, strategy::ValueTree as _};

type Compare = fn(&Version, &Version) -> Ordering;
const ORDERS: [(&str, Compare); 2] = [
    ("rpm", Version::compare_as_rpm),
    ("dpkg", Version::compare_as_deb),
];

/// What versions are made of, chosen for what the two systems treat in a way of its own.
const PIECES: &[&str] = &[
    "0",
    "00",
    "1",
    "01",
    "2",
    "9",
    "10",
    "123",
    "99999999999999999999",
    "a",
    "b",
    "rc",
    "Z",
    "alpha",
    ".",
    "..",
    "+",
    "~",
    "~~",
    "~rc1",
];
/// What rpm alone allows.
const PIECES_OF_RPM: &[&str] = &["_", "^", "^git1", "._"];

fn part(pieces: Vec<&'static str>) -> impl Strategy<Value = String> {
    prop::collection::vec(select(pieces), 0..5).prop_map(|pieces| pieces.concat())
}

/// `[epoch:]version[-release]`; each version begins with a digit, as dpkg wants it.
fn version(pieces: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let epoch = select(vec!["", "", "", "0:", "1:", "10:"]);
    let (version, release) = (part(pieces.to_vec()), part(pieces.to_vec()));
    (epoch, 0..3_u8, version, prop::option::of(release)).prop_map(
        |(epoch, first, version, release)| {
            let release = release.map(|release| format!("-{first}{release}"));
            format!("{epoch}{first}{version}{}", release.unwrap_or_default())
        },
    )
}

fn all_pieces() -> Vec<&'static str> {
    [PIECES, PIECES_OF_RPM].concat()
}

/// Two versions, most of them close to each other.
fn pair(pieces: &[&'static str]) -> impl Strategy<Value = (String, String)> + use<> {
    let tail = || part(pieces.to_vec());
    prop_oneof![
        (version(pieces), version(pieces)),
        (version(pieces), tail(), tail())
            .prop_map(|(stem, ours, theirs)| (format!("{stem}{ours}"), format!("{stem}{theirs}"))),
        version(pieces)
            .prop_map(|version| (version.replace(".1", ".01").replace("-1", "-01"), version)),
    ]
}

/// The same pairs at each run.
fn pairs(count: usize, pieces: &[&'static str]) -> Vec<(String, String)> {
    let mut runner = TestRunner::deterministic();
    let pair = pair(pieces);
    (0..count)
        .map(|_| pair.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Compares as the program did, which printed -1, 0 or 1 for each pair.
fn assert_agrees(pairs: &[(String, String)], printed: &str, (name, compare): (&str, Compare)) {
    let printed: Vec<i8> = printed.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed.len(), pairs.len());
    for ((ours, theirs), printed) in pairs.iter().zip(&printed) {
        let order = compare(&ours.parse().unwrap(), &theirs.parse().unwrap());
        assert_eq!(order as i8, *printed, "{name}: {ours} against {theirs}");
    }
    for order in -1..=1 {
        let count = printed.iter().filter(|printed| **printed == order).count();
        assert!(count > pairs.len() / 100, "only {count} of {order}");
    }
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: comparing versions as {program} does: it is not installed");
    }
    found
}

#[test]
fn rpm_orders_versions_the_same_way() {
    if !is_installed("rpm") {
        return;
    }
    let pairs = pairs(20_000, &all_pieces());
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = pairs
        .iter()
        .map(|(ours, theirs)| format!("{ours} {theirs}\n"));
    fs::write(&file, lines.collect::<String>()).unwrap();
    let program = format!(
        "%{{lua: for line in io.lines('{}') do
            local at = line:find(' ')
            print(rpm.vercmp(line:sub(1, at - 1), line:sub(at + 1)) .. '\\n')
        end}}",
        file.path().display()
    );
    let output = Command::new("rpm")
        .args(["--eval", &program])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: String = printed
        .split_whitespace()
        .map(|line| format!("{line}\n"))
        .collect();
    assert_agrees(&pairs, &printed, ORDERS[0]);
}

#[test]
fn dpkg_orders_versions_the_same_way() {
    if !is_installed("dpkg") {
        return;
    }
    let pairs = pairs(3_000, PIECES);
    let script = "while read -r ours theirs; do
        if dpkg --compare-versions \"$ours\" lt \"$theirs\"; then echo -1
        elif dpkg --compare-versions \"$ours\" eq \"$theirs\"; then echo 0
        elif dpkg --compare-versions \"$ours\" gt \"$theirs\"; then echo 1
        else exit 1; fi
    done";
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    let lines = pairs
        .iter()
        .map(|(ours, theirs)| format!("{ours} {theirs}\n"));
    let lines: String = lines.collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = shell.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    assert_agrees(
        &pairs,
        &String::from_utf8(output.stdout).unwrap(),
        ORDERS[1],
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(text in version(&all_pieces())) {
        let version: Version = text.parse().unwrap();
        prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
    }

    #[test]
    fn any_text_is_a_version_or_none(text in ".*") {
        if let Ok(version) = text.parse::<Version>() {
            prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        }
    }

    #[test]
    fn both_orders_are_total(versions in prop::array::uniform3(version(&all_pieces()))) {
        let [a, b, c] = versions.map(|text| text.parse::<Version>().unwrap());
        for (name, compare) in ORDERS {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let mut sorted = [&a, &b, &c];
            sorted.sort_by(|one, other| compare(one, other));
            let ends = compare(sorted[0], sorted[2]);
            let steps = compare(sorted[0], sorted[1]).then(compare(sorted[1], sorted[2]));
            prop_assert_eq!(ends, steps, "{}: {} {} {}", name, a, b, c);
        }
    }
}
