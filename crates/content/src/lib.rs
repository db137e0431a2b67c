//! What is on disk: boot files, confined to their directory and parsed once per revision.
//!
//! [`FileRoot`] is the only way to the kickstarts directory: whatever name a client asks for, the kernel decides
//! that it stays inside. [`BootFiles`] keeps the files read, hashed and parsed, and asks the file system at every
//! request whether they are still those on disk. Everything here blocks, but for [`BootFiles::try_cached`],
//! [`packages`] and [`upstream`].

mod beneath;
mod boot_files;
mod digest;
mod edit;
mod error;
mod file_body;
mod file_id;
mod file_name;
mod file_root;
mod file_state;
mod files_directory;
mod listing;
mod open_file;
pub mod packages;
mod partial_file;
mod reading;
mod seen;
mod temporary;
pub mod upstream;
mod walk;
mod watch;
mod write_back;

pub use boot_files::{BootFile, BootFiles, MAX_BOOT_FILE};
pub use edit::{Precondition, Stored};
pub use error::ContentError;
pub use file_body::FileBody;
pub use file_id::{FileId, FileKind};
pub use file_name::{FileName, FileNameError, FileNameFault};
pub use file_root::FileRoot;
pub use file_state::{FileState, Hashed, Survey};
pub use files_directory::FilesDirectory;
pub use listing::FileEntry;
pub use model::Sha256Digest;
pub use open_file::OpenFile;
pub use partial_file::PartialFile;
pub use seen::Seen;
pub use watch::Watch;
pub use write_back::WriteBack;
