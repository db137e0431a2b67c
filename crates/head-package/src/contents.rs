//! What is in the packages.

use package::build::{Contents, Member, Scriptlets};
use package::{Architecture, Kind};

/// 1 January 2026. It says nothing but makes the same executable the same package on every head; and it is not 1970, of
/// which tar warns.
const MODIFIED: u32 = 1_767_225_600;

const DESCRIPTION: &str = "\
Pilotlight serves boot files, Ignition configs and client packages to the nodes
of a bare-metal cluster, and is the command line that manages them. Several
heads serve one cluster.

The service is not started by itself: have a look at
/etc/pilotlight/pilotlight.toml, then run systemctl enable --now pilotlight.";

const INSTALLED: &str = include_str!("../../../packaging/scriptlets/installed.sh");

const SCRIPTLETS: Scriptlets<'static> = Scriptlets {
    after_install: INSTALLED,
    after_upgrade: INSTALLED,
    before_removal: include_str!("../../../packaging/scriptlets/before-removal.sh"),
    after_purge: include_str!("../../../packaging/scriptlets/after-purge.sh"),
};

/// Files that are the same in all packages.
const FILES: [(&str, &[u8]); 5] = [
    (
        "/usr/lib/systemd/system/pilotlight.service",
        include_bytes!("../../../packaging/pilotlight.service"),
    ),
    (
        "/usr/lib/sysusers.d/pilotlight.conf",
        include_bytes!("../../../packaging/sysusers.conf"),
    ),
    (
        "/usr/lib/tmpfiles.d/pilotlight.conf",
        include_bytes!("../../../packaging/tmpfiles.conf"),
    ),
    (
        "/usr/share/doc/pilotlight/README.md",
        include_bytes!("../../../README.md"),
    ),
    (
        "/usr/share/doc/pilotlight/CHANGELOG.md",
        include_bytes!("../../../CHANGELOG.md"),
    ),
];

const CONFIGURATION: &[u8] = include_bytes!("../../../packaging/pilotlight.toml");
const LICENCE: &[u8] = include_bytes!("../../../LICENSE");
const DEBIAN_COPYRIGHT: &[u8] = include_bytes!("../../../packaging/copyright");

/// What the command line says of itself.
#[derive(Debug, Default)]
pub struct Documents {
    /// The manual, section 1.
    pub manual: Vec<Page>,
    /// The completions of bash.
    pub bash: Vec<u8>,
    /// The completions of zsh.
    pub zsh: Vec<u8>,
    /// The completions of fish.
    pub fish: Vec<u8>,
}

/// A page of the manual.
#[derive(Debug)]
pub struct Page {
    /// The name of its file: `pilotlight.1`.
    pub file: String,
    /// Its source, in roff.
    pub text: Vec<u8>,
}

/// `-` would end a package's version. rpm and dpkg both know that 1.0.0~rc.1 comes before 1.0.0.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").replace('-', "~")
}

/// Which packaging of that version.
pub(crate) const RELEASE: &str = "1";

/// Everything that is in a package of one kind, with the paths that are usual there.
pub(crate) struct Parts<'a> {
    kind: Kind,
    architecture: Architecture,
    version: String,
    executable: &'a [u8],
    documents: &'a Documents,
    pages: Vec<String>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        kind: Kind,
        architecture: Architecture,
        executable: &'a [u8],
        documents: &'a Documents,
    ) -> Self {
        let path = |page: &Page| format!("/usr/share/man/man1/{}", page.file);
        Self {
            kind,
            architecture,
            version: version(),
            executable,
            documents,
            pages: documents.manual.iter().map(path).collect(),
        }
    }

    pub(crate) fn contents(&self) -> Contents<'_> {
        Contents {
            name: "pilotlight",
            version: &self.version,
            release: RELEASE,
            architecture: Some(self.architecture),
            summary: "Boot-time head node for bare-metal clusters",
            description: DESCRIPTION,
            license: "Apache-2.0",
            maintainer: "Pilotlight <root@localhost>",
            modified: MODIFIED,
            // What several heads keep their cluster in. One alone needs none, and one that joins takes another's.
            recommends: match self.kind {
                Kind::Deb => &["etcd-server"],
                Kind::Rpm | Kind::Tar => &["etcd"],
            },
            members: self.members(),
            scriptlets: SCRIPTLETS,
        }
    }

    fn members(&self) -> Vec<Member<'_>> {
        let Documents {
            bash, zsh, fish, ..
        } = self.documents;
        let mut members = vec![
            Member::Directory {
                path: "/etc/pilotlight",
                mode: 0o755,
            },
            Member::File {
                path: "/etc/pilotlight/pilotlight.toml",
                mode: 0o644,
                bytes: CONFIGURATION,
                config: true,
            },
            Member::File {
                path: "/usr/bin/pilotlight",
                mode: 0o755,
                bytes: self.executable,
                config: false,
            },
            Member::Directory {
                path: "/usr/share/doc/pilotlight",
                mode: 0o755,
            },
        ];
        members.extend(FILES.map(|(path, bytes)| file(path, bytes)));
        let (licence, zsh_path) = match self.kind {
            Kind::Deb => (
                file("/usr/share/doc/pilotlight/copyright", DEBIAN_COPYRIGHT),
                "/usr/share/zsh/vendor-completions/_pilotlight",
            ),
            Kind::Rpm | Kind::Tar => (
                file("/usr/share/doc/pilotlight/LICENSE", LICENCE),
                "/usr/share/zsh/site-functions/_pilotlight",
            ),
        };
        members.push(licence);
        members.extend([
            file("/usr/share/bash-completion/completions/pilotlight", bash),
            file(zsh_path, zsh),
            file("/usr/share/fish/vendor_completions.d/pilotlight.fish", fish),
        ]);
        let pages = self.pages.iter().zip(&self.documents.manual);
        members.extend(pages.map(|(path, page)| file(path, &page.text)));
        members
    }
}

fn file<'a>(path: &'a str, bytes: &'a [u8]) -> Member<'a> {
    Member::File {
        path,
        mode: 0o644,
        bytes,
        config: false,
    }
}
