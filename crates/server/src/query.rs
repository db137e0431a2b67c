//! The query string of a request.

use std::str::FromStr;

use crate::Error;

/// Decoded `name=value` pairs, in the order they were sent.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The last value of this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of this name, read as what the caller expects.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let value = text
            .parse()
            .map_err(|error| Error::Malformed(format!("{name}={text}: {error}")))?;
        Ok(Some(value))
    }

    /// Everything but these names.
    pub(crate) fn others(&self, names: &[&str]) -> impl Iterator<Item = (&str, &str)> {
        let others = self
            .0
            .iter()
            .filter(move |(name, _)| !names.contains(&name.as_str()));
        others.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
