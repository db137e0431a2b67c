//! `_status_secs`: how often a node reports.

use std::ops::RangeInclusive;

use model::{ClusterState, Node, SetBy};

const ATTRIBUTE: &str = "_status_secs";
const USUAL: u32 = 10;
const ALLOWED: RangeInclusive<u32> = 1..=86_400;

/// How many seconds lie between two reports of a node.
pub(crate) fn status_secs(state: &ClusterState, node: &Node) -> u32 {
    let written = state.attribute(node, ATTRIBUTE);
    written.and_then(|(value, _)| read(value)).unwrap_or(USUAL)
}

/// Why a node's `_status_secs` does not count, where it does not. The same text for all whom one group gives it.
pub(crate) fn fault(state: &ClusterState, node: &Node) -> Option<String> {
    let (value, from) = state.attribute(node, ATTRIBUTE)?;
    if read(value).is_some() {
        return None;
    }
    let from = match from {
        SetBy::Node => format!("node {}", node.name),
        group => group.to_string(),
    };
    Some(format!(
        "{ATTRIBUTE} {value:?} (set by {from}) is no number from {} to {}; {USUAL} is used",
        ALLOWED.start(),
        ALLOWED.end()
    ))
}

fn read(value: &str) -> Option<u32> {
    value.parse().ok().filter(|secs| ALLOWED.contains(secs))
}

#[cfg(test)]
mod tests {
    use model::Uid;
    use serde_json::json;

    use super::super::tests::cluster;
    use super::*;

    #[test]
    fn what_is_no_period_is_named_and_the_usual_one_holds() {
        let uid = Uid::from_bytes([1; 16]);
        for (value, secs, is_fault) in [
            ("1", 1, false),
            ("30", 30, false),
            ("86400", 86_400, false),
            ("0", 10, true),
            ("86401", 10, true),
            ("-1", 10, true),
            ("1.5", 10, true),
            ("10s", 10, true),
            ("", 10, true),
        ] {
            let state = cluster(&[(uid, json!({"attributes": {"_status_secs": value}}))]);
            let node = state.node("n1").expect("it is in the cluster");
            assert_eq!(status_secs(&state, node), secs, "{value:?}");
            let fault = fault(&state, node);
            let expected = is_fault.then(|| {
                format!("_status_secs {value:?} (set by node n1) is no number from 1 to 86400; 10 is used")
            });
            assert_eq!(fault, expected);
        }
        let state = cluster(&[(uid, json!({}))]);
        let node = state.node("n1").expect("it is in the cluster");
        assert_eq!((status_secs(&state, node), fault(&state, node)), (10, None));
    }
}
