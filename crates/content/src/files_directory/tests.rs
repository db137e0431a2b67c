#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use super::*;

/// A directory `files` with `a`, `sub/b`, and a `secret` beside it.
fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let files = home.path().join("files");
    fs::create_dir_all(files.join("sub")).unwrap();
    fs::write(home.path().join("secret"), "secret").unwrap();
    fs::write(files.join("a"), "a").unwrap();
    fs::write(files.join("sub/b"), "b").unwrap();
    (home, files)
}

/// Takes a state for proof at once, as if all files were old.
fn trusting(path: &Path) -> FilesDirectory {
    FilesDirectory {
        settling: Duration::ZERO,
        ..FilesDirectory::open(path).unwrap()
    }
}

/// With links followed, and as on a kernel where they cannot be.
fn both(path: &Path) -> [FilesDirectory; 2] {
    let root = FileRoot::open_without_openat2(path).unwrap();
    let directory = root.open_directory("").unwrap();
    [
        FilesDirectory::open(path).unwrap(),
        FilesDirectory::new(root, String::new(), directory),
    ]
}

fn outcome(read: Result<Vec<u8>, LocalError>) -> String {
    match read {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(LocalError::Outside(_)) => "outside".to_owned(),
        Err(LocalError::Unreadable { reason, .. }) => reason,
        Err(error) => format!("{error:?}"),
    }
}

/// The entries of a tree in the form `b -x`, sorted.
fn entries(files: &FilesDirectory, name: &str) -> Result<Vec<String>, LocalError> {
    let entries = files.tree(name)?.into_iter().map(|entry| {
        let kind = match entry.kind {
            TreeEntryKind::File { executable: true } => "-x".to_owned(),
            TreeEntryKind::File { executable: false } => "-".to_owned(),
            TreeEntryKind::Directory => "d".to_owned(),
            TreeEntryKind::Symlink { target } => format!("-> {target}"),
            TreeEntryKind::Other => "?".to_owned(),
        };
        format!("{} {kind}", entry.name)
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    Ok(entries)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Returns when the file system's clock has moved on, so that a change now has another time than one before.
fn tick(home: &Path) {
    let written = || {
        fs::write(home.join("clock"), "").unwrap();
        fs::metadata(home.join("clock"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let first = written();
    while written() == first {}
}

#[test]
fn no_name_leaves_the_directory_or_opens_what_is_no_file() {
    let (home, files) = home();
    for (link, target) in [
        ("link", "a"),
        ("linked", "sub"),
        ("sub/up", "../a"),
        ("out", "../secret"),
        ("outdir", ".."),
        ("roundabout", "../files/a"),
        ("absolute", "/etc/passwd"),
        ("loop", "loop"),
        ("dangling", "nothing"),
    ] {
        symlink(target, files.join(link)).unwrap();
    }
    mkfifoat(CWD, files.join("fifo"), Mode::RWXU).unwrap();
    let _listener = UnixListener::bind(files.join("socket")).unwrap();
    fs::write(files.join("back\\slash"), "odd").unwrap();
    fs::write(files.join("empty"), "").unwrap();
    let gone = format!("it is not in {}", files.display());
    let link = "there is a symbolic link that is not followed";

    // Name; outcome with openat2; outcome without.
    let table = [
        ("a", "a", "a"),
        ("sub/b", "b", "b"),
        ("back\\slash", "odd", "odd"),
        ("empty", "", ""),
        ("link", "a", link),
        ("linked/b", "b", link),
        ("sub/up", "a", link),
        ("out", "outside", link),
        ("outdir/secret", "outside", link),
        ("outdir/files/a", "outside", link),
        ("roundabout", "outside", link),
        ("absolute", "outside", link),
        ("..", "outside", "outside"),
        ("../secret", "outside", "outside"),
        ("sub/../../secret", "outside", "outside"),
        ("./a", "outside", "outside"),
        ("/etc/passwd", "outside", "outside"),
        ("loop", link, link),
        ("dangling", &gone, link),
        ("nothing", &gone, &gone),
        ("a/x", &gone, &gone),
        (
            "sub",
            "it is a directory, not a regular file",
            "it is a directory, not a regular file",
        ),
        (
            "",
            "it is a directory, not a regular file",
            "it is a directory, not a regular file",
        ),
        (
            "fifo",
            "it is a FIFO, not a regular file",
            "it is a FIFO, not a regular file",
        ),
        (
            "socket",
            "it is a socket, not a regular file",
            "it is a socket, not a regular file",
        ),
    ];
    let [with_openat2, without] = both(&files);
    for (name, expected, expected_without) in table {
        assert_eq!(outcome(with_openat2.read(name)), expected, "{name}");
        assert_eq!(
            outcome(without.read(name)),
            expected_without,
            "{name}, no openat2"
        );
    }
    for name in [
        "out",
        "outdir",
        "..",
        "/",
        "/etc",
        "absolute",
        "outdir/files",
    ] {
        for files in [&with_openat2, &without] {
            assert!(files.tree(name).is_err(), "{name}");
        }
    }
    drop(home);
}

#[test]
fn a_tree_has_everything_in_it_and_follows_no_link() {
    let (_home, files) = home();
    let tree = files.join("tree");
    fs::create_dir_all(tree.join("etc/empty")).unwrap();
    for (file, mode) in [
        ("run", 0o700),
        ("any", 0o601),
        ("text", 0o644),
        ("etc/.hidden", 0o600),
    ] {
        fs::write(tree.join(file), "").unwrap();
        set_mode(&tree.join(file), mode);
    }
    fs::write(tree.join(".pilotlight-upload-1"), "hal").unwrap();
    symlink("../../secret", tree.join("out")).unwrap();
    symlink("etc", tree.join("dir")).unwrap();
    symlink("nothing", tree.join("etc/dangling")).unwrap();
    symlink("tree", files.join("link")).unwrap();
    symlink("a", files.join("link-to-file")).unwrap();
    mkfifoat(CWD, tree.join("fifo"), Mode::RWXU).unwrap();
    let [with_openat2, without] = both(&files);
    for files in [&with_openat2, &without] {
        assert_eq!(
            entries(files, "tree").unwrap(),
            [
                "any -x",
                "dir -> etc",
                "etc d",
                "etc/.hidden -",
                "etc/dangling -> nothing",
                "etc/empty d",
                "fifo ?",
                "out -> ../../secret",
                "run -x",
                "text -",
            ]
        );
        assert_eq!(entries(files, "tree/etc/empty").unwrap(), [""; 0]);
        for (name, reason) in [("a", "not a directory"), ("nothing", "it is not in /")] {
            let error = files.tree(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
    assert_eq!(entries(&with_openat2, "link").unwrap(), [" -> tree"]);
    assert_eq!(entries(&with_openat2, "link/etc/empty").unwrap(), [""; 0]);
    assert!(with_openat2.tree("link-to-file").is_err());
    assert_eq!(entries(&with_openat2, "sub").unwrap(), ["b -"]);
    assert!(
        entries(&with_openat2, "")
            .unwrap()
            .contains(&"sub/b -".to_owned())
    );
}

#[test]
fn what_a_config_cannot_name_is_refused() {
    let (_home, files) = home();
    fs::write(
        files
            .join("sub")
            .join(std::ffi::OsStr::from_bytes(b"caf\xe9")),
        "",
    )
    .unwrap();
    let error = FilesDirectory::open(&files)
        .unwrap()
        .tree("sub")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read sub: \"caf\\xe9\" is not UTF-8"
    );
}

#[test]
fn sizes_are_bounded() {
    let (_home, path) = home();
    let files = FilesDirectory::open(&path).unwrap();
    let large = File::create(path.join("large")).unwrap();
    large.set_len(MAX_BOOT_FILE).unwrap();
    for _ in 0..MAX_READ / MAX_BOOT_FILE {
        assert_eq!(files.read("large").unwrap().len() as u64, MAX_BOOT_FILE);
    }
    assert_eq!(files.read("a"), Err(LocalError::TooLarge("a".to_owned())));
    large.set_len(MAX_BOOT_FILE + 1).unwrap();
    let files = FilesDirectory::open(&path).unwrap();
    assert_eq!(outcome(files.read("large")), "it has more than 16 MiB");

    let deepest = "d/".repeat(MAX_DEPTH);
    fs::create_dir_all(path.join("deep").join(&deepest)).unwrap();
    assert_eq!(files.tree("deep").unwrap().len(), MAX_DEPTH);
    fs::write(path.join("deep").join(&deepest).join("x"), "").unwrap();
    assert!(files.tree("deep").is_err());

    let files = FilesDirectory::open(&path).unwrap();
    files.entries_left.set(2);
    files.tree("sub").unwrap();
    files.tree("sub").unwrap();
    let error = files.tree("sub").unwrap_err().to_string();
    assert!(error.contains("more than 10000 entries"), "{error}");
}

/// What is done to a files directory.
type Change = fn(&Path);

#[test]
fn whatever_was_looked_at_is_seen_to_change() {
    let look: fn(&FilesDirectory) = |files| {
        files.read("a").unwrap();
        files.read("link").unwrap();
        files.read("gone").unwrap_err();
        files.read("out").unwrap_err();
        files.tree("sub").unwrap();
        files.tree("linked").unwrap();
    };
    let changes: &[(&str, Change)] = &[
        ("written", |files| {
            fs::write(files.join("a"), "longer").unwrap();
        }),
        ("written with equal length", |files| {
            fs::write(files.join("a"), "z").unwrap();
        }),
        ("deleted", |files| fs::remove_file(files.join("a")).unwrap()),
        ("made", |files| fs::write(files.join("gone"), "").unwrap()),
        ("replaced", |files| {
            fs::write(files.join("next"), "a").unwrap();
            fs::rename(files.join("next"), files.join("a")).unwrap();
        }),
        ("link switched", |files| {
            fs::remove_file(files.join("link")).unwrap();
            symlink("sub/b", files.join("link")).unwrap();
        }),
        ("link to the same elsewhere", |files| {
            fs::remove_file(files.join("linked")).unwrap();
            symlink("./sub", files.join("linked")).unwrap();
        }),
        ("link mended", |files| {
            fs::remove_file(files.join("out")).unwrap();
            symlink("a", files.join("out")).unwrap();
        }),
        ("added to a tree", |files| {
            fs::write(files.join("sub/c"), "").unwrap();
        }),
        ("removed from a tree", |files| {
            fs::remove_file(files.join("sub/b")).unwrap();
        }),
        ("added deep in a tree", |files| {
            fs::create_dir(files.join("sub/deep/er")).unwrap();
        }),
        ("written in a tree", |files| {
            fs::write(files.join("sub/b"), "c").unwrap();
        }),
        ("made executable in a tree", |files| {
            set_mode(&files.join("sub/b"), 0o755);
        }),
        ("gone as a whole", |files| {
            fs::remove_dir_all(files).unwrap();
        }),
        ("replaced as a whole", |files| {
            fs::rename(files, files.with_extension("old")).unwrap();
            symlink("files.old", files).unwrap();
            fs::write(files.join("a"), "other").unwrap();
        }),
    ];
    for (what, change) in changes {
        let (home, path) = home();
        fs::create_dir(path.join("sub/deep")).unwrap();
        symlink("a", path.join("link")).unwrap();
        symlink("sub", path.join("linked")).unwrap();
        symlink("../secret", path.join("out")).unwrap();
        tick(home.path());
        let files = trusting(&path);
        look(&files);
        let seen = files.into_seen();
        assert!(seen.is_unchanged(), "before it was {what}");
        tick(home.path());
        fs::write(home.path().join("secret"), "beside it").unwrap();
        assert!(seen.is_unchanged(), "before it was {what}");
        change(&path);
        assert!(!seen.is_unchanged(), "{what}");
    }
}

#[test]
fn what_was_not_looked_at_may_change() {
    let (home, path) = home();
    let files = trusting(&path);
    files.read("sub/b").unwrap();
    let seen = files.into_seen();
    tick(home.path());
    fs::write(path.join("a"), "longer").unwrap();
    fs::write(path.join("sub/c"), "").unwrap();
    assert!(seen.is_unchanged());
    let nothing = trusting(&path).into_seen();
    fs::remove_dir_all(&path).unwrap();
    assert!(nothing.is_unchanged());
}

#[test]
fn a_fresh_file_is_no_proof() {
    let (_home, path) = home();
    let looks: [fn(&FilesDirectory); 3] = [
        |files| drop(files.read("a").unwrap()),
        |files| drop(files.tree("sub").unwrap()),
        |files| drop(files.read("sub").unwrap_err()),
    ];
    for look in looks {
        let files = FilesDirectory::open(&path).unwrap();
        look(&files);
        assert!(!files.into_seen().is_unchanged());
    }
    let files = FilesDirectory::open(&path).unwrap();
    files.read("gone").unwrap_err();
    assert!(files.into_seen().is_unchanged());
}

#[test]
fn what_changes_under_a_translation_is_no_proof() {
    let (home, path) = home();
    let files = trusting(&path);
    files.read("gone").unwrap_err();
    fs::write(path.join("gone"), "back").unwrap();
    files.read("gone").unwrap();
    fs::remove_file(path.join("gone")).unwrap();
    assert!(!files.into_seen().is_unchanged());
    drop(home);
}

#[test]
fn a_file_that_is_replaced_is_read_whole() {
    let (home, path) = home();
    let version = |number: u32| format!("{number:08}\n").repeat(1000);
    let put = |number| {
        fs::write(home.path().join("next"), version(number)).unwrap();
        fs::rename(home.path().join("next"), path.join("a")).unwrap();
    };
    put(0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| (1..300).for_each(put));
        while !writer.is_finished() {
            // Replaced under every one of several readings, or between looking and opening.
            let Ok(bytes) = FilesDirectory::open(&path).unwrap().read("a") else {
                continue;
            };
            let number = str::from_utf8(&bytes[..8]).unwrap().parse().unwrap();
            assert_eq!(bytes, version(number).into_bytes(), "a mixture");
        }
    });
    let last = FilesDirectory::open(&path).unwrap().read("a").unwrap();
    assert_eq!(last, version(299).into_bytes());
}

#[test]
fn the_directory_beside_a_document_is_found_beneath_the_root_alone() {
    let (home, path) = home();
    fs::create_dir_all(home.path().join("rack1/files")).unwrap();
    fs::write(home.path().join("rack1/files/a"), "of rack1").unwrap();
    for rack in ["rack2", "rack3", "rack4", "rack5"] {
        fs::create_dir(home.path().join(rack)).unwrap();
    }
    symlink("../files", home.path().join("rack2/files")).unwrap();
    symlink("/etc", home.path().join("rack3/files")).unwrap();
    fs::write(home.path().join("rack4/files"), "no directory").unwrap();
    let root = FileRoot::open(home.path()).unwrap();
    let read = |document: &str| {
        let files = FilesDirectory::beside(&root, &document.parse().unwrap());
        let files = files.map_err(|error| error.to_string())?;
        Ok::<_, String>(files.map(|files| outcome(files.read("a"))))
    };
    assert_eq!(read("web.bu"), Ok(Some("a".to_owned())));
    assert_eq!(read("rack1/web.bu"), Ok(Some("of rack1".to_owned())));
    assert_eq!(read("rack2/web.bu"), Ok(Some("a".to_owned())));
    let refused = read("rack3/web.bu").unwrap_err();
    assert!(
        refused.contains("\"rack3/files\" leads out of"),
        "{refused}"
    );
    for without in ["rack4/web.bu", "rack5/web.bu"] {
        assert_eq!(read(without), Ok(None));
    }

    // Its own links are confined to it, not to the root.
    symlink("../secret", path.join("out")).unwrap();
    let files = FilesDirectory::beside(&root, &"web.bu".parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(outcome(files.read("out")), "outside");
}

#[test]
fn a_directory_that_was_missing_is_seen_to_come() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("rack1")).unwrap();
    let root = FileRoot::open(home.path()).unwrap();
    let seen = FilesDirectory::none_beside(&root, &"rack1/web.bu".parse().unwrap());
    assert!(seen.is_unchanged());
    fs::create_dir(home.path().join("rack1/files")).unwrap();
    assert!(!seen.is_unchanged());
}

#[test]
fn the_directory_at_a_path_is_opened_and_nothing_in_it_changed() {
    let (home, path) = home();
    fs::write(path.join(".pilotlight-upload-1"), "kept").unwrap();
    symlink("files", home.path().join("link")).unwrap();
    let files = FilesDirectory::open(&home.path().join("link")).unwrap();
    assert_eq!(files.read("a").unwrap(), b"a");
    assert!(path.join(".pilotlight-upload-1").exists());
    for (name, reason) in [("gone", "No such file"), ("secret", "Not a directory")] {
        let error = FilesDirectory::open(&home.path().join(name))
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
}
