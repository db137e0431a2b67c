//! Values in configs: what stands in a text of a config is replaced for each machine, and nothing else can change by it.

use std::{borrow::Cow, io::Read as _};

use flate2::read::MultiGzDecoder;

use crate::{
    Diagnostic, Path, Position, Severity, Tree, Value, Version,
    config::{read, without_errors},
    data_url, json,
    spec::{self, UnitFile},
};

/// What compressed contents may grow to.
const MAX_CONTENTS: u64 = 64 << 20;

/// How deep configs may lie in the `data:` URLs of configs to have forms.
const MAX_NESTED: usize = 3;

/// A config with forms in its texts, ready to be rendered for any number of machines.
///
/// Forms may stand in every text but keys, and in what `data:` URLs hold: there they are found and replaced in the contents
/// themselves. A config within a config is one again, so that a value changes no structure there either.
///
/// `F` is what a text with forms is read into, once for all machines.
#[derive(Debug)]
pub struct Prepared<F> {
    source: Vec<u8>,
    tree: Tree,
    version: Version,
    warnings: Vec<Diagnostic>,
    /// The config as it is written, cut where a text holds forms: always one more than there are `holes`.
    pieces: Vec<Vec<u8>>,
    holes: Vec<Hole<F>>,
    /// Whether a text broke a rule as it is, which its values may yet mend.
    has_suspects: bool,
}

/// A text that holds forms.
#[derive(Debug)]
struct Hole<F> {
    /// Which of the texts of the config it is, in their order.
    nth: usize,
    /// As it stands in the config.
    text: String,
    path: Path,
    position: Option<Position>,
    ruled: Ruled,
    held: Held<F>,
}

/// What a value might break in the place of a text.
#[derive(Debug, Clone, Copy)]
enum Ruled {
    /// Nothing.
    Not,
    /// What a unit file has to be. As it stands in the config, it is this.
    AsUnit(UnitFile),
    /// Any rule.
    Anyhow,
}

#[derive(Debug)]
enum Held<F> {
    /// The forms stand in the text itself.
    Text(F),
    /// They stand in what a `data:` URL holds.
    Contents { forms: F, gzip: bool },
    /// They stand in the texts of a config that a `data:` URL holds.
    Config { inner: Box<Prepared<F>>, gzip: bool },
}

/// Reads a text that may hold forms, at its place in the config. Nothing if it holds none.
pub type Find<'f, F> = dyn Fn(&Path, &[u8]) -> Option<F> + 'f;

/// Puts values into a text that holds forms. Returns nothing if the text stays as it is.
pub type Fill<'f, F, E> = dyn FnMut(&F) -> Result<Option<Vec<u8>>, E> + 'f;

/// A config for one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered<'p> {
    /// The text; if nothing was replaced, the one that was prepared, to the byte.
    pub text: Cow<'p, [u8]>,
    /// What its author may want to know.
    pub warnings: Cow<'p, [Diagnostic]>,
}

/// Why a config cannot be rendered for a machine.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RenderError<E> {
    /// A form could not be replaced.
    #[error("{path}: {reason}")]
    Form {
        /// Where in the config.
        path: Path,
        /// Where in its text.
        position: Option<Position>,
        /// Why not.
        reason: E,
    },
    /// JSON holds text only; other bytes need a `data:` URL.
    #[error("{path}: what is put in here is not UTF-8")]
    NotText {
        /// Where in the config.
        path: Path,
        /// Where in its text.
        position: Option<Position>,
    },
    /// With its values it is no valid config.
    #[error("with its values the config is not valid: {}", first_error(.0))]
    Invalid(Vec<Diagnostic>),
}

fn first_error(found: &[Diagnostic]) -> String {
    let error = found.iter().find(|found| found.severity == Severity::Error);
    error.map_or_else(String::new, |error| match &error.path {
        Some(path) => format!("{path}: {}", error.message),
        None => error.message.clone(),
    })
}

impl<F> Prepared<F> {
    /// Reads a config and finds what holds forms. An error that a value may yet mend is none here.
    pub fn parse(text: &[u8], find: &Find<'_, F>) -> Result<Self, Vec<Diagnostic>> {
        Self::parse_nested(text, find, 0)
    }

    /// The same of a config that is not in a text, as one that was translated.
    pub fn from_tree(tree: Tree, find: &Find<'_, F>) -> Result<Self, Vec<Diagnostic>> {
        let version = crate::config::version(&tree).map_err(|found| vec![found])?;
        let source = json::to_text(&tree);
        Self::new(source, tree, version, find, 0)
    }

    fn parse_nested(
        text: &[u8],
        find: &Find<'_, F>,
        depth: usize,
    ) -> Result<Self, Vec<Diagnostic>> {
        let (tree, version) = read(text)?;
        Self::new(text.to_vec(), tree, version, find, depth)
    }

    fn new(
        source: Vec<u8>,
        tree: Tree,
        version: Version,
        find: &Find<'_, F>,
        depth: usize,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut finder = Finder {
            find,
            depth,
            texts: 0,
            holes: Vec::new(),
            errors: Vec::new(),
        };
        finder.look_in(&tree, "");
        let Finder { holes, errors, .. } = finder;
        let mut found = spec::validate(&tree, version);
        let before = found.len();
        found.retain(|found| !is_suspect(found, &holes));
        let has_suspects = found.len() < before;
        found.extend(errors);
        let warnings = without_errors(found)?;
        let pieces = pieces(&tree, &holes);
        Ok(Self {
            source,
            tree,
            version,
            warnings,
            pieces,
            holes,
            has_suspects,
        })
    }

    /// The version of the specification that it follows.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What its author may want to know, whatever the values.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The text that was prepared.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Whether it is the same for every machine.
    pub fn is_constant(&self) -> bool {
        self.holes.is_empty()
    }

    /// Puts values into each text that holds forms.
    pub fn render<E>(&self, fill: &mut Fill<'_, F, E>) -> Result<Rendered<'_>, RenderError<E>> {
        let mut filled = Vec::with_capacity(self.holes.len());
        for hole in &self.holes {
            filled.push(hole.fill(fill)?);
        }
        let changed = || {
            let changed = self.holes.iter().zip(&filled);
            changed.filter_map(|(hole, text)| Some((hole, text.as_deref()?)))
        };
        let might_break = |(hole, text): (&Hole<F>, &str)| match hole.ruled {
            Ruled::Not => false,
            Ruled::AsUnit(before) => UnitFile::read(text) != before,
            Ruled::Anyhow => true,
        };
        let warnings = match self.has_suspects || changed().any(might_break) {
            true => Cow::Owned(self.validate(&filled).map_err(RenderError::Invalid)?),
            false => Cow::Borrowed(self.warnings.as_slice()),
        };
        let text = match changed().next() {
            None => Cow::Borrowed(self.source.as_slice()),
            Some(_) => Cow::Owned(self.assemble(&filled)),
        };
        Ok(Rendered { text, warnings })
    }

    fn assemble(&self, filled: &[Option<String>]) -> Vec<u8> {
        let lengths = self
            .pieces
            .iter()
            .map(Vec::len)
            .chain(filled.iter().flatten().map(String::len));
        let mut text = Vec::with_capacity(lengths.sum::<usize>() + 64);
        let mut pieces = self.pieces.iter();
        text.extend(pieces.next().into_iter().flatten());
        for ((hole, filled), piece) in self.holes.iter().zip(filled).zip(pieces) {
            json::write_string(filled.as_ref().unwrap_or(&hole.text), &mut text);
            text.extend_from_slice(piece);
        }
        text
    }

    fn validate(&self, filled: &[Option<String>]) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let mut holes = self.holes.iter().zip(filled).peekable();
        let (mut texts, mut nth) = (Vec::with_capacity(self.holes.len()), 0);
        for_each_text(&self.tree, &mut |tree| {
            if let Some((_, Some(filled))) = holes.next_if(|(hole, _)| hole.nth == nth) {
                texts.push((tree, filled.as_str()));
            }
            nth += 1;
        });
        without_errors(spec::validate_filled(&self.tree, self.version, &texts))
    }
}

impl<F> Hole<F> {
    fn fill<E>(&self, fill: &mut Fill<'_, F, E>) -> Result<Option<String>, RenderError<E>> {
        let (path, position) = (&self.path, self.position);
        let mut filled = |forms: &F| {
            fill(forms).map_err(|reason| RenderError::Form {
                path: path.clone(),
                position,
                reason,
            })
        };
        match &self.held {
            Held::Text(forms) => {
                let text = filled(forms)?.map(String::from_utf8).transpose();
                text.map_err(|_| RenderError::NotText {
                    path: path.clone(),
                    position,
                })
            }
            Held::Contents { forms, gzip } => {
                Ok(filled(forms)?.map(|contents| encode(&contents, *gzip)))
            }
            Held::Config { inner, gzip } => {
                let rendered = inner.render(fill);
                let rendered = rendered.map_err(|error| error.within(path, position))?;
                Ok(match rendered.text {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(text) => Some(encode(&text, *gzip)),
                })
            }
        }
    }
}

fn encode(contents: &[u8], gzip: bool) -> String {
    match gzip {
        true => data_url::in_gzip(contents),
        false => data_url::shortest(contents, false).source,
    }
}

impl<E> RenderError<E> {
    /// Of a config within a config: where the inner one stands is all that the outer one's text can show.
    fn within(self, outer: &Path, position: Option<Position>) -> Self {
        match self {
            Self::Form { path, reason, .. } => Self::Form {
                path: within(outer, &path),
                position,
                reason,
            },
            Self::NotText { path, .. } => Self::NotText {
                path: within(outer, &path),
                position,
            },
            Self::Invalid(found) => Self::Invalid(diagnostics_within(found, outer, position)),
        }
    }
}

fn within(outer: &Path, inner: &Path) -> Path {
    Path([outer.0.as_slice(), inner.0.as_slice()].concat())
}

fn diagnostics_within(
    found: Vec<Diagnostic>,
    outer: &Path,
    position: Option<Position>,
) -> Vec<Diagnostic> {
    let place = |found: Diagnostic| Diagnostic {
        path: Some(within(outer, &found.path.unwrap_or_default())),
        position,
        ..found
    };
    found.into_iter().map(place).collect()
}

/// Whether a value may yet mend what is wrong: it was found in a text that holds forms, or around one.
fn is_suspect<F>(found: &Diagnostic, holes: &[Hole<F>]) -> bool {
    let Some(path) = found
        .path
        .as_ref()
        .filter(|_| found.severity == Severity::Error)
    else {
        return false;
    };
    holes.iter().any(|hole| hole.path.0.starts_with(&path.0))
}

fn pieces<F>(tree: &Tree, holes: &[Hole<F>]) -> Vec<Vec<u8>> {
    let (mut pieces, mut rest) = (Vec::with_capacity(holes.len() + 1), Vec::new());
    let mut holes = holes.iter().peekable();
    let mut nth = 0;
    json::write(tree, &mut rest, &mut |text, out| {
        match holes.next_if(|hole| hole.nth == nth) {
            Some(_) => pieces.push(std::mem::take(out)),
            None => json::write_string(text, out),
        }
        nth += 1;
    });
    pieces.push(rest);
    pieces
}

fn for_each_text<'t>(tree: &'t Tree, visit: &mut dyn FnMut(&'t Tree)) {
    match &tree.value {
        Value::Text(_) => visit(tree),
        Value::List(items) => items.iter().for_each(|item| for_each_text(item, visit)),
        Value::Map(entries) => entries
            .iter()
            .for_each(|entry| for_each_text(&entry.value, visit)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}

/// Finds the texts that hold forms, in the order in which they are written.
struct Finder<'f, F> {
    find: &'f Find<'f, F>,
    depth: usize,
    texts: usize,
    holes: Vec<Hole<F>>,
    errors: Vec<Diagnostic>,
}

impl<F> Finder<'_, F> {
    /// `key` is the key that `tree` stands under, itself or its list.
    fn look_in(&mut self, tree: &Tree, key: &str) {
        match &tree.value {
            Value::Text(text) => {
                let held = (self.find)(&tree.path, text.as_bytes()).map(Held::Text);
                // The one text of this key: contents of files are no texts, but resources.
                let ruled = match key {
                    "contents" => Ruled::AsUnit(UnitFile::read(text)),
                    _ => Ruled::Anyhow,
                };
                self.add(tree, text, ruled, held);
            }
            Value::List(items) => items.iter().for_each(|item| self.look_in(item, key)),
            Value::Map(entries) => {
                for entry in entries {
                    match &entry.value.value {
                        Value::Text(url) if entry.key == "source" && url.starts_with("data:") => {
                            self.find_in_url(&entry.value, url, tree, key);
                        }
                        _ => self.look_in(&entry.value, &entry.key),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
        }
    }

    fn add(&mut self, tree: &Tree, text: &str, ruled: Ruled, held: Option<Held<F>>) {
        self.holes.extend(held.map(|held| Hole {
            nth: self.texts,
            text: text.to_string(),
            path: tree.path.clone(),
            position: tree.position,
            ruled,
            held,
        }));
        self.texts += 1;
    }

    fn find_in_url(&mut self, source: &Tree, url: &str, resource: &Tree, key: &str) {
        let gzip = resource.get("compression").and_then(Tree::text) == Some("gzip");
        let held = match self.contents(source, url, gzip) {
            // Neither could the client read it, and the rules have said so.
            None => None,
            Some(bytes) if matches!(key, "merge" | "replace") => {
                self.config_with_forms(source, &bytes, gzip)
            }
            Some(bytes) => {
                (self.find)(&source.path, &bytes).map(|forms| Held::Contents { forms, gzip })
            }
        };
        let hash = resource.get("verification").and_then(|it| it.get("hash"));
        if let (Some(_), Some(hash)) = (&held, hash.filter(|hash| hash.value != Value::Null)) {
            let message =
                "the hash is of contents that differ from machine to machine; leave it out"
                    .to_string();
            self.refuse(hash, message);
        }
        // Whatever contents are, a URL of them is a URL, and of these no two are compared.
        let ruled = match key {
            "contents" | "append" | "keyFile" => Ruled::Not,
            _ => Ruled::Anyhow,
        };
        self.add(source, url, ruled, held);
    }

    fn contents<'u>(&mut self, source: &Tree, url: &'u str, gzip: bool) -> Option<Cow<'u, [u8]>> {
        // Of a URL with forms not all characters are escaped that should be, but what it becomes is written by us.
        let held = match data_url::decode(url) {
            Err(_) if (self.find)(&source.path, url.as_bytes()).is_some() => {
                data_url::decode_unescaped(url)
            }
            held => held,
        };
        let held = held.ok()?;
        if !gzip {
            return Some(held);
        }
        let mut contents = Vec::new();
        let read = MultiGzDecoder::new(&*held)
            .take(MAX_CONTENTS + 1)
            .read_to_end(&mut contents);
        let fault = match read {
            Ok(_) if contents.len() as u64 <= MAX_CONTENTS => return Some(Cow::Owned(contents)),
            Ok(_) => format!(
                "the compressed contents grow beyond {} MiB",
                MAX_CONTENTS >> 20
            ),
            Err(_) => "the contents are not gzip, as the compression says".to_string(),
        };
        self.refuse(source, fault);
        None
    }

    fn config_with_forms(&mut self, source: &Tree, text: &[u8], gzip: bool) -> Option<Held<F>> {
        if self.depth == MAX_NESTED {
            let fault = format!("configs within configs, more than {MAX_NESTED} deep");
            self.refuse(source, fault);
            return None;
        }
        let find = |inner: &Path, text: &[u8]| (self.find)(&within(&source.path, inner), text);
        match Prepared::parse_nested(text, &find, self.depth + 1) {
            Ok(inner) if inner.is_constant() => None,
            Ok(inner) => Some(Held::Config {
                inner: Box::new(inner),
                gzip,
            }),
            Err(found) => {
                self.errors
                    .extend(diagnostics_within(found, &source.path, source.position));
                None
            }
        }
    }

    fn refuse(&mut self, at: &Tree, message: String) {
        let (path, position) = (Some(at.path.clone()), at.position);
        self.errors.push(Diagnostic {
            severity: Severity::Error,
            path,
            position,
            message,
        });
    }
}
