//! What is in the node package.

use package::build::{Contents, Member, Scriptlets};

/// 1 January 2026. It says nothing but keeps every build of a version the same; and it is not 1970, of which tar warns.
const MODIFIED: u32 = 1_767_225_600;

const AGENT: &str = include_str!("../../../assets/node/agent");
const CONFIGURATION: &[u8] = include_bytes!("../../../assets/node/node.conf");
const SERVICE: &[u8] = include_bytes!("../../../assets/node/pilotlight-node.service");

const DESCRIPTION: &str = "\
The agent tells the head of a Pilotlight cluster what the node that it runs on
is made of and how it is, and keeps the node's attributes in
/etc/pilotlight/attributes.ini.";

const SCRIPTLETS: Scriptlets<'static> = Scriptlets {
    after_install: include_str!("../../../assets/node/scriptlets/after-install.sh"),
    after_upgrade: include_str!("../../../assets/node/scriptlets/after-upgrade.sh"),
    before_removal: include_str!("../../../assets/node/scriptlets/before-removal.sh"),
    after_purge: include_str!("../../../assets/node/scriptlets/after-purge.sh"),
};

/// `-` would end a package's version. rpm and dpkg both know that 1.0.0~rc.1 comes before 1.0.0.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").replace('-', "~")
}

/// The agent, which says its version.
pub(crate) fn agent(version: &str) -> String {
    AGENT.replace("@VERSION@", version)
}

pub(crate) fn contents<'a>(version: &'a str, agent: &'a str) -> Contents<'a> {
    Contents {
        name: "pilotlight-node",
        version,
        release: "1",
        architecture: None,
        summary: "Agent of the nodes of a Pilotlight cluster",
        description: DESCRIPTION,
        license: "Apache-2.0",
        maintainer: "Pilotlight <root@localhost>",
        modified: MODIFIED,
        recommends: &[],
        members: vec![
            directory("/etc/pilotlight"),
            file("/etc/pilotlight/node.conf", 0o644, CONFIGURATION, true),
            directory("/usr/lib/pilotlight-node"),
            file(
                "/usr/lib/pilotlight-node/agent",
                0o755,
                agent.as_bytes(),
                false,
            ),
            file(
                "/usr/lib/systemd/system/pilotlight-node.service",
                0o644,
                SERVICE,
                false,
            ),
        ],
        scriptlets: SCRIPTLETS,
    }
}

fn directory(path: &str) -> Member<'_> {
    Member::Directory { path, mode: 0o755 }
}

fn file<'a>(path: &'a str, mode: u16, bytes: &'a [u8], config: bool) -> Member<'a> {
    Member::File {
        path,
        mode,
        bytes,
        config,
    }
}
