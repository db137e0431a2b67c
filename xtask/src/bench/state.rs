//! What one change costs in a cluster of 100,000 nodes.

use std::time::{Duration, Instant};

use model::{Change, Cluster, ClusterState, Kind, NodeSpec, PasswordHash, Revision, Uid};

const NODES: u32 = 100_000;
const CHANGES: u32 = 10_000;

/// Loads a state and changes it node by node, each time into a copy as a head does, and prints the times.
pub(crate) fn run() -> anyhow::Result<()> {
    let cluster = Cluster {
        name: "bench".parse()?,
        domain: None,
        default_group: uid(u32::MAX),
        database_password: PasswordHash(String::new()),
    };
    let settings = Change {
        key: Cluster::key(),
        value: Some(cluster.record().into()),
        revision: Revision(1),
    };
    let nodes = (0..NODES).map(|index| node(index, "as created", 1));
    let records: Vec<Change> = std::iter::once(Ok(settings))
        .chain(nodes)
        .collect::<anyhow::Result<_>>()?;

    let began = Instant::now();
    let mut current = ClusterState::load(records, Revision(1))?;
    println!("load {NODES} nodes: {:.0?}", began.elapsed());

    let mut times = Vec::new();
    for change in 0..CHANGES {
        // Spread over all nodes, so that no two changes share their path.
        let index = change.wrapping_mul(7919) % NODES;
        let change = node(index, "changed", u64::from(change) + 2)?;
        let began = Instant::now();
        let mut next = current.clone();
        next.apply(change.revision, &[change])?;
        current = next;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "one change: mean {:.1?}, p50 {:.1?}, p99 {:.1?}",
        times.iter().sum::<Duration>() / CHANGES,
        at(0.5),
        at(0.99),
    );
    Ok(())
}

fn uid(index: u32) -> Uid {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&index.wrapping_mul(2_654_435_761).to_be_bytes());
    bytes[12..].copy_from_slice(&index.to_be_bytes());
    Uid::from_bytes(bytes)
}

fn node(index: u32, description: &str, revision: u64) -> anyhow::Result<Change> {
    let [a, b, c, d] = index.to_be_bytes();
    let spec: NodeSpec = serde_json::from_value(serde_json::json!({
        "name": format!("n{index}"),
        "mac": format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}"),
        "ip": format!("10.{b}.{c}.{d}"),
        "description": description,
        "attributes": {"rootpw": "$6$salt$hash", "disk": "nvme0n1", "rack": format!("r{}", index / 40)},
    }))?;
    Ok(Change {
        key: Kind::Node.key(uid(index)),
        value: Some(serde_json::to_vec(&spec)?.into()),
        revision: Revision(revision),
    })
}
