//! The connections.

use super::revoke::said;
use super::{Connector, Error, Revocation};
use crate::model::{Action, ApplicationName, Connection, ConnectionName, Labels, Target, Timestamp};
use std::collections::BTreeMap;

/// Rows that are read at once.
const PAGE: usize = 500;

/// How much there is to keep fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Connections, their further tokens counted too.
    pub connections: usize,
    /// When one is due to be looked at next.
    pub next_due: Option<Timestamp>,
}

impl Connector {
    /// How many connections there are, and when the next is due. Counting reads every row, and opens none.
    pub async fn standing(&self) -> Result<Standing, Error> {
        let (mut connections, mut after) = (0, None);
        loop {
            let page = self.store.connections(None, after.as_ref(), PAGE).await?;
            connections += page.len();
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.name),
                None => return Ok(Standing { connections, next_due: self.next_due().await? }),
            }
        }
    }

    /// When a connection is due to be looked at next.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.store.next_due().await?)
    }

    /// All connections by name, of one application where it is named.
    pub async fn connections(&self, application: Option<&ApplicationName>) -> Result<Vec<Connection>, Error> {
        let mut all: Vec<Connection> = Vec::new();
        loop {
            let after = all.last().map(|connection| connection.name.clone());
            let page = self.vault.connections(application, after.as_ref(), PAGE).await?;
            let last = page.len() < PAGE;
            all.extend(page.into_iter().map(|stored| stored.value));
            if last {
                return Ok(all);
            }
        }
    }

    /// Of up to `limit` connections by name, after one where it is named and of one application where that is named, those whose names are wanted; and
    /// where the next page begins, where there is one. Opens no other.
    pub async fn connections_that(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&ConnectionName>,
        limit: usize,
        wanted: impl Fn(&ConnectionName) -> bool,
    ) -> Result<(Vec<Connection>, Option<ConnectionName>), Error> {
        let (page, next) = self.vault.connections_that(application, after, limit, wanted).await?;
        Ok((page.into_iter().map(|stored| stored.value).collect(), next))
    }

    /// Up to `limit` connections by name, each with the word of its state; after one where it is named. Opens none.
    pub async fn states_after(
        &self,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Result<Vec<(ConnectionName, String)>, Error> {
        let rows = self.store.connections(None, after, limit).await?;
        Ok(rows.into_iter().map(|row| (row.name, row.state)).collect())
    }

    /// The connection of a name.
    pub async fn connection(&self, name: &ConnectionName) -> Result<Connection, Error> {
        Ok(self.stored(name).await?.value)
    }

    /// Sets a connection's labels, all of them.
    pub async fn set_labels(&self, name: &ConnectionName, labels: Labels) -> Result<(), Error> {
        let names = labels.keys().cloned().collect();
        self.relabel(name, names, move |held| held.clone_from(&labels)).await.map(|_| ())
    }

    /// Edits those labels of a connection that are named, and no others; `None` removes one. Returns all that it has then.
    pub async fn edit_labels(
        &self,
        name: &ConnectionName,
        edits: BTreeMap<String, Option<String>>,
    ) -> Result<Labels, Error> {
        let names = edits.keys().cloned().collect();
        let edit = move |held: &mut Labels| {
            for (key, value) in edits.clone() {
                match value {
                    Some(value) => drop(held.insert(key, value)),
                    None => drop(held.remove(&key)),
                }
            }
        };
        self.relabel(name, names, edit).await
    }

    async fn relabel(
        &self,
        name: &ConnectionName,
        names: Vec<String>,
        edit: impl Fn(&mut Labels) + Send + 'static,
    ) -> Result<Labels, Error> {
        let said = Some(names.join(" ")).filter(|names| !names.is_empty());
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            let edited = this.relabel_now(&name, edit);
            this.audited_as(Action::LabelsEdit, edited, |_| (Target::of(&name), said)).await
        })
        .await
    }

    async fn relabel_now(&self, name: &ConnectionName, edit: impl Fn(&mut Labels)) -> Result<Labels, Error> {
        const MOST_TRIES: usize = 10;
        // A refresh may write the connection at the same moment.
        for _ in 0..MOST_TRIES {
            let mut stored = self.stored(name).await?;
            edit(&mut stored.value.labels);
            let change = self.vault.put_connection(&stored.value, Some(stored.version))?;
            if self.committed(vec![change]).await? {
                return Ok(stored.value.labels);
            }
        }
        Err(Error::Changed(format!("the connection {name}")))
    }

    /// Revokes a connection and removes every record of it. It is removed whatever the provider answered.
    pub async fn remove_connection(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            let removed = Box::pin(this.remove_connection_now(&name));
            this.audited_as(Action::ConnectionRemove, removed, |removed| (Target::of(&name), said(removed))).await
        })
        .await
    }

    async fn remove_connection_now(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        let revocation = self.revoke_whole(name).await?;
        let stored = self.stored(name).await?;
        for further in stored.value.further() {
            match self.remove_records(&further).await {
                Ok(()) | Err(Error::NoConnection(_)) => {}
                Err(other) => return Err(other),
            }
        }
        self.remove_records(name).await?;
        Ok(revocation)
    }

    async fn remove_records(&self, name: &ConnectionName) -> Result<(), Error> {
        let stored = self.stored(name).await?;
        let changes = self.vault.removal(&stored).await?;
        if !self.committed(changes).await? {
            return Err(Error::Changed(format!("the connection {name}")));
        }
        self.refresher.forget(name);
        Ok(())
    }
}
