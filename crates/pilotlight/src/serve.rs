//! Runs a head: from its settings to its last answer.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use content::{
    BootFiles, FileRoot,
    packages::{self, Packages, Repository, SigningKey},
    upstream::{FetchLimits, FetchPolicy, UpstreamSettings, Upstreams},
};
use heads::{exchange::Trees, membership::Membership, replication::Files};
use package::Kind;
use server::{
    Head, IgnitionBinPaths, OwnPackages, OwnPackagesSettings, Reports, Service, Sources,
    ledger::{self, Ledger, Recorder},
    listen::{self, Connections, Limits, Listeners, Tls},
};
use store::{ClusterStore, LiveState, LiveStateError, Store};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

use crate::{
    cluster_store,
    config::{Convert, Engine, LogFormat, LogLevel, Missing, Settings},
    data_directory::{DataDirectory, make_directory},
};

/// How long a store that is being closed may keep the process.
const LAST_COMMITS: Duration = Duration::from_secs(10);

/// Runs a head until it is told to end by SIGTERM or SIGINT. `admin_pass_file` holds the password of a new cluster.
///
/// # Errors
/// Whatever keeps it from starting, or from going on.
pub(crate) fn run(settings: &Settings, admin_pass_file: Option<&Path>) -> anyhow::Result<()> {
    start_log(settings);
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        let running = start(settings, admin_pass_file, &shutdown).await?;
        let listening = running.urls.iter();
        let listening = listening.map(|url| format!("listening on {url}\n"));
        announce(&listening.collect::<String>());
        // Without systemd there is nobody to notify, and that is no fault.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        running.until_told(shutdown).await
    })
}

/// Says it on standard output. Who started this may not read it any more, which is no reason to let nodes wait.
pub(crate) fn announce(text: &str) {
    let mut output = io::stdout().lock();
    let said = output.write_all(text.as_bytes());
    if let Err(error) = said.and_then(|()| output.flush()) {
        tracing::warn!("cannot write to standard output: {error}");
    }
}

/// The runtime a head runs in.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// A head that answers.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) urls: Vec<String>,
    /// Its local socket.
    pub(crate) socket: PathBuf,
    head: Arc<Head>,
    store: Arc<ClusterStore>,
    membership: Arc<Membership>,
    recorder: Recorder,
    serving: JoinHandle<Result<(), listen::Error>>,
    following: JoinHandle<Result<(), LiveStateError>>,
    keeping: JoinHandle<()>,
    indexing: JoinHandle<()>,
    terminate: Signal,
    interrupt: Signal,
    /// Held until the head has ended.
    _data: DataDirectory,
}

/// Starts a head: opens what it serves from, and listens.
pub(crate) async fn start(
    settings: &Settings,
    admin_pass_file: Option<&Path>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Running> {
    // What a head keeps is its own business; what others may read is given its mode where it is made.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    raise_open_files(settings);

    let data = DataDirectory::hold(&settings.data)?;
    // Before there is a cluster: a first start that finds its port taken leaves none behind.
    let socket = data.file("api.sock");
    let listeners = bind(settings, &socket)?;
    let (store, enrolled) = cluster_store::open(settings, &data, admin_pass_file).await?;
    let live = Arc::new(LiveState::open(Arc::clone(&store) as Arc<dyn Store>).await?);
    let following = tokio::spawn({
        let live = Arc::clone(&live);
        async move { live.follow().await }
    });
    let repository = data.file("repo");
    let ignition = data.file("ignition");
    for directory in [
        &settings.paths.kickstarts,
        &settings.paths.clientpkgs,
        &repository,
        &ignition,
    ] {
        make_directory(directory)?;
    }
    for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
        make_directory(&settings.paths.clientpkgs.join(kind.to_string()))?;
    }
    if enrolled.is_none() {
        fill_packages(settings).await?;
    }
    let packages = Arc::new(open_packages(settings, data.file("packages.json")).await?);
    let boot_files = Arc::new(BootFiles::new(FileRoot::open(&settings.paths.kickstarts)?));
    // Opening it removes what a crash left there, which must not be what is being written by now.
    let repository_files = FileRoot::open(&repository)?;
    let indexing = tokio::spawn(
        Arc::new(Repository::new(
            repository,
            settings.paths.clientpkgs.clone(),
            signing_key(settings),
        ))
        .follow(packages.changes()),
    );
    let reports = Arc::new(Reports::open(data.file("status.json")));
    let sources = Sources {
        reports: Arc::clone(&reports),
        boot_files: Arc::clone(&boot_files),
        upstreams: open_upstreams(settings, data.file("upstream"))?,
        packages: Arc::clone(&packages),
        repository: repository_files,
        own_packages: OwnPackages::new(
            OwnPackagesSettings {
                directory: data.file("headpkgs"),
                signing_key: signing_key(settings),
                arguments: &["head-package", "--out"],
            },
            shutdown.clone(),
        ),
    };
    let name = match &enrolled {
        Some(enrolled) => enrolled.identity().name.to_string(),
        None => settings.head.name.clone().unwrap_or_else(host_name),
    };
    let (ledger, recorder) = start_ledger(settings, &name, data.file("ledger.db"))?;

    let urls: Vec<String> = listeners.urls().collect();
    let limits = &settings.limits;
    let connections = Connections::new(
        limits.connections as usize,
        limits.connections_per_address as usize,
    );
    let own_address = own_address(&listeners);
    let trees = Trees {
        kickstarts: boot_files.root().clone(),
        clientpkgs: FileRoot::open(&settings.paths.clientpkgs)?,
        ignition: FileRoot::open(&ignition)?,
    };
    let membership = Membership::start(
        cluster_store::membership_settings(settings, &name, own_address)?,
        enrolled,
        Arc::clone(&store),
        Arc::clone(&live),
        Arc::new(Files::new(boot_files, packages, &trees.ignition)),
        trees,
        reports,
    )
    .await?;
    if settings.store.engine == Engine::Etcd {
        membership.move_to_etcd().await?;
    }
    let head_settings = head_settings(settings, name, own_address, &data);
    let head = Head::new(
        head_settings,
        Arc::clone(&live),
        Arc::clone(&membership),
        sources,
        ledger,
        Arc::clone(&connections),
    )?;

    let service = Service::new(Arc::clone(&head));
    let limits = Limits {
        first_byte_time: limits.first_byte_time,
        header_time: limits.header_time,
        idle_time: limits.idle_time,
        shutdown_grace: settings.shutdown_grace,
    };
    let (terminate, interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let keeping = tokio::spawn({
        let head = Arc::clone(&head);
        async move { head.keep_reports().await }
    });
    let serving = tokio::spawn(listen::serve(
        listeners,
        service,
        limits,
        connections,
        shutdown.clone(),
    ));
    Ok(Running {
        urls,
        socket,
        head,
        store,
        membership,
        recorder,
        serving,
        following,
        keeping,
        indexing,
        terminate,
        interrupt,
        _data: data,
    })
}

/// Moves the cluster of a data directory to etcd, without serving it.
pub(crate) async fn move_to_etcd(settings: &Settings) -> anyhow::Result<String> {
    let shutdown = CancellationToken::new();
    let running = start(settings, None, &shutdown).await?;
    let moved = running.membership.move_to_etcd().await;
    running.end(&shutdown).await?;
    moved?;
    Ok("the cluster is in etcd, which `pilotlight serve` runs".to_owned())
}

impl Running {
    /// Answers until the process is told to end; then finishes what runs.
    pub(crate) async fn until_told(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            _ = self.terminate.recv() => Ok(()),
            _ = self.interrupt.recv() => Ok(()),
            served = &mut self.serving => ended(served),
            followed = &mut self.following => ended(followed),
        };
        outcome.and(self.end(&shutdown).await)
    }

    /// Finishes what runs.
    async fn end(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let Self {
            head,
            store,
            membership,
            recorder,
            serving,
            following,
            keeping,
            indexing,
            ..
        } = self;
        tracing::info!("ending: no new connections; running answers are finished");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        shutdown.cancel();
        let served = match serving.is_finished() {
            true => Ok(()),
            false => ended(serving.await),
        };
        keeping.abort();
        indexing.abort();
        head.finish().await;
        // The last that commits; etcd, which it may run, goes with it.
        membership.close().await;
        if tokio::time::timeout(LAST_COMMITS, store.close())
            .await
            .is_err()
        {
            tracing::error!("the store did not close in time");
        }
        following.abort();
        tokio::task::spawn_blocking(move || recorder.close()).await?;
        served
    }
}

/// How a task ended, be it by its own error or by a panic.
fn ended<E>(outcome: Result<Result<(), E>, JoinError>) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    Ok(outcome??)
}

fn bind(settings: &Settings, socket: &Path) -> anyhow::Result<Listeners> {
    let mut listeners = Listeners::default();
    for address in &settings.listen {
        listeners.http(&address.to_string())?;
    }
    if let Some(tls) = &settings.tls {
        let certificate = Tls::load(&tls.cert, &tls.key)?;
        for address in &tls.listen {
            listeners.https(&address.to_string(), &certificate)?;
        }
    }
    listeners.unix(socket)?;
    // As a service, the command line finds the head here without being told where.
    if let Some(directory) = std::env::var_os("RUNTIME_DIRECTORY") {
        listeners.unix(&PathBuf::from(directory).join("api.sock"))?;
    }
    Ok(listeners)
}

/// How long a node waits for a config that has to be fetched: it shall have an answer within three seconds.
const FETCH_PATIENCE: Duration = Duration::from_millis(2500);

fn open_upstreams(settings: &Settings, directory: PathBuf) -> anyhow::Result<Upstreams> {
    let fetch = &settings.fetch;
    let allow: Vec<_> = fetch.allow.iter().map(ToString::to_string).collect();
    let schemes: Vec<_> = fetch.schemes.iter().map(ToString::to_string).collect();
    Ok(Upstreams::open(UpstreamSettings {
        limits: FetchLimits {
            timeout: fetch.timeout,
            max_size: fetch.max_size,
            redirects: fetch.redirects as usize,
        },
        ca_file: fetch.ca_file.clone(),
        credentials: fetch.credentials.clone(),
        ssh_key: fetch.ssh_key.clone(),
        ssh_known_hosts: fetch.ssh_known_hosts.clone(),
        patience: FETCH_PATIENCE,
        check: server::check_fetched,
        ..UpstreamSettings::new(directory, FetchPolicy::new(&allow, &schemes)?)
    })?)
}

/// Puts the node package into an empty directory of packages. Not where there are several heads: an empty one is a disk
/// that is not mounted, or gets its files from the others, and must not look as if all others had been deleted.
async fn fill_packages(settings: &Settings) -> anyhow::Result<()> {
    let directory = settings.paths.clientpkgs.clone();
    match tokio::task::spawn_blocking(move || node_package::fill(&directory)).await? {
        Ok(written) => {
            for path in written {
                tracing::info!("wrote the node package {}", path.display());
            }
        }
        // Nodes boot without it, too.
        Err(error) => tracing::error!("{error}"),
    }
    Ok(())
}

async fn open_packages(settings: &Settings, cache: PathBuf) -> anyhow::Result<Packages> {
    Ok(Packages::open(packages::Settings {
        directory: settings.paths.clientpkgs.clone(),
        cache,
        convert: match settings.packages.convert {
            Convert::OnRequest => packages::Convert::OnRequest,
            Convert::OnArrival => packages::Convert::OnArrival,
        },
        convert_wait: settings.packages.convert_wait,
        limits: package::rpm::Limits::default(),
    })
    .await?)
}

fn signing_key(settings: &Settings) -> Option<SigningKey> {
    let gnupg_home = settings.packages.gnupg_home.clone();
    Some(SigningKey {
        key: settings.packages.signing_key.clone()?,
        gnupg_home: gnupg_home.unwrap_or_else(|| settings.data.join("gnupg")),
    })
}

fn start_ledger(
    settings: &Settings,
    head: &str,
    path: PathBuf,
) -> anyhow::Result<(Ledger, Recorder)> {
    let settings = ledger::Settings {
        head: head.to_owned(),
        keep: settings.ledger.keep,
        max_size: settings.ledger.max_size,
        format: match settings.log.format {
            LogFormat::Human => ledger::LogFormat::Human,
            LogFormat::Json => ledger::LogFormat::Json,
        },
        level: level(settings),
    };
    Recorder::start(settings, path, Box::new(io::stderr())).context("cannot start the ledger")
}

fn head_settings(
    settings: &Settings,
    name: String,
    own_address: SocketAddr,
    data: &DataDirectory,
) -> server::Settings {
    server::Settings {
        name,
        lang: settings.head.lang.clone(),
        keymap: settings.head.keymap.clone(),
        timezone: settings.head.timezone.clone(),
        base_url: settings.base_url.clone(),
        own_address,
        trusted_proxies: settings.trusted_proxies.clone(),
        missing: match settings.templates.missing {
            Missing::Error => template::Missing::Error,
            Missing::Empty => template::Missing::Empty,
        },
        ignition_refresh: settings.ignition.refresh,
        ignition_bin: IgnitionBinPaths {
            x86_64: settings.ignition.bin.x86_64.clone(),
            aarch64: settings.ignition.bin.aarch64.clone(),
            default: data.file("ignition"),
        },
        body_limit: settings.limits.body,
        body_time: settings.limits.idle_time,
        access_ttl: settings.auth.access_ttl,
        refresh_ttl: settings.auth.refresh_ttl,
        tries_per_minute: settings.auth.tries_per_minute,
        owner: data.owner,
        data: settings.data.clone(),
        audit_log: data.file("audit.log"),
        upload_limit: settings.limits.upload,
        install: settings.packages.install.clone(),
    }
}

/// The address that nodes can be expected to reach this head by: the first it listens on; where that is every
/// address, the one its packets to other networks leave from.
fn own_address(listeners: &Listeners) -> SocketAddr {
    let first = listeners.addresses().next();
    let listening = first.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 80).into());
    if !listening.ip().is_unspecified() {
        return listening;
    }
    // Connecting a UDP socket sends nothing; it makes the kernel choose a route. The address is of TEST-NET-1.
    let outgoing = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    let ip = outgoing.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    SocketAddr::new(ip, listening.port())
}

/// Each connection is an open file; beside them the head itself needs some.
fn raise_open_files(settings: &Settings) {
    let wanted = u64::from(settings.limits.connections) + 1024;
    match listen::raise_open_files(wanted) {
        Ok(allowed) if allowed < wanted => {
            tracing::warn!(
                allowed,
                wanted,
                "the system allows fewer open files than limits.connections asks for"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn level(settings: &Settings) -> LevelFilter {
    match settings.log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Sends the log to standard error. A second head in one process would share the first one's.
pub(crate) fn start_log(settings: &Settings) {
    let log = tracing_subscriber::fmt()
        .with_max_level(level(settings))
        .with_writer(io::stderr)
        .with_timer(Milliseconds)
        .with_target(false);
    let _ = match settings.log.format {
        LogFormat::Human => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Times as the fetch lines have them.
struct Milliseconds;

impl FormatTime for Milliseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}
