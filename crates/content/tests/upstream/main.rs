//! Fetching from real servers on loopback: nginx, `git daemon`, `git http-backend`, sshd, and, for what a sound server
//! would not do, sockets that answer as they are told.
#![allow(clippy::unwrap_used)]

mod forge;
mod git;
mod http;
mod keeping;
mod nginx;
mod process;
mod scripted;
mod site;
mod ssh;
