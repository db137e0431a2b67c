//! The client packages, as they are copied, uploaded and asked for: made by rpmbuild, dpkg-deb and tar.
#![allow(clippy::unwrap_used)]

mod build;
mod conversions;
mod full_disk;
mod index;
mod log;
mod site;
mod storing;
