//! [`Challenge`]: what a head asks of a machine that wants to join.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::Name;
use serde::{Deserialize, Serialize};

use super::{ProofKey, ProofKeyError, Refusal, proof::Transcript};

/// How long a challenge is good: hashing a password takes a slow machine some seconds, not minutes.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How many challenges are kept; beyond that the oldest is forgotten.
const KEPT: usize = 1000;

/// 32 random bytes that were never sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce(#[serde(with = "base64_text")] [u8; 32]);

/// What a head sends to whoever wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Good for one request.
    pub nonce: Nonce,
    /// How the password becomes the key of the proofs.
    pub password: PasswordHashing,
    /// Where the cluster's state is.
    pub engine: Engine,
    /// The version of Pilotlight that this head runs.
    pub version: String,
    /// The cluster's name.
    pub cluster: Name,
}

/// How argon2id (version 19, 32 bytes) hashes the cluster password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHashing {
    /// The salt.
    #[serde(with = "base64_text")]
    pub salt: Vec<u8>,
    /// How much memory it takes.
    pub memory_kib: u32,
    /// How often it goes over the memory.
    pub iterations: u32,
    /// How many lanes the memory has.
    pub lanes: u32,
}

/// Where a cluster's state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// In the own database of its only head; it moves to etcd when a second head joins.
    Sqlite,
    /// In etcd.
    Etcd,
}

impl Engine {
    /// Its name in configuration and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Etcd => "etcd",
        }
    }
}

impl Challenge {
    pub(super) fn write(&self, transcript: Transcript) -> Transcript {
        transcript
            .field(self.nonce.0)
            .field(&self.password.salt)
            .field(self.password.memory_kib.to_be_bytes())
            .field(self.password.iterations.to_be_bytes())
            .field(self.password.lanes.to_be_bytes())
            .field(self.engine.as_str())
            .field(&self.version)
            .field(self.cluster.as_str())
    }
}

/// The challenges that a head has sent and that nobody has answered yet.
#[derive(Debug, Default)]
pub struct Challenges {
    sent: Mutex<VecDeque<(Instant, Challenge)>>,
}

/// Why there is no challenge.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// The cluster password's hash is of no use.
    #[error(transparent)]
    Password(#[from] ProofKeyError),
    /// The system gave no random numbers.
    #[error("no random numbers for a challenge: {0}")]
    Random(getrandom::Error),
}

impl Challenges {
    /// A new challenge of a head that runs `version`, in a cluster with this password.
    ///
    /// # Errors
    /// The password's hash is not one that joining works with, or there are no random numbers.
    pub fn issue(
        &self,
        password: &model::PasswordHash,
        engine: Engine,
        version: &str,
        cluster: Name,
    ) -> Result<Challenge, ChallengeError> {
        let (_, hashing) = ProofKey::stored(password)?;
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(ChallengeError::Random)?;
        let challenge = Challenge {
            nonce: Nonce(nonce),
            password: hashing,
            engine,
            version: version.to_owned(),
            cluster,
        };
        self.keep(challenge.clone(), Instant::now());
        Ok(challenge)
    }

    fn keep(&self, challenge: Challenge, now: Instant) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() == KEPT {
            sent.pop_front();
        }
        sent.push_back((now, challenge));
    }

    /// The challenge with this nonce, which is not good again.
    pub(super) fn redeem(&self, nonce: &Nonce, now: Instant) -> Result<Challenge, Refusal> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|(at, _)| now.saturating_duration_since(*at) < GOOD_FOR);
        let place = sent
            .iter()
            .position(|(_, challenge)| challenge.nonce == *nonce);
        place
            .and_then(|place| sent.remove(place))
            .map(|(_, challenge)| challenge)
            .ok_or(Refusal::Stale)
    }
}

/// Bytes as base64 in JSON.
pub(super) mod base64_text {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(
        bytes: &impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D, B>(deserializer: D) -> Result<B, D::Error>
    where
        D: Deserializer<'de>,
        B: TryFrom<Vec<u8>>,
    {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        B::try_from(bytes).map_err(|_| D::Error::custom("these are not as many bytes as expected"))
    }
}
