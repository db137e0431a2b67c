//! `GET /install/repo`: where another machine gets the packages of this very head from.

use http::Response;
use package::Kind;

use super::own_packages::Offered;
use crate::{Error, call::Call, envelope, reply::Body};

pub(crate) async fn get(call: &Call) -> Result<Response<Body>, Error> {
    let kind = call.query.value("pkg")?.unwrap_or(Kind::Rpm);
    // What is pointed at is there by then.
    let offered = call.head.offered_packages().await?;
    Ok(envelope::data(source(kind, &call.base_url(), &offered)))
}

fn source(kind: Kind, base_url: &str, offered: &Offered) -> String {
    let base = format!("{base_url}/repo/head");
    match kind {
        Kind::Rpm => yum(&base, offered.is_signed),
        Kind::Deb => apt(&base, offered.is_signed),
        Kind::Tar => format!("{base}/tar/{}\n", offered.packages.tar.file),
    }
}

/// A file for `/etc/yum.repos.d`.
fn yum(base: &str, is_signed: bool) -> String {
    // What is signed is the list of packages, which has the digest of each.
    let trust = match is_signed {
        true => format!("gpgcheck=0\nrepo_gpgcheck=1\ngpgkey={base}/key.asc\n"),
        false => "gpgcheck=0\nrepo_gpgcheck=0\n".to_owned(),
    };
    format!(
        "[pilotlight]\nname=Pilotlight\nbaseurl={base}/rpm/\nenabled=1\n{trust}metadata_expire=60\n"
    )
}

/// A file for `/etc/apt/sources.list.d`.
fn apt(base: &str, is_signed: bool) -> String {
    const KEY: &str = "/etc/apt/keyrings/pilotlight.asc";
    match is_signed {
        true => format!(
            "# The key must be there first: curl -fsSo {KEY} {base}/key.asc\n\
             deb [signed-by={KEY}] {base}/deb/ ./\n"
        ),
        false => format!("deb [trusted=yes] {base}/deb/ ./\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://10.0.0.1/api/v1/repo/head";

    #[test]
    fn a_source_is_trusted_by_its_signature_where_there_is_one() {
        assert_eq!(
            yum(BASE, false),
            "[pilotlight]\nname=Pilotlight\nbaseurl=http://10.0.0.1/api/v1/repo/head/rpm/\nenabled=1\n\
             gpgcheck=0\nrepo_gpgcheck=0\nmetadata_expire=60\n"
        );
        assert!(
            yum(BASE, true)
                .contains("\nrepo_gpgcheck=1\ngpgkey=http://10.0.0.1/api/v1/repo/head/key.asc\n")
        );
        assert_eq!(
            apt(BASE, false),
            "deb [trusted=yes] http://10.0.0.1/api/v1/repo/head/deb/ ./\n"
        );
        assert!(apt(BASE, true).ends_with(
            "\ndeb [signed-by=/etc/apt/keyrings/pilotlight.asc] http://10.0.0.1/api/v1/repo/head/deb/ ./\n"
        ));
    }
}
