//! Whose the other end of a connection within this machine is. A browser sends the cookies of `127.0.0.1` to every port there, so that another
//! user's server may come to know one: the system says which user a connection belongs to, and a session is its own user's alone.

use super::door::Peer;
use std::net::{IpAddr, SocketAddr};

/// The user of a connection that came from this machine, by any of its addresses, where the system tells (Linux: `/proc/net/tcp`, proc(5)).
/// `None` for one that came from another machine, and where the system does not tell.
pub(super) async fn user_of(peer: Option<&Peer>) -> Option<u32> {
    let Some(Peer::Remote { from, to: Some(to) }) = peer else { return None };
    let (from, to) = (canonical(*from), canonical(*to));
    if !from.ip().is_loopback() && from.ip() != to.ip() {
        return None;
    }
    let table = if from.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" };
    let table = tokio::fs::read_to_string(table).await.ok()?;
    let user = owner(&table, from, to)?;
    // In a user namespace of few users all the others are one: that tells nobody apart.
    let nobody = tokio::fs::read_to_string("/proc/sys/kernel/overflowuid").await.ok()?;
    (nobody.trim().parse() != Ok(user)).then_some(user)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The user of the established connection from an address to one of ours. Both ends are compared whole: a port can be in use by two users at
/// once, to different addresses. `None` where more than one fits all the same.
fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let (from, to) = (written(from), written(to));
    let mut users = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, remote, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
        // One that its user has closed is nobody's any more.
        let is_it = local == from && remote == to && matches!(state, ESTABLISHED | CLOSE_WAIT);
        is_it.then(|| fields.nth(3)?.parse().ok())?
    });
    let user = users.next()?;
    users.next().is_none().then_some(user)
}

/// States of a connection whose owner still holds it.
const ESTABLISHED: &str = "01";
const CLOSE_WAIT: &str = "08";

/// An address as the table has it: words of four bytes, each as this machine's processor reads it, and the port.
fn written(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        bytes.try_into().map_or_else(|_| String::new(), |word| format!("{:08X}", u32::from_ne_bytes(word)))
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_owner_of_a_connection_is_found_by_both_its_ends() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:223D 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1 1 0 100 0 0 10 0\n\
            1: 0100007F:223D 0100007F:D431 01 00000000:00000000 00:00000000 00000000   101        0 2 1 0 20 4 30 10 -1\n\
            2: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 3 1 0 20 4 30 10 -1\n\
            3: 0100007F:D431 0100007F:223D 01 00000000:00000000 00:00000000 00000000  1000        0 4 1 0 20 4 30 10 -1\n\
            3: 0100007F:D431 0200007F:223D 01 00000000:00000000 00:00000000 00000000  1003        0 5 1 0 20 4 30 10 -1\n\
            4: 0100007F:D432 0100007F:223D 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0\n";
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(owner(table, at(0xD431), at(8765)), Some(1000));
        assert_eq!(owner(table, at(0xD431), at(8080)), Some(1002));
        assert_eq!(owner(table, at(0xD432), at(8765)), None, "it is closed");
        assert_eq!(owner(table, at(0xD433), at(8765)), None);
        // The same port, to the same port of another address: another user's.
        let other = SocketAddr::from(([127, 0, 0, 2], 8765));
        assert_eq!(owner(table, at(0xD431), other), Some(1003));
        let twice = format!("{table}{}\n", table.lines().nth(4).unwrap());
        assert_eq!(owner(&twice, at(0xD431), at(8765)), None, "it cannot be told");
        let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 80));
        assert_eq!(written(six), "00000000000000000000000001000000:0050");
    }
}
