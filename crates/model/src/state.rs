//! [`ClusterState`]: the whole cluster in memory, as of one revision of the store.

use std::sync::Arc;

use imbl::{HashMap, OrdMap};

use crate::{
    AdminSpec, Authority, BadRecord, BootConfigSpec, Change, Cluster, GitRepoSpec, GroupSpec,
    HeadSpec, Invalid, Ip, Key, Kind, MacAddr, Manifest, Name, Node, NodeSpec, Object, Revision,
    Session, Spec, TokenHash, Uid,
};

/// The cluster as of one revision. Cloning is cheap: clones share what they have in common, and a change copies only
/// the path to what it touches.
#[derive(Clone, Debug)]
pub struct ClusterState {
    revision: Revision,
    cluster: Arc<Cluster>,
    cluster_revision: Revision,
    /// The nodes.
    pub nodes: Nodes,
    /// The attribute groups.
    pub groups: Collection<GroupSpec>,
    /// The boot configurations.
    pub boot_configs: Collection<BootConfigSpec>,
    /// The registered git repositories.
    pub git_repos: Collection<GitRepoSpec>,
    /// The administrators.
    pub admins: Collection<AdminSpec>,
    /// Who is logged in.
    pub sessions: Sessions,
    /// The heads, once there are several.
    pub heads: Collection<HeadSpec>,
    /// The files that all heads have.
    pub manifest: Manifest,
    authority: Option<Arc<Authority>>,
}

impl ClusterState {
    /// How the keys begin that [`load`](Self::load) needs. The others are claims, three to a node: they guard the store,
    /// and the objects themselves say who owns what.
    pub const PREFIXES: [&str; 10] = [
        "admin/",
        "authority",
        "bootconfig/",
        "cluster",
        "file/",
        "gitrepo/",
        "group/",
        "head/",
        "node/",
        "session/",
    ];

    /// The state that these records make.
    ///
    /// # Errors
    /// The cluster's settings are missing, or a record cannot be understood: the message names it.
    pub fn load(
        records: impl IntoIterator<Item = Change>,
        revision: Revision,
    ) -> Result<Self, BadRecord> {
        let mut cluster = None;
        let mut rest = Vec::new();
        for record in records {
            match record.value {
                Some(value) if record.key == Cluster::key() => {
                    cluster = Some((read_cluster(&value)?, record.revision));
                }
                _ => rest.push(record),
            }
        }
        let (cluster, cluster_revision) = cluster.ok_or_else(|| BadRecord {
            key: Cluster::key(),
            source: "it is missing".into(),
        })?;
        let mut state = Self {
            revision,
            cluster: Arc::new(cluster),
            cluster_revision,
            nodes: Nodes::default(),
            groups: Collection::default(),
            boot_configs: Collection::default(),
            git_repos: Collection::default(),
            admins: Collection::default(),
            sessions: Sessions::default(),
            heads: Collection::default(),
            manifest: Manifest::default(),
            authority: None,
        };
        for record in &rest {
            state.apply_one(record)?;
        }
        Ok(state)
    }

    /// Applies one revision's changes. Those that stand for several revisions have their own, which are earlier.
    ///
    /// # Errors
    /// A record cannot be understood; the state is then unfit for use.
    pub fn apply(&mut self, revision: Revision, changes: &[Change]) -> Result<(), BadRecord> {
        for change in changes {
            self.apply_one(change)?;
        }
        self.revision = revision;
        Ok(())
    }

    fn apply_one(&mut self, change: &Change) -> Result<(), BadRecord> {
        let Change {
            key,
            value,
            revision,
        } = change;
        if *key == Cluster::key() {
            if let Some(value) = value {
                self.cluster = Arc::new(read_cluster(value)?);
                self.cluster_revision = *revision;
            }
            return Ok(());
        }
        if *key == Authority::key() {
            let authority = value.as_deref().map(Authority::read).transpose()?;
            self.authority = authority.map(Arc::new);
            return Ok(());
        }
        let Some((prefix, id)) = key.as_str().split_once('/') else {
            return Ok(());
        };
        let value = value.as_deref();
        let uid = || {
            id.parse::<Uid>().map_err(|source| BadRecord {
                key: key.clone(),
                source: source.into(),
            })
        };
        match Kind::of_prefix(prefix) {
            Some(Kind::Node) => self.nodes.set(uid()?, *revision, value),
            Some(Kind::Group) => self.groups.set(uid()?, *revision, value).map(drop),
            Some(Kind::BootConfig) => self.boot_configs.set(uid()?, *revision, value).map(drop),
            Some(Kind::GitRepo) => self.git_repos.set(uid()?, *revision, value).map(drop),
            Some(Kind::Admin) => self.admins.set(uid()?, *revision, value).map(drop),
            Some(Kind::Head) => self.heads.set(uid()?, *revision, value).map(drop),
            None if prefix == "file" => self.manifest.set(key, id, *revision, value),
            None if prefix == "session" => self.sessions.set(uid()?, key, value),
            // A claim (`name/…`, `mac/…`, `ip/…`).
            None => Ok(()),
        }
    }

    /// The store's revision this state stands for.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What holds for the whole cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster's certificate authority, if it has one yet.
    pub fn authority(&self) -> Option<&Arc<Authority>> {
        self.authority.as_ref()
    }

    /// The revision that last wrote the cluster's settings.
    pub fn cluster_revision(&self) -> Revision {
        self.cluster_revision
    }

    /// The node that this text names: by UID, MAC, IP or name, in that order.
    pub fn node(&self, id: &str) -> Option<&Arc<Node>> {
        if let Ok(uid) = id.parse() {
            self.nodes.get(uid)
        } else if let Ok(mac) = id.parse() {
            self.nodes.of_mac(mac)
        } else if let Ok(ip) = id.parse() {
            self.nodes.of_ip(ip)
        } else {
            self.nodes.named(id)
        }
    }

    /// The boot configuration a node boots, if its `_boot_config` names one that exists.
    pub fn boot_config(&self, node: &Node) -> Option<&Arc<Object<BootConfigSpec>>> {
        self.boot_configs
            .find(self.attribute(node, "_boot_config")?.0)
    }

    /// The UIDs of the groups that these names or UIDs mean.
    ///
    /// # Errors
    /// One of them does not exist.
    pub fn group_uids<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Uid>, Invalid> {
        let find = |id: &str| match self.groups.find(id) {
            Some(group) => Ok(group.uid),
            None => Err(Invalid::NoSuch {
                kind: Kind::Group,
                id: id.to_owned(),
            }),
        };
        ids.into_iter().map(find).collect()
    }

    /// Says, for a person, who owns a key that a transaction wanted for itself, or what became of one it relied on.
    pub fn explain_conflict(&self, key: &Key) -> String {
        let owner = |node: Option<&Arc<Node>>| {
            node.map_or("another node".to_owned(), |node| {
                format!("node {}", node.name)
            })
        };
        let parts: Vec<_> = key.as_str().splitn(3, '/').collect();
        match parts[..] {
            ["name", kind, name] => match Kind::of_prefix(kind) {
                Some(kind) => format!("there is another {kind} named {name}"),
                None => format!("{name} is taken"),
            },
            ["mac", mac] => format!("MAC {mac} belongs to {}", owner(self.node(mac))),
            ["ip", ip] => format!("address {ip} belongs to {}", owner(self.node(ip))),
            [kind, _] if Kind::of_prefix(kind).is_some() => {
                "it was changed or deleted by somebody else meanwhile".into()
            }
            _ => format!("{key} was changed by somebody else meanwhile"),
        }
    }
}

fn read_cluster(value: &[u8]) -> Result<Cluster, BadRecord> {
    serde_json::from_slice(value).map_err(|source| BadRecord {
        key: Cluster::key(),
        source: source.into(),
    })
}

/// The objects of one kind, by UID and by name.
#[derive(Clone, Debug)]
pub struct Collection<S> {
    by_uid: HashMap<Uid, Arc<Object<S>>>,
    by_name: OrdMap<Name, Uid>,
}

impl<S> Default for Collection<S> {
    fn default() -> Self {
        Self {
            by_uid: HashMap::new(),
            by_name: OrdMap::new(),
        }
    }
}

impl<S: Spec> Collection<S> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    /// The one of this UID.
    pub fn get(&self, uid: Uid) -> Option<&Arc<Object<S>>> {
        self.by_uid.get(&uid)
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Object<S>>> {
        self.get(*self.by_name.get(name)?)
    }

    /// The one this text names, by UID or by name.
    pub fn find(&self, id: &str) -> Option<&Arc<Object<S>>> {
        match id.parse() {
            Ok(uid) => self.get(uid),
            Err(_) => self.named(id),
        }
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object<S>>> {
        self.by_name.values().filter_map(|uid| self.get(*uid))
    }

    /// Those whose names come after `name`, in the order of their names.
    pub fn after<'a>(
        &'a self,
        name: &Name,
    ) -> impl Iterator<Item = &'a Arc<Object<S>>> + use<'a, S> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_name
            .range((Excluded(name.clone()), Unbounded))
            .filter_map(|(_, uid)| self.get(*uid))
    }

    /// Sets or removes one; returns what stood there before.
    fn set(
        &mut self,
        uid: Uid,
        revision: Revision,
        value: Option<&[u8]>,
    ) -> Result<Option<Arc<Object<S>>>, BadRecord> {
        let new = value
            .map(|value| Object::<S>::read(uid, revision, value).map(Arc::new))
            .transpose()?;
        let old = match &new {
            Some(new) => self.by_uid.insert(uid, Arc::clone(new)),
            None => self.by_uid.remove(&uid),
        };
        if let Some(old) = &old {
            // In one revision another object may already have taken over the name.
            if self.by_name.get(old.name()) == Some(&uid) {
                self.by_name.remove(old.name());
            }
        }
        if let Some(new) = new {
            self.by_name.insert(new.spec.name().clone(), uid);
        }
        Ok(old)
    }
}

/// The nodes, also by the addresses they are recognised by.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    objects: Collection<NodeSpec>,
    by_mac: HashMap<MacAddr, Uid>,
    by_ip: HashMap<Ip, Uid>,
}

impl std::ops::Deref for Nodes {
    type Target = Collection<NodeSpec>;

    fn deref(&self) -> &Collection<NodeSpec> {
        &self.objects
    }
}

impl Nodes {
    /// The node that owns this MAC.
    pub fn of_mac(&self, mac: MacAddr) -> Option<&Arc<Node>> {
        self.get(*self.by_mac.get(&mac)?)
    }

    /// The node that owns this address.
    pub fn of_ip(&self, ip: Ip) -> Option<&Arc<Node>> {
        self.get(*self.by_ip.get(&ip)?)
    }

    fn set(&mut self, uid: Uid, revision: Revision, value: Option<&[u8]>) -> Result<(), BadRecord> {
        if let Some(old) = self.objects.set(uid, revision, value)? {
            for (mac, ip) in old.addresses() {
                forget(&mut self.by_mac, &mac, uid);
                if let Some(ip) = ip {
                    forget(&mut self.by_ip, &ip, uid);
                }
            }
        }
        if let Some(new) = self.objects.get(uid) {
            for (mac, ip) in new.addresses() {
                self.by_mac.insert(mac, uid);
                if let Some(ip) = ip {
                    self.by_ip.insert(ip, uid);
                }
            }
        }
        Ok(())
    }
}

/// Removes an index entry unless, in the same revision, another object has already taken it over.
fn forget<K: Clone + Eq + std::hash::Hash>(index: &mut HashMap<K, Uid>, key: &K, uid: Uid) {
    if index.get(key) == Some(&uid) {
        index.remove(key);
    }
}

/// The open sessions, by the tokens that belong to them.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    by_uid: HashMap<Uid, Arc<Session>>,
    by_token: HashMap<TokenHash, Uid>,
}

impl Sessions {
    /// The session that this access or refresh token belongs to.
    pub fn of_token(&self, token: &TokenHash) -> Option<(Uid, &Arc<Session>)> {
        let uid = *self.by_token.get(token)?;
        Some((uid, self.by_uid.get(&uid)?))
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, &Arc<Session>)> {
        self.by_uid.iter().map(|(uid, session)| (*uid, session))
    }

    fn set(&mut self, uid: Uid, key: &Key, value: Option<&[u8]>) -> Result<(), BadRecord> {
        let bad = |source: serde_json::Error| BadRecord {
            key: key.clone(),
            source: source.into(),
        };
        let new: Option<Session> = value.map(serde_json::from_slice).transpose().map_err(bad)?;
        if let Some(old) = self.by_uid.remove(&uid) {
            self.by_token.remove(&old.access);
            self.by_token.remove(&old.refresh);
        }
        if let Some(new) = new {
            self.by_token.insert(new.access, uid);
            self.by_token.insert(new.refresh, uid);
            self.by_uid.insert(uid, Arc::new(new));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Expect, PasswordHash, SetBy, Transaction, creation};

    #[test]
    fn every_kind_of_object_is_loaded() {
        for kind in Kind::ALL {
            let prefix = format!("{}/", kind.prefix());
            assert!(ClusterState::PREFIXES.contains(&&*prefix), "{prefix}");
        }
    }

    /// The least thing that executes a transaction as a store does.
    struct Records {
        records: BTreeMap<Key, (Bytes, Revision)>,
        revision: Revision,
        state: ClusterState,
    }

    const DEFAULT: Uid = Uid::from_bytes([0xdd; 16]);

    impl Records {
        fn new() -> Self {
            let cluster = Cluster {
                name: "test".parse().unwrap(),
                domain: Some("cluster.local".parse().unwrap()),
                default_group: DEFAULT,
                database_password: PasswordHash("x".into()),
            };
            let first = Change {
                key: Cluster::key(),
                value: Some(cluster.record().into()),
                revision: Revision(1),
            };
            let state = ClusterState::load([first.clone()], Revision(1)).unwrap();
            let records = BTreeMap::from([(first.key, (first.value.unwrap(), Revision(1)))]);
            Self {
                records,
                revision: Revision(1),
                state,
            }
        }

        fn commit(&mut self, transaction: Transaction) -> Result<(), Key> {
            for (key, expect) in transaction.checks {
                let at = self.records.get(&key).map(|(_, revision)| *revision);
                let holds = match expect {
                    Expect::Absent => at.is_none(),
                    Expect::Present => at.is_some(),
                    Expect::At(revision) => at == Some(revision),
                };
                if !holds {
                    return Err(key);
                }
            }
            self.revision.0 += 1;
            let mut changes = Vec::new();
            for (key, value) in transaction.writes {
                match &value {
                    Some(value) => drop(
                        self.records
                            .insert(key.clone(), (value.clone(), self.revision)),
                    ),
                    None => drop(self.records.remove(&key)),
                }
                changes.push(Change {
                    key,
                    value,
                    revision: self.revision,
                });
            }
            self.state.apply(self.revision, &changes).unwrap();
            Ok(())
        }

        fn create<S: Spec>(&mut self, uid: u8, spec: serde_json::Value) -> Result<(), Key> {
            let spec: S = serde_json::from_value(spec).unwrap();
            self.commit(creation(Uid::from_bytes([uid; 16]), &spec).unwrap())
        }

        fn replace(&mut self, uid: u8, spec: serde_json::Value) -> Result<(), Key> {
            let spec: NodeSpec = serde_json::from_value(spec).unwrap();
            let node = self
                .state
                .nodes
                .get(Uid::from_bytes([uid; 16]))
                .unwrap()
                .clone();
            self.commit(node.replacement(&spec).unwrap())
        }
    }

    #[test]
    fn a_node_is_found_by_all_it_is_known_by() {
        let mut records = Records::new();
        records
            .create::<NodeSpec>(
                1,
                json!({"name": "n1", "mac": "52:54:00:00:00:01", "ip": "10.0.0.1"}),
            )
            .unwrap();
        let uid = Uid::from_bytes([1; 16]);
        for id in [
            &uid.to_string(),
            "525400000001",
            "52-54-00-00-00-01",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "n1",
        ] {
            assert_eq!(records.state.node(id).unwrap().uid, uid, "{id}");
        }
        for id in ["n2", "10.0.0.2", "52:54:00:00:00:02", ""] {
            assert!(records.state.node(id).is_none(), "{id}");
        }
    }

    #[test]
    fn a_second_claim_is_refused_and_explained() {
        let mut records = Records::new();
        records
            .create::<NodeSpec>(
                1,
                json!({"name": "n1", "mac": "52:54:00:00:00:01", "ip": "10.0.0.1"}),
            )
            .unwrap();
        for (spec, words) in [
            (
                json!({"name": "n1", "mac": "52:54:00:00:00:02"}),
                "another node named n1",
            ),
            (
                json!({"name": "n2", "mac": "52:54:00:00:00:01"}),
                "MAC 52:54:00:00:00:01 belongs to node n1",
            ),
            (
                json!({"name": "n2", "mac": "52:54:00:00:00:02", "interfaces": [{"mac": "52:54:00:00:00:03", "ip": "10.0.0.1"}]}),
                "address 10.0.0.1 belongs to node n1",
            ),
        ] {
            let key = records.create::<NodeSpec>(2, spec).unwrap_err();
            let said = records.state.explain_conflict(&key);
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(records.state.nodes.len(), 1);
    }

    #[test]
    fn addresses_given_up_are_free_again() {
        let mut records = Records::new();
        records
            .create::<NodeSpec>(
                1,
                json!({"name": "n1", "mac": "52:54:00:00:00:01", "ip": "10.0.0.1"}),
            )
            .unwrap();
        records
            .replace(1, json!({"name": "m1", "mac": "52:54:00:00:00:09"}))
            .unwrap();
        assert!(records.state.node("n1").is_none() && records.state.node("10.0.0.1").is_none());
        records
            .create::<NodeSpec>(
                2,
                json!({"name": "n1", "mac": "52:54:00:00:00:01", "ip": "10.0.0.1"}),
            )
            .unwrap();
        assert_eq!(
            records.state.node("10.0.0.1").unwrap().uid,
            Uid::from_bytes([2; 16])
        );
        let m1 = records.state.node("m1").unwrap().clone();
        records.commit(m1.deletion()).unwrap();
        assert!(records.state.node("52:54:00:00:00:09").is_none());
        assert_eq!(records.commit(m1.deletion()), Err(Kind::Node.key(m1.uid)));
    }

    #[test]
    fn a_group_that_is_not_there_cannot_be_joined() {
        let mut records = Records::new();
        let stranger = Uid::from_bytes([9; 16]);
        let spec = json!({"name": "n1", "mac": "52:54:00:00:00:01", "groups": [stranger]});
        assert_eq!(
            records.create::<NodeSpec>(1, spec),
            Err(Kind::Group.key(stranger))
        );
    }

    #[test]
    fn the_last_group_wins_over_earlier_ones_and_the_node_over_all() {
        let mut records = Records::new();
        let group = |name: &str, value: &str| json!({"name": name, "attributes": {name: value, "shared": value}});
        records
            .commit(
                creation(
                    DEFAULT,
                    &serde_json::from_value::<GroupSpec>(group("d", "of-d")).unwrap(),
                )
                .unwrap(),
            )
            .unwrap();
        records
            .create::<GroupSpec>(0xa, group("a", "of-a"))
            .unwrap();
        records
            .create::<GroupSpec>(0xb, group("b", "of-b"))
            .unwrap();
        let groups = [Uid::from_bytes([0xa; 16]), Uid::from_bytes([0xb; 16])];
        let mut spec = json!({"name": "n1", "mac": "52:54:00:00:00:01", "groups": groups, "attributes": {"own": "of-n"}});
        records.create::<NodeSpec>(1, spec.clone()).unwrap();
        let node = records.state.node("n1").unwrap().clone();
        let state = records.state.clone();
        assert_eq!(
            state
                .attribute(&node, "shared")
                .map(|(value, by)| (value, by.to_string())),
            Some(("of-b", "group:b".into()))
        );
        assert_eq!(state.attribute(&node, "a").unwrap().0, "of-a");
        assert_eq!(
            state
                .attribute(&node, "d")
                .map(|(value, by)| (value, by.to_string())),
            Some(("of-d", "default:d".into()))
        );
        assert_eq!(state.attribute(&node, "own"), Some(("of-n", SetBy::Node)));
        assert_eq!(state.attribute(&node, "nowhere"), None);
        spec["attributes"]["shared"] = "of-n".into();
        records.replace(1, spec).unwrap();
        let node = records.state.node("n1").unwrap();
        let effective = records.state.effective(node);
        let pairs: Vec<_> = effective
            .iter()
            .map(|(name, (value, _))| (name.as_str(), *value))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "of-a"),
                ("b", "of-b"),
                ("d", "of-d"),
                ("own", "of-n"),
                ("shared", "of-n")
            ]
        );
    }

    #[test]
    fn a_change_leaves_everything_else_shared() {
        let mut records = Records::new();
        for i in 0..200u8 {
            let spec = json!({"name": format!("n{i}"), "mac": format!("52:54:00:00:00:{i:02x}")});
            records.create::<NodeSpec>(i, spec).unwrap();
        }
        let before = records.state.clone();
        records
            .replace(
                7,
                json!({"name": "n7", "mac": "52:54:00:00:00:07", "description": "x"}),
            )
            .unwrap();
        for node in before.nodes.iter() {
            let after = records.state.nodes.get(node.uid).unwrap();
            assert_eq!(Arc::ptr_eq(node, after), node.name.as_str() != "n7");
        }
        assert_eq!(
            before.node("n7").unwrap().description,
            None,
            "the old state stays as it was"
        );
    }

    #[test]
    fn changes_that_stand_for_several_revisions_bring_the_last() {
        let mut records = Records::new();
        let change = Change {
            key: Cluster::key(),
            value: None,
            revision: Revision(6),
        };
        records.state.apply(Revision(8), &[change]).unwrap();
        assert_eq!(records.state.revision(), Revision(8));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named() {
        let mut records = Records::new();
        let key = Kind::Node.key(Uid::from_bytes([1; 16]));
        let change = Change {
            key: key.clone(),
            value: Some(Bytes::from_static(b"{")),
            revision: Revision(2),
        };
        let error = records.state.apply(Revision(2), &[change]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("the stored record {key} cannot be read")),
            "{error}"
        );
    }

    proptest! {
        /// Whatever the order of creations, renames, moves and deletions, the indexes say what the nodes say.
        #[test]
        fn indexes_follow_the_nodes(steps in proptest::collection::vec((0u8..6, 0u8..6, 0u8..6, 0u8..6), 1..60)) {
            let mut records = Records::new();
            for (uid, name, address, step) in steps {
                let spec = json!({
                    "name": format!("n{name}"), "mac": format!("52:54:00:00:00:{address:02x}"), "ip": format!("10.0.0.{}", address + 1),
                });
                match records.state.nodes.get(Uid::from_bytes([uid; 16])).cloned() {
                    None => drop(records.create::<NodeSpec>(uid, spec)),
                    Some(node) if step == 0 => records.commit(node.deletion()).unwrap(),
                    Some(_) => drop(records.replace(uid, spec)),
                }
                let state = &records.state;
                prop_assert_eq!(state.nodes.len(), state.nodes.iter().count());
                prop_assert_eq!(state.nodes.by_mac.len(), state.nodes.len());
                prop_assert_eq!(state.nodes.by_ip.len(), state.nodes.len());
                for node in state.nodes.iter() {
                    prop_assert_eq!(state.nodes.of_mac(node.mac).unwrap().uid, node.uid);
                    prop_assert_eq!(state.nodes.of_ip(node.ip.unwrap()).unwrap().uid, node.uid);
                    prop_assert_eq!(state.nodes.named(node.name.as_str()).unwrap().uid, node.uid);
                }
                let all = records.records.iter().map(|(key, (value, revision))| Change {
                    key: key.clone(), value: Some(value.clone()), revision: *revision,
                });
                let reloaded = ClusterState::load(all, records.revision).unwrap();
                prop_assert_eq!(reloaded.nodes.iter().collect::<Vec<_>>(), state.nodes.iter().collect::<Vec<_>>());
            }
        }
    }
}
