//! Runs a head to try things out: sample nodes, sample boot files, and the commands that show what they are for.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Context;
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Ask, Client, HeadAddress, Logins},
    config::{Flags, ListenAddress, Sources},
    serve,
};

/// The sample boot files, as they are shipped.
const BOOT_FILES: [(&str, &str); 3] = [
    (
        "basic.ks",
        include_str!("../../../assets/kickstarts/basic.ks"),
    ),
    (
        "cumulus.sh",
        include_str!("../../../assets/kickstarts/cumulus.sh"),
    ),
    (
        "sonic.json",
        include_str!("../../../assets/kickstarts/sonic.json"),
    ),
];

/// The hash of a password nobody knows: the samples must render, not let anybody in.
const LOCKED: &str = "$6$demo$invalid-on-purpose";

/// Runs a head with sample nodes and boot files on `listen`, until it is told to end.
///
/// # Errors
/// Whatever keeps it from starting.
pub(crate) fn run(listen: &ListenAddress) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new()
        .prefix("pilotlight-demo-")
        .tempdir()?;
    let flags = Flags {
        data: Some(directory.path().to_owned()),
        listen: vec![listen.clone()],
        ..Flags::default()
    };
    let settings = Sources {
        flags,
        ..Sources::default()
    }
    .load()
    .without_faults()?;
    serve::start_log(&settings);
    serve::runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        let running = serve::start(&settings, None, &shutdown).await?;
        let url = running.urls.first().context("the head listens nowhere")?;
        populate(&running.socket, directory.path(), own_ip(url))
            .await
            .context("cannot make the samples")?;
        let what_to_try = what_to_try(url, directory.path());
        serve::announce(&format!("listening on {url}\n{what_to_try}\n"));
        running.until_told(shutdown).await
    })
}

/// The address that a client on this machine has when it asks at `url`.
fn own_ip(url: &str) -> IpAddr {
    let address = url.trim_start_matches("http://").parse::<SocketAddr>();
    let ip = address.map(|address| address.ip());
    ip.ok()
        .filter(|ip| !ip.is_unspecified())
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Makes the samples, as an administrator would: through the API.
async fn populate(socket: &Path, directory: &Path, own_ip: IpAddr) -> anyhow::Result<()> {
    let head = HeadAddress::Socket(socket.to_owned());
    let client = Client::new(
        head,
        None,
        None,
        Logins::at(directory.join("logins")),
        false,
    );
    for (name, text) in BOOT_FILES {
        client
            .ask(Ask::new(Method::PUT, format!("/files/{name}")).bytes(text))
            .await?;
    }
    for (path, object) in samples(own_ip) {
        client
            .ask(Ask::new(Method::POST, path).json(&object))
            .await?;
    }
    let all = json!({"attributes": {"rootpw": LOCKED, "after_install": "poweroff"}});
    client
        .ask(Ask::new(Method::PATCH, "/attrib/DefaultAttribs").json(&all))
        .await?;
    Ok(())
}

fn samples(own_ip: IpAddr) -> Vec<(&'static str, Value)> {
    vec![
        (
            "/bootconfigs",
            json!({
                "name": "rocky9", "description": "Rocky Linux 9 from a mirror", "kickstart": "basic.ks",
                "repo": "http://mirror.example.org/rocky/9/BaseOS/x86_64/os/",
            }),
        ),
        (
            "/attribs",
            json!({"name": "compute", "attributes": {"_boot_config": "rocky9", "disk": "nvme0n1"}}),
        ),
        (
            "/attribs",
            json!({"name": "gpu", "attributes": {"cmdline": "console=ttyS0 iommu=pt"}}),
        ),
        (
            "/attribs",
            json!({"name": "leaf", "description": "Cumulus switches", "attributes": {"_boot_config": "ztp:cumulus.sh"}}),
        ),
        (
            "/nodes",
            json!({
                "name": "n0.demo.local", "mac": "52:54:00:00:00:00", "ip": own_ip, "index": 0,
                "description": "this machine", "groups": ["compute"],
            }),
        ),
        (
            "/nodes",
            json!({
                "name": "n1.demo.local", "mac": "52:54:00:00:00:01", "ip": "127.0.0.11", "index": 1,
                "groups": ["compute", "gpu"], "attributes": {"disk": "sda"},
            }),
        ),
        (
            "/nodes",
            json!({
                "name": "leaf1", "mac": "52:54:00:00:01:01", "ip": "127.0.0.21", "type": "switch", "groups": ["leaf"],
            }),
        ),
        (
            "/nodes",
            json!({"name": "new1", "mac": "52:54:00:00:02:01", "description": "no address yet", "groups": ["compute"]}),
        ),
    ]
}

fn what_to_try(url: &str, data: &Path) -> String {
    let data = data.display();
    let pilotlight = std::env::current_exe()
        .map_or_else(|_| "pilotlight".into(), |path| path.display().to_string());
    format!(
        "
A head with four sample nodes runs in {data}, which is gone when you end it with Ctrl-C.

As the node n0, this machine:      curl {url}/api/v1/kickstart/basic.ks
As n1, a node with a GPU:          curl --interface 127.0.0.11 {url}/api/v1/kickstart/basic.ks
As the switch leaf1:               curl --interface 127.0.0.21 {url}/api/v1/ztp/script
As nobody the head knows:          curl --interface 127.0.0.99 {url}/api/v1/kickstart/basic.ks
As an installer that sends a MAC:  curl --interface 127.0.0.99 -H 'X-RHN-Provisioning-MAC-0: eth0 52:54:00:00:02:01' {url}/api/v1/kickstart/basic.ks
The node package, as an rpm:       curl -OJ {url}/api/v1/install/client/download/pilotlight-node
What would install it here:        curl -s {url}/api/v1/install/client/installer | sh -s -- --dry-run
The management API:                curl --unix-socket {data}/api.sock http://localhost/api/v1/nodes
The same by the command line:      {pilotlight} --socket {data}/api.sock node list
Where each value comes from:       {pilotlight} --socket {data}/api.sock render kickstart basic.ks --node n1.demo.local --provenance
Who fetched what:                  {pilotlight} --socket {data}/api.sock ledger
"
    )
}
