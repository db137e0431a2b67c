//! How a machine becomes a head: it shows that it knows the cluster password, and gets a certificate.
//!
//! 1. The head sends a [`Challenge`]: a nonce, and how the password is hashed.
//! 2. The machine sends a [`Request`]: who it wants to be, and a proof over that and over the challenge.
//! 3. The head sends an [`Admission`]: certificate, authority and where the others are, with a proof of its own.
//!
//! Both proofs are keyed with the password's argon2id hash, which never crosses; so the machine knows, too, that it was
//! a head of the right cluster that answered, and no certificate had to be trusted before there was one. Whoever listens
//! can try passwords on what was sent, as slowly as argon2id makes it.

mod applicant;
mod challenge;
mod proof;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

pub use applicant::{Applicant, JoinError, Wish};
pub use challenge::{Challenge, ChallengeError, Challenges, Engine, Nonce, PasswordHashing};
pub use proof::{Proof, ProofKey, ProofKeyError};
pub use refusal::Refusal;
pub use request::{Admission, Request, Verified};
