//! Files that all heads have: a change here is answered once the others know of it, and one that has not arrived yet is
//! waited for.

use std::{future::Future, time::Duration};

use ::heads::replication::Fetched;
use model::{FilePath, Tree};
use store::Link;
use tokio::time::Instant;

use crate::{Error, head::Head};

/// How long a node that boots waits for a file: it shall have an answer within three seconds.
const BOOT_PATIENCE: Duration = Duration::from_millis(2500);
/// The same for a package, which is large.
const PACKAGE_PATIENCE: Duration = Duration::from_secs(60);

impl Head {
    /// Refuses a change of files that the other heads could not be told of.
    pub(crate) fn check_changeable(&self) -> Result<(), Error> {
        match self.membership.link() {
            None | Some(Link::Up { .. }) => Ok(()),
            Some(Link::Connecting) => Err(Error::Unavailable(
                "this head is connecting to etcd; nothing was changed".into(),
            )),
            Some(Link::Down { why }) => Err(Error::Unavailable(format!(
                "nothing was changed, since the other heads could not be told: {why}"
            ))),
        }
    }

    /// Tells the other heads what became of a file here.
    pub(crate) async fn publish(&self, tree: Tree, path: &str) -> Result<(), Error> {
        let Some(replication) = self.membership.replication() else {
            return Ok(());
        };
        let published = replication.publish(&FilePath::new(tree, path)).await;
        published.map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// What `find` finds. Where that is nothing because the file at `path` is on its way from another head, once more when
    /// it is here.
    pub(crate) async fn awaiting<T, F>(
        &self,
        tree: Tree,
        path: &str,
        find: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let missing = match find().await {
            Err(missing @ Error::NotFound(_)) => missing,
            found => return found,
        };
        let Some(replication) = self.membership.replication() else {
            return Err(missing);
        };
        let path = FilePath::new(tree, path);
        match replication
            .fetch(&path, Instant::now() + BOOT_PATIENCE)
            .await
        {
            Fetched::Here => find().await,
            Fetched::Unknown => Err(missing),
            Fetched::NotYet => Err(Error::Unavailable(format!(
                "{path} is on its way from another head"
            ))),
        }
    }

    /// Waits for the packages whose file names begin with `wanted` and that are on their way from other heads.
    pub(crate) async fn await_packages(&self, wanted: &str) {
        let Some(replication) = self.membership.replication() else {
            return;
        };
        let state = self.state();
        let is_wanted = |path: &&FilePath| {
            path.tree == Tree::Clientpkgs
                && path
                    .path
                    .rsplit('/')
                    .next()
                    .is_some_and(|file| file.starts_with(wanted))
        };
        let listed = state.manifest.present().map(|(path, _)| path);
        let deadline = Instant::now() + PACKAGE_PATIENCE;
        for path in listed.filter(is_wanted) {
            // Whatever comes of it, it is looked for again.
            let _ = replication.fetch(path, deadline).await;
        }
    }
}
