//! The forms of the language: what stands between `<` and `>`.

use std::fmt;

use memchr::memchr2;

/// Linux's `PATH_MAX`: nothing longer can name a file.
const MAX_FILE_NAME: usize = 4096;

/// A place for a value, as [`Values::look_up`](crate::Values::look_up) is asked for it.
///
/// Displays as the form in its short spelling: `<a[rootpw]>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form<'a> {
    /// A named value: `<a[rootpw]>`.
    Value {
        /// Where the value is found.
        dictionary: Dictionary,
        /// Its name there.
        name: &'a str,
    },
    /// `<root_url()>`: the URL of the install tree of the node's boot configuration.
    RootUrl,
    /// `<base_url()>`: the head's API URL as the client used it.
    BaseUrl,
}

/// Where a named value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dictionary {
    /// `a`, `attributes`: the node's effective attributes.
    Attributes,
    /// `h`, `hardware`: what is known of the node's hardware.
    Hardware,
    /// `s`, `status`: what the node last reported of itself.
    Status,
    /// `n`, `node`: the fields of the node.
    Node,
    /// `head`: the settings of the head that answers.
    Head,
}

impl Dictionary {
    fn with_keyword(keyword: &[u8]) -> Option<Self> {
        match keyword {
            b"a" | b"attributes" => Some(Self::Attributes),
            b"h" | b"hardware" => Some(Self::Hardware),
            b"s" | b"status" => Some(Self::Status),
            b"n" | b"node" => Some(Self::Node),
            b"head" => Some(Self::Head),
            _ => None,
        }
    }

    fn keyword(self) -> &'static str {
        match self {
            Self::Attributes => "a",
            Self::Hardware => "h",
            Self::Status => "s",
            Self::Node => "n",
            Self::Head => "head",
        }
    }

    /// What one of its values is called in a message.
    fn noun(self) -> &'static str {
        match self {
            Self::Attributes => "attribute",
            Self::Hardware => "hardware key",
            Self::Status => "status key",
            Self::Node => "field",
            Self::Head => "setting",
        }
    }

    /// How many bytes at the beginning of `text` are a name in this dictionary.
    fn name_length(self, text: &[u8]) -> usize {
        let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let end = match self {
            // Keys come from the node's own reports, which are JSON.
            Self::Hardware | Self::Status => text
                .iter()
                .position(|b| !(word(b) || matches!(b, b'.' | b'-'))),
            Self::Attributes | Self::Node | Self::Head => {
                if text.first().is_some_and(u8::is_ascii_digit) {
                    return 0;
                }
                text.iter().position(|b| !word(b))
            }
        };
        end.unwrap_or(text.len())
    }
}

impl<'a> Form<'a> {
    /// The form that `text` begins with, and what follows it.
    fn read(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        if let Some(rest) = text.strip_prefix(b"root_url()") {
            return Some((Self::RootUrl, rest));
        }
        if let Some(rest) = text.strip_prefix(b"base_url()") {
            return Some((Self::BaseUrl, rest));
        }
        let bracket = text.iter().position(|b| !b.is_ascii_lowercase())?;
        let dictionary = Dictionary::with_keyword(&text[..bracket])?;
        let named = text[bracket..].strip_prefix(b"[")?;
        let (name, rest) = named.split_at(dictionary.name_length(named));
        let rest = rest.strip_prefix(b"]")?;
        if name.is_empty() {
            return None;
        }
        let name = str::from_utf8(name).ok()?;
        Some((Self::Value { dictionary, name }, rest))
    }

    /// What is lacking when the form has no value, for "node n4 has no …".
    pub(crate) fn lacking(self) -> String {
        match self {
            Self::Value { dictionary, name } => format!("{} \"{name}\"", dictionary.noun()),
            Self::RootUrl => format!("install tree for {self}"),
            Self::BaseUrl => format!("URL for {self}"),
        }
    }

    /// Whether the value is the head's, and not the node's.
    pub(crate) fn is_of_head(self) -> bool {
        match self {
            Self::Value { dictionary, .. } => dictionary == Dictionary::Head,
            Self::RootUrl => false,
            Self::BaseUrl => true,
        }
    }
}

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { dictionary, name } => write!(f, "<{}[{name}]>", dictionary.keyword()),
            Self::RootUrl => f.write_str("<root_url()>"),
            Self::BaseUrl => f.write_str("<base_url()>"),
        }
    }
}

/// What an exact form says, read from the bytes between its `<` and its `>`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Spelling<'a> {
    Value {
        form: Form<'a>,
        default: Option<&'a [u8]>,
    },
    Include {
        file: &'a str,
    },
}

impl<'a> Spelling<'a> {
    /// Reads what stands between a `<` and the first `>` after it, on one line. `None`: this is no form.
    ///
    /// Looks no further than the next `<` unless it found a form (but for a file's name, which is bounded), so that a
    /// line of many `<` is parsed in linear time.
    pub(crate) fn read(inside: &'a [u8]) -> Option<Self> {
        if let Some(call) = inside.strip_prefix(b"include(") {
            let file = call.strip_suffix(b")")?;
            let names_a_file =
                (1..=MAX_FILE_NAME).contains(&file.len()) && memchr2(b')', 0, file).is_none();
            return if names_a_file {
                str::from_utf8(file).ok().map(|file| Self::Include { file })
            } else {
                None
            };
        }
        let (form, rest) = Form::read(inside)?;
        match rest {
            [] => Some(Self::Value {
                form,
                default: None,
            }),
            [b'|', default @ ..] => Some(Self::Value {
                form,
                default: Some(default),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn value(dictionary: Dictionary, name: &str) -> Form<'_> {
        Form::Value { dictionary, name }
    }

    #[test]
    fn every_form_and_its_alias() {
        for (inside, form) in [
            ("a[rootpw]", value(Dictionary::Attributes, "rootpw")),
            ("attributes[_x9]", value(Dictionary::Attributes, "_x9")),
            ("h[mac]", value(Dictionary::Hardware, "mac")),
            ("hardware[0.a-B]", value(Dictionary::Hardware, "0.a-B")),
            ("s[state]", value(Dictionary::Status, "state")),
            ("status[-]", value(Dictionary::Status, "-")),
            ("n[name]", value(Dictionary::Node, "name")),
            ("node[ip]", value(Dictionary::Node, "ip")),
            ("head[lang]", value(Dictionary::Head, "lang")),
            ("root_url()", Form::RootUrl),
            ("base_url()", Form::BaseUrl),
        ] {
            for (default_written, default) in [
                ("", None),
                ("|", Some(&b""[..])),
                ("|a |]<b", Some(b"a |]<b")),
            ] {
                let written = format!("{inside}{default_written}");
                let spelling = Spelling::read(written.as_bytes());
                assert_eq!(
                    spelling,
                    Some(Spelling::Value { form, default }),
                    "{written}"
                );
            }
        }
    }

    #[test]
    fn near_misses_are_no_forms() {
        for inside in [
            "",
            "a",
            "a[",
            "a[]",
            "a[x",
            "a[x]]",
            "a[x] ",
            " a[x]",
            "a [x]",
            "a[ x]",
            "a[x-y]",
            "a[9]",
            "a[é]",
            "A[x]",
            "b[x]",
            "[x]",
            "ax]",
            "a[x] |d",
            "n[9x]",
            "head[a.b]",
            "h[]",
            "h[a b]",
            "s[a/b]",
            "root_url",
            "root_url(",
            "root_url(x)",
            "root_url()d",
            "Base_url()",
            "html",
            "include",
            "include()",
            "include(x",
            "include(x)|d",
            "include(a)b)",
            "include(a\0b)",
            "Include(x)",
        ] {
            assert_eq!(Spelling::read(inside.as_bytes()), None, "{inside}");
        }
    }

    #[test]
    fn a_file_may_have_any_name_a_line_can_hold() {
        for file in ["basic.ks", "dir/part one", "a|b", "é", "<a[x]"] {
            let inside = format!("include({file})");
            assert_eq!(
                Spelling::read(inside.as_bytes()),
                Some(Spelling::Include { file })
            );
        }
        assert_eq!(Spelling::read(b"include(\xff)"), None);
        let longest = format!("include({})", "x".repeat(MAX_FILE_NAME));
        assert!(Spelling::read(longest.as_bytes()).is_some());
        let too_long = format!("include({})", "x".repeat(MAX_FILE_NAME + 1));
        assert_eq!(Spelling::read(too_long.as_bytes()), None);
    }
}
