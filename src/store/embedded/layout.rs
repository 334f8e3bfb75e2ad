//! How records lie in the index: the bytes of keys and values.
//!
//! | Key | Value | Finds |
//! |---|---|---|
//! | `a` name | id | an application by name |
//! | `c` application `00` requestor | id | a connection by name, in the order of names |
//! | `d` time, id | – | what is due, the earliest first |
//! | `e` time, sequence | – | events by their age, one of 64 |
//! | `k` connection, id | – | the credentials of a connection |
//! | `n` kind, name | id | what an administrator keeps: an API key by name, the administrator's password, a webhook by name |
//! | `p` time, hash | – | pending authorizations by their end |
//! | `r` kind, id | group number, row | a record; events and the pages of the audit log lie in the order of their sequences |
//! | `z` | group number, sum | how far the index has come |
//!
//! The order of the letters is the order of writing: what finds a row, then the row, then how far. So a group of
//! changes that was cut short by a crash can be applied again from its start: the old row, which says which entries
//! go, is still there until all entries are done.

use super::index::Fault;
use crate::model::{ConnectionName, Timestamp};
use crate::store::{AccessKind, EventRow, Key, Row};
use sha2::{Digest, Sha256};
use sled::IVec;
use uuid::Uuid;

/// Where the index says how far it has come. The last of all keys.
pub(super) const PROGRESS: &[u8] = b"z";
/// Starts the keys of the application names.
pub(super) const APPLICATIONS: &[u8] = b"a";
/// Starts the keys of the connection names.
pub(super) const CONNECTIONS: &[u8] = b"c";
/// Starts the keys of what is due.
pub(super) const DUE: &[u8] = b"d";
/// Starts the keys of the ends of pending authorizations.
pub(super) const PENDING: &[u8] = b"p";
/// Starts the keys of the ages of events.
pub(super) const AGES: &[u8] = b"e";
/// Starts the keys of the names of what an administrator keeps.
pub(super) const ACCESS: &[u8] = b"n";
/// Starts the keys of the records.
pub(super) const ROWS: &[u8] = b"r";
/// Starts the keys of the events among them.
pub(super) const EVENTS: &[u8] = b"re";
/// Starts the keys of the pages of the audit log among them.
pub(super) const AUDIT: &[u8] = b"rl";

/// The key of a record.
pub(super) fn row_key(key: Key) -> Vec<u8> {
    match key {
        Key::Application(id) => [ROWS, b"a", id.as_bytes()].concat(),
        Key::Connection(id) => [ROWS, b"c", id.as_bytes()].concat(),
        Key::Credential(id) => [ROWS, b"k", id.as_bytes()].concat(),
        Key::Pending(hash) => [ROWS, b"p", &hash].concat(),
        Key::Flight(id) => [ROWS, b"f", id.as_bytes()].concat(),
        Key::Event(sequence) => [EVENTS, &sequence.to_be_bytes()].concat(),
        Key::Access(id) => [ROWS, b"x", id.as_bytes()].concat(),
        Key::Audit(last) => [AUDIT, &last.to_be_bytes()].concat(),
    }
}

/// The value of a record that was written by the commit group of this number.
pub(super) fn row_value(sequence: u64, row: &Row) -> Result<Vec<u8>, Fault> {
    postcard::to_extend(row, sequence.to_be_bytes().to_vec()).map_err(|error| Fault::damage(error.to_string()))
}

/// The number of the group that wrote a record.
pub(super) fn row_sequence(value: &[u8]) -> Result<u64, Fault> {
    let (sequence, _) = value.split_first_chunk().ok_or_else(|| Fault::damage("a record is cut short"))?;
    Ok(u64::from_be_bytes(*sequence))
}

/// A record, and the number of the group that wrote it.
pub(super) fn row(value: &[u8]) -> Result<(u64, Row), Fault> {
    let sequence = row_sequence(value)?;
    match postcard::take_from_bytes(&value[8..]) {
        Ok((row, [])) => Ok((sequence, row)),
        Ok(_) => Err(Fault::damage("a record has bytes after its end")),
        Err(error) => Err(Fault::damage(format!("a record cannot be read ({error})"))),
    }
}

/// The key that makes the record's name unique, for those that have a name.
pub(super) fn name_key(row: &Row) -> Option<Vec<u8>> {
    match row {
        Row::Application(row) => Some(application_name(&row.name)),
        Row::Connection(row) => Some(connection_name(&row.name)),
        Row::Access(row) => Some(access_name(row.kind, &row.name)),
        _ => None,
    }
}

/// The entries that find a record.
pub(super) fn entries(row: &Row) -> Vec<(IVec, IVec)> {
    let mut entries = Vec::new();
    let mut insert = |key: Vec<u8>, value: &[u8]| entries.push((key.into(), value.into()));
    match row {
        Row::Application(row) => {
            insert(application_name(&row.name), row.id.as_bytes());
        }
        Row::Connection(row) => {
            insert(connection_name(&row.name), row.id.as_bytes());
            if let Some(due) = row.due {
                insert(self::due(due, row.id), b"");
            }
        }
        Row::Credential(row) => {
            insert([&credentials_of(row.connection)[..], row.id.as_bytes()].concat(), b"");
        }
        Row::Pending(row) => {
            insert([PENDING, &time(row.expires), &row.state_hash].concat(), b"");
        }
        Row::Event(row) => {
            if row.sequence.is_multiple_of(MARKED) {
                insert(age_key(row), b"");
            }
        }
        Row::Access(row) => {
            insert(access_name(row.kind, &row.name), row.id.as_bytes());
        }
        Row::Flight(_) | Row::Audit(_) => {}
    }
    entries
}

/// Of so many events one has its age in the index: sled takes several microseconds for each entry, and with each refresh comes an event. An
/// event that came before one that is too old is too old too.
pub(super) const MARKED: u64 = 64;

/// The key of an event's age. Stores of before format 5 have one for each.
pub(super) fn age_key(row: &EventRow) -> Vec<u8> {
    [AGES, &time(row.at), &row.sequence.to_be_bytes()].concat()
}

/// The key of an application's name.
pub(super) fn application_name(name: &str) -> Vec<u8> {
    [APPLICATIONS, name.as_bytes()].concat()
}

/// The key of the name of what an administrator keeps. The letters are in the order of the kinds.
fn access_name(kind: AccessKind, name: &str) -> Vec<u8> {
    let kind = match kind {
        AccessKind::Key => b"k",
        AccessKind::Administrator => b"p",
        AccessKind::Webhook => b"w",
        AccessKind::WebhookProgress => b"x",
    };
    [ACCESS, kind, name.as_bytes()].concat()
}

/// The key of a connection's name. A zero stands for the slash, so that the bytes sort as the names do: `-` and `.`
/// come before `/`, and `a-b/x` must come after `a/y`.
pub(super) fn connection_name(name: &ConnectionName) -> Vec<u8> {
    let mut key = [&connections_of(name.application().as_str())[..], name.requestor().as_bytes()].concat();
    if let Some(token) = name.token() {
        // The same for the tilde: `a/x~user` comes before `a/x.y`.
        key.push(0);
        key.extend_from_slice(token.as_bytes());
    }
    key
}

/// Starts the keys of an application's connections.
pub(super) fn connections_of(application: &str) -> Vec<u8> {
    [CONNECTIONS, application.as_bytes(), &[0]].concat()
}

/// Starts the keys of a connection's credentials.
pub(super) fn credentials_of(connection: Uuid) -> Vec<u8> {
    [b"k", connection.as_bytes().as_slice()].concat()
}

/// A time whose bytes sort as the times do: nanoseconds, moved so that none is negative.
fn time(at: Timestamp) -> [u8; 16] {
    (at.as_nanosecond() ^ i128::MIN).to_be_bytes()
}

/// The key of what is due at a time.
pub(super) fn due(at: Timestamp, id: Uuid) -> Vec<u8> {
    [DUE, &time(at), id.as_bytes()].concat()
}

/// The time at the start of what follows [`DUE`], [`PENDING`] or [`AGES`] in a key.
pub(super) fn time_of(key: &[u8]) -> Result<Timestamp, Fault> {
    let bytes = key.get(1..17).and_then(|bytes| bytes.try_into().ok());
    bytes
        .and_then(|bytes| Timestamp::from_nanosecond(i128::from_be_bytes(bytes) ^ i128::MIN).ok())
        .ok_or_else(|| Fault::damage("an entry has no time"))
}

/// The id at the end of a key, or that is a value.
pub(super) fn id_of(bytes: &[u8]) -> Result<Uuid, Fault> {
    let id = bytes.last_chunk().ok_or_else(|| Fault::damage("an entry has no id"))?;
    Ok(Uuid::from_bytes(*id))
}

/// The sequence at the end of a key.
pub(super) fn sequence_of(key: &[u8]) -> Result<u64, Fault> {
    let bytes = key.last_chunk().ok_or_else(|| Fault::damage("an entry has no sequence"))?;
    Ok(u64::from_be_bytes(*bytes))
}

/// A checksum of everything in the index (but [`PROGRESS`]), whatever its order: kept up by each change, and compared
/// by adding up what is there. It finds accidents, not attackers: who can write the files can write it too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sum(u128);

impl Sum {
    /// With one more entry.
    pub(super) fn with(self, key: &[u8], value: &[u8]) -> Self {
        Self(self.0.wrapping_add(digest(key, value)))
    }

    /// With one entry less.
    pub(super) fn without(self, key: &[u8], value: &[u8]) -> Self {
        Self(self.0.wrapping_sub(digest(key, value)))
    }

    /// How far an index has come: the group's number, and the sum.
    pub(super) fn progress(self, sequence: u64) -> Vec<u8> {
        [sequence.to_be_bytes().as_slice(), &self.0.to_be_bytes()].concat()
    }

    /// What [`Sum::progress`] wrote.
    pub(super) fn from_progress(bytes: &[u8]) -> Result<(u64, Self), Fault> {
        let wrong = || Fault::damage("its progress cannot be read");
        let (sequence, sum) = bytes.split_first_chunk().ok_or_else(wrong)?;
        Ok((u64::from_be_bytes(*sequence), Self(u128::from_be_bytes(sum.try_into().map_err(|_| wrong())?))))
    }
}

fn digest(key: &[u8], value: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes()); // so that a byte cannot wander from the key to the value
    hash.update(key);
    hash.update(value);
    let hash: [u8; 32] = hash.finalize().into();
    u128::from_be_bytes(std::array::from_fn(|i| hash[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_their_bytes() {
        let times =
            ["-009998-01-02T00:00:00Z", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z", "9999-12-30T00:00:00Z"];
        let bytes: Vec<_> = times.iter().map(|text| time(text.parse().unwrap())).collect();
        assert!(bytes.is_sorted());
        for (text, bytes) in times.iter().zip(bytes) {
            assert_eq!(time_of(&[DUE, &bytes].concat()).unwrap(), text.parse::<Timestamp>().unwrap());
        }
    }

    #[test]
    fn the_sum_does_not_know_order_and_forgets_what_goes() {
        let one = Sum::default().with(b"a", b"1").with(b"b", b"2");
        assert_eq!(one, Sum::default().with(b"b", b"2").with(b"a", b"1"));
        assert_eq!(one.without(b"a", b"1"), Sum::default().with(b"b", b"2"));
        assert_ne!(Sum::default().with(b"ab", b"c"), Sum::default().with(b"a", b"bc"));
    }
}
