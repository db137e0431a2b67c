//! Whether etcd can do without a member.

use std::collections::BTreeSet;

/// Without this member etcd could make no change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "of the {voters} voting members of etcd that would remain, {healthy} can be reached, and {needed} are needed for any \
     change; bring others back first"
)]
pub struct WouldLoseQuorum {
    /// How many members with a vote would remain.
    pub voters: usize,
    /// How many of these can be reached.
    pub healthy: usize,
    /// How many are needed.
    pub needed: usize,
}

/// Whether the member `which` may be removed from `voters`, of which those in `healthy` can be reached: the rest must be
/// able to make changes. The last one cannot be removed.
///
/// # Errors
/// [`WouldLoseQuorum`] says how many would be missing.
pub fn may_remove(
    voters: &BTreeSet<u64>,
    healthy: &BTreeSet<u64>,
    which: u64,
) -> Result<(), WouldLoseQuorum> {
    let remaining = voters.iter().filter(|&&member| member != which);
    let voters = remaining.clone().count();
    let healthy = remaining.filter(|member| healthy.contains(member)).count();
    let needed = voters / 2 + 1;
    if healthy < needed {
        return Err(WouldLoseQuorum {
            voters,
            healthy,
            needed,
        });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn check(voters: &[u64], healthy: &[u64], which: u64) -> bool {
        let set = |members: &[u64]| members.iter().copied().collect();
        may_remove(&set(voters), &set(healthy), which).is_ok()
    }

    #[test]
    fn the_rest_must_have_its_own_majority() {
        // A dead one of three: the two that live are all there is then.
        assert!(check(&[1, 2, 3], &[1, 2], 3));
        // A living one of three, with one dead: one of the remaining two is no majority.
        assert!(!check(&[1, 2, 3], &[1, 2], 1));
        assert!(check(&[1, 2, 3], &[1, 2, 3], 1));
        assert!(check(&[1, 2], &[1, 2], 2));
        assert!(!check(&[1, 2], &[1], 1));
        // Without quorum etcd would not carry it out; with a dead one gone it is still none.
        assert!(!check(&[1, 2, 3, 4], &[1], 4));
        assert!(check(&[1, 2, 3, 4, 5], &[1, 2, 3], 5));
    }

    #[test]
    fn the_last_member_stays() {
        let only = BTreeSet::from([7]);
        let refusal = may_remove(&only, &only, 7).unwrap_err();
        assert_eq!((refusal.voters, refusal.needed), (0, 1));
    }

    #[test]
    fn a_learner_has_no_vote_to_lose() {
        assert!(check(&[1, 2], &[1, 2], 9));
    }

    proptest! {
        #[test]
        fn what_is_allowed_leaves_more_than_half(
            voters in btree_set(0_u64..9, 1..8),
            healthy in btree_set(0_u64..9, 0..8),
            which in 0_u64..9,
        ) {
            let rest: BTreeSet<u64> = voters.iter().copied().filter(|&m| m != which).collect();
            let living = rest.intersection(&healthy).count();
            let majority = !rest.is_empty() && living * 2 > rest.len();
            prop_assert_eq!(may_remove(&voters, &healthy, which).is_ok(), majority);
        }
    }
}
