//! [`Background`]: threads that give way to those that serve nodes.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, EnterGuard, Runtime};

/// How much the threads give way: to one of them, a core that is wanted for nodes too gives a tenth of its time.
const NICE: i32 = 10;

/// A runtime for what no node waits for, such as copying files. Dropped, it lets go of what still runs there.
#[derive(Debug)]
pub(crate) struct Background(
    /// Taken when it is dropped.
    Option<Runtime>,
);

impl Background {
    /// Starts the threads, which are nicer than the one that calls this.
    ///
    /// # Errors
    /// The system gives none.
    pub(crate) fn start() -> io::Result<Self> {
        // There is no higher value.
        let nice = (getpriority_process(None)? + NICE).min(19);
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("exchange")
            .on_thread_start(move || give_way(nice))
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Until the guard is dropped, what this thread spawns runs there.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A runtime that waits for its threads must not be dropped in another.
            runtime.shutdown_background();
        }
    }
}

/// On Linux a nice value is a thread's own (sched(7)). Threads that were started by one of these have it already.
fn give_way(nice: i32) {
    if let Err(error) = setpriority_process(None, nice) {
        tracing::warn!(%error, "the exchange between heads cannot give way to serving nodes");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::{spawn, task::spawn_blocking};

    use super::*;

    #[tokio::test]
    async fn what_is_spawned_there_gives_way_and_ends_with_it() {
        let nice = || getpriority_process(None).unwrap();
        let here = nice();
        let background = Background::start().unwrap();
        let (task, endless) = {
            let _there = background.enter();
            let of_both = async move { (nice(), spawn_blocking(nice).await.unwrap()) };
            (spawn(of_both), spawn(std::future::pending::<()>()))
        };
        let there = (here + NICE).min(19);
        assert_eq!(task.await.unwrap(), (there, there));
        assert_eq!(nice(), here);
        drop(background);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
