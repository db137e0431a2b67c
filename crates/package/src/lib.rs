//! Packages: who they are, which is newer, and an rpm as a tar.
//!
//! Nothing here is asynchronous and nothing knows of directories: packages are read from anything that can be read,
//! and written to anything that can be written to. All that is read is hostile.

mod architecture;
pub mod build;
mod compression;
pub mod deb;
mod gzip;
mod identity;
mod kind;
mod name;
pub mod rpm;
pub mod tar;
mod version;

pub use architecture::{Architecture, PackageArchitecture, PackageArchitectureError};
pub use identity::Identity;
pub use kind::Kind;
pub use name::{PackageName, PackageNameError};
pub use version::{Version, VersionError};
