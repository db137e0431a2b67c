//! `GET /install/head/scyld-install`: the script that makes a head of another machine, of this very version.
//!
//! What it does is in `assets/install/scyld-install.sh`.

use std::{env::consts::ARCH, fmt};

use head_package::HeadPackages;
use http::{HeaderMap, header};
use package::Kind;

use super::shell::{DEB, DOWNLOAD, PROGRAMS, Parts, Quoted, RPM, SERVICE, TAR, WANTED};
use crate::{Error, base_url, boot::Delivery, call::Call};

const SCYLD_INSTALL: &str = include_str!("../../../../assets/install/scyld-install.sh");

/// `GET /install/head/scyld-install`, and by its other name `cw-install`
pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    refuse_odd_host(call.headers())?;
    let packages = call.head.head_packages().await?;
    let script = Script {
        base_url: &call.base_url(),
        packages: &packages,
    }
    .to_string();
    Ok(Delivery::of_script(script))
}

/// A script that was made for another host than the client meant would join the wrong cluster.
fn refuse_odd_host(headers: &HeaderMap) -> Result<(), Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_plain = |host: &http::HeaderValue| host.to_str().is_ok_and(base_url::is_plain);
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(()),
        (Some(host), None) if is_plain(host) => Ok(()),
        _ => Err(Error::Malformed(
            "the Host header is not HOST[:PORT]".into(),
        )),
    }
}

/// The script as it is served.
struct Script<'a> {
    base_url: &'a str,
    packages: &'a HeadPackages,
}

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base_url, packages } = self;
        f.write_str("#!/bin/sh\n# shellcheck disable=SC2317  # much is called by its name\n#\n")?;
        writeln!(
            f,
            "# Makes a head of pilotlight {VERSION} of a machine: --help tells how."
        )?;
        writeln!(
            f,
            "BASE={}\nVERSION={VERSION}\nARCHITECTURE={ARCH}",
            Quoted(base_url)
        )?;
        // What there is of each kind, and then how each kind is installed.
        f.write_str("each_package() {\n    case $KIND in\n")?;
        for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
            let package = packages.of(kind);
            let url = format!("{base_url}/repo/head/{kind}/{}", package.file);
            let [version, url] = [&packages.version, &url].map(|text| Quoted(text));
            let sha256 = package.sha256;
            writeln!(
                f,
                "    {kind}) \"$1\" pilotlight {version} {sha256} {url} ;;"
            )?;
        }
        f.write_str("    esac\n}\n")?;
        for (kind, part) in [(Kind::Rpm, RPM), (Kind::Deb, DEB), (Kind::Tar, TAR)] {
            writeln!(f, "use_{kind}() {{{}}}", Parts(&[part]))?;
        }
        let parts = [PROGRAMS, DOWNLOAD, WANTED, SERVICE, SCYLD_INSTALL];
        write!(f, "{}", Parts(&parts))
    }
}

/// The version that is installed: that of this head.
const VERSION: &str = env!("CARGO_PKG_VERSION");
