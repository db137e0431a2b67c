//! `/cluster`: what holds for the whole cluster.

use content::OpenFile;
use http::Response;
use model::{Cluster, ClusterState, Expect, Kind, Name, Revision, Transaction};
use serde::{Deserialize, Deserializer, Serialize};
use store::StoreError;

use crate::{
    Error,
    call::Call,
    envelope,
    reply::{self, Body, FileBody},
};

/// The cluster as a client sees it.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct ClusterView {
    name: Name,
    /// The domain of nodes whose names have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Name>,
    /// The group whose attributes every node has.
    default_group: Option<Name>,
    /// The revision of these settings.
    revision: Revision,
    /// The revision of the whole cluster state that this head serves.
    state_revision: Revision,
    /// The head that answers.
    head: String,
    counts: Counts,
}

/// How many there are.
#[derive(Serialize, schemars::JsonSchema)]
struct Counts {
    nodes: usize,
    attribs: usize,
    bootconfigs: usize,
    gitrepos: usize,
    admins: usize,
}

/// What can be changed of the cluster.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterBody {
    #[serde(default, deserialize_with = "present")]
    name: Option<Name>,
    /// Null: none.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Name>")]
    domain: Option<Option<Name>>,
    /// By name or UID.
    #[serde(default, deserialize_with = "present")]
    default_group: Option<String>,
}

/// Tells null, which only some fields can be, from absent.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// `GET /cluster`
pub(crate) async fn show(call: &mut Call) -> Result<Response<Body>, Error> {
    Ok(shown(call, &call.state))
}

fn shown(call: &Call, state: &ClusterState) -> Response<Body> {
    let cluster = state.cluster();
    let view = ClusterView {
        name: cluster.name.clone(),
        domain: cluster.domain.clone(),
        default_group: state
            .groups
            .get(cluster.default_group)
            .map(|group| group.name.clone()),
        revision: state.cluster_revision(),
        state_revision: state.revision(),
        head: call.head.settings.name.clone(),
        counts: Counts {
            nodes: state.nodes.len(),
            attribs: state.groups.len(),
            bootconfigs: state.boot_configs.len(),
            gitrepos: state.git_repos.len(),
            admins: state.admins.len(),
        },
    };
    envelope::object(view, state.cluster_revision())
}

/// `PATCH /cluster`
pub(crate) async fn patch(call: &mut Call) -> Result<Response<Body>, Error> {
    let body: ClusterBody = call.json().await?;
    loop {
        let state = call.head.state();
        call.check_revision(state.cluster_revision())?;
        let mut transaction = Transaction::default();
        let mut cluster: Cluster = state.cluster().clone();
        if let Some(name) = &body.name {
            cluster.name = name.clone();
        }
        if let Some(domain) = &body.domain {
            cluster.domain = domain.clone();
        }
        if let Some(group) = &body.default_group {
            cluster.default_group = state.group_uids([group.as_str()])?[0];
            transaction.expect(Kind::Group.key(cluster.default_group), Expect::Present);
        }
        transaction.expect(Cluster::key(), Expect::At(state.cluster_revision()));
        transaction.put(Cluster::key(), cluster.record());
        match call.head.commit(transaction).await {
            Ok(_) => return Ok(shown(call, &call.head.state())),
            Err(StoreError::Conflict { key }) if key == Cluster::key() => {
                call.head.news_since(state.revision()).await;
            }
            Err(error) => return Err(call.refused(&error)),
        }
    }
}

/// `GET /cluster/backup`: what is kept of the cluster, in a file that `pilotlight store restore` takes.
pub(crate) async fn backup(call: &mut Call) -> Result<Response<Body>, Error> {
    let directory = tempfile::tempdir_in(&call.head.settings.data);
    let directory =
        directory.map_err(|error| Error::Unavailable(format!("no room for a copy: {error}")))?;
    let copy = directory.path().join("backup.db");
    let copied = call.head.live.store().backup(&copy).await;
    copied.map_err(|error| call.refused(&error))?;
    // Open, it outlives its name.
    let opened = tokio::task::spawn_blocking(move || {
        let opened = OpenFile::open(&copy);
        drop(directory);
        opened
    });
    let opened = opened.await?.map_err(Error::internal)?;
    Ok(reply::binary(Body::File(FileBody::new(opened))))
}
