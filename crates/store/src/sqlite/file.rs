//! The database as a file: made, opened, copied.
//!
//! No file that SQLite may have open is ever opened by other means in this process: closing it would drop SQLite's
//! locks on it (a rule of POSIX record locks).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::{Revision, Transaction};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::failure::{failure, io_failure};
use super::records::{self, Verdict};
use super::role::Role;
use super::schema;
use crate::StoreError;

/// How a SQLite database begins (SQLite's "Database File Format", section 1.2).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes in the header that begins so.
const HEADER: usize = 100;

/// What the name of a file ends with until it is whole.
const DRAFT: &str = "-draft";

/// The header of the file, or what there is of it.
fn header(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    File::open(path)?
        .take(HEADER as u64)
        .read_to_end(&mut header)?;
    Ok(header)
}

/// Makes a new database that holds what `first` writes.
pub(super) fn create(path: &Path, role: Role, first: &Transaction) -> Result<(), StoreError> {
    if exists(path)? {
        return Err(StoreError::AlreadyExists {
            path: path.to_owned(),
        });
    }
    refuse_orphaned_log(path)?;
    let draft = beside(path, DRAFT);
    let made = write_draft(&draft, |connection| {
        build(connection, role, first).map_err(|error| failure("write", &draft, &error))?
    });
    finish(made, &draft, path)
}

fn build(
    connection: &mut Connection,
    role: Role,
    first: &Transaction,
) -> rusqlite::Result<Result<(), StoreError>> {
    schema::lay_out(connection)?;
    let transaction = connection.transaction()?;
    if let Verdict::Refused(error) = records::apply(&transaction, first, Revision(1))? {
        return Ok(Err(error));
    }
    role.write(&transaction)?;
    transaction.commit()?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    Ok(Ok(()))
}

/// Opens the database at `path` for writing, if it is one of ours and sound.
pub(super) fn open(path: &Path) -> Result<(Connection, Role), StoreError> {
    let damaged = |what: &str| StoreError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    match header(path) {
        Ok(header) if header.len() == HEADER && header.starts_with(MAGIC) => {
            if !ends_with_a_page(path, &header)? {
                return Err(damaged("the file is cut off"));
            }
        }
        // SQLite would take some of these for a new database, and throw away a log that may hold all there is.
        Ok(header) if header.is_empty() => return Err(damaged("the file is empty")),
        Ok(header) if header.starts_with(MAGIC) || MAGIC.starts_with(&header) => {
            return Err(damaged("the file is cut off"));
        }
        Ok(_) => return Err(damaged("it is not a SQLite database")),
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            return Err(damaged("it is a directory"));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            refuse_orphaned_log(path)?;
            return Err(StoreError::Missing {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(io_failure("open", path, &error)),
    }
    let failed = |error: rusqlite::Error| failure("open", path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let number = |pragma: &str| -> Result<i32, StoreError> {
        connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(failed)
    };
    let application_id = number("application_id")?;
    if application_id != schema::APPLICATION_ID {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
            application_id,
        });
    }
    let version = number("user_version")?;
    if version > schema::VERSION {
        return Err(StoreError::TooNew {
            path: path.to_owned(),
            found: version,
            known: schema::VERSION,
        });
    }
    schema::make_durable(&connection).map_err(failed)?;
    if version < schema::VERSION {
        schema::upgrade(&mut connection).map_err(failed)?;
    }
    let role = Role::read(&connection).map_err(failed)?;
    Ok((connection, role))
}

/// Checks the structure of every page of the open database; what is stored in them is proved by the checksums as it is
/// read.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failure("read", path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let verdict: String = Connection::open_with_flags(path, flags)
        .map_err(failed)?
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(failed)?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Damaged {
            path: path.to_owned(),
            what: verdict,
        }),
    }
}

/// Copies the open database `from` into the new file `to`.
pub(super) fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    // Holds the name, so that nothing is overwritten by the rename.
    match new_file(to) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(StoreError::AlreadyExists {
                path: to.to_owned(),
            });
        }
        Err(error) => return Err(io_failure("create", to, &error)),
    }
    let draft = beside(to, DRAFT);
    let copied = write_draft(&draft, |copy| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(from, flags)
            .map_err(|error| failure("read", from, &error))?;
        // All pages in one step: one read transaction, hence one moment.
        let step = Backup::new(&source, copy)
            .and_then(|backup| backup.step(-1))
            .map_err(|error| failure("write", &draft, &error))?;
        match step {
            StepResult::Done => Ok(()),
            unfinished => Err(StoreError::Unavailable {
                doing: "read",
                place: from.display().to_string(),
                why: format!("the copy did not finish ({unfinished:?})"),
            }),
        }
    });
    let result = finish(copied, &draft, to);
    if result.is_err() {
        let _ = fs::remove_file(to);
    }
    result
}

/// Writes a new database file `draft` by `write`, and makes it durable.
fn write_draft(
    draft: &Path,
    write: impl FnOnce(&mut Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // One left by an attempt that was cut short.
    remove(draft)?;
    new_file(draft).map_err(|error| io_failure("create", draft, &error))?;
    let failed = |error: rusqlite::Error| failure("write", draft, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(draft, flags).map_err(failed)?;
    // A draft is thrown away if anything goes wrong, and synced once at the end.
    connection
        .pragma_update(None, "journal_mode", "MEMORY")
        .map_err(failed)?;
    connection
        .pragma_update(None, "synchronous", "OFF")
        .map_err(failed)?;
    write(&mut connection)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    File::open(draft)
        .and_then(|file| file.sync_all())
        .map_err(|error| io_failure("sync", draft, &error))
}

/// Gives a written draft its name, durably; removes a failed one.
fn finish(written: Result<(), StoreError>, draft: &Path, path: &Path) -> Result<(), StoreError> {
    let result = written.and_then(|()| {
        fs::rename(draft, path)
            .and_then(|()| File::open(directory_of(path))?.sync_all())
            .map_err(|error| io_failure("create", path, &error))
    });
    if result.is_err() {
        let _ = fs::remove_file(draft);
    }
    result
}

/// Whether the file is whole pages. SQLite reads a page that is cut off as if zeros followed. One may be left by a crash,
/// but then the log has it whole.
fn ends_with_a_page(path: &Path, header: &[u8]) -> Result<bool, StoreError> {
    // Big-endian; 1 stands for 65536 ("Database File Format", section 1.3.2).
    let page_size = match u64::from(header[16]) << 8 | u64::from(header[17]) {
        1 => 65_536,
        size => size,
    };
    let length = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(io_failure("open", path, &error)),
    };
    Ok(length(path)?.checked_rem(page_size) == Some(0) || length(&beside(path, "-wal"))? > 0)
}

/// A write-ahead log whose database is gone may hold what is wanted back, and SQLite would replay it into a new
/// database of the same name.
fn refuse_orphaned_log(path: &Path) -> Result<(), StoreError> {
    let wal = beside(path, "-wal");
    if exists(&wal)? {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            what: format!("it is missing, while its log {} is there", wal.display()),
        });
    }
    Ok(())
}

/// Creates a file that only its owner may read: the state holds password hashes.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_failure("open", path, &error)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io_failure("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// The path with `suffix` added to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
