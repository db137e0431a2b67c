//! From YAML to the tree of an Ignition config, with Butane's own keys still in it.
//!
//! The shape that is wanted decides what a scalar means, and which aliases are followed at all: what stands under an
//! unknown key costs nothing, and an alias of what it is in ends where the shape ends.

use std::{collections::HashSet, slice};

use super::{Allowance, Release, Report, schema};
use crate::{
    Diagnostic, Entry, Path, Position, Segment, Severity, Tree, Value, Version,
    schema::{Field, Shape},
    spec,
    yaml::{Document, Kind, Node, NodeId},
};

/// The release of Butane that a document says it is of.
pub(super) fn release(
    document: &Document,
    allowance: &mut Allowance,
    report: &mut Report,
) -> Option<&'static Release> {
    const NAMES: &[Field<Version>] = &[
        Field {
            name: "variant",
            since: Version::V3_0,
            shape: Shape::Text,
        },
        Field {
            name: "version",
            since: Version::V3_0,
            shape: Shape::Text,
        },
    ];
    let mut decoder = Decoder::new(document, None, allowance, report);
    let names = decoder.outermost(&Shape::Map(NAMES));
    report.unless_errors()?;
    let text = |key| {
        names
            .as_ref()
            .and_then(|names| names.get(key)?.text())
            .unwrap_or_default()
    };
    Release::find(text("variant"), text("version"))
        .map_err(|reason| report.refuse(reason))
        .ok()
}

/// The config that a document describes.
pub(super) fn config(
    document: &Document,
    release: &'static Release,
    allowance: &mut Allowance,
    report: &mut Report,
) -> Option<Tree> {
    let mut decoder = Decoder::new(document, Some(release), allowance, report);
    let mut config = decoder.outermost(&spec::SHAPE)?;
    config.take("variant");
    config.take("version");
    Some(config)
}

struct Decoder<'d> {
    document: &'d Document,
    /// If it is known: without it, only the release is wanted.
    release: Option<&'static Release>,
    allowance: &'d mut Allowance,
    report: &'d mut Report,
    /// Where we are.
    path: Path,
    place: Vec<&'static str>,
    is_too_large: bool,
}

/// Where the parts of a value stand in the text.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// Where they are written.
    Here,
    /// Elsewhere: what counts is where the value is brought in, by an alias or a merge.
    BroughtIn(Position),
}

/// A key and its value, as a mapping has them after merges.
struct Pair<'d> {
    key: &'d str,
    position: Position,
    value: NodeId,
    origin: Origin,
}

/// All pairs of a mapping.
struct Gathered<'d> {
    /// Of the mapping.
    position: Position,
    pairs: Vec<Pair<'d>>,
    keys: HashSet<&'d str>,
}

/// What a value costs, with its path but without its text.
const COST: usize = 512;

/// How deep mappings may merge others that merge others.
const MAX_MERGES: usize = 16;

impl<'d> Decoder<'d> {
    fn new(
        document: &'d Document,
        release: Option<&'static Release>,
        allowance: &'d mut Allowance,
        report: &'d mut Report,
    ) -> Self {
        let (path, place) = (Path::default(), Vec::new());
        Self {
            document,
            release,
            allowance,
            report,
            path,
            place,
            is_too_large: false,
        }
    }

    /// The whole document, unless it is empty.
    fn outermost(&mut self, shape: &'static Shape<Version>) -> Option<Tree> {
        match self.document.root() {
            Some(Node {
                kind: Kind::Scalar(scalar),
                ..
            }) if scalar.is_null() => None,
            root => self.value(root?, shape, Origin::Here),
        }
    }

    /// Nothing if it is null or wrong.
    fn value(
        &mut self,
        node: &'d Node,
        shape: &'static Shape<Version>,
        origin: Origin,
    ) -> Option<Tree> {
        if !self.allowance.take(COST) {
            return self.too_large(node);
        }
        let position = origin.position(node);
        let value = match (&node.kind, shape) {
            (&Kind::Alias(target), _) => {
                if let (Origin::Here, Shape::Map(_)) = (origin, shape) {
                    self.warn(
                        position,
                        "what an alias brings in is not checked for unknown keys",
                    );
                }
                return self.value(
                    self.document.node(target),
                    shape,
                    Origin::BroughtIn(position),
                );
            }
            (Kind::Scalar(scalar), _) if scalar.is_null() => {
                if let (Origin::Here, Shape::Map(_)) = (origin, shape) {
                    self.warn(position, "nothing is said here");
                }
                return None;
            }
            (Kind::Scalar(scalar), Shape::Text) => match scalar.as_text() {
                Some(text) if !self.allowance.take(text.len()) => return self.too_large(node),
                text => text.map(Value::Text),
            },
            (Kind::Scalar(scalar), Shape::Bool) => scalar.as_bool().map(Value::Bool),
            (Kind::Scalar(scalar), Shape::Integer) => scalar.as_integer().map(Value::Integer),
            (Kind::List(items), Shape::List(shape)) => Some(self.list(items, shape, origin)),
            (Kind::Map(entries), Shape::Map(fields)) => {
                Some(self.map(entries, fields, origin, position))
            }
            _ => None,
        };
        match value {
            Some(value) => Some(Tree {
                path: self.path.clone(),
                position: Some(position),
                value,
            }),
            None => {
                let found = match &node.kind {
                    Kind::Scalar(scalar) => format!("{:?}", excerpt(scalar.text())),
                    Kind::List(_) => "a list".into(),
                    Kind::Map(_) | Kind::Alias(_) => "a mapping".into(),
                };
                self.wrong(node, format!("expected {}, found {found}", shape.noun()))
            }
        }
    }

    fn list(
        &mut self,
        items: &'d [NodeId],
        shape: &'static Shape<Version>,
        origin: Origin,
    ) -> Value {
        let mut values = Vec::with_capacity(items.len());
        for (index, &item) in items.iter().enumerate() {
            self.path.0.push(Segment::Index(index));
            values.extend(self.value(self.document.node(item), shape, origin));
            self.path.0.pop();
        }
        Value::List(values)
    }

    fn map(
        &mut self,
        entries: &'d [(NodeId, NodeId)],
        fields: &'static [Field<Version>],
        origin: Origin,
        position: Position,
    ) -> Value {
        let mut gathered = Gathered {
            position,
            pairs: Vec::new(),
            keys: HashSet::new(),
        };
        self.gather(entries, origin, MAX_MERGES, &mut gathered);
        let mut values = Vec::with_capacity(gathered.pairs.len());
        for pair in gathered.pairs {
            self.path.0.push(Segment::Key(pair.key.into()));
            match self.find(pair.key, fields) {
                Some(field) => {
                    self.place.push(field.name);
                    let node = self.document.node(pair.value);
                    if let Some(value) = self.value(node, &field.shape, pair.origin) {
                        let position = Some(pair.position);
                        values.push(Entry {
                            key: field.name.into(),
                            position,
                            value,
                        });
                    }
                    self.place.pop();
                }
                None => self.unknown(&pair),
            }
            self.path.0.pop();
        }
        Value::Map(values)
    }

    /// What a mapping has, and after it what it merges in, except for `keys` that are there before.
    fn gather(
        &mut self,
        entries: &'d [(NodeId, NodeId)],
        origin: Origin,
        merges_left: usize,
        gathered: &mut Gathered<'d>,
    ) {
        let mut own = HashSet::with_capacity(entries.len());
        let mut merged = Vec::new();
        for &(key, value) in entries {
            let node = self.document.node(key);
            let Kind::Scalar(scalar) = &self.resolved(key).kind else {
                self.wrong(node, "a key has to be text");
                continue;
            };
            let key = scalar.text();
            let position = origin.position(node);
            if !own.insert(key) {
                self.wrong(node, format!("the key {key:?} stands twice"));
            } else if scalar.is_merge() {
                if let Origin::Here = origin {
                    self.path.0.push(Segment::Key(key.into()));
                    self.warn(
                        position,
                        "what is merged in is not checked for unknown keys",
                    );
                    self.path.0.pop();
                }
                merged.push(value);
            } else if gathered.keys.insert(key) {
                gathered.pairs.push(Pair {
                    key,
                    position,
                    value,
                    origin,
                });
            }
        }
        for value in merged {
            let sources = match &self.resolved(value).kind {
                Kind::List(items) => items.as_slice(),
                _ => slice::from_ref(&value),
            };
            for &source in sources {
                match &self.resolved(source).kind {
                    Kind::Map(entries)
                        if merges_left > 0 && self.allowance.take(COST * (entries.len() + 1)) =>
                    {
                        let origin = Origin::BroughtIn(gathered.position);
                        self.gather(entries, origin, merges_left - 1, gathered);
                    }
                    Kind::Map(_) => {
                        self.too_large(self.document.node(source));
                        return;
                    }
                    _ => {
                        self.wrong(self.document.node(source), "only mappings can be merged");
                    }
                }
            }
        }
    }

    fn resolved(&self, id: NodeId) -> &'d Node {
        match self.document.node(id) {
            Node {
                kind: Kind::Alias(target),
                ..
            } => self.document.node(*target),
            node => node,
        }
    }

    fn find(
        &self,
        key: &str,
        fields: &'static [Field<Version>],
    ) -> Option<&'static Field<Version>> {
        match self.release {
            Some(release) => schema::find(key, &self.place, fields, release),
            None => fields.iter().find(|field| field.name == key),
        }
    }

    fn unknown(&mut self, pair: &Pair) {
        if let Origin::Here = pair.origin {
            self.warn(pair.position, format!("unknown key {}, ignored", pair.key));
        }
    }

    /// Says it once the release is known: till then, the same is still to be read again.
    fn warn(&mut self, position: Position, message: impl Into<String>) {
        if self.release.is_some() {
            self.say(Severity::Warning, position, message.into());
        }
    }

    /// Says it once: from here on, nothing is of interest.
    fn too_large(&mut self, node: &Node) -> Option<Tree> {
        if !std::mem::replace(&mut self.is_too_large, true) {
            self.wrong(node, "the document grows too large through its aliases");
        }
        None
    }

    /// Here the place is always that in the text: what is wrong has to be changed there.
    fn wrong(&mut self, node: &Node, message: impl Into<String>) -> Option<Tree> {
        self.say(Severity::Error, node.position, message.into());
        None
    }

    fn say(&mut self, severity: Severity, position: Position, message: String) {
        let path = Some(self.path.clone());
        self.report.push(Diagnostic {
            severity,
            path,
            position: Some(position),
            message,
        });
    }
}

/// The beginning of a text, for a message.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Origin {
    /// Where a part that is written as `node` stands.
    fn position(self, node: &Node) -> Position {
        match self {
            Self::Here => node.position,
            Self::BroughtIn(position) => position,
        }
    }
}
