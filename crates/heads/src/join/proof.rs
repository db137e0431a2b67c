//! [`Proof`]: what shows that its sender knows the cluster password.

use std::fmt;

use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHash as ParsedHash, Version};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::PasswordHashing;

/// How long the hash is, and the key that it makes.
const HASH_BYTES: usize = 32;
/// What may be asked of a machine that computes the hash, lest a false head make it do too much; or too little, which
/// would make the password easy to find from the proof.
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
const ITERATIONS: std::ops::RangeInclusive<u32> = 2..=16;
const LANES: std::ops::RangeInclusive<u32> = 1..=16;

/// HMAC-SHA256 over what it vouches for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof(#[serde(with = "super::challenge::base64_text")] [u8; 32]);

impl Proof {
    /// What stands in a message until its proof is made: a proof is not over itself.
    pub(super) const fn none() -> Self {
        Self([0; 32])
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(…)")
    }
}

/// The key of proofs: the argon2id hash of the cluster password.
pub struct ProofKey(hmac::Key);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ProofKeyError {
    /// The cluster's record is not a hash as this version makes them.
    #[error("the hash of the cluster password is not one that joining works with: {0}")]
    Stored(String),
    /// What the head asked for is out of all reason.
    #[error(
        "the head asks for a password hash with {0:?}, which no head of Pilotlight would; it may not be one"
    )]
    Unreasonable(PasswordHashing),
    /// There is not enough memory, or the password is too long.
    #[error("hashing the password failed: {0}")]
    Hashing(argon2::Error),
}

impl ProofKey {
    /// The key that is in the cluster's record of its password, and how others compute it.
    ///
    /// # Errors
    /// The record does not hold an argon2id hash of 32 bytes.
    pub fn stored(hash: &model::PasswordHash) -> Result<(Self, PasswordHashing), ProofKeyError> {
        let stored = |why: &dyn fmt::Display| ProofKeyError::Stored(why.to_string());
        let parsed = ParsedHash::new(&hash.0).map_err(|error| stored(&error))?;
        let params = Params::try_from(&parsed).map_err(|error| stored(&error))?;
        let (Some(salt), Some(output)) = (parsed.salt, parsed.hash) else {
            return Err(stored(&"it has no salt or no hash"));
        };
        let is_ours = parsed.algorithm == ARGON2ID_IDENT
            && parsed.version == Some(Version::V0x13.into())
            && output.len() == HASH_BYTES;
        if !is_ours {
            return Err(stored(&"it is not argon2id v19 with 32 bytes"));
        }
        let hashing = PasswordHashing {
            salt: salt.to_vec(),
            memory_kib: params.m_cost(),
            iterations: params.t_cost(),
            lanes: params.p_cost(),
        };
        Ok((Self::from_hash(output.as_bytes()), hashing))
    }

    /// Computes the key from the password. Takes tens of milliseconds and tens of megabytes.
    ///
    /// # Errors
    /// The parameters are none that a head would send, or there is not enough memory.
    pub fn derive(password: &str, hashing: &PasswordHashing) -> Result<Self, ProofKeyError> {
        let reasonable = MEMORY_KIB.contains(&hashing.memory_kib)
            && ITERATIONS.contains(&hashing.iterations)
            && LANES.contains(&hashing.lanes);
        if !reasonable {
            return Err(ProofKeyError::Unreasonable(hashing.clone()));
        }
        let params = Params::new(
            hashing.memory_kib,
            hashing.iterations,
            hashing.lanes,
            Some(HASH_BYTES),
        );
        let argon2 = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            params.map_err(ProofKeyError::Hashing)?,
        );
        let mut hash = [0; HASH_BYTES];
        argon2
            .hash_password_into(password.as_bytes(), &hashing.salt, &mut hash)
            .map_err(ProofKeyError::Hashing)?;
        Ok(Self::from_hash(&hash))
    }

    pub(super) fn from_hash(hash: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, hash))
    }

    /// Vouches for all that was written into the transcript.
    pub(super) fn prove(&self, transcript: &Transcript) -> Proof {
        let tag = hmac::sign(&self.0, &transcript.0);
        let mut proof = [0; 32];
        // An HMAC-SHA256 is 32 bytes long.
        proof.copy_from_slice(tag.as_ref());
        Proof(proof)
    }

    /// Whether the proof was made with this key, over this transcript; compared in constant time.
    pub(super) fn verify(&self, transcript: &Transcript, proof: &Proof) -> bool {
        hmac::verify(&self.0, &transcript.0, &proof.0).is_ok()
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(…)")
    }
}

/// What a proof is over: fields one after the other, each behind its length, so that no two lists of fields read alike.
pub(super) struct Transcript(Vec<u8>);

impl Transcript {
    /// Begins with what the proof is for, so that one can never pass for another.
    pub(super) fn new(purpose: &str) -> Self {
        Self(Vec::new()).field(purpose)
    }

    pub(super) fn field(mut self, field: impl AsRef<[u8]>) -> Self {
        let field = field.as_ref();
        self.0.extend((field.len() as u64).to_be_bytes());
        self.0.extend(field);
        self
    }

    /// So many fields, behind their number.
    pub(super) fn fields<F: AsRef<[u8]>>(self, fields: impl ExactSizeIterator<Item = F>) -> Self {
        let counted = self.field((fields.len() as u64).to_be_bytes());
        fields.fold(counted, Self::field)
    }
}
