//! How often somebody may try to log in.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::Error;

const MINUTE: Duration = Duration::from_secs(60);

/// All addresses together may fail this many times as often as one address.
const ALL_TOGETHER: u32 = 10;

/// Counts failed tries in one-minute windows, per address and in total.
///
/// A try counts as failed until it is [forgiven](Throttle::forgive), so that many at once cannot slip through.
pub(crate) struct Throttle {
    per_minute: u32,
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    total: Option<Window>,
    /// Bounded by the total: an address enters only with a try that the total allowed.
    of_address: HashMap<IpAddr, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    tries: u32,
}

impl Throttle {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            windows: Mutex::default(),
        }
    }

    /// Takes one try for this address.
    ///
    /// # Errors
    /// None is left in this minute.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Error> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows
            .of_address
            .retain(|_, window| now.duration_since(window.began) < MINUTE);
        let fresh = Window {
            began: now,
            tries: 0,
        };
        let mut total = windows
            .total
            .filter(|window| now.duration_since(window.began) < MINUTE)
            .unwrap_or(fresh);
        let mut own = windows.of_address.get(&address).copied().unwrap_or(fresh);
        for (window, most) in [
            (own, self.per_minute),
            (total, self.per_minute.saturating_mul(ALL_TOGETHER)),
        ] {
            if window.tries >= most {
                let left = MINUTE.saturating_sub(now.duration_since(window.began));
                return Err(Error::TooManyTries(left.as_secs() as u32 + 1));
            }
        }
        own.tries += 1;
        total.tries += 1;
        windows.total = Some(total);
        windows.of_address.insert(address, own);
        Ok(())
    }

    /// Gives a try back: it was a right one.
    pub(crate) fn forgive(&self, address: IpAddr) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.of_address.get_mut(&address) {
            window.tries = window.tries.saturating_sub(1);
        }
        if let Some(window) = &mut windows.total {
            window.tries = window.tries.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn the_last_try_of_a_minute_is_the_limit() {
        let (throttle, now) = (Throttle::new(3), Instant::now());
        for _ in 0..3 {
            throttle.take(address(1), now).unwrap();
        }
        assert!(matches!(
            throttle.take(address(1), now + MINUTE / 2),
            Err(Error::TooManyTries(31))
        ));
        throttle.take(address(2), now).unwrap();
        throttle.take(address(1), now + MINUTE).unwrap();
    }

    #[test]
    fn a_right_try_does_not_count() {
        let (throttle, now) = (Throttle::new(1), Instant::now());
        for _ in 0..100 {
            throttle.take(address(1), now).unwrap();
            throttle.forgive(address(1));
        }
    }

    #[test]
    fn many_addresses_share_a_limit() {
        let (throttle, now) = (Throttle::new(2), Instant::now());
        let allowed = (0..100)
            .filter(|last| throttle.take(address(*last), now).is_ok())
            .count();
        assert_eq!(allowed, 20);
    }
}
