//! Writes an rpm as a tar to standard output: `rpm_to_tar PACKAGE.rpm [THREADS] >PACKAGE.tar.gz`

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::{env, thread};

use package::rpm::{self, Limits};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("which rpm?")?;
    let threads = match arguments.next() {
        Some(threads) => threads.parse()?,
        None => thread::available_parallelism()?.get(),
    };
    let mut package = File::open(&path)?;
    let mut sha256 = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match package.read(&mut piece)? {
            0 => break,
            count => sha256.update(&piece[..count]),
        }
    }
    let tar = io::stdout().lock();
    let limits = Limits::default();
    let rpm = rpm::to_tar(package, sha256.finalize().into(), tar, limits, threads)?;
    eprintln!("{}, not run: {:?}", rpm.identity, rpm.scriptlets);
    Ok(())
}
