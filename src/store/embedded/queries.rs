//! The questions that a store answers, put to the index. Where an entry and its record do not fit each other the index
//! is damaged: both were written by one commit, and readers do not see half of one.

use super::index::{Fault, Index};
use super::layout;
use crate::model::{ConnectionName, Timestamp};
use crate::store::{AccessRow, ApplicationRow, AuditRow, ConnectionRow, CredentialRow, DuePlace, EventRow, Key, Row};
use uuid::Uuid;

pub(super) fn application(index: &Index, name: &str) -> Result<Option<ApplicationRow>, Fault> {
    index.get(&layout::application_name(name))?.map(|id| application_of(index, layout::id_of(&id)?)).transpose()
}

pub(super) fn applications(index: &Index) -> Result<Vec<ApplicationRow>, Fault> {
    let names = index.after(layout::APPLICATIONS, b"");
    names.map(|item| application_of(index, layout::id_of(&item?.1)?)).collect()
}

pub(super) fn connection(index: &Index, name: &ConnectionName) -> Result<Option<ConnectionRow>, Fault> {
    index.get(&layout::connection_name(name))?.map(|id| connection_of(index, layout::id_of(&id)?)).transpose()
}

pub(super) fn connections(
    index: &Index,
    application: Option<&str>,
    after: Option<&ConnectionName>,
    limit: usize,
) -> Result<Vec<ConnectionRow>, Fault> {
    let prefix = application.map_or(layout::CONNECTIONS.to_vec(), layout::connections_of);
    let after = after.map(layout::connection_name).unwrap_or_default();
    let names = index.after(&prefix, &after).take(limit);
    names.map(|item| connection_of(index, layout::id_of(&item?.1)?)).collect()
}

pub(super) fn credentials(index: &Index, connection: Uuid) -> Result<Vec<CredentialRow>, Fault> {
    let prefix = layout::credentials_of(connection);
    let entries = index.after(&prefix, b"");
    let credentials = entries.map(|item| match index.pointed(Key::Credential(layout::id_of(&item?.0)?))? {
        Row::Credential(row) => Ok(row),
        _ => Err(Fault::damage("a credential's key holds another record")),
    });
    credentials.collect()
}

pub(super) fn due(
    index: &Index,
    until: Timestamp,
    after: Option<DuePlace>,
    limit: usize,
) -> Result<Vec<ConnectionRow>, Fault> {
    let mut rows = Vec::new();
    let after = after.map(|(due, id)| layout::due(due, id)).unwrap_or_default();
    for item in index.after(layout::DUE, &after) {
        let (key, _) = item?;
        if rows.len() >= limit || layout::time_of(&key)? > until {
            break;
        }
        rows.push(connection_of(index, layout::id_of(&key)?)?);
    }
    Ok(rows)
}

pub(super) fn next_due(index: &Index) -> Result<Option<Timestamp>, Fault> {
    index.after(layout::DUE, b"").next().map(|item| layout::time_of(&item?.0)).transpose()
}

/// Up to `limit` pending authorizations that ended before `before`.
pub(super) fn ended(index: &Index, before: Timestamp, limit: usize) -> Result<Vec<Key>, Fault> {
    let mut keys = Vec::new();
    for item in index.after(layout::PENDING, b"") {
        let (key, _) = item?;
        if keys.len() >= limit || layout::time_of(&key)? >= before {
            break;
        }
        let hash = key.last_chunk().ok_or_else(|| Fault::damage("an entry has no hash"))?;
        keys.push(Key::Pending(*hash));
    }
    Ok(keys)
}

pub(super) fn events(index: &Index, after: u64, limit: usize) -> Result<Vec<EventRow>, Fault> {
    let after = layout::row_key(Key::Event(after));
    let rows = index.after(layout::EVENTS, &after).take(limit);
    let events = rows.map(|item| match layout::row(&item?.1)?.1 {
        Row::Event(row) => Ok(row),
        _ => Err(Fault::damage("an event's key holds another record")),
    });
    events.collect()
}

/// The sequence of the last event, 0 before the first.
pub(super) fn last_event(index: &Index) -> Result<u64, Fault> {
    index.last(layout::EVENTS)?.map_or(Ok(0), |key| layout::sequence_of(&key))
}

/// Up to `limit` events that happened before `before`, or before one that did, without the last one.
pub(super) fn aged(index: &Index, before: Timestamp, limit: usize) -> Result<Vec<Key>, Fault> {
    let last = last_event(index)?;
    let mut up_to = 0;
    for item in index.after(layout::AGES, b"").take(limit) {
        let (key, _) = item?;
        if layout::time_of(&key)? >= before {
            break;
        }
        up_to = up_to.max(layout::sequence_of(&key)?);
    }
    let (mut keys, mut beyond) = (Vec::new(), 0);
    for item in index.after(layout::EVENTS, layout::EVENTS) {
        let (key, value) = item?;
        let sequence = layout::sequence_of(&key)?;
        if sequence == last || keys.len() >= limit || beyond > 2 * layout::MARKED {
            break;
        }
        // Behind the last mark that is too old each is looked at: the next mark is at most so far away.
        if sequence > up_to {
            beyond += 1;
            match layout::row(&value)?.1 {
                Row::Event(event) if event.at < before => {}
                _ => continue,
            }
        }
        keys.push(Key::Event(sequence));
    }
    Ok(keys)
}

pub(super) fn access(index: &Index) -> Result<Vec<AccessRow>, Fault> {
    let names = index.after(layout::ACCESS, b"");
    let rows = names.map(|item| match index.pointed(Key::Access(layout::id_of(&item?.1)?))? {
        Row::Access(row) => Ok(row),
        _ => Err(Fault::damage("an API key's key holds another record")),
    });
    rows.collect()
}

pub(super) fn audit(index: &Index, after: u64, limit: usize) -> Result<Vec<AuditRow>, Fault> {
    let after = layout::row_key(Key::Audit(after));
    let rows = index.after(layout::AUDIT, &after).take(limit);
    let pages = rows.map(|item| match layout::row(&item?.1)?.1 {
        Row::Audit(row) => Ok(row),
        _ => Err(Fault::damage("the key of a page of the audit log holds another record")),
    });
    pages.collect()
}

/// The sequence of the last entry of the audit log, 0 before the first.
pub(super) fn last_audit(index: &Index) -> Result<u64, Fault> {
    index.last(layout::AUDIT)?.map_or(Ok(0), |key| layout::sequence_of(&key))
}

/// Up to `limit` pages of the audit log that end at or before a sequence, the oldest first, without the last one.
pub(super) fn audit_until(index: &Index, up_to: u64, limit: usize) -> Result<Vec<Key>, Fault> {
    let (mut keys, last) = (Vec::new(), last_audit(index)?);
    for item in index.after(layout::AUDIT, b"") {
        let sequence = layout::sequence_of(&item?.0)?;
        if keys.len() >= limit || sequence > up_to || sequence == last {
            break;
        }
        keys.push(Key::Audit(sequence));
    }
    Ok(keys)
}

/// Up to `limit` records after the one of a key, in the order of their keys here.
pub(super) fn walk(index: &Index, after: Option<Key>, limit: usize) -> Result<Vec<Row>, Fault> {
    let after = after.map(layout::row_key).unwrap_or_default();
    index.after(layout::ROWS, &after).take(limit).map(|item| Ok(layout::row(&item?.1)?.1)).collect()
}

fn application_of(index: &Index, id: Uuid) -> Result<ApplicationRow, Fault> {
    match index.pointed(Key::Application(id))? {
        Row::Application(row) => Ok(row),
        _ => Err(Fault::damage("an application's key holds another record")),
    }
}

fn connection_of(index: &Index, id: Uuid) -> Result<ConnectionRow, Fault> {
    match index.pointed(Key::Connection(id))? {
        Row::Connection(row) => Ok(row),
        _ => Err(Fault::damage("a connection's key holds another record")),
    }
}
