//! Where results go, and in which shape.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::error::Error;
use crate::table::{Table, printable};

/// Standard output, for people or for programs.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    /// Whether a person reads it on a terminal.
    terminal: bool,
    out: Box<dyn Write>,
}

impl Output {
    /// Standard output.
    pub(crate) fn to_stdout(json: bool, quiet: bool) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self {
            json,
            quiet,
            terminal,
            out: Box::new(stdout.lock()),
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// What was asked for: `data` as JSON, or the table made of it.
    pub(crate) fn show(
        &mut self,
        data: &Value,
        table: impl FnOnce(&Value) -> Table,
    ) -> Result<(), Error> {
        if self.json {
            self.json(data)
        } else {
            self.table(&table(data))
        }
    }

    /// `data` as JSON, in lines and indented on a terminal.
    pub(crate) fn json(&mut self, data: &Value) -> Result<(), Error> {
        let text = if self.terminal {
            format!("{data:#}\n")
        } else {
            format!("{data}\n")
        };
        self.bytes(text.as_bytes())
    }

    /// A table.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Error> {
        table
            .write(&mut self.out, self.terminal)
            .map_err(unwritable)?;
        self.out.flush().map_err(unwritable)
    }

    /// That something was done: `data` as JSON, `wanted` when quiet, else `sentence`.
    pub(crate) fn done(
        &mut self,
        data: &Value,
        wanted: Option<&str>,
        sentence: &str,
    ) -> Result<(), Error> {
        if self.json {
            return self.json(data);
        }
        match (self.quiet, wanted) {
            (false, _) => self.line(sentence),
            (true, Some(wanted)) => self.line(wanted),
            (true, None) => Ok(()),
        }
    }

    /// A remark for people.
    pub(crate) fn remark(&mut self, sentence: &str) -> Result<(), Error> {
        if self.json || self.quiet {
            return Ok(());
        }
        self.line(sentence)
    }

    /// A warning, on standard error.
    pub(crate) fn warn(&self, text: &str) {
        eprintln!("pilotlight: warning: {}", printable(text));
    }

    /// One line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Error> {
        self.bytes(format!("{}\n", printable(text)).as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(unwritable)?;
        self.out.flush().map_err(unwritable)
    }
}

fn unwritable(source: io::Error) -> Error {
    Error::Terminal {
        action: "write the result",
        source,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::mpsc;

    /// Hands what is written to the test.
    struct Written(mpsc::Sender<Vec<u8>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(json: bool, quiet: bool, terminal: bool, write: impl FnOnce(&mut Output)) -> String {
        let (sender, receiver) = mpsc::channel();
        let mut output = Output {
            json,
            quiet,
            terminal,
            out: Box::new(Written(sender)),
        };
        write(&mut output);
        drop(output);
        String::from_utf8(receiver.iter().flatten().collect()).unwrap()
    }

    fn created(output: &mut Output) {
        output
            .done(&json!("0af1"), Some("0af1"), "node n4 created: 0af1")
            .unwrap();
    }

    #[test]
    fn a_new_object_is_told_of_in_the_shape_asked_for() {
        assert_eq!(
            written(false, false, false, created),
            "node n4 created: 0af1\n"
        );
        assert_eq!(written(false, true, false, created), "0af1\n");
        assert_eq!(written(true, false, false, created), "\"0af1\"\n");
        let updated =
            |output: &mut Output| output.done(&Value::Null, None, "node n4 updated").unwrap();
        assert_eq!(written(false, true, false, updated), "");
    }

    #[test]
    fn json_is_indented_for_people_only() {
        let show = |output: &mut Output| output.json(&json!({"a": 1})).unwrap();
        assert_eq!(written(true, false, false, show), "{\"a\":1}\n");
        assert_eq!(written(true, false, true, show), "{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn remarks_are_for_people() {
        let remark = |output: &mut Output| output.remark("12 nodes").unwrap();
        assert_eq!(written(false, false, false, remark), "12 nodes\n");
        assert_eq!(written(true, false, false, remark), "");
        assert_eq!(written(false, true, false, remark), "");
    }
}
