//! Passwords: from a file, from standard input, or typed unseen. Never from an argument, which others can read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::Error;

/// Bytes of a password at most: what is longer is no password file.
const LONGEST: u64 = 4096;

/// The first line of `file` (`-` is standard input); without one, what is typed on the terminal, or else the first line
/// of standard input.
///
/// # Errors
/// [`Error::File`] or [`Error::Terminal`] when it cannot be read, [`Error::Usage`] when it is empty.
pub(crate) fn read(file: Option<&Path>, prompt: &str) -> Result<String, Error> {
    let line = match file {
        Some(file) if file != Path::new("-") => {
            let opened = File::open(file);
            let line = opened.and_then(|file| first_line(&mut BufReader::new(file)));
            line.map_err(|error| Error::file("read", file, error))?
        }
        None if io::stdin().is_terminal() => ask(prompt).map_err(unreadable)?,
        _ => first_line(&mut io::stdin().lock()).map_err(unreadable)?,
    };
    match line.lines().next() {
        None | Some("") => Err(Error::Usage("the password is empty".to_owned())),
        Some(password) => Ok(password.to_owned()),
    }
}

/// As [`read`], but a typed password must be typed twice.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_new(file: Option<&Path>, whose: &str) -> Result<String, Error> {
    let password = read(file, &format!("New password of {whose}: "))?;
    if file.is_none() && io::stdin().is_terminal() && read(None, "Again: ")? != password {
        return Err(Error::Usage("the two passwords differ".to_owned()));
    }
    Ok(password)
}

fn first_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    let length = from.take(LONGEST + 1).read_line(&mut line)?;
    if length as u64 > LONGEST {
        let why = format!("its first line is longer than {LONGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(line)
}

fn unreadable(source: io::Error) -> Error {
    Error::Terminal {
        action: "read the password",
        source,
    }
}

fn ask(prompt: &str) -> io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(prompt.as_bytes())?;
    let mut line = String::new();
    {
        let _unseen = Unseen::on(&terminal)?;
        BufReader::new(&terminal).read_line(&mut line)?;
    }
    terminal.write_all(b"\n")?;
    Ok(line)
}

/// Keeps a terminal from showing what is typed.
struct Unseen<'a> {
    terminal: &'a std::fs::File,
    before: Termios,
}

impl<'a> Unseen<'a> {
    fn on(terminal: &'a std::fs::File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &unseen)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that has gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn from_file(content: &str) -> Result<String, Error> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, content).unwrap();
        read(Some(&file), "")
    }

    #[test]
    fn a_file_gives_its_first_line() {
        assert_eq!(from_file("s3 cret \n").unwrap(), "s3 cret ");
        assert_eq!(from_file("s3cret").unwrap(), "s3cret");
        assert_eq!(from_file("s3cret\r\nnext\n").unwrap(), "s3cret");
    }

    #[test]
    fn what_never_ends_is_refused() {
        let error = read(Some(Path::new("/dev/zero")), "").unwrap_err();
        assert!(error.to_string().contains("longer than 4096"), "{error}");
    }

    #[test]
    fn no_password_is_refused() {
        assert!(matches!(from_file(""), Err(Error::Usage(_))));
        assert!(matches!(from_file("\n"), Err(Error::Usage(_))));
        assert!(matches!(
            read(Some(Path::new("/nonexistent/x")), ""),
            Err(Error::File { .. })
        ));
    }
}
