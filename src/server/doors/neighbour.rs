//! Whose the other end of a connection within this machine is. A browser sends the cookies of `127.0.0.1` to every port there, so that another
//! user's server may come to know one: the system says which user a connection belongs to, and a session is its own user's alone.

use super::door::Peer;
use std::net::{IpAddr, SocketAddr};

/// Who is at the other end of a connection, as far as this machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Neighbour {
    /// Somebody at another machine.
    Elsewhere,
    /// Somebody at this machine; the system does not tell who.
    Unknown,
    /// A user of this machine.
    User(u32),
}

/// Whose a connection is that came from this machine, by any of its addresses, where the system tells (Linux: `/proc/net/tcp`, proc(5)).
pub(in crate::server) async fn neighbour(peer: Option<&Peer>) -> Neighbour {
    let Some(Peer::Remote { from, to: Some(to) }) = peer else { return Neighbour::Elsewhere };
    let (from, to) = (canonical(*from), canonical(*to));
    if !from.ip().is_loopback() && from.ip() != to.ip() {
        return Neighbour::Elsewhere;
    }
    user_of(from, to).await.map_or(Neighbour::Unknown, Neighbour::User)
}

async fn user_of(from: SocketAddr, to: SocketAddr) -> Option<u32> {
    // Read in pieces while connections come and go, a table may lack a line.
    let mut user = None;
    for _ in 0..MOST_LOOKS {
        for (table, from, to) in places(from, to) {
            let table = tokio::fs::read_to_string(table).await.unwrap_or_default();
            user = user.or(owner(&table, &from, &to));
        }
        if user.is_some() {
            break;
        }
    }
    let user = user?;
    // In a user namespace of few users all the others are one: that tells nobody apart.
    let nobody = tokio::fs::read_to_string("/proc/sys/kernel/overflowuid").await.ok()?;
    (nobody.trim().parse() != Ok(user)).then_some(user)
}

/// The tables that a connection may stand in, with how its ends are written there: IPv4 also as IPv6 has it, which is how a program comes that speaks
/// IPv6 alone.
fn places(from: SocketAddr, to: SocketAddr) -> Vec<(&'static str, String, String)> {
    let ends = |as_it_is: bool| {
        let end = |address: SocketAddr| match (address.ip(), as_it_is) {
            (IpAddr::V4(ip), false) => written(SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())),
            _ => written(address),
        };
        (end(from), end(to))
    };
    let mut places = Vec::new();
    if from.is_ipv4() {
        let (from, to) = ends(true);
        places.push(("/proc/self/net/tcp", from, to));
    }
    let (from, to) = ends(false);
    places.push(("/proc/self/net/tcp6", from, to));
    places
}

/// How often the tables are read where the connection is not in them.
const MOST_LOOKS: usize = 3;

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The user of the connection from an address to one of ours. Both ends are compared whole: a port can be in use by two users at
/// once, to different addresses. `None` where more than one fits all the same; a line that stands twice is one.
fn owner(table: &str, from: &str, to: &str) -> Option<u32> {
    let mut users = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, remote, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let is_it = local == from && remote == to && HELD.contains(&state);
        let (user, socket) = is_it.then(|| Some((fields.nth(3)?.parse().ok()?, fields.nth(1)?)))??;
        // One that its user has closed is nobody's any more.
        (socket != "0").then_some((user, socket))
    });
    let (user, socket): (u32, &str) = users.next()?;
    users.all(|other| other == (user, socket)).then_some(user)
}

/// States of a connection that its owner may still hold: established; they have said all and listen; or the other side has said all.
const HELD: [&str; 4] = ["01", "04", "05", "08"];

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
            4: 0100007F:D432 0100007F:223D 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0\n\
            5: 0100007F:D434 0100007F:223D 05 00000000:00000000 00:00000000 00000000     0        0 0 3 0\n\
            6: 0100007F:D435 0100007F:223D 05 00000000:00000000 00:00000000 00000000  1004        0 7 3 0\n";
        let owner = |table: &str, from, to| owner(table, &written(from), &written(to));
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(owner(table, at(0xD431), at(8765)), Some(1000));
        assert_eq!(owner(table, at(0xD431), at(8080)), Some(1002));
        assert_eq!(owner(table, at(0xD432), at(8765)), None, "it is closed");
        assert_eq!(owner(table, at(0xD433), at(8765)), None);
        assert_eq!(owner(table, at(0xD434), at(8765)), None, "nobody holds it");
        assert_eq!(owner(table, at(0xD435), at(8765)), Some(1004), "its owner has said all, and listens");
        // The same port, to the same port of another address: another user's.
        let other = SocketAddr::from(([127, 0, 0, 2], 8765));
        assert_eq!(owner(table, at(0xD431), other), Some(1003));
        let again = format!("{table}{}\n", table.lines().nth(4).unwrap());
        assert_eq!(owner(&again, at(0xD431), at(8765)), Some(1000), "the same line");
        let another = table.lines().nth(4).unwrap().replace(" 1000 ", " 1001 ").replace(" 0 4 1 ", " 0 6 1 ");
        assert_eq!(owner(&format!("{table}{another}\n"), at(0xD431), at(8765)), None, "it cannot be told");
        let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 80));
        assert_eq!(written(six), "00000000000000000000000001000000:0050");
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection_by_ipv4_is_looked_for_among_those_by_ipv6_too() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let table = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0000000000000000FFFF00000100007F:D431 0000000000000000FFFF00000100007F:223D 01 00000000:00000000 00:00000000 00000000  1002        0 3 1 0 20 4 30 10 -1\n";
        let found = places(at(0xD431), at(8765));
        assert_eq!(
            found.iter().map(|(table, ..)| *table).collect::<Vec<_>>(),
            ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        );
        assert_eq!(owner(table, &found[1].1, &found[1].2), Some(1002));
        let six = |port| SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
        assert_eq!(places(six(1), six(2)).len(), 1);
    }

    #[tokio::test]
    async fn a_client_that_speaks_ipv6_alone_is_known_all_the_same() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let mapped = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), to.port());
        let Ok(client) = tokio::net::TcpStream::connect(mapped).await else { return }; // there is no IPv6 here
        let (_held, from) = listener.accept().await.unwrap();
        let found = neighbour(Some(&Peer::Remote { from, to: Some(to) })).await;
        // In a user namespace of few users it is nobody's that is known.
        let me = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        let nobody = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
        let wanted = if nobody.trim().parse() == Ok(me) { Neighbour::Unknown } else { Neighbour::User(me) };
        assert_eq!(found, wanted);
        drop(client);
    }
}
