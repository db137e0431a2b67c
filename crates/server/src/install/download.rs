//! `GET /install/client/download/…`, and `/download/…`: the client packages, as files.

use std::{fmt::Display, str::FromStr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use content::{
    ContentError,
    packages::{Opened, Package, Packages, PackagesError},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use package::{Architecture, Kind};

use crate::{Error, boot::Delivery, call::Call};

/// RFC 9530 §3.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// What a tar cannot run of the rpm that it was made of.
const SCRIPTLETS: HeaderName = HeaderName::from_static("x-package-scriptlets");

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let wanted = Wanted::of(call)?;
    let packages = &call.head.packages;
    let get = || packages.get(wanted.kind, wanted.architecture, wanted.package);
    let opened = match get().await {
        Err(PackagesError::NotFound { .. }) => {
            call.head.await_packages(wanted.package).await;
            get().await
        }
        opened => opened,
    };
    delivery(opened?)
}

/// Waits until the packages that lay there at the start are read, but not beyond `patience`.
pub(crate) async fn settled(packages: &Packages, patience: Duration) -> Result<(), Error> {
    let settled = tokio::time::timeout(patience, packages.settled());
    settled.await.map_err(|_| still_reading())
}

fn still_reading() -> Error {
    Error::Unavailable("the packages are still being read".into())
}

/// Nothing is listed under `what`, be it not there or not read yet.
pub(crate) fn absent(packages: &Packages, what: impl Display) -> Error {
    match packages.list().is_complete() {
        true => Error::NotFound(format!("there is no package {what}")),
        false => still_reading(),
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    kind: Kind,
    architecture: Architecture,
    /// A name, a name and a version, or a file name.
    package: &'a str,
}

impl<'a> Wanted<'a> {
    /// What the path does not say, the query may.
    fn of(call: &'a Call) -> Result<Self, Error> {
        let path: Vec<_> = call.param("name").split('/').collect();
        let query = |name| call.query.text(name);
        let (kind, architecture, package) = match path[..] {
            [package] => (query("pkg"), query("arch"), package),
            [kind, package] => (Some(kind), query("arch"), package),
            [kind, architecture, package] => (Some(kind), Some(architecture), package),
            _ => {
                return Err(Error::NotFound(
                    "a package is at download/NAME, download/KIND/NAME or download/KIND/ARCHITECTURE/NAME".into(),
                ));
            }
        };
        Ok(Self {
            kind: read("kind of package", kind)?.unwrap_or(Kind::Rpm),
            architecture: read("architecture", architecture)?.unwrap_or(Architecture::X86_64),
            package,
        })
    }
}

fn read<T: FromStr<Err: Display>>(what: &str, text: Option<&str>) -> Result<Option<T>, Error> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error| Error::Malformed(format!("no {what} is called {text:?}: {error}")))
    };
    text.map(parse).transpose()
}

/// A package as it is sent.
pub(crate) fn delivery(Opened { file, entry }: Opened) -> Result<Delivery, Error> {
    let package = entry.package();
    // What is opened for sending was read before, and is whole.
    let package = package.ok_or_else(|| Error::NotFound(format!("{} is broken", entry.file)))?;
    let sha256 = package.sha256;
    Ok(Delivery::of_file(
        file,
        sha256,
        fields(entry.file.base_name(), package),
    ))
}

fn fields(file_name: &str, package: &Package) -> HeaderMap {
    let digest = format!("sha-256=:{}:", STANDARD.encode(package.sha256.as_bytes()));
    let mut fields = vec![
        (header::CONTENT_DISPOSITION, attachment(file_name)),
        (REPR_DIGEST, digest),
    ];
    if package.made_of.is_some() && !package.scriptlets.is_empty() {
        fields.push((SCRIPTLETS, package.scriptlets.join(", ")));
    }
    let valid =
        |(name, value): (HeaderName, String)| Some((name, HeaderValue::try_from(value).ok()?));
    fields.into_iter().filter_map(valid).collect()
}

/// The real name of a file (RFC 6266): as it is, and where it is not ASCII also in full (RFC 8187).
fn attachment(file_name: &str) -> String {
    let harmless = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%');
    let plain: String = file_name
        .chars()
        .map(|c| if harmless(c) { c } else { '_' })
        .collect();
    match plain == file_name {
        true => format!("attachment; filename=\"{plain}\""),
        false => {
            let full = percent_encoding::utf8_percent_encode(
                file_name,
                percent_encoding::NON_ALPHANUMERIC,
            );
            format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}")
        }
    }
}

impl From<PackagesError> for Error {
    fn from(error: PackagesError) -> Self {
        let said = error.to_string();
        match error {
            PackagesError::NotFound { .. } => Self::NotFound(said),
            PackagesError::NotPackageFile { .. } => Self::Malformed(said),
            PackagesError::Broken { .. } | PackagesError::Conversion { .. } => {
                Self::Unprocessable(said)
            }
            PackagesError::Converting { .. }
            | PackagesError::NotYet { .. }
            | PackagesError::Unconverted { .. }
            | PackagesError::Directory { .. }
            | PackagesError::Closing => Self::Unavailable(said),
            PackagesError::File(ContentError::Upload { source, name }) => {
                let refused = source.downcast::<Self>();
                refused.unwrap_or_else(|source| ContentError::Upload { name, source }.into())
            }
            PackagesError::File(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_name() {
        assert_eq!(
            attachment("a-1.0-1.x86_64.rpm"),
            "attachment; filename=\"a-1.0-1.x86_64.rpm\""
        );
        assert_eq!(
            attachment("a\"%é.rpm"),
            "attachment; filename=\"a___.rpm\"; filename*=UTF-8''a%22%25%C3%A9%2Erpm"
        );
    }
}
