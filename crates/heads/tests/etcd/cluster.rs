//! Members that come, go and come back.

use heads::etcd::{
    Hopeless, Process, ProcessState, WouldLoseQuorum, become_member, start_first, start_member,
};
use heads::etcd::{MembersError, MembershipError, forget};

use crate::test_head::{TestHead, authority, etcd_is_here, until};

/// Waits until each of these answers, knows a leader, and has a vote.
async fn all_well(heads: &[&TestHead]) {
    until("every member has a vote and a leader", async || {
        for head in heads {
            let members = head.members(&[head]);
            let Ok(list) = members.list().await else {
                return false;
            };
            let healthy = members.healthy(list.iter().filter(|m| !m.learner)).await;
            if healthy.len() != heads.len() {
                return false;
            }
        }
        true
    })
    .await;
}

async fn id_of(head: &TestHead, heads: &[&TestHead]) -> u64 {
    let list = head.members(heads).list().await.unwrap();
    let name = head.identity().uid.to_string();
    list.iter().find(|member| member.name == name).unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_loses_a_member_and_takes_it_back() {
    if !etcd_is_here() {
        return;
    }
    let authority = authority();
    let heads = [(); 3].map(|()| TestHead::of(&authority));
    let [first, second, third] = &heads;

    let one = start_first(first.data(), &first.enrolment).await.unwrap();
    let join = async |head: &TestHead, at: Vec<String>| -> Process {
        become_member(head.data(), &head.enrolment, at)
            .await
            .unwrap()
    };
    // Both at once: etcd takes one learner at a time.
    let at = vec![first.endpoint()];
    let (two, three) = tokio::join!(join(second, at.clone()), join(third, at));
    all_well(&[first, second, third]).await;

    let list = first.members(&[first]).list().await.unwrap();
    let mut names: Vec<_> = list.iter().map(|member| member.name.clone()).collect();
    names.sort();
    let mut uids = heads.each_ref().map(|head| head.identity().uid.to_string());
    uids.sort();
    assert_eq!(names, uids);
    assert!(list.iter().all(|member| !member.learner));

    // Asked again, as after a crash between becoming a member and keeping that, it is one at once.
    three.stop().await;
    let three = join(third, vec![first.endpoint(), second.endpoint()]).await;
    all_well(&[first, second, third]).await;

    // The leader hands over.
    let members = first.members(&[first, second, third]);
    let (a, b) = (id_of(first, &[first]).await, id_of(second, &[first]).await);
    let leader = |of: u64| {
        let members = &members;
        async move {
            let list = members.list().await.unwrap();
            let member = list.iter().find(|member| member.id == of).unwrap();
            members.status(member).await.unwrap().leader
        }
    };
    let by_id = |id: u64| list.iter().find(move |member| member.id == id).unwrap();
    for (from, to) in [(a, b), (b, a)] {
        members.move_leader(by_id(from), to).await.unwrap();
    }
    until("the second or third leads no more", async || {
        leader(a).await != Some(b)
    })
    .await;

    // With the third away, the second may not go as well.
    three.stop().await;
    let gone = id_of(third, &[first]).await;
    let refused = members.remove(b, false).await.unwrap_err();
    assert!(
        matches!(
            refused,
            MembersError::WouldLoseQuorum(WouldLoseQuorum {
                voters: 2,
                healthy: 1,
                needed: 2
            })
        ),
        "{refused}"
    );
    members.remove(gone, false).await.unwrap();
    let unknown = members.remove(gone, false).await.unwrap_err();
    assert!(
        matches!(unknown, MembersError::Unknown(id) if id == gone),
        "{unknown}"
    );

    // The third comes back, and learns it.
    let away = TestHead::load(third.data()).into_member().unwrap();
    let three = start_member(third.data(), &away).unwrap();
    let mut state = three.state();
    let gave_up = state.wait_for(|state| matches!(state, ProcessState::GaveUp(_)));
    assert_eq!(
        *gave_up.await.unwrap(),
        ProcessState::GaveUp(Hopeless::Removed)
    );
    three.stop().await;

    // Let in again, it begins anew, on the same disk.
    away.into_admitted().unwrap();
    let three = join(third, vec![first.endpoint(), second.endpoint()]).await;
    all_well(&[first, second, third]).await;

    // And once more when the disk is lost, though etcd still counts it as a member.
    three.stop().await;
    forget(third.data()).unwrap();
    let away = TestHead::load(third.data()).into_member().unwrap();
    let lost = start_member(third.data(), &away).unwrap_err();
    assert!(matches!(lost, MembershipError::DataGone(_)), "{lost}");
    away.into_admitted().unwrap();
    let three = join(third, vec![first.endpoint(), second.endpoint()]).await;
    all_well(&[first, second, third]).await;

    // A member that is removed while it runs.
    let id = id_of(third, &[first]).await;
    members.remove(id, false).await.unwrap();
    let mut state = three.state();
    let gave_up = state.wait_for(|state| matches!(state, ProcessState::GaveUp(_)));
    assert_eq!(
        *gave_up.await.unwrap(),
        ProcessState::GaveUp(Hopeless::Removed)
    );
    three.stop().await;

    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_opens_nothing() {
    if !etcd_is_here() {
        return;
    }
    let ours = TestHead::of(&authority());
    let strangers = TestHead::of(&authority());
    let process = start_first(ours.data(), &ours.enrolment).await.unwrap();

    let refused = strangers.members(&[&ours]).list().await.unwrap_err();
    assert!(matches!(refused, MembersError::Unreachable(_)), "{refused}");
    // Nor does a certificate that etcd would take help against one that we do not.
    let mut half = strangers.identity().clone();
    half.authority = ours.identity().authority.clone();
    let refused = heads::etcd::Members::new(vec![ours.endpoint()], &half)
        .list()
        .await;
    assert!(
        matches!(refused, Err(MembersError::Unreachable(_))),
        "{refused:?}"
    );
    let mut half = ours.identity().clone();
    half.authority = strangers.identity().authority.clone();
    let refused = heads::etcd::Members::new(vec![ours.endpoint()], &half)
        .list()
        .await;
    assert!(
        matches!(refused, Err(MembersError::Unreachable(_))),
        "{refused:?}"
    );

    assert_eq!(ours.members(&[&ours]).list().await.unwrap().len(), 1);
    process.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_passed_over() {
    if !etcd_is_here() {
        return;
    }
    let authority = authority();
    let (up, down) = (TestHead::of(&authority), TestHead::of(&authority));
    let process = start_first(up.data(), &up.enrolment).await.unwrap();
    let members = up.members(&[&down, &up]);
    let list = members.list().await.unwrap();
    let status = members.status(&list[0]).await.unwrap();
    assert_eq!(status.leader, Some(list[0].id));
    assert!(status.db_size > 0 && !status.learner && status.errors.is_empty());
    process.stop().await;
}
