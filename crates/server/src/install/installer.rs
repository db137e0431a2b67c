//! `GET /install/client/installer`: the script with which any machine installs its client packages.
//!
//! Without parameters it is the pre-installer, which finds out what its machine is and asks again. The scripts
//! themselves are in `assets/install`.

mod operating_system;
mod script;

use std::{sync::Arc, time::Duration};

use content::packages::{Entry, Packages, PackagesError};
use package::{Architecture, Kind, PackageName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::{
    operating_system::OperatingSystem,
    script::{Installer, Offer},
};
use super::download::settled;
use crate::{Error, boot::Delivery, call::Call, head::Head, query::Query};

/// How long a script waits for the first reading of the packages.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let Head {
        packages, settings, ..
    } = &*call.head;
    installer(&call.query, &call.base_url(), packages, &settings.install).await
}

/// The script for whoever asks with this query. `install` are the packages to be installed, of which only the first is
/// required.
async fn installer(
    query: &Query,
    base_url: &str,
    packages: &Packages,
    install: &[PackageName],
) -> Result<Delivery, Error> {
    let script = match Machine::of(query)? {
        None => script::pre_installer(base_url),
        Some(machine) => {
            settled(packages, PATIENCE).await?;
            let installer = machine.installer(base_url, packages, install).await?;
            installer.to_string()
        }
    };
    Ok(Delivery::of_script(script))
}

/// What is said about the machine that is to be installed.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    architecture: Option<Architecture>,
    system: Option<OperatingSystem>,
    kind: Option<Kind>,
}

impl Machine {
    /// None if nothing is said.
    fn of(query: &Query) -> Result<Option<Self>, Error> {
        let architecture = |name: &str| match name {
            // So it stands in the documentation that scripts were written by.
            "aarm64" => Ok(Architecture::Aarch64),
            name => name.parse(),
        };
        let machine = Self {
            architecture: only(query, "cpu", architecture)?,
            system: only(query, "os", str::parse)?,
            kind: only(query, "pkg", str::parse)?,
        };
        let nothing = Self {
            architecture: None,
            system: None,
            kind: None,
        };
        Ok((machine != nothing).then_some(machine))
    }

    /// The packaging systems that will do, best first. A tar does anywhere.
    fn kinds(&self) -> &'static [Kind] {
        let kind = self.kind.or(self.system.map(OperatingSystem::kind));
        match kind {
            Some(Kind::Rpm) => &[Kind::Rpm, Kind::Tar],
            Some(Kind::Deb) => &[Kind::Deb, Kind::Tar],
            Some(Kind::Tar) => &[Kind::Tar],
            None => &[Kind::Tar, Kind::Rpm, Kind::Deb],
        }
    }

    async fn installer<'a>(
        &self,
        base_url: &'a str,
        packages: &Packages,
        install: &[PackageName],
    ) -> Result<Installer<'a>, Error> {
        let Some((required, others)) = install.split_first() else {
            return Err(Error::NotFound(
                "this head is configured to install no packages".into(),
            ));
        };
        let architecture = self.architecture.unwrap_or(Architecture::X86_64);
        let mut lacking = Vec::new();
        for &kind in self.kinds() {
            let offers = Offers {
                base_url,
                packages,
                kind,
                architecture,
            };
            let mut offered = match offers.find(required).await? {
                Ok(offer) => vec![offer],
                Err(reason) => {
                    lacking.push(reason);
                    continue;
                }
            };
            for name in others {
                match offers.find(name).await? {
                    Ok(offer) => offered.push(offer),
                    Err(reason) => lacking.push(reason),
                }
            }
            return Ok(Installer {
                base_url,
                kind,
                architecture,
                system: self.system,
                offers: offered,
                lacking,
            });
        }
        Err(Error::NotFound(lacking.join("; ")))
    }
}

/// The value of this name, of which there may be one.
fn only<T>(
    query: &Query,
    name: &str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Option<T>, Error> {
    let mut values = query.others(&[]).filter(|(known, _)| *known == name);
    let (Some((_, value)), more) = (values.next(), values.next()) else {
        return Ok(None);
    };
    let parsed = match more {
        None => parse(value),
        // Whatever the value, the reason lists those that are accepted.
        Some(_) => Err(parse("").err().unwrap_or("expected one value")),
    };
    let given = more.map_or(value, |_| "given twice");
    parsed
        .map(Some)
        .map_err(|reason| Error::Malformed(format!("{name}={given}: {reason}")))
}

/// Where the packages of an installer come from.
struct Offers<'a> {
    base_url: &'a str,
    packages: &'a Packages,
    kind: Kind,
    architecture: Architecture,
}

impl Offers<'_> {
    /// The package of this name; or why it cannot be offered, though another might.
    async fn find(&self, name: &PackageName) -> Result<Result<Offer, String>, Error> {
        let Self {
            kind, architecture, ..
        } = *self;
        // Not what is listed alone: the digest is to be that of the file as it is now.
        let found = self.packages.get(kind, architecture, name.as_str());
        let entry = match found.await {
            Ok(opened) => opened.entry,
            Err(
                reason @ (PackagesError::NotFound { .. }
                | PackagesError::Broken { .. }
                | PackagesError::Conversion { .. }
                | PackagesError::Unconverted { .. }),
            ) => return Ok(Err(reason.to_string())),
            Err(error) => return Err(Error::Unavailable(error.to_string())),
        };
        let Some(package) = entry.package() else {
            return Ok(Err(format!("{}: it is broken", entry.file)));
        };
        let file = entry.file.base_name();
        // A file of the same name in another directory may come first.
        let is_it = |found: Arc<Entry>| found.file == entry.file;
        let wanted = match self
            .packages
            .find(kind, architecture, file)
            .is_ok_and(is_it)
        {
            true => file.to_owned(),
            false => format!("{name}-{}", package.identity.version),
        };
        let wanted = utf8_percent_encode(&wanted, ESCAPED);
        Ok(Ok(Offer {
            name: name.clone(),
            version: package.identity.version.to_string(),
            sha256: package.sha256,
            url: format!(
                "{}/install/client/download/{kind}/{architecture}/{wanted}",
                self.base_url
            ),
        }))
    }
}

/// All but what RFC 3986 leaves unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn machine(query: &str) -> Result<Option<Machine>, String> {
        Machine::of(&Query::parse(Some(query))).map_err(|error| {
            assert_eq!(error.status().as_u16(), 400);
            error.to_string()
        })
    }

    #[test]
    fn without_parameters_nothing_is_said() {
        assert_eq!(machine(""), Ok(None));
        assert_eq!(machine("node=n1"), Ok(None));
    }

    #[test]
    fn what_is_said_of_a_machine_may_be_spelled_in_several_ways() {
        let arm = Machine {
            architecture: Some(Architecture::Aarch64),
            system: Some(OperatingSystem::Debian),
            kind: Some(Kind::Tar),
        };
        for query in [
            "cpu=aarch64&os=debian&pkg=tar",
            "cpu=arm64&os=ubuntu22.04&pkg=tgz",
            "cpu=aarm64&os=debian12&pkg=tar.gz",
        ] {
            assert_eq!(machine(query).unwrap().as_ref(), Some(&arm), "{query}");
        }
    }

    #[test]
    fn what_is_not_known_or_said_twice_is_refused_with_what_is_accepted() {
        for (query, reason) in [
            (
                "cpu=riscv64",
                "cpu=riscv64: expected x86_64, amd64, aarch64 or arm64",
            ),
            ("pkg=zip", "pkg=zip: expected rpm, deb, tar, tgz or tar.gz"),
            ("pkg=", "pkg=: expected rpm, deb, tar, tgz or tar.gz"),
            (
                "pkg=rpm&os=rhel&pkg=rpm",
                "pkg=given twice: expected rpm, deb, tar, tgz or tar.gz",
            ),
        ] {
            assert_eq!(machine(query).unwrap_err(), reason);
        }
        assert!(
            machine("os=plan9")
                .unwrap_err()
                .starts_with("os=plan9: expected ")
        );
    }

    #[test]
    fn what_is_left_out_is_filled_with_what_fits_best() {
        let kinds = |query| machine(query).unwrap().unwrap().kinds();
        assert_eq!(kinds("os=rocky9.4"), [Kind::Rpm, Kind::Tar]);
        assert_eq!(kinds("os=cumulus5"), [Kind::Deb, Kind::Tar]);
        assert_eq!(kinds("os=debian&pkg=tar"), [Kind::Tar]);
        assert_eq!(kinds("pkg=rpm"), [Kind::Rpm, Kind::Tar]);
        assert_eq!(kinds("cpu=x86_64"), [Kind::Tar, Kind::Rpm, Kind::Deb]);
    }
}
