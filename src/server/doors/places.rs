//! Places for connections: how many there are at once, and how many of them one address may have, so that no stranger takes them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once: enough for a thousand who follow events, and for those who ask beside them.
const MOST: usize = 4096;

/// Connections of one address at once, of those that come from other machines; a quarter, where there are fewer in all.
const MOST_EACH: usize = 1024;

/// Descriptors that are not for connections: the store's files, the requests to providers, what the program itself holds.
const OTHERS: usize = 256;

/// Descriptors that one connection may need: its own, and one to an API for a request through the proxy.
const EACH: usize = 2;

/// How many places each address has.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The places at a door.
#[derive(Clone)]
pub(in crate::server) struct Places {
    room: Arc<Semaphore>,
    taken: Taken,
    most_each: usize,
}

/// A place, until it is dropped.
pub(in crate::server) struct Place {
    _permit: OwnedSemaphorePermit,
    held: Option<(IpAddr, Taken)>,
}

impl Places {
    /// As many as the process has descriptors for, to be shared by so many doors.
    pub(in crate::server) fn for_doors(doors: usize) -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let descriptors = descriptors.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let most = (descriptors.saturating_sub(OTHERS) / EACH / doors).clamp(16, MOST);
        Self::new(most, MOST_EACH.min(most / 4))
    }

    fn new(most: usize, most_each: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(most)), taken: Arc::default(), most_each }
    }

    /// Waits for room for one more.
    pub(in crate::server) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // Closed never.
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// A place for who comes from an address, unless that has all it may have. This machine's own processes, a proxy among them, have no
    /// limit but that of all.
    pub(in crate::server) fn take(&self, room: OwnedSemaphorePermit, from: Option<IpAddr>) -> Option<Place> {
        let Some(network) = from.filter(|from| !from.is_loopback()).map(network) else {
            return Some(Place { _permit: room, held: None });
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        if *count >= self.most_each {
            return None;
        }
        *count += 1;
        Some(Place { _permit: room, held: Some((network, Arc::clone(&self.taken))) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((network, taken)) = self.held.take() else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&network);
            }
        }
    }
}

/// What counts as one address: whoever has one of IPv6 has the 2^64 beside it too.
pub(in crate::server) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_does_not_take_all_places() {
        let places = Places::new(10, 2);
        let from = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let take = async |from| places.take(places.room().await.unwrap(), from);
        let held = [take(from("192.0.2.1")).await.unwrap(), take(from("192.0.2.1")).await.unwrap()];
        assert!(take(from("192.0.2.1")).await.is_none());
        assert!(take(from("::ffff:192.0.2.1")).await.is_none());
        let _other = take(from("192.0.2.2")).await.unwrap();
        let _six = [take(from("2001:db8::1")).await.unwrap(), take(from("2001:db8::2")).await.unwrap()];
        assert!(take(from("2001:db8::3:1")).await.is_none());
        drop(held);
        assert!(take(from("192.0.2.1")).await.is_some());
        let mut local = Vec::new();
        for _ in 0..7 {
            local.push(take(from("127.0.0.1")).await.unwrap());
        }
        assert_eq!(places.room.available_permits(), 0);
        assert_eq!(places.taken.lock().unwrap().len(), 2);
    }
}
