use super::network::AllowedSource;
use super::*;
use package::PackageName;
use std::time::Duration;

fn sources(text: &str, environment: &[(&str, &str)]) -> Sources {
    Sources {
        file: Some(ConfigFile {
            path: "p.toml".into(),
            text: text.to_owned(),
        }),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        flags: Flags::default(),
    }
}

fn load(text: &str) -> Loaded {
    sources(text, &[]).load()
}

fn faults(loaded: &Loaded) -> Vec<String> {
    loaded.faults.iter().map(Fault::to_string).collect()
}

#[track_caller]
fn settings(loaded: Loaded) -> Settings {
    loaded.without_faults().unwrap()
}

/// Every key, each with a value that is not its default.
const EVERYTHING: &str = r#"
listen = ["127.0.0.1:8080", "[::1]:8080"]
data = "/srv/pilotlight"
base_url = "https://head.example/api/v1/"
trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
shutdown_grace = "5s"
[head]
name = "head1"
lang = "de_DE.UTF-8"
keymap = "de"
timezone = "Europe/Berlin"
[paths]
kickstarts = "/srv/ks"
clientpkgs = "/srv/pkgs"
[tls]
listen = ["0.0.0.0:8443"]
cert = "/etc/cert.pem"
key = "/etc/key.pem"
[limits]
connections = 1_000
connections_per_address = 0x10
header_time = "1s"
first_byte_time = "250ms"
idle_time = "2m"
body = "2MiB"
upload = "1GB"
[templates]
missing = "empty"
[auth]
access_ttl = "10m"
refresh_ttl = "7d"
tries_per_minute = 3
[ignition]
refresh = "0s"
[ignition.bin]
x86_64 = "/opt/ignition"
aarch64 = "/opt/ignition-arm"
[fetch]
allow = ["127.0.0.0/8", "Git.Example"]
schemes = ["https", "git+file"]
timeout = "3s"
max_size = "512KB"
redirects = 0
ca_file = "/etc/ca.pem"
credentials = "/etc/netrc"
ssh_key = "/etc/id_ed25519"
ssh_known_hosts = "/etc/known_hosts"
[packages]
install = ["pilotlight-node"]
convert = "on-arrival"
convert_wait = "10s"
signing_key = "0123456789ABCDEF"
gnupg_home = "/etc/pilotlight/gnupg"
[store]
engine = "etcd"
etcd_endpoints = ["https://10.0.0.1:2379"]
etcd_ca = "/etc/pilotlight/etcd-ca.pem"
etcd_cert = "/etc/pilotlight/etcd.pem"
etcd_key = "/etc/pilotlight/etcd-key.pem"
etcd_user = "pilotlight"
etcd_password_file = "/etc/pilotlight/etcd-password"
[heads]
address = "10.0.0.2"
port = 3381
etcd_client_port = 3379
etcd_peer_port = 3380
[replicate]
max_rate = "10MiB"
[ledger]
keep = "7d"
max_size = "100MiB"
[log]
format = "json"
level = "debug"
"#;

#[test]
fn an_empty_file_gives_the_defaults() {
    let settings = settings(load(""));
    assert_eq!(settings.listen, ["0.0.0.0:80".parse().unwrap()]);
    assert_eq!(settings.data, Path::new("/var/lib/pilotlight"));
    assert_eq!(
        settings.paths.kickstarts,
        Path::new("/var/lib/pilotlight/kickstarts")
    );
    assert_eq!(settings.shutdown_grace, Duration::from_secs(30));
    assert_eq!(settings.limits.connections, 20_000);
    assert_eq!(settings.limits.upload, 8 << 30);
    assert_eq!(settings.auth.refresh_ttl, Duration::from_secs(30 * 86400));
    assert_eq!(settings.templates.missing, Missing::Error);
    let install = &settings.packages.install;
    assert!(
        install
            .iter()
            .map(PackageName::as_str)
            .eq(["pilotlight-node", "telegraf"])
    );
    assert!(settings.tls.is_none() && settings.base_url.is_none());
}

#[test]
fn every_key_is_read_from_the_file() {
    let loaded = load(EVERYTHING);
    for (key, origin) in &loaded.origins {
        // That one says the same as store.etcd_endpoints, and both is refused.
        assert!(
            *key == "store.etcd" || matches!(origin, Origin::File { .. }),
            "{key} came from {origin}"
        );
    }
    let settings = settings(loaded);
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(
        settings.base_url.as_deref(),
        Some("https://head.example/api/v1")
    );
    assert_eq!(settings.trusted_proxies[1], "192.0.2.1/32".parse().unwrap());
    assert_eq!(
        settings.tls.unwrap().listen,
        ["0.0.0.0:8443".parse().unwrap()]
    );
    assert_eq!(settings.limits.connections, 1000);
    assert_eq!(settings.limits.connections_per_address, 16);
    assert_eq!(settings.limits.first_byte_time, Duration::from_millis(250));
    assert_eq!(
        settings.fetch.allow[1],
        AllowedSource::Host("git.example".to_owned())
    );
    assert_eq!(
        settings.fetch.schemes,
        [FetchScheme::Https, FetchScheme::GitFile]
    );
    assert_eq!(settings.fetch.max_size, 512_000);
    assert_eq!(settings.fetch.redirects, 0);
    assert_eq!(settings.packages.convert, Convert::OnArrival);
    assert_eq!(settings.store.engine, Engine::Etcd);
    assert_eq!(settings.store.etcd_endpoints, ["https://10.0.0.1:2379"]);
    assert_eq!(settings.heads.address, Some([10, 0, 0, 2].into()));
    assert_eq!(settings.replicate.max_rate, Some(10 << 20));
    assert_eq!(settings.log.level, LogLevel::Debug);
}

#[test]
fn an_etcd_that_is_run_elsewhere_can_be_named_in_short() {
    let store = settings(load("[store]\netcd = [\"https://10.0.0.1:2379\"]")).store;
    assert_eq!(store.engine, Engine::Etcd);
    assert_eq!(store.etcd_endpoints, ["https://10.0.0.1:2379"]);
}

#[test]
fn the_effective_settings_read_the_same_again() {
    let written = |text: &str| toml::to_string(&settings(load(text))).unwrap();
    for text in ["", EVERYTHING] {
        assert_eq!(written(&written(text)), written(text));
    }
}

#[test]
fn every_fault_is_listed_with_its_line() {
    let loaded = load(concat!(
        "listen = [\n",
        "  \"0.0.0.0:80\",\n",
        "  \"nowhere\",\n",
        "  7,\n",
        "]\n",
        "shutdown_grace = 30\n",
        "colour = \"blue\"\n",
        "[limits]\n",
        "connections = -1\n",
        "conections = 5\n",
        "body = \"1 megabyte\"\n",
        "idle_time = \"0s\"\n",
        "[templates]\n",
        "missing = \"blank\"\n",
        "[nowhere]\n",
        "x = 1\n",
    ));
    let expected = [
        (3, "listen: \"nowhere\" is not HOST:PORT"),
        (4, "listen: must be a text, not a bare number"),
        (
            6,
            "shutdown_grace: must be a text such as \"30s\", not a bare number",
        ),
        (7, "unknown key \"colour\"; the top level has listen, data,"),
        (9, "limits.connections: must be a whole number"),
        (
            10,
            "unknown key \"limits.conections\"; [limits] has connections,",
        ),
        (11, "limits.body: \"1 megabyte\" is not a size"),
        (12, "limits.idle_time: must be more than zero"),
        (
            14,
            "templates.missing: \"blank\" is not one of error, empty",
        ),
        (15, "unknown key \"nowhere\""),
    ];
    let faults = faults(&loaded);
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, (line, reason)) in faults.iter().zip(expected) {
        assert!(
            fault.starts_with(&format!("p.toml:{line}: {reason}")),
            "{fault:?} is not {reason:?} in line {line}"
        );
    }
    assert_eq!(
        loaded.settings.limits.body,
        1 << 20,
        "a faulty value keeps its default"
    );
    assert!(loaded.without_faults().is_err());
}

#[test]
fn faulty_syntax_does_not_hide_the_other_faults() {
    let faults = faults(&load(
        "data = \"/srv\n[limits]\nbody = 3\n[log]\nlevel = \"info\"\nlevel = \"warn\"\n",
    ));
    assert!(
        faults.iter().any(|fault| fault.starts_with("p.toml:1: ")),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("p.toml:3: limits.body: ")),
        "{faults:?}"
    );
    assert!(
        faults.iter().any(|fault| fault.starts_with("p.toml:6: ")),
        "{faults:?}"
    );
}

#[test]
fn settings_that_do_not_go_together_are_faults() {
    for (text, fault) in [
        (
            "[tls]\ncert = \"c\"",
            "p.toml:2: tls.cert: needs tls.key too",
        ),
        (
            "[tls]\nkey = \"k\"",
            "p.toml:2: tls.key: needs tls.cert too",
        ),
        (
            "tls.listen = [\"[::]:443\"]",
            "p.toml:1: tls.listen: needs tls.cert and tls.key",
        ),
        (
            "[store]\netcd_endpoints = [\"a\"]",
            "p.toml:2: store.etcd_endpoints: needs store.engine = \"etcd\"",
        ),
        (
            "[store]\nengine = \"etcd\"\netcd_endpoints = [\"a\"]\netcd = [\"b\"]",
            "p.toml:4: store.etcd: says the same as store.etcd_endpoints; give one of them",
        ),
        (
            "[store]\netcd_cert = \"c\"",
            "p.toml:2: store.etcd_cert: needs store.etcd_key too",
        ),
        (
            "[store]\netcd_password_file = \"p\"",
            "p.toml:2: store.etcd_password_file: needs store.etcd_user too",
        ),
        (
            "[auth]\naccess_ttl = \"60d\"",
            "p.toml:2: auth.access_ttl: a refresh token must be good for at least as long as an access token",
        ),
        (
            "limits = 5",
            "p.toml:1: limits is a section: write [limits] on a line of its own",
        ),
        ("[data]", "p.toml:1: data: must be a path, not a section"),
    ] {
        assert_eq!(faults(&load(text)), [fault]);
    }
}

#[test]
fn base_urls_that_a_shell_would_read_are_refused() {
    for url in [
        "10.0.0.1",
        "ftp://a/",
        "http:///x",
        "http://a/$(reboot)",
        "http://a/'",
        "http://a/?x",
        "http://u@a/",
    ] {
        assert_eq!(
            faults(&load(&format!("base_url = {url:?}"))).len(),
            1,
            "{url} was accepted"
        );
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let loaded = sources(
        "data = \"/file\"\n[limits]\nconnections = 5\nbody = \"3MiB\"",
        &[
            ("PILOTLIGHT_DATA", "/environment"),
            ("PILOTLIGHT_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("PILOTLIGHT_LIMITS_CONNECTIONS", "7"),
            ("PILOTLIGHT_IGNITION_BIN_X86_64", "/opt/ignition"),
            ("PILOTLIGHT_HEAD", "http://10.0.0.1"),
            ("PILOTLIGHT_TOKEN", "secret"),
        ],
    )
    .load();
    assert_eq!(faults(&loaded), [""; 0]);
    let origin = |key| {
        loaded
            .origins
            .iter()
            .find(|(known, _)| *known == key)
            .unwrap()
            .1
            .to_string()
    };
    assert_eq!(
        origin("limits.connections"),
        "PILOTLIGHT_LIMITS_CONNECTIONS"
    );
    assert_eq!(origin("limits.body"), "p.toml:4");
    assert_eq!(origin("limits.upload"), "default");
    let settings = settings(loaded);
    assert_eq!(settings.data, Path::new("/environment"));
    assert_eq!(
        settings.listen,
        ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]
    );
    assert_eq!(settings.limits.connections, 7);
    assert_eq!(settings.limits.body, 3 << 20);
    assert_eq!(
        settings.ignition.bin.x86_64.as_deref(),
        Some(Path::new("/opt/ignition"))
    );
}

#[test]
fn faults_of_the_environment_name_the_variable() {
    let loaded = sources(
        "",
        &[
            ("PILOTLIGHT_LIMITS_BODY", "lots"),
            ("PILOTLIGHT_LIMITS_BODIES", "1MiB"),
            ("PILOTLIGHT_LISTEN", "nowhere,127.0.0.1:1"),
        ],
    )
    .load();
    assert_eq!(
        faults(&loaded),
        [
            "PILOTLIGHT_LIMITS_BODIES: no setting has this name",
            "PILOTLIGHT_LIMITS_BODY: limits.body: \"lots\" is not a size such as \"512KB\", \"4MiB\" or \"1GiB\"",
            "PILOTLIGHT_LISTEN: listen: \"nowhere\" is not HOST:PORT, such as \"0.0.0.0:80\", \"[::]:80\" or \
             \"localhost:8080\"",
        ]
    );
}

#[test]
fn no_address_at_all_is_refused() {
    for (text, environment) in [
        ("listen = []", [].as_slice()),
        ("", &[("PILOTLIGHT_LISTEN", "")]),
    ] {
        let faults = faults(&sources(text, environment).load()).join("\n");
        assert!(faults.contains("listen: names no address"), "{faults}");
    }
    let mut with_a_flag = sources("listen = []", &[]);
    with_a_flag.flags.listen = vec!["127.0.0.1:1".parse().unwrap()];
    assert_eq!(settings(with_a_flag.load()).listen.len(), 1);
    let https_alone = sources("listen = []\n[tls]\ncert = \"c\"\nkey = \"k\"", &[]);
    assert!(settings(https_alone.load()).listen.is_empty());
}

#[test]
fn flags_win_and_listen_adds() {
    let mut sources = sources(
        "listen = [\"127.0.0.1:1\"]\ndata = \"/file\"",
        &[("PILOTLIGHT_DATA", "/environment")],
    );
    sources.flags = Flags {
        data: Some("/flag".into()),
        listen: vec!["127.0.0.1:2".parse().unwrap()],
        kickstarts: Some("/ks".into()),
        clientpkgs: None,
    };
    let settings = settings(sources.load());
    assert_eq!(settings.data, Path::new("/flag"));
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(settings.paths.kickstarts, Path::new("/ks"));
    assert_eq!(settings.paths.clientpkgs, Path::new("/flag/clientpkgs"));
}

#[test]
fn a_listen_flag_alone_replaces_the_default() {
    let mut sources = sources("", &[]);
    sources.flags.listen = vec!["127.0.0.1:0".parse().unwrap()];
    assert_eq!(settings(sources.load()).listen, sources.flags.listen);
}
