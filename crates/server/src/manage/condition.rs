//! What `If-Match` and `If-None-Match` ask of a file before it is changed.

use content::{Precondition, Sha256Digest};
use http::{HeaderMap, HeaderName, header};

use crate::reply::ETag;

/// What must be true of the file that is there.
pub(super) struct Condition {
    if_match: Option<String>,
    absent: bool,
}

impl Condition {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        Self {
            if_match: text(header::IF_MATCH),
            absent: text(header::IF_NONE_MATCH).is_some_and(|value| value.trim() == "*"),
        }
    }

    /// For a boot file.
    pub(super) fn with<T>(&self, change: impl FnOnce(Precondition<'_>) -> T) -> T {
        match &self.if_match {
            Some(tags) if tags.trim() == "*" => change(Precondition::Present),
            Some(tags) => change(Precondition::Matches(&|digest| names(tags, digest))),
            None if self.absent => change(Precondition::Absent),
            None => change(Precondition::None),
        }
    }

    /// For a package.
    pub(super) fn of_package(self) -> Option<content::packages::Condition> {
        let Self { if_match, absent } = self;
        match if_match {
            Some(tags) if tags.trim() == "*" => Some(Box::new(|found| found.is_some())),
            Some(tags) => Some(Box::new(move |found| {
                found.is_some_and(|digest| names(&tags, digest))
            })),
            None if absent => Some(Box::new(|found| found.is_none())),
            None => None,
        }
    }
}

fn names(tags: &str, digest: &Sha256Digest) -> bool {
    let tag = ETag::of_sha256(digest.as_bytes());
    tags.split(',')
        .any(|one| one.trim().as_bytes() == tag.as_bytes())
}
