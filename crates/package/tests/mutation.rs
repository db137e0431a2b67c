//! Packages with bytes that are not what they were: whatever they are, there is a tar or an error, in bounded memory.
//!
//! Each round is made of a seed, which a failure names. All rounds, in a few minutes:
//! `PILOTLIGHT_MUTATIONS=100000 cargo test --release -p package --test mutation`
#![allow(clippy::unwrap_used)]

mod forge;
mod rpms;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{env, fs, io};

use forge::{Format, Rpm, directory, file, rpm, symlink};
use package::rpm::{Limits, metadata, read, to_tar};
use package::tar;
use rpms::{PAYLOADS, build, can_run};

/// As many as an ordinary run of the tests has time for.
const MUTATIONS: u64 = 3_000;

/// The packages here are small: what bzip2 always takes, 3.6 MB, is the most that is asked for at once, unless somebody
/// believes a length.
const LARGEST_ALLOCATION: usize = 4_000_000;

/// Remembers the largest allocation of each thread.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: it hands everything on to the system's allocator, and only looks at sizes.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: what this function was promised is what the other asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system's allocator, as all do here.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// A small generator of numbers (SplitMix64): the same seed gives the same mutation everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A few bytes changed, mostly in the headers; or the end cut off.
fn mutate(package: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = package.to_vec();
    let headers = bytes.len().min(8 << 10);
    for _ in 0..=random.below(8) {
        let position = match random.below(4) {
            0 => random.below(bytes.len()),
            _ => random.below(headers),
        };
        bytes[position] = match random.below(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[position] ^ (1 << random.below(8)),
            _ => random.next() as u8,
        };
    }
    if random.below(16) == 0 {
        bytes.truncate(random.below(package.len()));
    }
    bytes
}

/// What rpmbuild makes, if it is there, and what is made here.
fn packages() -> Vec<Vec<u8>> {
    let files = [
        directory("/opt"),
        file("/opt/a", "content"),
        symlink("/opt/link", "a"),
        forge::File {
            inode: 3,
            capabilities: "cap_net_raw=ep".to_owned(),
            ..file("/lib/b", "b")
        },
        directory("/lib/c"),
        directory("/usr/lib/c"),
    ];
    let formats = [Format::V3, Format::V4, Format::V6];
    let forged = formats.map(|format| Rpm {
        format,
        ..rpm(files.clone())
    });
    let mut packages: Vec<_> = forged.iter().map(Rpm::bytes).collect();
    // Without digests of the header, damage to it comes further.
    packages.push(without_header_digests(packages[1].clone()));
    if can_run("changes to the packages of rpmbuild", &["rpmbuild"]) {
        let work = tempfile::tempdir().unwrap();
        for payload in PAYLOADS {
            packages.push(fs::read(build("small", payload, work.path())).unwrap());
        }
        let real = packages[packages.len() - PAYLOADS.len()..].to_vec();
        packages.extend(real.into_iter().map(without_header_digests));
    }
    packages
}

/// Renames the tags of all digests in the signature.
fn without_header_digests(mut package: Vec<u8>) -> Vec<u8> {
    for entry in package[112..].chunks_exact_mut(16).take(12) {
        if [[0, 0, 1, 13], [0, 0, 1, 17], [0, 0, 3, 236]].contains(&entry[..4].try_into().unwrap())
        {
            entry[..4].copy_from_slice(&[0, 0, 0x7f, 0]);
        }
    }
    package
}

#[test]
fn no_change_of_bytes_panics_or_takes_all_memory() {
    let rounds =
        env::var("PILOTLIGHT_MUTATIONS").map_or(MUTATIONS, |rounds| rounds.parse().unwrap());
    let packages = packages();
    let mut converted = 0;
    for package in &packages {
        let limits = Limits::default();
        to_tar(Cursor::new(package), [0; 32], io::sink(), limits, 1).unwrap();
    }
    let limits = Limits {
        unpacked: 16 << 20,
        ..Limits::default()
    };
    for seed in 0..rounds {
        let bytes = mutate(&packages[seed as usize % packages.len()], seed);
        LARGEST.set(0);
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let _ = read(Cursor::new(&bytes));
            let _ = metadata(Cursor::new(&bytes));
            to_tar(Cursor::new(&bytes), [0; 32], io::sink(), limits, 1).is_ok()
        }));
        let Ok(is_converted) = tried else {
            panic!("seed {seed} panics");
        };
        converted += u64::from(is_converted);
        let largest = LARGEST.get();
        assert!(
            largest <= LARGEST_ALLOCATION,
            "seed {seed} asks for {largest} bytes"
        );
    }
    // Not everything is refused for want of a first byte, and changes to what nothing is said of are none.
    assert!(
        converted > 0 && converted < rounds,
        "{converted} of {rounds}"
    );
}

#[test]
fn no_change_of_bytes_of_a_tar_panics() {
    let rounds =
        env::var("PILOTLIGHT_MUTATIONS").map_or(MUTATIONS, |rounds| rounds.parse().unwrap());
    let mut packed = Vec::new();
    let package = rpm([
        directory("/opt"),
        file(&format!("/opt/{}", "n".repeat(200)), "content"),
    ]);
    to_tar(
        Cursor::new(package.bytes()),
        [0; 32],
        &mut packed,
        Limits::default(),
        1,
    )
    .unwrap();
    let mut plain = Vec::new();
    io::copy(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    for seed in 0..rounds {
        let original = [&packed, &plain, &zstd][seed as usize % 3];
        let bytes = mutate(original, seed);
        let tried = catch_unwind(AssertUnwindSafe(|| {
            tar::read(&bytes[..], "name-1.tar").is_ok()
        }));
        assert!(tried.is_ok(), "seed {seed} panics");
    }
    assert!(tar::read(&plain[..], "name-1.tar").is_ok());
}
