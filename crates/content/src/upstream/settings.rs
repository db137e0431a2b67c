//! How fetching is configured.

use std::path::PathBuf;
use std::time::Duration;

use super::policy::FetchPolicy;

/// How [`Upstreams`](super::Upstreams) fetches, and what it keeps.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Where copies and git repositories are kept. Nobody else may write there.
    pub directory: PathBuf,
    /// Which schemes and addresses may be fetched from.
    pub policy: FetchPolicy,
    /// What a single fetch may take.
    pub limits: FetchLimits,
    /// Certificate authorities beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Logins by host, in the format of `.netrc`. Read at each fetch.
    pub credentials: Option<PathBuf>,
    /// The private key for `git+ssh`; else those of the user this head runs as.
    pub ssh_key: Option<PathBuf>,
    /// The known host keys for `git+ssh`; else those of the system and of the user this head runs as.
    pub ssh_known_hosts: Option<PathBuf>,
    /// How long one who asks waits for a fetch before a kept copy, or nothing, is the answer.
    pub patience: Duration,
    /// How long a failure is the answer before the upstream is asked again.
    pub failure_memory: Duration,
    /// What may be kept, in memory and on disk each.
    pub keep: KeepLimits,
    /// How many fetches run at the same time.
    pub concurrent_fetches: usize,
    /// Whether a file that has come is what was wanted.
    pub check: Check,
}

/// Says what is wrong with a file, by its path and bytes. It may block. What it refuses replaces no copy.
pub type Check = fn(path: &str, bytes: &[u8]) -> Result<(), String>;

/// What a single fetch may take.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// Time for the whole of it.
    pub timeout: Duration,
    /// Bytes of the file.
    pub max_size: u64,
    /// Redirects followed.
    pub redirects: usize,
}

/// How much may be kept; what was used longest ago goes first.
#[derive(Debug, Clone, Copy)]
pub struct KeepLimits {
    /// Files.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// git repositories, of which only the parts that were needed are kept.
    pub repositories: usize,
}

impl UpstreamSettings {
    /// The defaults, with copies in `directory`.
    #[must_use]
    pub fn new(directory: PathBuf, policy: FetchPolicy) -> Self {
        Self {
            directory,
            policy,
            limits: FetchLimits {
                timeout: Duration::from_secs(10),
                max_size: 4 << 20,
                redirects: 5,
            },
            ca_file: None,
            credentials: None,
            ssh_key: None,
            ssh_known_hosts: None,
            patience: Duration::from_secs(3),
            failure_memory: Duration::from_secs(5),
            keep: KeepLimits {
                files: 1024,
                bytes: 256 << 20,
                repositories: 64,
            },
            concurrent_fetches: 16,
            check: |_, _| Ok(()),
        }
    }
}
