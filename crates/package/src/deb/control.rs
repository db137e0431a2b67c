//! Control files: one paragraph of fields (deb-control(5)).

use std::collections::HashSet;
use std::str::FromStr;

/// The control file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control(String);

/// One field of a control file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name. Case does not matter.
    pub name: &'a str,
    /// The field as written, with its name; each line of it ends in a newline.
    pub text: &'a str,
}

impl Control {
    /// The paragraph as written. Each line of it ends in a newline, and none is blank.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        fields(&self.0)
    }

    /// What the field of this name says.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let field = self
            .fields()
            .find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(field.value())
    }
}

impl<'a> Field<'a> {
    /// What it says, without the space around that.
    #[must_use]
    pub fn value(&self) -> &'a str {
        let value = self.text.split_once(':').map_or("", |(_, value)| value);
        value.trim()
    }
}

/// The error says what is wrong.
impl FromStr for Control {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut names = HashSet::new();
        let mut paragraph = String::with_capacity(text.len() + 1);
        let text = text.trim_start_matches(['\r', '\n']).trim_end();
        for line in text.lines() {
            if line.trim().is_empty() {
                return Err("its control file has more than one paragraph".to_owned());
            }
            if is_continuation(line) {
                if names.is_empty() {
                    return Err("its control file begins in the middle of a field".to_owned());
                }
            } else {
                let name = field_name(line).ok_or_else(|| {
                    format!("its control file has a line without a field: {line:?}")
                })?;
                if !names.insert(name.to_ascii_lowercase()) {
                    return Err(format!("its control file has the field {name} twice"));
                }
            }
            paragraph.push_str(line);
            paragraph.push('\n');
        }
        Ok(Self(paragraph))
    }
}

fn is_continuation(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

fn field_name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    let name = name.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(name)
}

fn fields(mut paragraph: &str) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let mut ends = paragraph.match_indices('\n').map(|(at, _)| at + 1);
        let end = ends.find(|end| !paragraph.get(*end..).is_some_and(is_continuation))?;
        let (text, rest) = paragraph.split_at_checked(end)?;
        paragraph = rest;
        let name = field_name(text)?;
        Some(Field { name, text })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_continuations() {
        let control: Control =
            "\nPackage: x\nDescription:  short\n long: er\n .\n\tend\nVersion:1\n\n\n"
                .parse()
                .unwrap();
        let fields: Vec<_> = control
            .fields()
            .map(|field| (field.name, field.value()))
            .collect();
        let description = "short\n long: er\n .\n\tend";
        assert_eq!(
            fields,
            [
                ("Package", "x"),
                ("Description", description),
                ("Version", "1")
            ]
        );
        assert_eq!(control.value("VERSION"), Some("1"));
        assert_eq!(control.value("Depends"), None);
        assert!(control.as_str().starts_with("Package: x\nDesc"));
        assert!(control.as_str().ends_with("Version:1\n"));
    }

    #[test]
    fn what_could_pass_for_another_package_is_refused() {
        for (text, complaint) in [
            ("Package: x\n\nPackage: y\n", "more than one paragraph"),
            ("Package: x\n \t\nPackage: y\n", "more than one paragraph"),
            ("Package: x\n\r\nPackage: y\n", "more than one paragraph"),
            ("Package: x\npackage: y\n", "field package twice"),
            (" Package: x\n", "in the middle of a field"),
            ("Package x\n", "without a field: \"Package x\""),
            (": x\n", "without a field"),
            ("Pack age: x\n", "without a field"),
        ] {
            let error = text.parse::<Control>().unwrap_err();
            assert!(error.contains(complaint), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_empty_one_has_no_fields() {
        for text in ["", "\n", "\n \n"] {
            let control: Control = text.parse().unwrap();
            assert_eq!(control.fields().count(), 0);
        }
    }
}
