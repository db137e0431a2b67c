//! All that the packages own.

use std::io::{self, Write};

use super::{Rpm, write_package_start, write_paths};

pub(super) fn write(out: &mut dyn Write, rpm: &Rpm<'_>) -> io::Result<()> {
    write_package_start(out, rpm)?;
    write_paths(out, rpm, "  ", |_| true)?;
    writeln!(out, "</package>")
}
