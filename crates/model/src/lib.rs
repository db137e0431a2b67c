//! What a cluster is: nodes, attribute groups, boot configurations, and the state that holds them. No I/O.

mod transaction;

pub use transaction::{Change, Expect, Key, Revision, Transaction};
