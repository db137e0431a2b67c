//! The digests that rpms carry.

use std::fmt;
use std::io::{self, Read};

use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_256, Sha3_512};

use super::RpmError;

/// How a digest is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-512.
    Sha3_512,
}

impl Algorithm {
    /// By OpenPGP's numbers, which rpm uses.
    pub(super) fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Md5,
            2 => Self::Sha1,
            8 => Self::Sha256,
            9 => Self::Sha384,
            10 => Self::Sha512,
            11 => Self::Sha224,
            12 => Self::Sha3_256,
            14 => Self::Sha3_512,
            _ => return None,
        })
    }

    fn begin(self) -> Box<dyn DynDigest + Send> {
        match self {
            Self::Md5 => Box::new(Md5::default()),
            Self::Sha1 => Box::new(Sha1::default()),
            Self::Sha224 => Box::new(Sha224::default()),
            Self::Sha256 => Box::new(Sha256::default()),
            Self::Sha384 => Box::new(Sha384::default()),
            Self::Sha512 => Box::new(Sha512::default()),
            Self::Sha3_256 => Box::new(Sha3_256::default()),
            Self::Sha3_512 => Box::new(Sha3_512::default()),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Sha3_256 => "SHA3-256",
            Self::Sha3_512 => "SHA3-512",
        })
    }
}

/// What digests of the same bytes must be.
#[derive(Default)]
pub(super) struct Digests(Vec<Digest>);

struct Digest {
    algorithm: Algorithm,
    state: Box<dyn DynDigest + Send>,
    expected: Vec<u8>,
}

impl Digests {
    pub(super) fn expect(
        &mut self,
        algorithm: Algorithm,
        digest: &[u8],
    ) -> Result<(), &'static str> {
        let state = algorithm.begin();
        if digest.len() != state.output_size() {
            return Err("a digest of the wrong length");
        }
        self.0.push(Digest {
            algorithm,
            state,
            expected: digest.to_vec(),
        });
        Ok(())
    }

    pub(super) fn expect_hex(
        &mut self,
        algorithm: Algorithm,
        hex: &[u8],
    ) -> Result<(), &'static str> {
        self.expect(
            algorithm,
            &from_hex(hex).ok_or("a digest that is not hexadecimal")?,
        )
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for digest in &mut self.0 {
            digest.state.update(bytes);
        }
    }

    pub(super) fn verify(self, what: impl Fn() -> String) -> Result<(), RpmError> {
        for digest in self.0 {
            if *digest.state.finalize() != *digest.expected {
                return Err(RpmError::Mismatch {
                    what: what(),
                    algorithm: digest.algorithm,
                });
            }
        }
        Ok(())
    }
}

/// Bytes on their way, which digests are made of.
pub(super) struct Digesting<R> {
    inner: R,
    digests: Digests,
}

impl<R> Digesting<R> {
    pub(super) fn new(inner: R, digests: Digests) -> Self {
        Self { inner, digests }
    }

    /// What they must be, of all that was read.
    pub(super) fn into_digests(self) -> Digests {
        self.digests
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digests.update(&buffer[..count]);
        Ok(count)
    }
}

fn from_hex(hex: &[u8]) -> Option<Vec<u8>> {
    let digit = |&digit: &u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    };
    hex.chunks(2).map(byte).collect()
}
