//! Fetching files from git repositories, of which only the parts that are needed are kept.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;
use std::{fs, io};

use bytes::Bytes;

use super::copies::Fetch;
use super::deadline::Deadline;
use super::error::Fault;
use super::git_access::access_to;
use super::git_complaint::fault_of;
use super::git_file::{GitFile, Reference, Remote};
use super::git_program::{Access, GitProgram, Output};
use super::settings::UpstreamSettings;
use crate::{FileName, Sha256Digest};

/// How much of a list of references is read.
const MAX_LISTING: u64 = 1 << 20;
/// How many packs a repository may gather, two for each commit, before it is made anew.
const MAX_PACKS: usize = 64;
/// How many branches and tags an error lists.
const SHOWN_REFERENCES: usize = 8;
/// Where the last fetched commit is noted.
const FETCHED: &str = "refs/pilotlight/fetched";

/// Fetches files from git repositories.
pub(super) struct GitClient {
    program: GitProgram,
    repositories: PathBuf,
    settings: UpstreamSettings,
    /// The repositories in use. Only one fetch at a time may change one.
    in_use: Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>,
}

/// What a reference names at the remote.
#[derive(Debug, PartialEq, Eq)]
struct Advertised {
    /// What to ask for: a full reference or the digits of a commit.
    name: String,
    commit: String,
}

/// A remote, reached at an address that was judged, and the repository that holds parts of it.
struct Reach<'a> {
    client: &'a GitClient,
    access: Access,
    remote: &'a Remote,
    repository: PathBuf,
}

impl GitClient {
    pub(super) fn open(settings: &UpstreamSettings) -> io::Result<Self> {
        let repositories = settings.directory.join("git");
        let home = settings.directory.join("git-home");
        fs::create_dir_all(&repositories)?;
        fs::create_dir_all(&home)?;
        drop_oldest(&repositories, settings.keep.repositories, &[])?;
        Ok(Self {
            program: GitProgram {
                program: "git".into(),
                home: home.canonicalize()?,
            },
            repositories: repositories.canonicalize()?,
            settings: settings.clone(),
            in_use: Mutex::default(),
        })
    }

    /// Fetches the file, unless it would be of the commit `known`.
    pub(super) async fn fetch(&self, file: &GitFile, known: Option<&str>) -> Result<Fetch, Fault> {
        let policy = &self.settings.policy;
        policy.check_scheme(file.remote.transport.scheme())?;
        let deadline = Deadline::after(self.settings.limits.timeout);
        let access = deadline
            .bound(
                "finding the address of the host",
                access_to(&file.remote, &self.settings),
            )
            .await??;
        let reach = Reach {
            client: self,
            access,
            remote: &file.remote,
            repository: self.repository_of(&file.remote),
        };
        let lock = self.lock(&reach.repository);
        let _alone = deadline
            .bound("waiting for another fetch", lock.lock())
            .await?;
        deadline
            .bound("talking to the repository", reach.fetch(file, known))
            .await?
    }

    fn repository_of(&self, remote: &Remote) -> PathBuf {
        let digest = Sha256Digest::of(remote.url.identity().as_bytes());
        self.repositories.join(format!("{digest}.git"))
    }

    fn lock(&self, repository: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = in_use.get(repository).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        in_use.insert(repository.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

impl Reach<'_> {
    async fn fetch(&self, file: &GitFile, known: Option<&str>) -> Result<Fetch, Fault> {
        self.prepare().await?;
        let advertised = self.resolve(file.reference.as_ref()).await?;
        if known == Some(&*advertised.commit) {
            return Ok(Fetch::Unchanged);
        }
        let commit = if self.has(&advertised.commit).await? {
            advertised.commit.clone()
        } else {
            self.fetch_commit(&advertised, &["--filter=blob:none"])
                .await?
        };
        let object = self.find(&commit, &file.path).await?;
        let mut content = self.read(&object).await?;
        if !content.is_success {
            // An old server may take part in a partial fetch and then not give what it left out.
            self.fetch_commit(&advertised, &["--refetch", "--no-filter"])
                .await?;
            content = self.read(&object).await?;
        }
        if !content.is_success {
            Err(self.fault(&content))
        } else if content.is_cut {
            Err(Fault::TooLarge {
                limit: self.client.settings.limits.max_size,
            })
        } else if content.stdout.is_empty() {
            Err(Fault::Empty)
        } else {
            Ok(Fetch::git(Bytes::from(content.stdout), commit))
        }
    }

    /// Makes the repository, if there is none, or none in good order.
    async fn prepare(&self) -> Result<(), Fault> {
        let is_sound = fs::read_dir(self.repository.join("objects/pack")).is_ok_and(|entries| {
            let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
            let named = |wanted: fn(&[u8]) -> bool| {
                names.iter().filter(move |name| wanted(name.as_bytes()))
            };
            // What a git that was killed half way through a pack leaves behind is never cleared away by itself.
            let is_cut_short = named(|name| name.starts_with(b"tmp_")).next().is_some();
            named(|name| name.ends_with(b".pack")).count() <= MAX_PACKS && !is_cut_short
        });
        if is_sound && !self.interrupted().exists() {
            return Ok(());
        }
        let cannot = |action, error: &io::Error| Fault::disk(action, &self.repository, error);
        match tokio::fs::remove_dir_all(&self.repository).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot("remove", &error));
            }
            _ => {}
        }
        self.client
            .drop_unused()
            .map_err(|error| cannot("make room for", &error))?;
        let output = self
            .git(&["init", "--bare", "--quiet", "--template="], MAX_LISTING)
            .await?;
        self.succeeded(&output)
    }

    /// Exists while git changes the repository. What a killed git leaves behind, locks above all, is not repaired: a
    /// fetch costs less.
    fn interrupted(&self) -> PathBuf {
        self.repository.join("pilotlight-fetching")
    }

    /// Asks the remote what it has under the name.
    async fn resolve(&self, reference: Option<&Reference>) -> Result<Advertised, Fault> {
        let name = match reference {
            Some(Reference::Commit(commit)) => {
                return Ok(Advertised {
                    name: commit.to_string(),
                    commit: commit.to_string(),
                });
            }
            Some(Reference::Named(name)) => name,
            None => "HEAD",
        };
        let names = Reference::full_names(name);
        let mut arguments = vec!["ls-remote".to_owned(), "--".to_owned(), "origin".to_owned()];
        for name in &names {
            arguments.push(name.clone());
            arguments.push(peeled(name));
        }
        let output = self.git(&arguments, MAX_LISTING).await?;
        self.succeeded(&output)?;
        let listing = String::from_utf8_lossy(&output.stdout);
        match choose(&listing, &names) {
            Some(advertised) => Ok(advertised),
            None => Err(Fault::NoReference {
                wanted: name.to_owned(),
                known: self.some_references().await?,
            }),
        }
    }

    async fn some_references(&self) -> Result<Vec<String>, Fault> {
        let arguments = ["ls-remote", "--refs", "--heads", "--tags", "--", "origin"];
        let output = self.git(&arguments, MAX_LISTING).await?;
        let listing = String::from_utf8_lossy(&output.stdout);
        let mut names: Vec<String> = listing
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(_, name)| {
                name.strip_prefix("refs/heads/")
                    .or_else(|| name.strip_prefix("refs/tags/"))
            })
            .take(SHOWN_REFERENCES + 1)
            .map(str::to_owned)
            .collect();
        if let Some(last) = names.get_mut(SHOWN_REFERENCES) {
            "…".clone_into(last);
        }
        Ok(names)
    }

    /// Whether the commit was fetched before. Asking for the object itself would make git fetch it.
    async fn has(&self, commit: &str) -> Result<bool, Fault> {
        let noted = note_of(commit);
        let output = self
            .git(&["rev-parse", "--verify", "--quiet", &noted], MAX_LISTING)
            .await?;
        Ok(output.is_success)
    }

    /// Fetches a single commit, and tells which one came.
    async fn fetch_commit(
        &self,
        advertised: &Advertised,
        extent: &[&str],
    ) -> Result<String, Fault> {
        let cannot = |error: io::Error| Fault::disk("write", self.interrupted(), &error);
        tokio::fs::write(self.interrupted(), "")
            .await
            .map_err(cannot)?;
        let refspec = format!("+{}:{FETCHED}", advertised.name);
        let mut arguments = vec![
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-write-fetch-head",
        ];
        arguments.extend(extent);
        arguments.extend(["--", "origin", &refspec]);
        let output = self.git(&arguments, MAX_LISTING).await?;
        // A git that ends by itself, in whatever way, tidies up.
        tokio::fs::remove_file(self.interrupted())
            .await
            .map_err(cannot)?;
        if !output.is_success {
            let fault = self.fault(&output);
            return Err(match fault {
                Fault::Git(reason) if advertised.name == advertised.commit => Fault::NoCommit {
                    wanted: advertised.commit.clone(),
                    reason,
                },
                fault => fault,
            });
        }
        let tip = format!("{FETCHED}^{{commit}}");
        let output = self
            .git(
                &["rev-parse", "--verify", "--end-of-options", &tip],
                MAX_LISTING,
            )
            .await?;
        self.succeeded(&output)?;
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let output = self
            .git(&["update-ref", &note_of(&commit), &commit], MAX_LISTING)
            .await?;
        self.succeeded(&output)?;
        Ok(commit)
    }

    /// The object that holds the file's content.
    async fn find(&self, commit: &str, path: &FileName) -> Result<String, Fault> {
        let arguments = ["ls-tree", "-z", "--full-tree", commit, "--", path.as_str()];
        let output = self.git(&arguments, MAX_LISTING).await?;
        self.succeeded(&output)?;
        let listing = String::from_utf8_lossy(&output.stdout);
        let mut fields = listing.split([' ', '\t']);
        let (mode, object) = (fields.next().unwrap_or_default(), fields.nth(1));
        let kind = match (mode, object) {
            ("100644" | "100755" | "100664", Some(object)) => return Ok(object.to_owned()),
            ("120000", _) => "a symbolic link",
            ("160000", _) => "a submodule",
            ("040000", _) => "a directory",
            _ => {
                return Err(Fault::NoPath {
                    path: path.to_string(),
                    commit: commit.to_owned(),
                });
            }
        };
        Err(Fault::NotFile {
            path: path.to_string(),
            commit: commit.to_owned(),
            kind,
        })
    }

    async fn read(&self, object: &str) -> Result<Output, Fault> {
        let limit = self.client.settings.limits.max_size;
        self.git(&["cat-file", "blob", object], limit).await
    }

    async fn git<A: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: &[A],
        limit: u64,
    ) -> Result<Output, Fault> {
        self.client
            .program
            .run(&self.repository, &self.access, arguments, limit)
            .await
    }

    fn succeeded(&self, output: &Output) -> Result<(), Fault> {
        if output.is_success {
            Ok(())
        } else {
            Err(self.fault(output))
        }
    }

    fn fault(&self, output: &Output) -> Fault {
        let known_hosts = self.client.settings.ssh_known_hosts.as_deref();
        fault_of(&output.complaint, self.remote, known_hosts)
    }
}

impl GitClient {
    /// Removes repositories beyond the number that is kept, but none in use.
    fn drop_unused(&self) -> io::Result<()> {
        let in_use: Vec<PathBuf> = {
            let in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
            in_use.keys().cloned().collect()
        };
        let keep = self.settings.keep.repositories.saturating_sub(in_use.len());
        drop_oldest(&self.repositories, keep, &in_use)
    }
}

/// Keeps the `keep` directories that changed last, and those that are `spared` beside them.
fn drop_oldest(directory: &Path, keep: usize, spared: &[PathBuf]) -> io::Result<()> {
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !spared.contains(&entry.path()) {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in found.iter().skip(keep) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// The first of `names` that the listing has. An annotated tag stands for the commit it points to.
fn choose(listing: &str, names: &[String]) -> Option<Advertised> {
    let object_of = |wanted: &str| {
        listing
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find_map(|(object, name)| (name == wanted).then_some(object))
    };
    names.iter().find_map(|name| {
        let object = object_of(&peeled(name)).or_else(|| object_of(name))?;
        Some(Advertised {
            name: name.clone(),
            commit: object.to_owned(),
        })
    })
}

/// What a remote lists for the object that an annotated tag points to.
fn peeled(name: &str) -> String {
    format!("{name}^{{}}")
}

/// The reference that says that a commit was fetched.
fn note_of(commit: &str) -> String {
    format!("refs/pilotlight/{commit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_preferred_to_a_tag_and_an_annotated_tag_is_its_commit() {
        let listing = "aa\trefs/tags/v1\nbb\trefs/tags/v1^{}\ncc\trefs/heads/x/refs/heads/v1\n";
        let commit = |listing: &str, name| {
            choose(listing, &Reference::full_names(name)).map(|found| found.commit)
        };
        assert_eq!(commit(listing, "v1").as_deref(), Some("bb"));
        let with_branch = format!("{listing}dd\trefs/heads/v1\n");
        assert_eq!(commit(&with_branch, "v1").as_deref(), Some("dd"));
        assert_eq!(commit(&with_branch, "refs/tags/v1").as_deref(), Some("bb"));
        assert_eq!(commit(listing, "v2"), None);
    }
}
