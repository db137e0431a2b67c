//! etcd as a child of the head: its process and its members.
//!
//! [`start_first`] begins a new etcd of one member; [`become_member`] makes this head a member of one that is there, as
//! a learner until it has all data, so that the others never depend on it before; [`start_member`] starts a member again.
//! What they return is the [`Process`], supervised until it is stopped or dropped. [`Members`] asks and changes who
//! belongs to etcd.

mod directory;
mod entry;
mod launch;
mod log_line;
mod members;
mod membership;
mod process;
mod program;
mod progress;
mod quorum;

pub use directory::DirectoryError;
pub use launch::{MAX_REQUEST_BYTES, MAX_TXN_OPS};
pub use log_line::Hopeless;
pub use members::{Member, MemberStatus, Members, MembersError};
pub use membership::{MembershipError, become_member, forget, start_first, start_member};
pub use process::{Process, ProcessState};
pub use program::{Program, ProgramError};
pub use quorum::{WouldLoseQuorum, may_remove};
