//! `pilotlight config`

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Output;
use crate::config::{Fault, Flags, Loaded, Origin, Sources};
use crate::error::Error;

/// The configuration of a head on this machine
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print the settings in force with what set them, and every fault with its line
    #[command(after_help = "Example:
  pilotlight config check --config ./pilotlight.toml")]
    Check(CheckConfig),
}

/// The configuration to check.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    /// Configuration file [default: /etc/pilotlight/pilotlight.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Config {
    pub(super) fn run(self, mut output: Output) -> Result<(), Error> {
        let Self::Check(check) = self;
        let loaded = Sources::gather(check.config.as_deref(), Flags::default())?.load();
        let settings = toml::Value::try_from(&loaded.settings).map_err(anyhow::Error::from)?;
        let faults: Vec<String> = loaded.faults.iter().map(Fault::to_string).collect();
        if output.is_json() {
            output.json(&json!({"settings": settings, "faults": faults}))?;
        } else {
            output.bytes(annotated(&settings, &loaded).as_bytes())?;
            for fault in &faults {
                output.line(fault)?;
            }
        }
        match faults.len() {
            0 => Ok(()),
            1 => Err(Error::Found("the configuration has a fault".to_owned())),
            count => Err(Error::Found(format!(
                "the configuration has {count} faults"
            ))),
        }
    }
}

/// The settings as a configuration file that says behind each line what set it, unless it is the default.
fn annotated(settings: &toml::Value, loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut current = "";
    for (key, origin) in &loaded.origins {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let value = key
            .split('.')
            .try_fold(settings, |table, part| table.get(part));
        let Some(value) = value else {
            continue;
        };
        // Writing to a String cannot fail.
        if section != current {
            let _ = writeln!(text, "\n[{section}]");
            current = section;
        }
        let _ = match origin {
            Origin::Default => writeln!(text, "{name} = {value}"),
            origin => writeln!(text, "{name} = {value}  # {origin}"),
        };
    }
    if !loaded.faults.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::ConfigFile;

    fn loaded(text: &str) -> (toml::Value, Loaded) {
        let sources = Sources {
            file: Some(ConfigFile {
                path: "p.toml".into(),
                text: text.to_owned(),
            }),
            ..Sources::default()
        };
        let loaded = sources.load();
        (toml::Value::try_from(&loaded.settings).unwrap(), loaded)
    }

    #[test]
    fn the_settings_in_force_say_what_set_them() {
        let (settings, loaded) = loaded("listen = [\"[::]:80\"]\n[limits]\nbody = \"2048KiB\"\n");
        let text = annotated(&settings, &loaded);
        assert!(
            text.starts_with(
                "listen = [\"[::]:80\"]  # p.toml:1\ndata = \"/var/lib/pilotlight\"\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("\n\n[limits]\nconnections = 20000\n"),
            "{text}"
        );
        assert!(text.contains("\nbody = \"2MiB\"  # p.toml:3\n"), "{text}");
        assert!(
            !text.contains("base_url") && !text.contains("[tls]"),
            "{text}"
        );
    }

    #[test]
    fn what_is_printed_is_a_configuration_file() {
        let (settings, first) = loaded("");
        let text = annotated(&settings, &first);
        let (again, second) = loaded(&text);
        assert_eq!(second.faults, []);
        assert_eq!(again, settings);
    }

    #[test]
    fn settings_read_the_same_in_json() {
        let (settings, _) = loaded("");
        let settings = json!(settings);
        assert_eq!(settings["limits"]["body"], "1MiB");
        assert_eq!(settings["templates"]["missing"], "error");
    }
}
