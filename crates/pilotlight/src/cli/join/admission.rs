//! Being let into a cluster: this machine shows that it knows the password, and gets a certificate.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use anyhow::Context;
use heads::identity::{Addresses, Admitted, Enrolled, Enrolment, Identity};
use heads::join::{Admission, Applicant, Challenge, Engine, Refusal};
use http::Method;
use model::Name;
use serde::de::DeserializeOwned;

use super::{Wish, broken};
use crate::client::{Ask, Client, HeadAddress};
use crate::config::Settings;
use crate::error::Error;

const PATH: &str = "/install/head/join";

/// How many heads of one host name there may be.
const NAMESAKES: usize = 100;

/// Gets this machine a place in the cluster of the head, and keeps it in the data directory. One that it has already is
/// renewed.
pub(super) async fn obtain(client: &Client, wish: &Wish<'_>) -> Result<Enrolment<Admitted>, Error> {
    let data = &wish.settings.data;
    let earlier = Enrolled::load(data).map_err(broken)?;
    let earlier = earlier.as_ref().map(Enrolled::identity);
    let addresses = addresses(wish.settings, client.head())?;
    for address in wish.settings.listen.iter().map(ToString::to_string) {
        free(&address)?;
    }
    for address in [
        addresses.exchange,
        addresses.etcd_client,
        addresses.etcd_peer,
    ] {
        free(&address.to_string())?;
    }
    let mut agreed = wish.yes;
    for name in names(wish.settings, earlier)? {
        let challenge = challenge(client).await?;
        let migrate = challenge.engine == Engine::Sqlite;
        if migrate && !agreed {
            consent(&challenge.cluster)?;
            agreed = true;
        }
        let applicant = Applicant::new(
            &challenge,
            wish.password,
            heads::join::Wish {
                name: name.clone(),
                addresses,
                version: env!("CARGO_PKG_VERSION"),
                earlier,
                migrate,
            },
        );
        let applicant = applicant.map_err(anyhow::Error::from)?;
        let request = serde_json::to_value(applicant.request()).map_err(anyhow::Error::from)?;
        let ask = Ask::new(Method::POST, PATH).json(&request);
        match client.ask(ask).await {
            Err(Error::Refused { reason, .. }) if reason == Refusal::Name(name).to_string() => {}
            answered => {
                let admission: Admission = read(client, answered?.data)?;
                let (identity, contacts) =
                    applicant.accept(admission).map_err(anyhow::Error::from)?;
                return Enrolment::save(data, identity, contacts).map_err(broken);
            }
        }
    }
    Err(Error::Found(
        "there are heads of this name already; [head] name gives this one another".to_owned(),
    ))
}

async fn challenge(client: &Client) -> Result<Challenge, Error> {
    let answer = match client.ask(Ask::get(PATH)).await {
        Err(Error::Refused { status: 404, .. }) => {
            let none = format!("{} is no head that others can join", client.head());
            return Err(Error::Found(none));
        }
        answer => answer?,
    };
    read(client, answer.data)
}

fn read<T: DeserializeOwned>(client: &Client, data: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(data).map_err(|error| Error::Answer {
        head: client.head().clone(),
        reason: error.to_string(),
    })
}

/// Asks whether the cluster may move to etcd: standard input may be where the password comes from.
fn consent(cluster: &Name) -> Result<(), Error> {
    let terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty");
    let Ok(mut terminal) = terminal else {
        return Err(Error::Usage(format!(
            "the cluster {cluster} has one head, and its state is in that head's own database: a second head moves it to \
             etcd. There is no terminal to ask on: --yes agrees"
        )));
    };
    let mut answer = String::new();
    let asked = write!(
        terminal,
        "The cluster {cluster} has one head, and its state is in that head's own database.\n\
         A second head moves it to etcd, while it is served. Go on? [y/N] "
    );
    asked
        .and_then(|()| BufReader::new(terminal).read_line(&mut answer))
        .map_err(|source| Error::Terminal {
            action: "ask on the terminal",
            source,
        })?;
    match answer.trim_start().starts_with(['y', 'Y']) {
        true => Ok(()),
        false => Err(Error::Found("nothing was changed".to_owned())),
    }
}

/// The names to try: the one it has, then the one it was given, or else the host's, with a number where others have it.
fn names(settings: &Settings, earlier: Option<&Identity>) -> Result<Vec<Name>, Error> {
    let mut names: Vec<Name> = earlier
        .map(|earlier| earlier.name.clone())
        .into_iter()
        .collect();
    match settings.head.name.as_deref().map(str::parse::<Name>) {
        Some(given) => {
            names.push(given.map_err(|why| Error::Usage(format!("head.name: {why}")))?);
        }
        None => {
            let host = crate::serve::host_name();
            let numbered = (2..=NAMESAKES).map(|number| format!("{host}-{number}"));
            for name in std::iter::once(host.clone()).chain(numbered) {
                // A host name may be none of ours, such as one that begins with a digit.
                let name = name.parse().or_else(|_| format!("head-{name}").parse());
                let unfit =
                    |why| Error::Usage(format!("{why}; [head] name gives this head another"));
                names.push(name.map_err(unfit)?);
            }
        }
    }
    Ok(names)
}

/// Where other heads will reach this one: at the address of its first listener, or, where that is every address, at the
/// one from which it reaches `head`.
fn addresses(settings: &Settings, head: &HeadAddress) -> Result<Addresses, Error> {
    let ip = match settings.heads.address {
        Some(ip) => ip,
        None => match first_listener(settings)? {
            ip if ip.is_unspecified() => towards(head)?,
            ip => ip,
        },
    };
    Ok(Addresses {
        exchange: SocketAddr::new(ip, settings.heads.port),
        etcd_client: SocketAddr::new(ip, settings.heads.etcd_client_port),
        etcd_peer: SocketAddr::new(ip, settings.heads.etcd_peer_port),
    })
}

fn first_listener(settings: &Settings) -> Result<IpAddr, Error> {
    let listen = settings.listen.first().map(ToString::to_string);
    let listen = listen.unwrap_or_else(|| "0.0.0.0:80".to_owned());
    Ok(resolve(&listen)?.ip())
}

fn resolve(address: &str) -> Result<SocketAddr, Error> {
    let unknown = || format!("the address {address} is not known");
    let mut found = address.to_socket_addrs().with_context(unknown)?;
    Ok(found.next().with_context(unknown)?)
}

/// The address of this machine from which packets go to `head`.
fn towards(head: &HeadAddress) -> Result<IpAddr, Error> {
    let HeadAddress::Network { host, port, .. } = head else {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    };
    let found = (host.as_str(), *port).to_socket_addrs();
    let to = found.ok().and_then(|mut found| found.next());
    let to = to.with_context(|| format!("cannot reach {head}: its name is not known"))?;
    let any: IpAddr = match to {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    // Connecting a UDP socket sends nothing; it makes the kernel choose a route.
    let outgoing = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(to)?;
        socket.local_addr()
    });
    Ok(outgoing
        .with_context(|| format!("cannot reach {head}"))?
        .ip())
}

/// Fails unless one can listen there: better now than when the cluster waits for this head.
fn free(address: &str) -> Result<(), Error> {
    let listening = TcpListener::bind(resolve(address)?);
    listening.with_context(|| format!("cannot listen on {address}"))?;
    Ok(())
}
