//! [`Background`]: threads that give way to those that serve nodes.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

/// How much a [nice](Background::nice) thread gives way: a core that is wanted for nodes too gives it a tenth of its time.
const NICE: i32 = 10;

/// A runtime for what no node waits for, such as copying files. Dropped, it lets go of what still runs there.
#[derive(Debug)]
pub struct Background {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Background {
    /// Threads for what other heads wait for. They are nicer than the one that calls this.
    ///
    /// # Errors
    /// The system gives none.
    pub(crate) fn nice() -> io::Result<Self> {
        // There is no higher value.
        let nice = (getpriority_process(None)? + NICE).min(19);
        Self::start("exchange", move || Ok(setpriority_process(None, nice)?))
    }

    /// Threads for what nobody waits for. They run where nothing else of their session or control group wants to.
    ///
    /// # Errors
    /// The system gives none.
    pub fn idle() -> io::Result<Self> {
        Self::start("copying", be_idle)
    }

    /// On Linux the nice value and the policy are a thread's own (sched(7)). What one of these starts has them already.
    fn start(
        name: &str,
        give_way: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name(name)
            .on_thread_start(move || {
                if let Err(error) = give_way() {
                    tracing::warn!(%error, "copying between heads cannot give way to serving nodes");
                }
            })
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// What is spawned by this runs there.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Until the guard is dropped, what this thread spawns runs there.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime that waits for its threads must not be dropped in another.
            runtime.shutdown_background();
        }
    }
}

/// Gives the thread that calls this the policy `SCHED_IDLE`.
fn be_idle() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live until it returns, and 0 is the thread that calls.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use tokio::{spawn, task::spawn_blocking};

    use super::*;

    #[tokio::test]
    async fn what_is_spawned_there_gives_way_and_ends_with_it() {
        let nice = || getpriority_process(None).unwrap();
        let here = nice();
        let background = Background::nice().unwrap();
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

    #[tokio::test]
    async fn what_nobody_waits_for_is_idle() {
        /// The policy of the thread, the 41st field (proc_pid_stat(5)); names of threads here have no spaces.
        fn policy() -> i32 {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.split(' ').nth(40).unwrap().parse().unwrap()
        }
        let here = policy();
        let background = Background::idle().unwrap();
        let of_both = async { (policy(), spawn_blocking(policy).await.unwrap()) };
        let there = background.handle().spawn(of_both).await.unwrap();
        assert_eq!(there, (libc::SCHED_IDLE, libc::SCHED_IDLE));
        assert_eq!(policy(), here);
    }
}
