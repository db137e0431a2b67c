//! Tokens: opaque, 256 random bits, kept only as their SHA-256.

use model::TokenHash;
use sha2::{Digest, Sha256};

/// A token as its owner sends it: 64 hex digits. It does not print.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self(
            bits.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    pub(crate) fn expose(self) -> String {
        self.0
    }

    pub(crate) fn hash(&self) -> TokenHash {
        hash(&self.0)
    }
}

/// What is kept of a token. Looking a token up by its hash tells a guesser nothing by its timing.
pub(crate) fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}
