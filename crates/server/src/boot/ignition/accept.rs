//! The `Accept` header of Ignition: up to which version of the specification the client understands configs.

use http::{HeaderMap, header};
use ignition::Version;

use crate::Error;

/// What Ignition calls its configs.
const MEDIA_TYPE: &str = "application/vnd.coreos.ignition+json";

/// Refuses a config that the client would not understand. One that does not say takes everything.
pub(crate) fn check(headers: &HeaderMap, version: Version) -> Result<(), Error> {
    match understood(headers) {
        Some(most) if numbers(version.as_str()).is_some_and(|config| config > most) => {
            let (major, minor, patch) = most;
            Err(Error::NotAcceptable(format!(
                "the config is of Ignition specification {version}, and the client understands up to \
                 {major}.{minor}.{patch}"
            )))
        }
        _ => Ok(()),
    }
}

type Numbers = (u32, u32, u32);

/// The highest version that is named.
fn understood(headers: &HeaderMap) -> Option<Numbers> {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts
                .next()?
                .eq_ignore_ascii_case(MEDIA_TYPE)
                .then_some(())?;
            parts
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("version"))
                .and_then(|(_, version)| numbers(version.trim().trim_matches('"')))
        })
        .max()
}

/// The numbers of `3.4.0` or `3.4.0-experimental`.
fn numbers(version: &str) -> Option<Numbers> {
    let mut numbers = version
        .split('-')
        .next()?
        .split('.')
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refusal(accept: &'static str, version: Version) -> Option<String> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        check(&headers, version)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn a_client_gets_what_it_understands() {
        let of_2_14 = "application/vnd.coreos.ignition+json;version=3.3.0, */*;q=0.1";
        assert_eq!(refusal(of_2_14, Version::V3_3), None);
        assert_eq!(
            refusal(of_2_14, Version::V3_4).as_deref(),
            Some(
                "the config is of Ignition specification 3.4.0, and the client understands up to 3.3.0"
            )
        );
        let of_0_35 = "application/vnd.coreos.ignition+json; version=2.4.0, \
                       application/vnd.coreos.ignition+json; version=1; q=0.5, */*; q=0.1";
        assert!(refusal(of_0_35, Version::V3_0).is_some());
    }

    #[test]
    fn the_highest_version_counts() {
        let two = "Application/vnd.coreos.ignition+json; Version=\"3.1.0\", \
                   application/vnd.coreos.ignition+json;version=3.4.0-experimental";
        assert_eq!(refusal(two, Version::V3_4), None);
        assert!(refusal(two, Version::V3_5).is_some());
    }

    #[test]
    fn a_client_that_does_not_say_takes_everything() {
        for accept in [
            "*/*",
            "application/json",
            "application/vnd.coreos.ignition+json",
            "application/vnd.coreos.ignition+json;version=new",
        ] {
            assert_eq!(refusal(accept, Version::V3_6), None, "{accept}");
        }
    }
}
