//! How git reaches a remote: at the address that was judged, and with the credentials of that host.

use std::net::{IpAddr, SocketAddr};

use super::credentials::Credentials;
use super::error::Fault;
use super::git_file::{Remote, Transport};
use super::git_program::Access;
use super::settings::UpstreamSettings;
use super::url::Host;

/// The key under which git finds the URL of the remote.
const ORIGIN: &str = "remote.origin.url";

/// What `ssh` does unless told otherwise, and must not do here: ask, trust strangers, take a detour.
const SSH: &str = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o CheckHostIP=no -o ProxyCommand=none \
    -o ProxyJump=none -o PermitLocalCommand=no -o ClearAllForwardings=yes -o ControlPath=none";

/// Judges the remote's address, and ties git to it.
///
/// For HTTP that takes git 2.37 or later; an older one resolves the name once more.
pub(super) async fn access_to(
    remote: &Remote,
    settings: &UpstreamSettings,
) -> Result<Access, Fault> {
    let url = &remote.url;
    let mut access = Access {
        protocol: remote.transport.protocol(),
        ..Access::default()
    };
    let Some(host) = &url.host else {
        access.configuration.push((ORIGIN, url.identity()));
        return Ok(access);
    };
    let port = url.port.unwrap_or(remote.transport.default_port());
    let addresses: Vec<IpAddr> = settings
        .policy
        .addresses(host, port)
        .await?
        .iter()
        .map(SocketAddr::ip)
        .collect();
    let origin = match (remote.transport, addresses.first()) {
        (Transport::Http | Transport::Https, _) => {
            if let Host::Name(name) = host {
                let all: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
                let pin = format!("{name}:{port}:{}", all.join(","));
                access.configuration.push(("http.curloptResolve", pin));
            }
            if let Some(path) = &settings.ca_file {
                let path = path.display().to_string();
                access.configuration.push(("http.sslCAInfo", path));
            }
            let file = settings.credentials.as_deref();
            let credentials = Credentials::read(file.filter(|_| !remote.anonymous)).await?;
            if let Some(login) = credentials.for_host(host, url.user.as_deref()) {
                let header = format!("Authorization: {}", login.expose());
                access.configuration.push(("http.extraHeader", header));
            }
            // Without the user, for whom git would want to ask a password.
            format!("{}{}", url.origin(), url.path)
        }
        (Transport::Git, Some(address)) => {
            // The address to connect to; the name for the server to choose a repository by.
            let name = format!("{host}:{port}");
            access.environment.push(("GIT_OVERRIDE_VIRTUAL_HOST", name));
            format!("git://{}:{port}{}", Host::Address(*address), url.path)
        }
        (Transport::Ssh, Some(address)) => {
            let command = ssh_command(host, port, *address, settings);
            access.environment.push(("GIT_SSH_COMMAND", command));
            let variant = "ssh".to_owned();
            access.environment.push(("GIT_SSH_VARIANT", variant));
            url.identity()
        }
        (Transport::File, _) | (_, None) => url.identity(),
    };
    access.configuration.push((ORIGIN, origin));
    Ok(access)
}

/// What git runs in place of `ssh`. The shell that it goes through sees nothing of a URL but its host and port.
fn ssh_command(host: &Host, port: u16, address: IpAddr, settings: &UpstreamSettings) -> String {
    let host = host.to_string();
    let host = host.trim_matches(['[', ']']);
    // The name under which `ssh` itself and `ssh-keyscan` list the key.
    let alias = match port {
        22 => host.to_owned(),
        port => format!("[{host}]:{port}"),
    };
    let mut options = vec![
        format!("HostName={address}"),
        format!("HostKeyAlias={alias}"),
    ];
    if let Some(path) = &settings.ssh_key {
        options.push("IdentitiesOnly=yes".to_owned());
        options.push(format!("IdentityFile=\"{}\"", path.display()));
    }
    if let Some(path) = &settings.ssh_known_hosts {
        options.push("GlobalKnownHostsFile=none".to_owned());
        options.push(format!("UserKnownHostsFile=\"{}\"", path.display()));
    }
    let options: String = options
        .iter()
        .map(|option| format!(" -o {}", quoted(option)))
        .collect();
    format!("{SSH}{options}")
}

/// One word for the shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_leaves_the_shell_nothing() {
        assert_eq!(quoted("a'; rm -rf $HOME #"), r"'a'\''; rm -rf $HOME #'");
    }
}
