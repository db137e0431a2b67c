//! A head hears from the others what nodes report to them, so that each can say how any node is.

use std::{collections::HashMap, sync::Arc, time::Duration};

use model::{Head, Uid};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Membership, Several};

/// How often the others are asked. Nodes report every ten seconds, and count as down after three times that.
const PERIOD: Duration = Duration::from_secs(5);

impl Membership {
    /// Asks the other heads again and again, until this head ends.
    pub(super) fn hear(self: &Arc<Self>) {
        let membership = Arc::clone(self);
        self.spawn(async move {
            let Some(several) = membership.several.get() else {
                return;
            };
            let mut known: HashMap<Uid, u64> = HashMap::new();
            let mut times = interval(PERIOD);
            times.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                times.tick().await;
                let state = membership.live.get();
                let others = state.heads.iter();
                let others = others.filter(|head| head.uid != several.identity.uid);
                let asked = others.map(async |head| {
                    let known = known.get(&head.uid).copied().unwrap_or_default();
                    Some((head.uid, membership.ask(several, head, known).await?))
                });
                let answers = futures_util::future::join_all(asked).await;
                known.extend(answers.into_iter().flatten());
            }
        });
    }

    /// Asks a head for what came after `known`, and returns what is known then. One that does not answer is asked again.
    async fn ask(&self, several: &Several, head: &Head, known: u64) -> Option<u64> {
        match timeout(PERIOD, several.reports_of(head, known)).await {
            Ok(Ok(news)) => {
                self.reports.learn(news.reports);
                Some(news.last)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "what nodes report to another head is not known");
                None
            }
            Err(_) => None,
        }
    }
}
