//! Every setting: its key, type, unit and default, once.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use package::PackageName;
use serde::{Serialize, Serializer};

use super::choice::choice;
use super::network::{AllowedSource, BaseUrl, Network};
use super::reader::Reader;
use super::written::{duration, line, list_of, more_than_zero, number, path, port, size, word};
use super::{Flags, ListenAddress};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The settings of a head, validated.
#[derive(Debug, Serialize)]
pub(crate) struct Settings {
    /// Addresses of the plain HTTP listeners.
    pub(crate) listen: Vec<ListenAddress>,
    /// Directory that holds the head's state.
    pub(crate) data: PathBuf,
    /// The URL of `/api/v1` as nodes reach it; without one it follows from each request.
    pub(crate) base_url: Option<String>,
    /// Peers whose `X-Forwarded-For` and `Forwarded` are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How long running downloads may go on after SIGTERM.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) shutdown_grace: Duration,
    /// `[head]`
    pub(crate) head: Head,
    /// `[paths]`
    pub(crate) paths: Paths,
    /// `[tls]`; `None` serves plain HTTP only.
    pub(crate) tls: Option<Tls>,
    /// `[limits]`
    pub(crate) limits: Limits,
    /// `[templates]`
    pub(crate) templates: Templates,
    /// `[auth]`
    pub(crate) auth: Auth,
    /// `[ignition]`
    pub(crate) ignition: Ignition,
    /// `[fetch]`
    pub(crate) fetch: Fetch,
    /// `[packages]`
    pub(crate) packages: Packages,
    /// `[store]`
    pub(crate) store: Store,
    /// `[heads]`
    pub(crate) heads: Heads,
    /// `[replicate]`
    pub(crate) replicate: Replicate,
    /// `[ledger]`
    pub(crate) ledger: Ledger,
    /// `[log]`
    pub(crate) log: Log,
}

impl Settings {
    /// Reads every key through `reader`, with `flags` on top.
    pub(super) fn read(reader: &mut Reader<'_>, flags: &Flags) -> Self {
        let written = reader.optional("listen", list_of(word));
        if !flags.listen.is_empty() {
            reader.overridden("listen", "--listen");
        }
        let listen = match (written, &flags.listen[..]) {
            (None, []) => vec![ListenAddress::new("0.0.0.0", 80)],
            (written, flags) => {
                let mut listen: Vec<ListenAddress> = written.unwrap_or_default();
                for address in flags {
                    // The same address again is the same listener.
                    if !listen.contains(address) {
                        listen.push(address.clone());
                    }
                }
                listen
            }
        };
        let mut data = reader.value("data", path, "/var/lib/pilotlight".into());
        if let Some(given) = &flags.data {
            reader.overridden("data", "--data");
            data.clone_from(given);
        }
        let settings = Self {
            listen,
            base_url: reader.optional("base_url", word).map(|BaseUrl(url)| url),
            trusted_proxies: reader
                .value("trusted_proxies", list_of(word), Vec::new())
                .into_iter()
                .map(|Network(network)| network)
                .collect(),
            shutdown_grace: reader.value("shutdown_grace", duration, 30 * SECOND),
            head: Head::read(reader),
            paths: Paths::read(reader, flags, &data),
            tls: Tls::read(reader),
            limits: Limits::read(reader),
            templates: Templates::read(reader),
            auth: Auth::read(reader),
            ignition: Ignition::read(reader),
            fetch: Fetch::read(reader),
            packages: Packages::read(reader),
            store: Store::read(reader),
            heads: Heads::read(reader),
            replicate: Replicate::read(reader),
            ledger: Ledger::read(reader),
            log: Log::read(reader),
            data,
        };
        // Empty is how HTTPS is served alone; otherwise nobody could reach the head.
        if settings.listen.is_empty() && settings.tls.is_none() {
            reader.refuse("listen", "names no address; without it, it is 0.0.0.0:80");
        }
        settings
    }
}

/// What a boot file learns of the head by `<head[…]>`.
#[derive(Debug, Serialize)]
pub(crate) struct Head {
    /// The head's name; without one, the host name.
    pub(crate) name: Option<String>,
    /// Locale of the nodes.
    pub(crate) lang: String,
    /// Keyboard layout of the nodes.
    pub(crate) keymap: String,
    /// Time zone of the nodes.
    pub(crate) timezone: String,
}

impl Head {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            name: reader.optional("head.name", line),
            lang: reader.value("head.lang", line, "en_US.UTF-8".to_owned()),
            keymap: reader.value("head.keymap", line, "us".to_owned()),
            timezone: reader.value("head.timezone", line, "UTC".to_owned()),
        }
    }
}

/// Directories of files to serve.
#[derive(Debug, Serialize)]
pub(crate) struct Paths {
    /// Boot files.
    pub(crate) kickstarts: PathBuf,
    /// Client packages.
    pub(crate) clientpkgs: PathBuf,
}

impl Paths {
    fn read(reader: &mut Reader<'_>, flags: &Flags, data: &std::path::Path) -> Self {
        let mut directory = |key, name: &str, flag, given: &Option<PathBuf>| {
            let configured = reader.value(key, path, data.join(name));
            match given {
                None => configured,
                Some(given) => {
                    reader.overridden(key, flag);
                    given.clone()
                }
            }
        };
        Self {
            kickstarts: directory(
                "paths.kickstarts",
                "kickstarts",
                "--kickstarts",
                &flags.kickstarts,
            ),
            clientpkgs: directory(
                "paths.clientpkgs",
                "clientpkgs",
                "--clientpkgs",
                &flags.clientpkgs,
            ),
        }
    }
}

/// HTTPS beside plain HTTP.
#[derive(Debug, Serialize)]
pub(crate) struct Tls {
    /// Addresses of the HTTPS listeners.
    pub(crate) listen: Vec<ListenAddress>,
    /// Certificate chain, PEM.
    pub(crate) cert: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
}

impl Tls {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = reader.optional("tls.listen", list_of(word));
        let cert = reader.optional("tls.cert", path);
        let key = reader.optional("tls.key", path);
        match (cert, key) {
            (Some(cert), Some(key)) => Some(Self {
                listen: listen.unwrap_or_else(|| vec![ListenAddress::new("0.0.0.0", 443)]),
                cert,
                key,
            }),
            (Some(_), None) => {
                reader.refuse("tls.cert", "needs tls.key too");
                None
            }
            (None, Some(_)) => {
                reader.refuse("tls.key", "needs tls.cert too");
                None
            }
            (None, None) => {
                if listen.is_some() {
                    reader.refuse("tls.listen", "needs tls.cert and tls.key");
                }
                None
            }
        }
    }
}

/// What one client, or all of them, may use up.
#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    /// Connections open at once.
    pub(crate) connections: u32,
    /// Connections open at once from one address.
    pub(crate) connections_per_address: u32,
    /// From a request's first byte to the end of its header.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) header_time: Duration,
    /// From accepting a connection to its first byte.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) first_byte_time: Duration,
    /// How long a connection may rest between requests.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) idle_time: Duration,
    /// Bytes of a request's body, uploads apart.
    #[serde(serialize_with = "super::size::serialize")]
    pub(crate) body: u64,
    /// Bytes of an uploaded package.
    #[serde(serialize_with = "super::size::serialize")]
    pub(crate) upload: u64,
}

impl Limits {
    fn read(reader: &mut Reader<'_>) -> Self {
        let count = || more_than_zero(number);
        let time = || more_than_zero(duration);
        let bytes = || more_than_zero(size);
        Self {
            connections: reader.value("limits.connections", count(), 20_000),
            connections_per_address: reader.value("limits.connections_per_address", count(), 256),
            header_time: reader.value("limits.header_time", time(), 10 * SECOND),
            first_byte_time: reader.value("limits.first_byte_time", time(), 10 * SECOND),
            idle_time: reader.value("limits.idle_time", time(), 60 * SECOND),
            body: reader.value("limits.body", bytes(), MIB),
            upload: reader.value("limits.upload", bytes(), 8 * GIB),
        }
    }
}

/// How boot files are rendered.
#[derive(Debug, Serialize)]
pub(crate) struct Templates {
    /// What a form with no value and no default does.
    pub(crate) missing: Missing,
}

impl Templates {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            missing: reader.value("templates.missing", word, Missing::Error),
        }
    }
}

choice! {
    /// What a form with no value and no default does.
    Missing {
        /// The file is not served.
        Error = "error",
        /// It stands for nothing.
        Empty = "empty",
    }
}

/// Administrators' logins.
#[derive(Debug, Serialize)]
pub(crate) struct Auth {
    /// How long an access token is good.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) access_ttl: Duration,
    /// How long a refresh token is good.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) refresh_ttl: Duration,
    /// Passwords that may be tried in a minute from one address.
    pub(crate) tries_per_minute: u32,
}

impl Auth {
    fn read(reader: &mut Reader<'_>) -> Self {
        let auth = Self {
            access_ttl: reader.value("auth.access_ttl", more_than_zero(duration), HOUR),
            refresh_ttl: reader.value("auth.refresh_ttl", more_than_zero(duration), 30 * DAY),
            tries_per_minute: reader.value("auth.tries_per_minute", more_than_zero(number), 10),
        };
        if auth.refresh_ttl < auth.access_ttl {
            let key = match reader.origin("auth.refresh_ttl") {
                super::Origin::Default => "auth.access_ttl",
                _ => "auth.refresh_ttl",
            };
            reader.refuse(
                key,
                "a refresh token must be good for at least as long as an access token",
            );
        }
        auth
    }
}

/// Ignition configs and the program that applies them.
#[derive(Debug, Serialize)]
pub(crate) struct Ignition {
    /// How long a fetched config is served before it is revalidated.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) refresh: Duration,
    /// `[ignition.bin]`
    pub(crate) bin: IgnitionBinaries,
}

/// Where the ignition binary is; without a path, the places where one is usually found.
#[derive(Debug, Serialize)]
pub(crate) struct IgnitionBinaries {
    /// The one for x86-64.
    pub(crate) x86_64: Option<PathBuf>,
    /// The one for 64-bit Arm.
    pub(crate) aarch64: Option<PathBuf>,
}

impl Ignition {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            refresh: reader.value("ignition.refresh", duration, 30 * SECOND),
            bin: IgnitionBinaries {
                x86_64: reader.optional("ignition.bin.x86_64", path),
                aarch64: reader.optional("ignition.bin.aarch64", path),
            },
        }
    }
}

/// What the head may fetch from elsewhere.
#[derive(Debug, Serialize)]
pub(crate) struct Fetch {
    /// When not empty, nothing else may be fetched from.
    pub(crate) allow: Vec<AllowedSource>,
    /// URL schemes that may be fetched.
    pub(crate) schemes: Vec<FetchScheme>,
    /// How long one fetch may take.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) timeout: Duration,
    /// Bytes of a fetched config.
    #[serde(serialize_with = "super::size::serialize")]
    pub(crate) max_size: u64,
    /// Redirects followed.
    pub(crate) redirects: u32,
    /// Certificates to trust beside the system's, PEM.
    pub(crate) ca_file: Option<PathBuf>,
    /// Logins by host, in the format of `.netrc`.
    pub(crate) credentials: Option<PathBuf>,
    /// The private key for `git+ssh`.
    pub(crate) ssh_key: Option<PathBuf>,
    /// The host keys known for `git+ssh`.
    pub(crate) ssh_known_hosts: Option<PathBuf>,
}

impl Fetch {
    fn read(reader: &mut Reader<'_>) -> Self {
        use FetchScheme::{Git, GitHttp, GitHttps, GitSsh, Http, Https};
        Self {
            allow: reader.value("fetch.allow", list_of(word), Vec::new()),
            schemes: reader.value(
                "fetch.schemes",
                list_of(word),
                vec![Http, Https, Git, GitHttp, GitHttps, GitSsh],
            ),
            timeout: reader.value("fetch.timeout", more_than_zero(duration), 10 * SECOND),
            max_size: reader.value("fetch.max_size", more_than_zero(size), 4 * MIB),
            redirects: reader.value("fetch.redirects", number, 5),
            ca_file: reader.optional("fetch.ca_file", path),
            credentials: reader.optional("fetch.credentials", path),
            ssh_key: reader.optional("fetch.ssh_key", path),
            ssh_known_hosts: reader.optional("fetch.ssh_known_hosts", path),
        }
    }
}

choice! {
    /// A scheme of URLs to fetch from.
    FetchScheme {
        /// HTTP.
        Http = "http",
        /// HTTP on TLS.
        Https = "https",
        /// Git's own protocol.
        Git = "git",
        /// Git by HTTP.
        GitHttp = "git+http",
        /// Git by HTTP on TLS.
        GitHttps = "git+https",
        /// Git by SSH.
        GitSsh = "git+ssh",
        /// A repository on the head's own disk.
        GitFile = "git+file",
    }
}

/// Client packages.
#[derive(Debug, Serialize)]
pub(crate) struct Packages {
    /// What the installer installs, in this order.
    #[serde(serialize_with = "names")]
    pub(crate) install: Vec<PackageName>,
    /// When an rpm is converted to a tar.
    pub(crate) convert: Convert,
    /// How long a request waits for a conversion.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) convert_wait: Duration,
    /// What the repositories are signed with: a key of gpg, by fingerprint, key ID or user ID.
    pub(crate) signing_key: Option<String>,
    /// Where gpg keeps that key.
    pub(crate) gnupg_home: Option<PathBuf>,
}

impl Packages {
    fn read(reader: &mut Reader<'_>) -> Self {
        let usual = ["pilotlight-node", "telegraf"];
        Self {
            install: reader.value(
                "packages.install",
                list_of(word),
                usual
                    .map(|name| name.parse().expect("these are names of packages"))
                    .into(),
            ),
            convert: reader.value("packages.convert", word, Convert::OnRequest),
            convert_wait: reader.value("packages.convert_wait", duration, 60 * SECOND),
            signing_key: reader.optional("packages.signing_key", line),
            gnupg_home: reader.optional("packages.gnupg_home", path),
        }
    }
}

fn names<S: Serializer>(names: &[PackageName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(PackageName::as_str))
}

choice! {
    /// When an rpm is converted to a tar.
    Convert {
        /// When somebody asks for the tar.
        OnRequest = "on-request",
        /// As soon as the rpm is there.
        OnArrival = "on-arrival",
    }
}

/// Where the cluster's state is kept.
#[derive(Debug, Serialize)]
pub(crate) struct Store {
    /// What keeps it.
    pub(crate) engine: Engine,
    /// An etcd that is there already; without one, the head runs its own.
    pub(crate) etcd_endpoints: Vec<String>,
    /// The authority that the certificates of that etcd are of, PEM.
    pub(crate) etcd_ca: Option<PathBuf>,
    /// The certificate this head shows to it, PEM.
    pub(crate) etcd_cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub(crate) etcd_key: Option<PathBuf>,
    /// The user to log in to it as.
    pub(crate) etcd_user: Option<String>,
    /// The file with that user's password.
    pub(crate) etcd_password_file: Option<PathBuf>,
}

impl Store {
    fn read(reader: &mut Reader<'_>) -> Self {
        let engine = reader.value("store.engine", word, Engine::Sqlite);
        let endpoints = reader.value("store.etcd_endpoints", list_of(line), Vec::new());
        // The short form says it all.
        let etcd: Vec<_> = reader.value("store.etcd", list_of(line), Vec::new());
        if !etcd.is_empty() && !endpoints.is_empty() {
            reader.refuse(
                "store.etcd",
                "says the same as store.etcd_endpoints; give one of them",
            );
        }
        if engine == Engine::Sqlite && !endpoints.is_empty() {
            reader.refuse("store.etcd_endpoints", "needs store.engine = \"etcd\"");
        }
        let store = Self {
            engine: if etcd.is_empty() {
                engine
            } else {
                Engine::Etcd
            },
            etcd_endpoints: [endpoints, etcd].concat(),
            etcd_ca: reader.optional("store.etcd_ca", path),
            etcd_cert: reader.optional("store.etcd_cert", path),
            etcd_key: reader.optional("store.etcd_key", path),
            etcd_user: reader.optional("store.etcd_user", line),
            etcd_password_file: reader.optional("store.etcd_password_file", path),
        };
        let pairs = [
            ("store.etcd_cert", store.etcd_cert.is_some()),
            ("store.etcd_key", store.etcd_key.is_some()),
            ("store.etcd_user", store.etcd_user.is_some()),
            (
                "store.etcd_password_file",
                store.etcd_password_file.is_some(),
            ),
        ];
        for [(key, given), (other, other_given)] in pairs.as_chunks().0 {
            if *given && !*other_given {
                reader.refuse(key, &format!("needs {other} too"));
            } else if *other_given && !*given {
                reader.refuse(other, &format!("needs {key} too"));
            }
        }
        store
    }
}

choice! {
    /// What keeps the cluster's state.
    Engine {
        /// A database file, until another head joins and moves the cluster to etcd.
        Sqlite = "sqlite",
        /// etcd, from the first start on.
        Etcd = "etcd",
    }
}

/// How heads reach each other.
#[derive(Debug, Serialize)]
pub(crate) struct Heads {
    /// This head's address for the others; without one, that of its first listener.
    pub(crate) address: Option<IpAddr>,
    /// The port where heads exchange files.
    pub(crate) port: u16,
    /// The port of this head's etcd.
    pub(crate) etcd_client_port: u16,
    /// The port where its etcd talks with the others'.
    pub(crate) etcd_peer_port: u16,
}

impl Heads {
    fn read(reader: &mut Reader<'_>) -> Self {
        let port = || more_than_zero(port);
        Self {
            address: reader.optional("heads.address", word),
            port: reader.value("heads.port", port(), 2381),
            etcd_client_port: reader.value("heads.etcd_client_port", port(), 2379),
            etcd_peer_port: reader.value("heads.etcd_peer_port", port(), 2380),
        }
    }
}

/// Copying boot files and packages between heads.
#[derive(Debug, Serialize)]
pub(crate) struct Replicate {
    /// Bytes per second; without one, as fast as it goes.
    #[serde(serialize_with = "super::size::serialize_option")]
    pub(crate) max_rate: Option<u64>,
}

impl Replicate {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            max_rate: reader.optional("replicate.max_rate", more_than_zero(size)),
        }
    }
}

/// The record of who fetched what.
#[derive(Debug, Serialize)]
pub(crate) struct Ledger {
    /// How long an entry is kept.
    #[serde(serialize_with = "super::duration::serialize")]
    pub(crate) keep: Duration,
    /// Bytes it may take on disk.
    #[serde(serialize_with = "super::size::serialize")]
    pub(crate) max_size: u64,
}

impl Ledger {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            keep: reader.value("ledger.keep", more_than_zero(duration), 30 * DAY),
            max_size: reader.value("ledger.max_size", more_than_zero(size), GIB),
        }
    }
}

/// The log on standard error.
#[derive(Debug, Serialize)]
pub(crate) struct Log {
    /// For people or for programs.
    pub(crate) format: LogFormat,
    /// The least important lines that are written.
    pub(crate) level: LogLevel,
}

impl Log {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            format: reader.value("log.format", word, LogFormat::Human),
            level: reader.value("log.level", word, LogLevel::Info),
        }
    }
}

choice! {
    /// How a log line is written.
    LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// How important a log line is.
    LogLevel {
        /// Something failed.
        Error = "error",
        /// Something looks wrong.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}
