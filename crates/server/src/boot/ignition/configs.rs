//! [`Configs`]: documents that were read, translated and checked, so that it happens once however many nodes ask.

use std::{cell::Cell, sync::Arc};

use bytes::Bytes;
use content::{ContentError, FileName, FilesDirectory, Seen, Sha256Digest};
use ignition::{
    Diagnostic, Path, Prepared, Severity,
    butane::{self, LocalError, TreeEntry},
};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use template::Template;

use super::document::{Document, Language};
use crate::{
    Error,
    boot::renderings::{Rendering, can_be_kept},
    head::Head,
};

/// How many bytes of documents and configs are kept. What is made of one takes a few times as much.
const CAPACITY: u64 = 16 << 20;

/// A config that may be sent.
pub(crate) struct Config {
    pub prepared: Prepared<Template>,
    /// Of the config as it is sent, but for the values of nodes.
    pub sha256: Sha256Digest,
    /// What every node gets, if no values go into it.
    pub constant: Option<Arc<Rendering>>,
    /// Whether what a node gets of it can be kept until the cluster changes.
    pub can_be_kept: bool,
    /// What its author may want to know.
    pub warnings: Vec<Diagnostic>,
}

/// What came of a document.
pub(crate) struct Reading {
    /// The config, or what is wrong with it, warnings among it.
    pub config: Result<Config, Vec<Diagnostic>>,
    /// The local files that went into it.
    seen: Option<Seen>,
}

/// The latest configs, by what they were made from.
pub(crate) struct Configs(Arc<Cache<Key, Arc<Known>, Length>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// What findings call it. Of a boot file it tells where its local files lie.
    name: Box<str>,
    sha256: Sha256Digest,
    language: Language,
}

/// What became of a document: a refusal is remembered as well, since its nodes ask again and again.
struct Known {
    config: Result<Arc<Config>, Box<str>>,
    /// The local files that went into it.
    seen: Option<Seen>,
    length: u64,
}

#[derive(Clone)]
struct Length;

impl Weighter<Key, Arc<Known>> for Length {
    fn weight(&self, _: &Key, known: &Arc<Known>) -> u64 {
        known.length + 512
    }
}

impl Default for Configs {
    fn default() -> Self {
        // In one shard, or a large document would be more than its share.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(1024)
            .weight_capacity(CAPACITY)
            .shards(1)
            .build()
            // All that it asks for is given above.
            .expect("the options are whole");
        Self(Arc::new(Cache::with_options(
            options,
            Length,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        )))
    }
}

impl Configs {
    /// The config that a document is.
    ///
    /// # Errors
    /// It is none that may be sent.
    pub(crate) async fn of(
        &self,
        head: &Arc<Head>,
        document: &Arc<Document>,
    ) -> Result<Arc<Config>, Error> {
        let key = Key {
            name: document.name.clone(),
            sha256: document.sha256,
            language: document.language,
        };
        if let Some(known) = self.0.get(&key) {
            if known.seen.as_ref().is_none_or(Seen::is_unchanged) {
                return known.config(document);
            }
            // Unless another has been faster.
            self.0.remove_if(&key, |now| Arc::ptr_eq(now, &known));
        }
        let making = {
            let (configs, head) = (Arc::clone(&self.0), Arc::clone(head));
            let document = Arc::clone(document);
            async move {
                let made = configs.get_or_insert_async(&key, async {
                    let known = tokio::task::spawn_blocking(move || Known::of(&head, &document));
                    Ok::<_, Error>(Arc::new(known.await??))
                });
                made.await
            }
        };
        // To the end, even if whoever asked first gives up: the next shall find it done.
        head.tasks.spawn(making).await??.config(document)
    }
}

impl Known {
    /// The document may be another of the same content.
    fn config(&self, document: &Document) -> Result<Arc<Config>, Error> {
        self.config
            .clone()
            .map_err(|reason| Error::Unprocessable(format!("{}: {reason}", document.name)))
    }

    /// Blocks.
    fn of(head: &Head, document: &Document) -> Result<Self, Error> {
        let Reading { config, seen } = Config::of(head, document)?;
        Ok(Self {
            length: (document.bytes.len()
                + (config.as_ref()).map_or(0, |config| config.prepared.source().len()))
                as u64,
            config: config
                .map(Arc::new)
                .map_err(|found: Vec<_>| explained(&found).into()),
            seen,
        })
    }
}

impl Config {
    /// Reads, translates and checks a document. Blocks, for it reads local files.
    ///
    /// # Errors
    /// The local files cannot be looked at.
    pub(crate) fn of(head: &Head, document: &Document) -> Result<Reading, ContentError> {
        let root = head.boot_files.root();
        let (Some(file), Language::Butane) = (&document.file, document.language) else {
            return Ok(Reading {
                config: Self::read(&document.name, document.language, &document.bytes, None),
                seen: None,
            });
        };
        let Some(files) = FilesDirectory::beside(root, file)? else {
            let none = NoFiles {
                document: file,
                missed: Cell::new(false),
            };
            let config = Self::read(
                &document.name,
                document.language,
                &document.bytes,
                Some(&none),
            );
            let seen = (none.missed.get()).then(|| FilesDirectory::none_beside(root, file));
            return Ok(Reading { config, seen });
        };
        Ok(Reading {
            config: Self::read(
                &document.name,
                document.language,
                &document.bytes,
                Some(&files),
            ),
            seen: Some(files.into_seen()),
        })
    }

    fn read(
        name: &str,
        language: Language,
        text: &[u8],
        files: Option<&dyn butane::Files>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let kept = Cell::new(true);
        let find = |path: &Path, text: &[u8]| {
            let template = Template::parse(format!("{name}: {path}"), Bytes::copy_from_slice(text));
            kept.set(kept.get() && can_be_kept(&template));
            (!template.is_plain()).then_some(template)
        };
        let (prepared, warnings) = match language {
            Language::Ignition => {
                let prepared = Prepared::parse(text, &find)?;
                let warnings = prepared.warnings().to_vec();
                (prepared, warnings)
            }
            Language::Butane => {
                let translated = butane::translate(text, files);
                let Some(config) = translated.config else {
                    return Err(translated.diagnostics);
                };
                (Prepared::from_tree(config, &find)?, translated.diagnostics)
            }
        };
        let sha256 = Sha256Digest::of(prepared.source());
        let constant = || {
            let bytes = Bytes::copy_from_slice(prepared.source());
            Arc::new(Rendering { bytes, sha256 })
        };
        Ok(Self {
            constant: prepared.is_constant().then(constant),
            prepared,
            sha256,
            can_be_kept: kept.get(),
            warnings,
        })
    }
}

/// What keeps an upstream's file from being sent.
///
/// # Errors
/// The first fault, and where it is.
pub fn check_fetched(path: &str, text: &[u8]) -> Result<(), String> {
    let language = Language::of(path).unwrap_or(Language::Ignition);
    let config = Config::read(path, language, text, None);
    config.map(drop).map_err(|found| explained(&found))
}

/// Where there is no directory for local files.
struct NoFiles<'a> {
    document: &'a FileName,
    /// Whether any was wanted.
    missed: Cell<bool>,
}

impl NoFiles<'_> {
    fn unreadable(&self, name: &str) -> LocalError {
        self.missed.set(true);
        LocalError::Unreadable {
            name: name.to_owned(),
            reason: format!("there is no directory files beside {}", self.document),
        }
    }
}

impl butane::Files for NoFiles<'_> {
    fn read(&self, name: &str) -> Result<Vec<u8>, LocalError> {
        Err(self.unreadable(name))
    }

    fn tree(&self, name: &str) -> Result<Vec<TreeEntry>, LocalError> {
        Err(self.unreadable(name))
    }
}

/// What keeps a config from being sent, in a line: the first error, and how many more there are.
pub(crate) fn explained(found: &[Diagnostic]) -> String {
    let mut errors = found
        .iter()
        .filter(|found| found.severity == Severity::Error);
    let first = errors.next().map_or_else(String::new, finding);
    match errors.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}

/// A finding in a line: `$.storage.files[2].path: … (line 7 column 12)`.
pub(crate) fn finding(found: &Diagnostic) -> String {
    let mut line = match &found.path {
        Some(path) => format!("{path}: {}", found.message),
        None => found.message.clone(),
    };
    if let Some(position) = found.position {
        line = format!("{line} ({position})");
    }
    line
}
