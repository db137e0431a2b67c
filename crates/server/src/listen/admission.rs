use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open connections, and how many there may be.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    most_per_origin: usize,
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    network: usize,
    by_origin: HashMap<Origin, usize>,
    refused: u64,
}

/// Where a connection comes from, as far as limits care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The network.
    Address(IpAddr),
    /// A local user, through the Unix socket. It does not count among [`Connections::most`], so that an administrator
    /// gets in when the network has taken every place.
    User(u32),
}

/// A place among the open connections; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    origin: Origin,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("all {0} connections are in use (limits.connections)")]
    Full(usize),
    #[error("{0} connections are open from this address (limits.connections_per_address)")]
    OriginFull(usize),
}

impl Connections {
    /// At most `most` from the network (`limits.connections`), and `most_per_origin` from one address or local user
    /// (`limits.connections_per_address`).
    #[must_use]
    pub fn new(most: usize, most_per_origin: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_origin,
            count: Mutex::default(),
        })
    }

    /// How many connections from the network are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.count().network
    }

    /// How many connections were refused so far for want of a place.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.count().refused
    }

    pub(super) fn admit(self: &Arc<Self>, origin: Origin) -> Result<Place, Refused> {
        let mut count = self.count();
        let network = matches!(origin, Origin::Address(_));
        if network && count.network >= self.most {
            count.refused += 1;
            return Err(Refused::Full(self.most));
        }
        let open = count.by_origin.get(&origin).copied().unwrap_or(0);
        if open >= self.most_per_origin {
            count.refused += 1;
            return Err(Refused::OriginFull(self.most_per_origin));
        }
        count.by_origin.insert(origin, open + 1);
        count.network += usize::from(network);
        Ok(Place {
            connections: Arc::clone(self),
            origin,
        })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut count = self.connections.count();
        if let Entry::Occupied(mut open) = count.by_origin.entry(self.origin) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
        count.network -= usize::from(matches!(self.origin, Origin::Address(_)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HERE: Origin = Origin::Address(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    const THERE: Origin = Origin::Address(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)));

    #[test]
    fn an_origin_has_its_own_limit() {
        let connections = Connections::new(10, 1);
        let place = connections.admit(HERE).unwrap();
        assert_eq!(connections.admit(HERE).unwrap_err(), Refused::OriginFull(1));
        let _elsewhere = connections.admit(THERE).unwrap();
        drop(place);
        connections.admit(HERE).unwrap();
    }

    #[test]
    fn all_together_have_a_limit_that_local_users_are_outside_of() {
        let connections = Connections::new(1, 10);
        let place = connections.admit(HERE).unwrap();
        assert_eq!(connections.admit(THERE).unwrap_err(), Refused::Full(1));
        assert_eq!((connections.open(), connections.refused()), (1, 1));
        let _user = connections.admit(Origin::User(0)).unwrap();
        drop(place);
        connections.admit(THERE).unwrap();
    }

    #[test]
    fn nothing_is_remembered_of_closed_connections() {
        let connections = Connections::new(10, 10);
        drop((connections.admit(HERE), connections.admit(Origin::User(7))));
        assert!(connections.count().by_origin.is_empty());
        assert_eq!(connections.open(), 0);
    }
}
