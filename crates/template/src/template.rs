//! A boot file, parsed.

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memchr2};

use crate::form::{Dictionary, Form, Spelling};

/// A boot file, parsed once to be rendered many times.
///
/// Its parts are slices of the source, which is kept once. Two templates are equal when name and source are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    name: Box<str>,
    source: Bytes,
    pub(crate) segments: Vec<Segment>,
}

/// Segments stand in the order of the source and leave out none of its bytes but the escaping backslashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Text(Bytes),
    /// A form to be kept as text, without the backslash before it.
    Escaped(Bytes),
    Value(Placeholder),
    Include(Include),
}

/// A form that a value takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) line: usize,
    pub(crate) written: Bytes,
    pub(crate) default: Option<Bytes>,
    subject: Subject,
}

/// A [`Form`] that owns its name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Value {
        dictionary: Dictionary,
        name: Box<str>,
    },
    RootUrl,
    BaseUrl,
}

/// A form that another file takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Include {
    pub(crate) line: usize,
    pub(crate) file: Box<str>,
    written: Bytes,
}

/// A form in a template that asks for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is asked for.
    pub form: Form<'a>,
    /// What stands in when the value is missing.
    pub default: Option<&'a [u8]>,
}

impl Template {
    /// Parses a boot file, of the name that messages shall give it. What is no form is text, so this cannot fail.
    ///
    /// Takes time linear in the length of the source, whatever it is.
    pub fn parse(name: impl Into<Box<str>>, source: Bytes) -> Self {
        let mut segments = Vec::new();
        let mut text_from = 0;
        let mut line = 1;
        let mut counted_to = 0;
        let mut at = 0;
        // The first `>` or newline at or behind `at`; looked for only once per line or form.
        let mut close = 0;
        while let Some(offset) = memchr(b'<', &source[at..]) {
            let open = at + offset;
            at = open + 1;
            if close < at {
                match memchr2(b'>', b'\n', &source[at..]) {
                    Some(offset) => close = at + offset,
                    None => break,
                }
            }
            if source[close] == b'\n' {
                at = close;
                continue;
            }
            let Some(spelling) = Spelling::read(&source[at..close]) else {
                continue;
            };

            line += memchr_iter(b'\n', &source[counted_to..open]).count();
            counted_to = open;
            let escaped = source[text_from..open].ends_with(b"\\");
            let text_to = if escaped { open - 1 } else { open };
            if text_from < text_to {
                segments.push(Segment::Text(source.slice(text_from..text_to)));
            }
            at = close + 1;
            text_from = at;
            let written = source.slice(open..at);
            segments.push(match spelling {
                _ if escaped => Segment::Escaped(written),
                Spelling::Value { form, default } => Segment::Value(Placeholder {
                    line,
                    written,
                    default: default.map(|text| source.slice_ref(text)),
                    subject: form.into(),
                }),
                Spelling::Include { file } => Segment::Include(Include {
                    line,
                    file: file.into(),
                    written,
                }),
            });
        }
        if text_from < source.len() {
            segments.push(Segment::Text(source.slice(text_from..)));
        }
        segments.shrink_to_fit();
        Self {
            name: name.into(),
            source,
            segments,
        }
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes that were parsed.
    pub fn source(&self) -> &Bytes {
        &self.source
    }

    /// Whether there is neither form nor escape in it, so that it renders to its source.
    pub fn is_plain(&self) -> bool {
        matches!(self.segments[..], [] | [Segment::Text(_)])
    }

    /// The forms that ask for a value, in the order they stand; those of included files are not among them.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Value(placeholder) => Some(Reference {
                line: placeholder.line,
                form: placeholder.form(),
                default: placeholder.default.as_deref(),
            }),
            _ => None,
        })
    }

    /// The files it includes, in the order the includes stand; one that is included twice comes twice.
    pub fn includes(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Include(include) => Some(&*include.file),
            _ => None,
        })
    }

    /// The template written out from its parts, as bytes because not every boot file is UTF-8. Parses to the same
    /// template again.
    pub fn to_source(&self) -> Vec<u8> {
        let mut source = Vec::with_capacity(self.source.len());
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => source.extend_from_slice(text),
                Segment::Escaped(form) => {
                    source.push(b'\\');
                    source.extend_from_slice(form);
                }
                Segment::Value(Placeholder { written, .. })
                | Segment::Include(Include { written, .. }) => source.extend_from_slice(written),
            }
        }
        source
    }
}

impl Placeholder {
    pub(crate) fn form(&self) -> Form<'_> {
        match &self.subject {
            Subject::Value { dictionary, name } => Form::Value {
                dictionary: *dictionary,
                name,
            },
            Subject::RootUrl => Form::RootUrl,
            Subject::BaseUrl => Form::BaseUrl,
        }
    }
}

impl From<Form<'_>> for Subject {
    fn from(form: Form<'_>) -> Self {
        match form {
            Form::Value { dictionary, name } => Self::Value {
                dictionary,
                name: name.into(),
            },
            Form::RootUrl => Self::RootUrl,
            Form::BaseUrl => Self::BaseUrl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &'static [u8]) -> Template {
        Template::parse("file", Bytes::from_static(source))
    }

    /// The segments as text: `text`, `\escaped`, `{form}`.
    fn outline(source: &'static [u8]) -> Vec<String> {
        let show = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        parse(source)
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Text(text) => show(text),
                Segment::Escaped(form) => format!("\\{}", show(form)),
                Segment::Value(placeholder) => format!("{{{}}}", show(&placeholder.written)),
                Segment::Include(include) => format!("{{{}}}", show(&include.written)),
            })
            .collect()
    }

    #[test]
    fn forms_at_both_ends_and_side_by_side() {
        assert_eq!(
            outline(b"<a[x]><n[ip]|none> and <include(b.ks)>"),
            ["{<a[x]>}", "{<n[ip]|none>}", " and ", "{<include(b.ks)>}"]
        );
    }

    #[test]
    fn what_is_no_form_is_one_text() {
        for source in [
            &b""[..],
            b"<",
            b"<a[x]",
            b"cat <<EOF > /etc/x\na < b\nEOF\n",
            b"<html><A[x]></html>",
            b"<a[]> <a[x> <a[x] >",
            b"<a[x\n]> <a[x]|two\nlines>",
            b"C:\\dir\\ \\<html> \\\\",
            b"\xff<\xfe>\x80",
        ] {
            assert!(parse(source).is_plain(), "{}", source.escape_ascii());
        }
    }

    #[test]
    fn a_near_miss_does_not_hide_the_form_inside_it() {
        assert_eq!(outline(b"<a[<a[x]>]>"), ["<a[", "{<a[x]>}", "]>"]);
        assert_eq!(outline(b"<<a[x]>>"), ["<", "{<a[x]>}", ">"]);
        assert_eq!(outline(b"<a[x\n<a[y]>"), ["<a[x\n", "{<a[y]>}"]);
        assert_eq!(outline(b"<a[x]|<a[y]>>"), ["{<a[x]|<a[y]>}", ">"]);
        assert_eq!(
            outline(b"<include(<a[x]>)>"),
            ["<include(", "{<a[x]>}", ")>"]
        );
    }

    #[test]
    fn one_backslash_escapes_a_form() {
        assert_eq!(outline(br"\<a[x]>"), [r"\<a[x]>"]);
        assert_eq!(outline(br"a\\<a[x]|d>b"), [r"a\", r"\<a[x]|d>", "b"]);
        assert_eq!(outline(br"\<include(f)>"), [r"\<include(f)>"]);
        assert_eq!(outline(br"\ <a[x]>"), [r"\ ", "{<a[x]>}"]);
        assert_eq!(
            outline(br"<head[backslash]|\><a[x]>"),
            [r"{<head[backslash]|\>}", "{<a[x]>}"]
        );
    }

    #[test]
    fn lines_are_counted_from_1_and_end_with_a_newline() {
        let template = parse(b"<a[x]>\r\n\r\n <a[x]>\r<a[x]>\n\\<a[x]>\n<a[x]><a[x]>");
        let lines: Vec<_> = template.references().map(|found| found.line).collect();
        assert_eq!(lines, [1, 3, 3, 5, 5]);
    }

    #[test]
    fn lists_what_it_refers_to() {
        let template = parse(b"<attributes[x]|d><include(b)>\n\\<a[y]><include(c)><root_url()>");
        let name = "x";
        let dictionary = Dictionary::Attributes;
        assert_eq!(
            template.references().collect::<Vec<_>>(),
            [
                Reference {
                    line: 1,
                    form: Form::Value { dictionary, name },
                    default: Some(b"d"),
                },
                Reference {
                    line: 2,
                    form: Form::RootUrl,
                    default: None,
                },
            ]
        );
        assert_eq!(template.includes().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn an_escape_is_not_plain() {
        assert!(!parse(br"\<a[x]>").is_plain());
        assert!(!parse(b"<a[x]>").is_plain());
    }
}
