//! Real packages as tars: unpacked by real programs, they give the trees that rpm gives.
#![allow(clippy::unwrap_used)]

mod rpms;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use package::rpm::{self, Comparison, Limits, PathKind};
use package::tar;
use rpms::{PAYLOADS, build, can_run, run};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What a file is, as the system tells it, by its name.
type Tree = BTreeMap<PathBuf, String>;

/// Which times are compared. rpm gives directories the time of their installation, and busybox does so with symlinks too.
#[derive(Clone, Copy, PartialEq)]
enum Times {
    All,
    NotOfDirectories,
    OfFiles,
}

fn tree(root: &Path, times: Times) -> Tree {
    let mut tree = Tree::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let data = path.symlink_metadata().unwrap();
            let kind = data.file_type();
            let said = if kind.is_dir() {
                directories.push(path.clone());
                "directory".to_owned()
            } else if kind.is_symlink() {
                format!("symlink to {}", path.read_link().unwrap().display())
            } else if kind.is_file() {
                let content = Sha256::digest(fs::read(&path).unwrap());
                format!("file {} {content:?} {} names", data.len(), data.nlink())
            } else {
                let is_character = kind.is_char_device();
                format!(
                    "device {} {is_character} fifo {}",
                    data.rdev(),
                    kind.is_fifo()
                )
            };
            let has_time = match times {
                Times::All => true,
                Times::NotOfDirectories => !kind.is_dir(),
                Times::OfFiles => !kind.is_dir() && !kind.is_symlink(),
            };
            let time = has_time.then(|| data.mtime());
            let owner = format!("{}:{}", data.uid(), data.gid());
            let said = format!("{said}, {:o}, {owner}, {time:?}", data.mode());
            tree.insert(path.strip_prefix(root).unwrap().to_owned(), said);
        }
    }
    tree
}

fn capabilities(root: &Path) -> String {
    let output = run(Command::new("getcap").args(["-r", "."]).current_dir(root));
    String::from_utf8(output.stdout).unwrap()
}

fn directory(parent: &TempDir, name: &str) -> PathBuf {
    let directory = parent.path().join(name);
    fs::create_dir(&directory).unwrap();
    directory
}

/// Installs with the real rpm, and gives what the package brought.
fn installed(package: &Path, root: &Path) -> Tree {
    fs::create_dir(root.join("etc")).unwrap();
    for file in ["etc/passwd", "etc/group"] {
        fs::copy(Path::new("/").join(file), root.join(file)).unwrap();
    }
    // As systems have it.
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
    let mut rpm = Command::new("rpm");
    rpm.arg("--root").arg(root);
    run(rpm
        .args([
            "--nodeps",
            "--noscripts",
            "--notriggers",
            "--ignorearch",
            "-i",
        ])
        .arg(package));
    let mut tree = tree(root, Times::NotOfDirectories);
    let of_rpm = ["etc/passwd", "etc/group", "lib", "root", "var"].map(Path::new);
    tree.retain(|path, _| !of_rpm.iter().any(|own| path.starts_with(own)));
    tree
}

fn convert(package: &Path, threads: usize) -> Vec<u8> {
    let mut converted = Vec::new();
    let limits = Limits::default();
    rpm::to_tar(
        File::open(package).unwrap(),
        [0xab; 32],
        &mut converted,
        limits,
        threads,
    )
    .unwrap();
    converted
}

/// Each as an installer would call it, and what it keeps.
const EXTRACTORS: [(&[&str], Times, bool); 3] = [
    (
        &["tar", "--xattrs", "--xattrs-include=*", "-xpzf"],
        Times::All,
        true,
    ),
    (&["bsdtar", "-xpf"], Times::All, true),
    (&["busybox", "tar", "-xpzf"], Times::OfFiles, false),
];

#[test]
fn every_extractor_gives_the_tree_that_rpm_gives() {
    let needed = [
        "rpm",
        "rpmbuild",
        "rpm2archive",
        "tar",
        "bsdtar",
        "busybox",
        "getcap",
    ];
    if !can_run("trees that rpm and tar make of one package", &needed) {
        return;
    }
    for payload in PAYLOADS {
        let work = tempfile::tempdir().unwrap();
        let package = build("nasty", payload, work.path());
        let root = directory(&work, "rpm");
        let expected = installed(&package, &root);
        let expected_capabilities = capabilities(&root);
        assert!(expected_capabilities.contains("usr/bin/capped cap_net_admin,cap_net_raw=ep"));
        let all_times = of_rpm2archive(&package, &directory(&work, "rpm2archive"));

        let archive = work.path().join("nasty.tar.gz");
        fs::write(&archive, convert(&package, 2)).unwrap();
        for (command, times, keeps_capabilities) in EXTRACTORS {
            let root = directory(&work, command[0]);
            let (program, arguments) = command.split_first().unwrap();
            let mut extractor = Command::new(program);
            run(extractor.args(arguments).arg(&archive).current_dir(&root));
            if keeps_capabilities {
                assert_eq!(
                    capabilities(&root),
                    expected_capabilities,
                    "{payload} {command:?}"
                );
            }
            let told = match times {
                Times::OfFiles => Times::OfFiles,
                Times::All | Times::NotOfDirectories => Times::NotOfDirectories,
            };
            let mut expected = expected.clone();
            if told == Times::OfFiles {
                without_times_of_symlinks(&mut expected);
            }
            assert_same(
                &tree(&root, told),
                &expected,
                &format!("{payload} {command:?} rpm"),
            );
            if times == Times::All {
                let mut there = tree(&root, times);
                // Made on the way, not by an entry.
                there.retain(|path, _| all_times.contains_key(path));
                assert_same(
                    &there,
                    &all_times,
                    &format!("{payload} {command:?} rpm2archive"),
                );
            }
        }
    }
}

/// What GNU tar makes of what rpm2archive makes, directories that it has no entries for left out.
fn of_rpm2archive(package: &Path, root: &Path) -> Tree {
    let mut rpm2archive = Command::new("sh");
    rpm2archive.args([
        "-c",
        "rpm2archive - <\"$1\" | tar -xpz --warning=no-unknown-keyword",
        "sh",
    ]);
    run(rpm2archive.arg(package).current_dir(root));
    let listing = run(Command::new("rpm")
        .args(["-qp", "--qf", "[%{FILENAMES}\\t%{FILEFLAGS}\\n]"])
        .arg(package));
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let mut tree = tree(root, Times::All);
    tree.retain(|path, _| {
        // Names in /lib are elsewhere in our tar, and names that are not UTF-8 not as rpm prints them.
        let is_named = listing.contains(&format!("/{}\t", path.display()));
        // Hard links come last, and GNU tar has set the time of a directory by then unless it is about to go on there.
        let has_late_links = path.ends_with("l".repeat(120));
        is_named && !path.starts_with("lib") && !has_late_links
    });
    assert!(tree.len() > 20, "{tree:?}");
    tree
}

fn without_times_of_symlinks(tree: &mut Tree) {
    for said in tree.values_mut().filter(|said| said.starts_with("symlink")) {
        let time = said.rfind(", ").unwrap();
        said.replace_range(time.., ", None");
    }
}

fn assert_same(there: &Tree, expected: &Tree, which: &str) {
    for (path, expected) in expected {
        assert_eq!(
            there.get(path),
            Some(expected),
            "{which}: {}",
            path.display()
        );
    }
    for path in there.keys() {
        assert!(
            expected.contains_key(path),
            "{which}: {} is new",
            path.display()
        );
    }
}

#[test]
fn a_package_gives_the_same_bytes_however_many_threads_there_are() {
    if !can_run("the bytes of a conversion", &["rpmbuild"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let package = build("nasty", "w3.zstdio", work.path());
    let one = convert(&package, 1);
    for threads in [0, 2, 3, 8] {
        assert_eq!(convert(&package, threads), one, "{threads} threads");
    }
}

#[test]
fn a_tar_made_of_an_rpm_is_known_again() {
    if !can_run("the note in a converted tar", &["rpmbuild", "gzip"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let package = build("nasty", "w9.gzdio", work.path());
    let converted = convert(&package, 2);
    let rpm = rpm::read(File::open(&package).unwrap()).unwrap();
    assert_eq!(rpm.identity.to_string(), "nasty-3:1.0~rc1-1.x86_64");
    assert_eq!(rpm.scriptlets, ["pre", "post", "trigger"]);
    let tar = tar::read(&converted[..], "whatever").unwrap();
    assert_eq!(tar.identity, rpm.identity);
    assert_eq!(tar.scriptlets, rpm.scriptlets);
    assert_eq!(tar.made_of, Some([0xab; 32]));
    let cut = tar::read(&converted[..converted.len() - 1], "whatever").unwrap_err();
    assert!(matches!(cut, tar::TarError::Truncated), "{cut:?}");
    let file = work.path().join("nasty.tar.gz");
    fs::write(&file, converted).unwrap();
    run(Command::new("gzip").arg("-t").arg(file));
}

#[test]
fn a_repository_learns_all_that_it_says_of_a_package() {
    if !can_run("what a repository says of a package", &["rpm", "rpmbuild"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let package = build("nasty", "w9.gzdio", work.path());
    let metadata = rpm::metadata(File::open(&package).unwrap()).unwrap();
    let query = |format: &str| {
        let output = run(Command::new("rpm")
            .args(["-qp", "--qf", format])
            .arg(&package));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(metadata.summary, query("%{SUMMARY}"));
    assert_eq!(metadata.description, query("%{DESCRIPTION}"));
    assert_eq!(metadata.url, query("%{URL}"));
    assert_eq!(metadata.license, query("%{LICENSE}"));
    assert_eq!(metadata.vendor, query("%{VENDOR}"));
    assert_eq!(metadata.group, query("%{GROUP}"));
    assert_eq!(metadata.build_host, query("%{BUILDHOST}"));
    assert_eq!(metadata.source_rpm, query("%{SOURCERPM}"));
    assert_eq!(metadata.build_time.to_string(), query("%{BUILDTIME}"));
    assert_eq!(metadata.installed_size.to_string(), query("%{LONGSIZE}"));
    assert_eq!(
        metadata.archive_size.to_string(),
        query("%{LONGARCHIVESIZE}")
    );
    assert_eq!(metadata.package_size, package.metadata().unwrap().len());

    let dependencies = |tag: &str| query(&format!("[%{{{tag}NEVRS}}\n]"));
    let written = |all: &[rpm::Dependency]| {
        all.iter()
            .map(|one| write_dependency(one) + "\n")
            .collect::<String>()
    };
    assert_eq!(written(&metadata.provides), dependencies("PROVIDE"));
    assert_eq!(written(&metadata.conflicts), dependencies("CONFLICT"));
    assert_eq!(written(&metadata.obsoletes), dependencies("OBSOLETE"));
    assert_eq!(written(&metadata.recommends), dependencies("RECOMMEND"));
    assert_eq!(written(&metadata.suggests), dependencies("SUGGEST"));
    assert_eq!(written(&metadata.supplements), dependencies("SUPPLEMENT"));
    assert_eq!(written(&metadata.enhances), dependencies("ENHANCE"));
    let required = dependencies("REQUIRE");
    let required: Vec<_> = required
        .lines()
        .filter(|line| !line.starts_with("rpmlib("))
        .collect();
    let requires: Vec<_> = metadata
        .requires
        .iter()
        .map(|one| write_dependency(&one.dependency))
        .collect();
    assert_eq!(requires, required);
    let early = |name: &str| {
        metadata
            .requires
            .iter()
            .any(|one| one.before_install && one.dependency.name == name)
    };
    assert!(early("shadow-utils") && !early("libc"));

    let names: String = metadata
        .paths
        .iter()
        .map(|path| format!("{}\n", path.path))
        .collect();
    // rpm prints bytes, and what is no UTF-8 becomes replacement characters in both.
    assert_eq!(names, query("[%{FILENAMES}\n]"));
    let kind = |name: &str| {
        metadata
            .paths
            .iter()
            .find(|path| path.path == name)
            .map(|path| path.kind)
    };
    assert_eq!(kind("/var/log/nasty.log"), Some(PathKind::Ghost));
    assert_eq!(kind("/opt/nasty"), Some(PathKind::Directory));
    assert_eq!(kind("/dev/nastynull"), Some(PathKind::File));
    let changes: Vec<_> = metadata
        .changes
        .iter()
        .map(|change| change.text.as_str())
        .collect();
    assert_eq!(changes, ["- second", "- first"]);
    assert_eq!(
        metadata.changes[1].time.to_string(),
        query("%{CHANGELOGTIME}").replace("1704196800", "1704110400")
    );
    assert!(metadata.changes[0].author.starts_with("Ann Example"));

    let bytes = fs::read(&package).unwrap();
    let header = &bytes[metadata.header.start as usize..metadata.header.end as usize];
    assert_eq!(
        format!("{:x}", HexDigest(&Sha256::digest(header))),
        query("%{SHA256HEADER}")
    );
}

struct HexDigest<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexDigest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn write_dependency(dependency: &rpm::Dependency) -> String {
    let Some((comparison, evr)) = &dependency.versions else {
        return dependency.name.clone();
    };
    let comparison = match comparison {
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Equal => "=",
        Comparison::GreaterOrEqual => ">=",
        Comparison::Greater => ">",
    };
    let epoch = if evr.epoch == 0 {
        String::new()
    } else {
        format!("{}:", evr.epoch)
    };
    let release = evr
        .release
        .iter()
        .map(|release| format!("-{release}"))
        .collect::<String>();
    format!(
        "{} {comparison} {epoch}{}{release}",
        dependency.name, evr.version
    )
}
