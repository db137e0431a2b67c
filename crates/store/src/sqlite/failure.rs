//! What SQLite reports, as what it means to us.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::StoreError;

/// A failure of SQLite while `doing` (a verb) something with the database at `path`.
pub(super) fn failure(doing: &'static str, path: &Path, error: &Error) -> StoreError {
    let code = error.sqlite_error_code();
    let damaged = match error {
        Error::SqliteFailure(ffi::Error { extended_code, .. }, _) => {
            // A mistake in SQL: but ours never changes, so the tables are not the ones we made.
            *extended_code == ffi::SQLITE_ERROR
                || matches!(
                    code,
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                )
        }
        // Likewise where a row does not fit.
        Error::SqlInputError { .. }
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => true,
        _ => false,
    };
    if damaged {
        return StoreError::Damaged {
            path: path.to_owned(),
            what: describe(error),
        };
    }
    let why = if code == Some(ErrorCode::DiskFull) {
        "the disk is full; it works again once there is space".to_owned()
    } else {
        describe(error)
    };
    StoreError::Unavailable {
        doing,
        place: path.display().to_string(),
        why,
    }
}

/// SQLite's message, with the extended code that tells what kind of I/O failed.
fn describe(error: &Error) -> String {
    match error {
        Error::SqliteFailure(code, Some(message)) => format!("{message} ({code})"),
        Error::FromSqlConversionFailure(_, _, cause) => cause.to_string(),
        _ => error.to_string(),
    }
}

/// A failure of the file system while `doing` (a verb) something with `path`.
pub(super) fn io_failure(doing: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable {
        doing,
        place: path.display().to_string(),
        why: error.to_string(),
    }
}
