//! User names and passwords for upstream hosts, from a file in the format of `.netrc`.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::Fault;
use super::url::Host;

/// Who may log in where.
#[derive(Default)]
pub(super) struct Credentials(Vec<Login>);

struct Login {
    /// `None`: for every host that is not named (`default`).
    machine: Option<String>,
    user: String,
    password: String,
}

/// The value of an `Authorization` header. Never shown.
pub(super) struct Authorization(String);

impl Authorization {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

impl Credentials {
    /// Reads the file anew, so that a changed password needs no restart.
    pub(super) async fn read(path: Option<&Path>) -> Result<Self, Fault> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let unusable = |reason: String| Fault::Credentials {
            path: path.to_owned(),
            reason,
        };
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        Self::parse(&text).map_err(|reason| unusable(reason.to_owned()))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut logins: Vec<Login> = Vec::new();
        let mut words = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(str::split_whitespace);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or("it ends in the middle of an entry");
            match word {
                "machine" => {
                    let machine = value()?.to_ascii_lowercase();
                    logins.push(Login::nobody(Some(machine)));
                }
                "default" => logins.push(Login::nobody(None)),
                "login" | "password" | "account" => {
                    let value = value()?;
                    let login = logins
                        .last_mut()
                        .ok_or("it does not begin with `machine`")?;
                    match word {
                        "login" => value.clone_into(&mut login.user),
                        "password" => value.clone_into(&mut login.password),
                        _ => {}
                    }
                }
                _ => {
                    return Err(
                        "only machine, default, login, password and account are understood",
                    );
                }
            }
        }
        Ok(Self(logins))
    }

    /// The header that logs in at `host`, as `user` if one is asked for.
    pub(super) fn for_host(&self, host: &Host, user: Option<&str>) -> Option<Authorization> {
        let host = host.to_string();
        let login = self.0.iter().find(|login| {
            login
                .machine
                .as_ref()
                .is_none_or(|machine| *machine == host)
                && user.is_none_or(|user| user == login.user)
        })?;
        let pair = BASE64_STANDARD.encode(format!("{}:{}", login.user, login.password));
        Some(Authorization(format!("Basic {pair}")))
    }
}

impl Login {
    const fn nobody(machine: Option<String>) -> Self {
        Self {
            machine,
            user: String::new(),
            password: String::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_the_host_and_user_is_found() {
        let text = "# ours\nmachine Git.example.org login a password one\n\
            machine git.example.org\n  login b\n  password two\ndefault login c password three";
        let credentials = Credentials::parse(text).unwrap();
        let header = |host: &str, user| {
            let host = Host::parse(host).unwrap();
            credentials.for_host(&host, user).map(|header| header.0)
        };
        let basic = |pair: &str| Some(format!("Basic {}", BASE64_STANDARD.encode(pair)));
        assert_eq!(header("git.example.org", None), basic("a:one"));
        assert_eq!(header("git.example.org", Some("b")), basic("b:two"));
        assert_eq!(header("other", None), basic("c:three"));
        assert_eq!(header("other", Some("a")), None);
    }

    #[test]
    fn a_malformed_file_is_refused_without_showing_it() {
        for text in ["login x", "machine h login", "machine h pasword hunter2"] {
            let reason = Credentials::parse(text).err().unwrap();
            assert!(!reason.contains("hunter2"));
        }
    }
}
