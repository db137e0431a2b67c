//! What a head says while it waits for others.

/// Says what is being waited for, once for each reason.
#[derive(Default)]
pub(super) struct Progress {
    said: String,
}

impl Progress {
    pub(super) fn say(&mut self, what: &str) {
        if self.said != what {
            tracing::info!("{what}");
            what.clone_into(&mut self.said);
        }
    }
}
