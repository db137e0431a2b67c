//! What changed in the packages.

use std::io::{self, Write};

use super::xml::Escaped;
use super::{Rpm, write_package_start};

pub(super) fn write(out: &mut dyn Write, rpm: &Rpm<'_>) -> io::Result<()> {
    write_package_start(out, rpm)?;
    // The oldest first.
    for change in rpm.metadata.changes.iter().rev() {
        writeln!(
            out,
            "  <changelog author=\"{}\" date=\"{}\">{}</changelog>",
            Escaped(&change.author),
            change.time,
            Escaped(&change.text),
        )?;
    }
    writeln!(out, "</package>")
}
