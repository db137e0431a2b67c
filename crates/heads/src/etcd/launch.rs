//! [`Launch`]: what etcd is started with.

use std::{ffi::OsString, path::PathBuf};

use super::Program;
use crate::identity::{Addresses, CertificateFiles};

/// The most operations etcd takes in one transaction: a change of the cluster may touch every node.
pub const MAX_TXN_OPS: u32 = 65_536;
/// The largest request that etcd takes, in bytes.
pub const MAX_REQUEST_BYTES: u32 = 10 * 1024 * 1024;

/// Everything that etcd's command line is made of.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: Program,
    /// Its data directory.
    pub(super) directory: PathBuf,
    /// Its name: the UID of the head.
    pub(super) name: String,
    pub(super) addresses: Addresses,
    pub(super) files: CertificateFiles,
    pub(super) start: Start,
}

/// What etcd does when its data directory is empty. One that is not tells all this itself.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// It begins a new cluster.
    New,
    /// It comes to these members: names and peer URLs, its own among them.
    Existing(Vec<(String, String)>),
}

impl Launch {
    /// The arguments, which etcd 3.4 and 3.5 take alike.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let client = self.addresses.etcd_client_url();
        let peer = self.addresses.etcd_peer_url();
        let (state, members) = match &self.start {
            Start::New => ("new", format!("{}={peer}", self.name)),
            Start::Existing(members) => {
                let members = members.iter().map(|(name, url)| format!("{name}={url}"));
                ("existing", members.collect::<Vec<_>>().join(","))
            }
        };
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: OsString| {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            arguments.push(argument);
        };
        flag("name", self.name.clone().into());
        flag("data-dir", self.directory.clone().into());
        flag("listen-client-urls", client.clone().into());
        flag("advertise-client-urls", client.into());
        flag("listen-peer-urls", peer.clone().into());
        flag("initial-advertise-peer-urls", peer.into());
        flag("initial-cluster", members.into());
        flag("initial-cluster-state", state.into());
        // Two clusters begun by the same names and addresses are still two.
        flag("initial-cluster-token", self.name.clone().into());

        for side in ["", "peer-"] {
            flag(&format!("{side}client-cert-auth"), "true".into());
            flag(
                &format!("{side}trusted-ca-file"),
                self.files.authority.clone().into(),
            );
            flag(
                &format!("{side}cert-file"),
                self.files.certificate.clone().into(),
            );
            flag(&format!("{side}key-file"), self.files.key.clone().into());
        }
        // A machine with several addresses calls from one that its certificate does not name. That the authority signed it
        // is enough: it signs heads only.
        flag(
            "experimental-peer-skip-client-san-verification",
            "true".into(),
        );

        // Elections after 1 to 2 s: longer than a busy disk takes to sync, short enough that writes go on within 5 s even
        // if the first elects nobody.
        flag("heartbeat-interval", "100".into());
        flag("election-timeout", "1000".into());
        // A member that comes back does not depose a leader that works.
        flag("pre-vote", "true".into());
        flag("auto-compaction-mode", "periodic".into());
        flag("auto-compaction-retention", "1h".into());
        flag("quota-backend-bytes", (4_u64 << 30).to_string().into());
        flag("max-txn-ops", MAX_TXN_OPS.to_string().into());
        flag("max-request-bytes", MAX_REQUEST_BYTES.to_string().into());
        flag("logger", "zap".into());
        flag("log-outputs", "stderr".into());
        arguments
    }
}
