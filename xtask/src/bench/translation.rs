//! How long translations from Butane take, of the documents that the tests of `ignition` know the outcome of.

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use content::FilesDirectory;
use ignition::butane;

use crate::repository;

/// How often each document is translated.
pub(crate) const TIMES: usize = 201;

/// What came of one document.
pub(crate) struct Translation {
    /// Bytes of the Butane document.
    pub butane: usize,
    /// Bytes of the Ignition config.
    pub ignition: usize,
    /// The median of the times it took, from text to text.
    pub time: Duration,
}

/// Translates every document of the corpus that is not refused; returns what came of them by name.
pub(crate) fn corpus() -> Result<BTreeMap<String, Translation>> {
    let corpus = repository::root().join("crates/ignition/tests/butane");
    let files = corpus.join("files");
    let mut translations = BTreeMap::new();
    for entry in
        fs::read_dir(&corpus).with_context(|| format!("cannot read {}", corpus.display()))?
    {
        let path = entry?.path();
        if !is_translated(&path)? {
            continue;
        }
        let text = fs::read(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let translation = measure(&text, &files).with_context(|| name.clone().into_owned())?;
        translations.insert(name.into_owned(), translation);
    }
    ensure!(
        !translations.is_empty(),
        "no documents in {}",
        corpus.display()
    );
    Ok(translations)
}

/// Whether this is a Butane document of which the reference makes a config.
fn is_translated(path: &Path) -> Result<bool> {
    let is_butane = path.extension().is_some_and(|extension| extension == "bu");
    if !is_butane || !path.with_extension("ign").exists() {
        return Ok(false);
    }
    let code = path.with_extension("code");
    let code =
        fs::read_to_string(&code).with_context(|| format!("cannot read {}", code.display()))?;
    Ok(code.trim() == "0")
}

/// Translates a document again and again. Its local files are read each time, as a head does.
fn measure(text: &[u8], files: &Path) -> Result<Translation> {
    let mut times = Vec::with_capacity(TIMES);
    let mut ignition = 0;
    for _ in 0..TIMES {
        let began = Instant::now();
        let config = translate(black_box(text), files)?;
        times.push(began.elapsed());
        ignition = black_box(config).len();
    }
    times.sort_unstable();
    Ok(Translation {
        butane: text.len(),
        ignition,
        time: times[TIMES / 2],
    })
}

/// Parses, checks and translates a document, and checks and writes its config.
fn translate(text: &[u8], files: &Path) -> Result<Vec<u8>> {
    let files = FilesDirectory::open(files)?;
    let translation = butane::translate(text, Some(&files));
    let config = translation.config.context("it is refused")?;
    Ok(config.to_json())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_measured_but_for_what_is_refused() {
        let corpus = repository::root().join("crates/ignition/tests/butane");
        for (name, is_it) in [
            ("large-200-files.bu", true),
            ("large-200-files.ign", false),
            ("bad-comment-only.bu", false),
        ] {
            assert_eq!(is_translated(&corpus.join(name)).unwrap(), is_it, "{name}");
        }
    }

    #[test]
    fn what_the_cluster_is_given_is_translated() {
        let files = repository::root().join("crates/ignition/tests/butane/files");
        let config = translate(super::super::cluster::BUTANE, &files).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["ignition"]["version"], "3.4.0");
    }

    #[test]
    fn what_is_refused_is_not_measured() {
        let refused = measure(b"variant: fcos\n", &repository::root());
        assert!(refused.is_err());
    }
}
