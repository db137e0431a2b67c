//! Rendering: a template and values in, bytes out.

use std::iter;

use bytes::Bytes;

use crate::{
    error::{Place, RenderError},
    form::Form,
    template::{Include, Placeholder, Segment, Template},
    values::{Lookup, Values},
};

/// How deep includes nest: a chain of this many includes is rendered, one more is an error.
pub const MAX_DEPTH: usize = 16;

/// How many includes one rendering makes. Without this, sixteen levels of files that include the next one twice, and
/// come to nothing, would keep a processor busy.
pub const MAX_INCLUDES: usize = 1024;

/// How large a rendered text grows, in bytes. A file without any form is as large as it is.
pub const MAX_RENDERED: usize = 64 << 20;

/// What becomes of a form that has neither value nor default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// It stands for nothing.
    Empty,
}

/// One form replaced, as [`Template::render_traced`] tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Substitution<'a> {
    /// The file the form stands in, which may be an included one.
    pub file: &'a str,
    /// Line in that file, from 1.
    pub line: usize,
    /// The form as it is written there, with its default.
    pub written: &'a [u8],
    /// What the form asks for.
    pub form: Form<'a>,
    /// What it was replaced by.
    pub value: &'a [u8],
    /// Where that comes from.
    pub origin: Origin,
}

/// Where the replacement of a form comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is the value.
    Value,
    /// There is no value; it is the form's default.
    Default,
    /// There is neither; it is empty by [`Missing::Empty`].
    Nothing,
}

impl Template {
    /// Renders the template. One [without forms](Template::is_plain) costs no copy.
    ///
    /// # Errors
    /// At the first form that cannot be replaced.
    pub fn render(&self, values: &dyn Values, missing: Missing) -> Result<Bytes, RenderError> {
        self.render_traced(values, missing, |_| {})
    }

    /// Renders the template and tells `trace` of each value put in, in the order of the text; also of those before
    /// the one that fails.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_traced(
        &self,
        values: &dyn Values,
        missing: Missing,
        trace: impl FnMut(Substitution<'_>),
    ) -> Result<Bytes, RenderError> {
        if self.is_plain() {
            return Ok(self.source().clone());
        }
        let mut rendering = Rendering {
            asked_for: self.name(),
            values,
            missing,
            trace,
            output: Vec::new(),
            includes: 0,
        };
        rendering.append(&Chain {
            template: self,
            included_by: None,
        })?;
        Ok(rendering.output.into())
    }
}

/// A template being rendered, and those that led to it.
struct Chain<'a> {
    template: &'a Template,
    included_by: Option<&'a Self>,
}

impl<'a> Chain<'a> {
    /// The names of the files from this one up to the one that was asked for.
    fn files(&'a self) -> impl Iterator<Item = &'a str> {
        iter::successors(Some(self), |link| link.included_by).map(|link| link.template.name())
    }

    /// The cycle that including `file` once more would close, if it would.
    fn cycle(&self, file: &str) -> Option<String> {
        let distance = self.files().position(|name| name == file)?;
        let mut cycle: Vec<_> = self.files().take(distance + 1).collect();
        cycle.reverse();
        cycle.push(file);
        Some(cycle.join(" -> "))
    }

    fn place(&self, line: usize) -> Place {
        Place {
            file: self.template.name().into(),
            line,
        }
    }
}

struct Rendering<'a, T> {
    asked_for: &'a str,
    values: &'a dyn Values,
    missing: Missing,
    trace: T,
    output: Vec<u8>,
    includes: usize,
}

impl<T: FnMut(Substitution<'_>)> Rendering<'_, T> {
    fn append(&mut self, chain: &Chain<'_>) -> Result<(), RenderError> {
        let template = chain.template;
        // A value is about as long as its form; one allocation serves nearly every file.
        let expected = template.source().len() + 16 * template.segments.len();
        self.output.reserve(expected);
        for segment in &template.segments {
            match segment {
                Segment::Text(text) | Segment::Escaped(text) => self.copy(text)?,
                Segment::Value(placeholder) => self.substitute(chain, placeholder)?,
                Segment::Include(include) => self.include(chain, include)?,
            }
        }
        Ok(())
    }

    fn copy(&mut self, bytes: &[u8]) -> Result<(), RenderError> {
        if self.output.len() + bytes.len() > MAX_RENDERED {
            return Err(RenderError::TooLarge {
                file: self.asked_for.into(),
            });
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn substitute(
        &mut self,
        chain: &Chain<'_>,
        placeholder: &Placeholder,
    ) -> Result<(), RenderError> {
        let form = placeholder.form();
        let found = self.values.look_up(form);
        let (value, origin) = match (&found, &placeholder.default, self.missing) {
            (Lookup::Value(value), _, _) => (value.as_bytes(), Origin::Value),
            (Lookup::Missing, Some(default), _) => (&default[..], Origin::Default),
            (Lookup::Missing, None, Missing::Empty) => (&[][..], Origin::Nothing),
            (Lookup::Missing, None, Missing::Error) => {
                let owner = if form.is_of_head() {
                    "this head".into()
                } else {
                    self.values.subject().into_owned()
                };
                return Err(RenderError::Missing {
                    at: chain.place(placeholder.line),
                    owner,
                    what: form.lacking(),
                });
            }
            (Lookup::NoNode, _, _) => {
                return Err(RenderError::NeedsNode {
                    at: chain.place(placeholder.line),
                    form: form.to_string(),
                });
            }
        };
        self.copy(value)?;
        (self.trace)(Substitution {
            file: chain.template.name(),
            line: placeholder.line,
            written: &placeholder.written,
            form,
            value,
            origin,
        });
        Ok(())
    }

    fn include(&mut self, chain: &Chain<'_>, include: &Include) -> Result<(), RenderError> {
        let at = || chain.place(include.line);
        let file = &include.file;
        self.includes += 1;
        if self.includes > MAX_INCLUDES {
            return Err(RenderError::TooManyIncludes {
                at: at(),
                file: file.clone(),
            });
        }
        let template = self
            .values
            .include(file)
            .map_err(|reason| RenderError::Include {
                at: at(),
                file: file.clone(),
                reason,
            })?;
        if let Some(cycle) = chain.cycle(template.name()) {
            return Err(RenderError::Cycle { at: at(), cycle });
        }
        // The chain begins with the file that was asked for, which nobody includes.
        if chain.files().count() > MAX_DEPTH {
            return Err(RenderError::TooDeep {
                at: at(),
                file: file.clone(),
            });
        }
        self.append(&Chain {
            template: &template,
            included_by: Some(chain),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{borrow::Cow, collections::HashMap, sync::Arc};

    use super::*;
    use crate::IncludeError;

    /// Values by the form's short spelling, files by name.
    #[derive(Default)]
    struct Site {
        node_known: bool,
        values: HashMap<&'static str, &'static str>,
        files: HashMap<String, Arc<Template>>,
    }

    impl Site {
        fn of_node(values: impl Into<HashMap<&'static str, &'static str>>) -> Self {
            Self {
                node_known: true,
                values: values.into(),
                files: HashMap::new(),
            }
        }

        fn file(mut self, name: &str, source: impl Into<Bytes>) -> Self {
            let template = Arc::new(Template::parse(name, source.into()));
            self.files.insert(name.into(), template);
            self
        }

        fn render(&self, source: impl Into<Bytes>) -> Result<Bytes, RenderError> {
            Template::parse("basic.ks", source.into()).render(self, Missing::Error)
        }

        fn error(&self, source: impl Into<Bytes>) -> String {
            self.render(source).unwrap_err().to_string()
        }
    }

    impl Values for Site {
        fn look_up(&self, form: Form<'_>) -> Lookup<'_> {
            if !self.node_known && !form.is_of_head() {
                return Lookup::NoNode;
            }
            match self.values.get(form.to_string().as_str()) {
                Some(value) => Lookup::Value((*value).into()),
                None => Lookup::Missing,
            }
        }

        fn include(&self, file: &str) -> Result<Arc<Template>, IncludeError> {
            if file == "secret" {
                return Err(IncludeError::Failed("permission denied".into()));
            }
            let found = self.files.get(file).cloned();
            found.ok_or(IncludeError::NotFound)
        }

        fn subject(&self) -> Cow<'_, str> {
            "node n4".into()
        }
    }

    #[test]
    fn replaces_each_form() {
        let site = Site::of_node([
            ("<a[x]>", "attribute"),
            ("<h[mac]>", "mac"),
            ("<s[up.time]>", "status"),
            ("<n[name]>", "n4"),
            ("<head[lang]>", "en_GB"),
            ("<root_url()>", "http://h/tree"),
            ("<base_url()>", "http://h/api/v1"),
        ])
        .file("part", "+<n[name]>+");
        let rendered = site.render(
            "<a[x]> <attributes[x]> <h[mac]> <hardware[mac]> <s[up.time]> <status[up.time]> <n[name]> <node[name]> \
             <head[lang]> <root_url()> <base_url()> <include(part)>",
        );
        assert_eq!(
            rendered.unwrap(),
            "attribute attribute mac mac status status n4 n4 en_GB http://h/tree http://h/api/v1 +n4+"
        );
    }

    #[test]
    fn a_default_stands_in_for_a_missing_value_only() {
        let site = Site::of_node([("<a[x]>", "value"), ("<a[empty]>", "")]);
        let rendered = site.render("[<a[x]|d>][<a[empty]|d>][<a[none]|d>][<a[none]|>]");
        assert_eq!(rendered.unwrap(), "[value][][d][]");
        assert_eq!(site.render("<root_url()|none>").unwrap(), "none");
    }

    #[test]
    fn a_default_need_not_be_utf_8() {
        let site = Site::of_node([]);
        let rendered = site.render(&b"\x80<a[x]|\xff>\xfe"[..]);
        assert_eq!(rendered.unwrap(), &b"\x80\xff\xfe"[..]);
    }

    #[test]
    fn a_missing_value_is_named() {
        let site = Site::of_node([]);
        assert_eq!(
            site.error("\n\n\n\n\n\nrootpw <a[rootpw]>"),
            r#"basic.ks:7: node n4 has no attribute "rootpw""#
        );
        for (form, message) in [
            ("<h[mac]>", r#"node n4 has no hardware key "mac""#),
            ("<s[up]>", r#"node n4 has no status key "up""#),
            ("<n[ip]>", r#"node n4 has no field "ip""#),
            ("<head[lang]>", r#"this head has no setting "lang""#),
            (
                "<root_url()>",
                "node n4 has no install tree for <root_url()>",
            ),
            ("<base_url()>", "this head has no URL for <base_url()>"),
        ] {
            assert_eq!(site.error(form), format!("basic.ks:1: {message}"));
        }
    }

    #[test]
    fn missing_values_may_be_empty() {
        let site = Site::of_node([]);
        let template = Template::parse("f", "[<a[x]>][<a[x]|d>]".into());
        assert_eq!(template.render(&site, Missing::Empty).unwrap(), "[][d]");
    }

    #[test]
    fn nothing_stands_in_for_a_node() {
        let site = Site::default().file("part", "\n<n[name]>");
        for form in [
            "<a[x]|d>",
            "<h[x]|d>",
            "<s[x]|d>",
            "<n[x]|d>",
            "<root_url()|d>",
        ] {
            let template = Template::parse("f", Bytes::from(form));
            let error = template.render(&site, Missing::Empty).unwrap_err();
            let short = form.replace("|d", "");
            let expected =
                format!("f:1: {short} needs a node, and it is not known which node is asking");
            assert_eq!(error.to_string(), expected);
            assert!(matches!(error, RenderError::NeedsNode { .. }));
        }
        assert!(
            site.error("<include(part)>")
                .starts_with("part:2: <n[name]> needs a node")
        );
        assert_eq!(site.render("<head[x]|d><base_url()|u>").unwrap(), "du");
    }

    #[test]
    fn values_are_data() {
        let site = Site::of_node([("<a[x]>", "<a[y]>\\"), ("<a[y]>", "no")]).file("secret", "no");
        assert_eq!(site.render("<a[x]><a[x]>").unwrap(), "<a[y]>\\<a[y]>\\");
        assert_eq!(site.render("<a[none]|<a[y]>>").unwrap(), "<a[y]>");
        assert_eq!(site.render("<a[<a[x]>]>").unwrap(), "<a[<a[y]>\\]>");
    }

    #[test]
    fn a_backslash_keeps_a_form() {
        let site = Site::of_node([("<a[x]>", "v")]);
        assert_eq!(site.render(r"\<a[x]>").unwrap(), "<a[x]>");
        assert_eq!(site.render(r"\\<a[x]|d>").unwrap(), r"\<a[x]|d>");
        assert_eq!(site.render(r"\<include(gone)>").unwrap(), "<include(gone)>");
        assert_eq!(site.render(r"\<html>\n<a[x]>").unwrap(), r"\<html>\nv");
        assert_eq!(site.render(r"<head[backslash]|\><a[x]>").unwrap(), r"\v");
    }

    #[test]
    fn a_plain_file_is_not_copied() {
        let source = Bytes::from_static(b"cat <<EOF\n\xff\nEOF\n");
        let rendered = Site::default().render(source.clone()).unwrap();
        assert_eq!(rendered.as_ptr(), source.as_ptr());
        assert_eq!(rendered, source);
    }

    #[test]
    fn errors_in_an_included_file_are_placed_there() {
        let site = Site::of_node([]).file("part", "\n\n<a[x]>");
        let error = site.error("\n<include(part)>");
        assert_eq!(error, r#"part:3: node n4 has no attribute "x""#);
    }

    #[test]
    fn an_include_that_cannot_be_had_is_named() {
        let site = Site::of_node([]);
        assert_eq!(
            site.error("\n<include(gone)>"),
            r#"basic.ks:2: cannot include "gone": no such file"#
        );
        assert_eq!(
            site.error("<include(secret)>"),
            r#"basic.ks:1: cannot include "secret": permission denied"#
        );
    }

    #[test]
    fn a_cycle_is_named() {
        let site = Site::of_node([])
            .file("self", "<include(self)>")
            .file("a.ks", "\n<include(b.ks)>")
            .file("b.ks", "\n\n<include(a.ks)>");
        assert_eq!(
            site.error("<include(self)>"),
            "self:1: include cycle: self -> self"
        );
        let expected = "b.ks:3: include cycle: a.ks -> b.ks -> a.ks";
        assert_eq!(site.error("<include(a.ks)>"), expected);
        let asked_for = site.files["a.ks"].render(&site, Missing::Error);
        assert_eq!(asked_for.unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_same_file_twice_is_no_cycle() {
        let site = Site::of_node([]).file("part", "p");
        let rendered = site.render("<include(part)><include(part)>");
        assert_eq!(rendered.unwrap(), "pp");
    }

    #[test]
    fn includes_nest_to_the_limit_and_no_deeper() {
        let mut site = Site::of_node([])
            .file("16", "deepest")
            .file("17", "too deep");
        for level in 1..16 {
            site = site.file(&level.to_string(), format!("<include({})>", level + 1));
        }
        assert_eq!(site.render("<include(1)>").unwrap(), "deepest");
        let site = site.file("16", "\n<include(17)>");
        assert_eq!(
            site.error("<include(1)>"),
            r#"16:2: including "17" would nest includes more than 16 deep"#
        );
    }

    #[test]
    fn include_bombs_are_stopped() {
        let mebibyte = "x".repeat(1 << 20);
        let site = Site::of_node([]).file("big", mebibyte).file("nothing", "");
        let largest = site.render("<include(big)>".repeat(64)).unwrap();
        assert_eq!(largest.len(), MAX_RENDERED);
        assert_eq!(
            site.error("<include(big)>".repeat(64) + "!"),
            "basic.ks: the rendered text is larger than 64 MiB"
        );

        let most = "<include(nothing)>".repeat(MAX_INCLUDES);
        assert_eq!(site.render(most.clone()).unwrap(), "");
        assert_eq!(
            site.error(most + "\n<include(nothing)>"),
            r#"basic.ks:2: including "nothing" would make more than 1024 includes in one text"#
        );
    }

    #[test]
    fn a_trace_tells_of_each_substitution() {
        let site = Site::of_node([("<a[x]>", "v")]).file("part", "\n<attributes[x]>");
        let source = "<a[none]|d>\\<a[x]><include(part)><n[ip]>";
        let mut seen = Vec::new();
        let rendered = Template::parse("basic.ks", source.into()).render_traced(
            &site,
            Missing::Empty,
            |substitution| {
                let Substitution {
                    file,
                    line,
                    form,
                    origin,
                    ..
                } = substitution;
                let written = String::from_utf8_lossy(substitution.written);
                let value = String::from_utf8_lossy(substitution.value);
                seen.push(format!(
                    "{file}:{line} {written} {form} = '{value}' {origin:?}"
                ));
            },
        );
        assert_eq!(rendered.unwrap(), "d<a[x]>\nv");
        assert_eq!(
            seen,
            [
                "basic.ks:1 <a[none]|d> <a[none]> = 'd' Default",
                "part:2 <attributes[x]> <a[x]> = 'v' Value",
                "basic.ks:1 <n[ip]> <n[ip]> = '' Nothing",
            ]
        );
    }
}
