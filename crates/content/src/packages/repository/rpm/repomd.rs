//! The file that names the parts of the index.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Finished, Part};

/// Writes it with the present time, by which clients tell an index from an older one.
pub(super) fn write(mut file: &File, parts: &[Finished]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<repomd xmlns=\"http://linux.duke.edu/metadata/repo\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">
  <revision>{now}</revision>
"
    );
    for Finished {
        part: Part { name, .. },
        written,
        file_name,
    } in parts
    {
        let _ = write!(
            text,
            "  <data type=\"{name}\">
    <checksum type=\"sha256\">{compressed}</checksum>
    <open-checksum type=\"sha256\">{plain}</open-checksum>
    <location href=\"repodata/{file_name}\"/>
    <timestamp>{now}</timestamp>
    <size>{compressed_size}</size>
    <open-size>{plain_size}</open-size>
  </data>
",
            compressed = written.compressed.sha256,
            plain = written.plain.sha256,
            compressed_size = written.compressed.size,
            plain_size = written.plain.size,
        );
    }
    text.push_str("</repomd>\n");
    file.write_all(text.as_bytes())
}
