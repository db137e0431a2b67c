//! YAML: a text as nodes that know where they stand. What a scalar means is decided by who wants it: see [`Scalar`].
//!
//! Only the first document of a text counts. Aliases stay references, so that a document that multiplies itself through
//! them costs what its text costs; whoever follows them has to count.

mod scalar;

pub(crate) use scalar::Scalar;

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, options};

use crate::{Diagnostic, Position, Severity};

/// How many nodes a document may have: each takes many times the two bytes that it can be written with.
const MAX_NODES: usize = 200_000;

/// A document.
#[derive(Debug, Default)]
pub(crate) struct Document {
    nodes: Vec<Node>,
}

/// Which node of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

#[derive(Debug)]
pub(crate) struct Node {
    /// Where it begins, with its anchor and tag.
    pub(crate) position: Position,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
    /// The same as another node, which may be one that this one is in.
    Alias(NodeId),
}

impl Document {
    /// The outermost node, unless the text holds nothing.
    pub(crate) fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        // An id is made for a node that is in `nodes`, and no node ever leaves.
        &self.nodes[id.0]
    }
}

/// Reads the first document of a text.
pub(crate) fn parse(text: &[u8]) -> Result<Document, Diagnostic> {
    let text = readable(text)?;
    let options = options! {
        emit_anchor_events: true,
        block_scalar_eof_without_line_feed: true,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| not_yaml(&error))?;
        let position = position(span.tag_start.as_ref().unwrap_or(&span.start));
        match event {
            Event::Scalar(written, style, anchor, tag) => {
                let after = span
                    .start
                    .byte_offset()
                    .and_then(|offset| text.get(offset..));
                // The parser's word for nothing.
                let is_missing = style == ScalarStyle::Plain
                    && written == "~"
                    && !after.unwrap_or("~").starts_with('~');
                let position = match tag {
                    None => scalar_position(text, &span.start, style, is_missing),
                    Some(_) => position,
                };
                let written = if is_missing {
                    String::new()
                } else {
                    written.into_owned()
                };
                let scalar = Scalar::new(written, style, tag.as_deref());
                builder.push(position, Kind::Scalar(scalar), anchor)?;
            }
            Event::Alias(anchor) => {
                if let Some(&target) = builder.anchors.get(&anchor) {
                    builder.push(position, Kind::Alias(target), 0)?;
                }
            }
            Event::SequenceStart(_, anchor, _) => {
                let id = builder.push(position, Kind::List(Vec::new()), anchor)?;
                builder.open.push(Open { id, key: None });
            }
            Event::MappingStart(_, anchor, _) => {
                let id = builder.push(position, Kind::Map(Vec::new()), anchor)?;
                builder.open.push(Open { id, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                builder.open.pop();
            }
            // It follows its node, but stands before it.
            Event::Anchor(..) => {
                if let Some(node) = builder.document.nodes.last_mut() {
                    node.position = node.position.min(position);
                }
            }
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    Ok(builder.document)
}

/// A document as far as it has been read.
#[derive(Default)]
struct Builder {
    document: Document,
    /// The parser's numbers of anchors, and the nodes that bear them.
    anchors: HashMap<usize, NodeId>,
    open: Vec<Open>,
}

/// A collection that has not ended.
struct Open {
    id: NodeId,
    /// Of a mapping: the key whose value comes next.
    key: Option<NodeId>,
}

impl Builder {
    fn push(
        &mut self,
        position: Position,
        kind: Kind,
        anchor: usize,
    ) -> Result<NodeId, Diagnostic> {
        let nodes = &mut self.document.nodes;
        if nodes.len() == MAX_NODES {
            return Err(Diagnostic {
                severity: Severity::Error,
                path: None,
                position: Some(position),
                message: format!("the document has more than {MAX_NODES} values"),
            });
        }
        let id = NodeId(nodes.len());
        nodes.push(Node { position, kind });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        if let Some(open) = self.open.last_mut() {
            match (&mut nodes[open.id.0].kind, open.key.take()) {
                (Kind::List(items), _) => items.push(id),
                (Kind::Map(entries), Some(key)) => entries.push((key, id)),
                (_, _) => open.key = Some(id),
            }
        }
        Ok(id)
    }
}

/// The text, if it consists of characters that YAML permits.
fn readable(text: &[u8]) -> Result<&str, Diagnostic> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let (text, invalid) = match std::str::from_utf8(text) {
        Ok(text) => (text, false),
        Err(error) => {
            let valid = &text[..error.valid_up_to()];
            (std::str::from_utf8(valid).unwrap_or_default(), true)
        }
    };
    let control = text.find(|char| !permitted(char));
    let message = match (control, invalid) {
        (None, false) => return Ok(text),
        (Some(_), _) => "control characters are not allowed; write them as \"\\x01\"",
        (None, true) => "the text is not UTF-8",
    };
    let before = &text[..control.unwrap_or(text.len())];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Err(Diagnostic {
        severity: Severity::Error,
        path: None,
        position: Some(Position {
            line: saturated(before.matches('\n').count()) + 1,
            column: saturated(line.chars().count()) + 1,
        }),
        message: message.into(),
    })
}

fn permitted(char: char) -> bool {
    match char {
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' => true,
        _ => char >= '\u{A0}' && !matches!(char, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'),
    }
}

fn not_yaml(error: &ScanError) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        path: None,
        position: Some(position(error.marker())),
        message: format!("not YAML: {}", error.info()),
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: saturated(marker.line()),
        column: saturated(marker.col()).saturating_add(1),
    }
}

/// Where a scalar begins. For the parser, a block does where its first line does, and one that is not there at the sign
/// before it; for us, at the `|` or `>` and after the sign.
fn scalar_position(text: &str, start: &Marker, style: ScalarStyle, is_missing: bool) -> Position {
    let at = position(start);
    let Some((before, after)) = start
        .byte_offset()
        .and_then(|offset| text.split_at_checked(offset))
    else {
        return at;
    };
    match style {
        ScalarStyle::Literal | ScalarStyle::Folded => {
            // Above the first line of the content are none but empty ones; of a block that is empty, comments as well.
            let mut above = (0..).zip(before.rsplit('\n'));
            let header = above
                .find(|(_, line)| !matches!(line.trim_start().chars().next(), None | Some('#')));
            let header = header.and_then(|(above, line)| Some((above, block_indicator(line)?)));
            let (above, column) = header.unwrap_or((0, at.column));
            Position {
                line: at.line.saturating_sub(above),
                column,
            }
        }
        _ if is_missing && after.starts_with([':', '-', '?']) => Position {
            column: at.column + 1,
            ..at
        },
        _ => at,
    }
}

/// In which column of a line a block is announced.
fn block_indicator(line: &str) -> Option<u32> {
    let announces = |&(at, indicator): &(usize, &str)| {
        let rest = line[at + indicator.len()..].trim_start_matches(['+', '-']);
        let rest = rest
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start_matches(['+', '-']);
        let end = rest.trim_start();
        let begins = at == 0 || line[..at].ends_with([' ', '\t']);
        begins && (end.is_empty() || (end.starts_with('#') && end.len() < rest.len()))
    };
    let (at, _) = line.match_indices(['|', '>']).find(announces)?;
    Some(saturated(line[..at].chars().count()) + 1)
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The places and texts of all scalars, in their order.
    fn scalars(text: &str) -> Vec<(u32, u32, String)> {
        let document = parse(text.as_bytes()).unwrap();
        let scalars = document
            .nodes
            .into_iter()
            .filter_map(|node| match node.kind {
                Kind::Scalar(scalar) => Some((
                    node.position.line,
                    node.position.column,
                    scalar.text().to_owned(),
                )),
                _ => None,
            });
        scalars.collect()
    }

    #[test]
    fn nodes_know_where_they_stand() {
        assert_eq!(
            scalars("a:\n  - é: &x !!str b\n"),
            [(1, 1, "a".into()), (2, 5, "é".into()), (2, 8, "b".into())]
        );
    }

    #[test]
    fn what_is_not_written_stands_after_its_key_or_dash() {
        assert_eq!(
            scalars("a:\n  -\n"),
            [(1, 1, "a".into()), (2, 4, String::new())]
        );
        assert_eq!(scalars("a:\nb: c\n")[1], (1, 3, String::new()));
    }

    #[test]
    fn blocks_stand_where_they_are_announced() {
        assert_eq!(scalars("a: |\n\n  x\n")[1], (1, 4, "\nx\n".into()));
        assert_eq!(scalars("- >2-  # a | b\n    x\n")[0], (1, 3, "  x".into()));
        assert_eq!(scalars("\"a | b\": |+\nc: d\n")[1], (1, 10, String::new()));
        assert_eq!(scalars("a: &x |\n  y\n")[1], (1, 4, "y\n".into()));
        assert_eq!(scalars("a: >-\n# c\nb: c\n")[1], (1, 4, String::new()));
    }

    #[test]
    fn only_the_first_document_counts() {
        assert_eq!(scalars("---\na\n---\n{b").len(), 1);
    }

    #[test]
    fn an_alias_refers_to_the_latest_anchor_of_its_name() {
        let document = parse(b"[&a one, &a two, *a]").unwrap();
        let Kind::List(items) = &document.root().unwrap().kind else {
            panic!("a list")
        };
        let Kind::Alias(target) = document.node(items[2]).kind else {
            panic!("an alias")
        };
        assert_eq!(target, items[1]);
    }

    #[test]
    fn faults_of_the_text_have_a_place() {
        for (text, line, column) in [
            (&b"a: b\nc: \xE9\n"[..], 2, 4),
            (b"a: \"\x01\"", 1, 5),
            (b"a:\n\tb: c\n", 2, 2),
            (b"a: *nobody", 1, 4),
        ] {
            let position = parse(text).unwrap_err().position.unwrap();
            assert_eq!((position.line, position.column), (line, column));
        }
    }

    #[test]
    fn a_document_of_too_many_values_is_refused() {
        let text = format!("[{}]", "a,".repeat(MAX_NODES));
        assert!(
            parse(text.as_bytes())
                .unwrap_err()
                .message
                .contains("200000")
        );
    }

    #[test]
    fn a_deep_document_is_refused() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse("- ".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_document_or_a_diagnostic(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn yaml_like_text_gives_a_document_or_a_diagnostic(text in "[-a:{}\\[\\],&*!|>'\" \n#%<]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
