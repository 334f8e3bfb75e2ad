//! Grants move in. Many at a time: they are planned one by one, each against what the store holds, and committed together.

use super::Grant;
use super::plan::{Adoption, Plan};
use crate::connector::{Connector, Error};
use crate::model::{Action, Application, ApplicationName, Target};
use crate::refresh::Want;
use crate::store::Change;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// How grants are taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportOptions {
    /// Take a grant also where there is a connection of its name with another one, which ends here.
    pub replace: bool,
    /// Prove each grant by a refresh now.
    pub refresh: bool,
    /// Say what would happen, and write nothing.
    pub dry_run: bool,
    /// The time over which first refreshes are spread, of grants that need one.
    pub spread: Duration,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { replace: false, refresh: false, dry_run: false, spread: SPREAD }
    }
}

/// A day: 100,000 grants are then about one request a second.
const SPREAD: Duration = Duration::from_secs(86_400);

/// What became of a grant, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is here now, sealed and durable.
    Adopted,
    /// It is here now, in place of another one.
    Replaced,
    /// It was here before, with the same token.
    Already,
    /// It is here, and its first refresh failed: why.
    Unproven(String),
    /// There is no such application.
    NoApplication,
    /// It was not taken: why.
    Refused(String),
}

impl Outcome {
    /// Whether the import brought it.
    fn is_here_now(&self) -> bool {
        matches!(self, Self::Adopted | Self::Replaced | Self::Unproven(_))
    }

    /// Why the grant is not here or not proven. It never holds a token.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Adopted | Self::Replaced | Self::Already => None,
            Self::NoApplication => {
                Some("there is no application of that name; make it first (`grantkeeper app add` or `app apply`)")
            }
            Self::Unproven(reason) | Self::Refused(reason) => Some(reason),
        }
    }
}

/// Grants in one commit, at the most.
const MOST_TOGETHER: usize = 256;
/// Bytes of one commit, about: a quarter of what a store takes in one.
const MOST_BYTES: usize = 4 << 20;
const TOO_LARGE: &str = "its tokens and what is known of them are larger than 4 MiB together; no provider's are";

impl Connector {
    /// Takes grants over, and says of each what became of it, in their order. What is said to be adopted is durable. Called
    /// again with the same grants, it finds them here. Without [`ImportOptions::refresh`] nothing is sent to any provider.
    ///
    /// # Errors
    /// When the store or the keys fail; what was committed before is there, and a second call goes on.
    pub async fn import(&self, grants: Vec<Grant>, options: &ImportOptions) -> Result<Vec<Outcome>, Error> {
        let (this, options) = (self.clone(), options.clone());
        let dry_run = options.dry_run;
        let imported = self.to_its_end(async move { Box::pin(this.import_now(grants, &options)).await }).await;
        // What is here now was written down with its commit; what changes nothing is nothing to write down.
        let is_told = imported.as_ref().is_ok_and(|outcomes| outcomes.iter().any(Outcome::is_here_now));
        if dry_run || is_told {
            return imported;
        }
        self.audited(Action::Import, None, async { imported }).await
    }

    async fn import_now(&self, grants: Vec<Grant>, options: &ImportOptions) -> Result<Vec<Outcome>, Error> {
        let applications = self.applications_of(&grants).await?;
        let mut outcomes = vec![Outcome::Already; grants.len()];
        let mut unproven = Vec::new();
        let mut waiting = Waiting::default();
        for (at, grant) in grants.iter().enumerate() {
            let Some(application) = applications.get(grant.name.application()) else {
                outcomes[at] = Outcome::NoApplication;
                continue;
            };
            match self.planned(grant, application, options).await? {
                Plan::Refused(reason) => outcomes[at] = Outcome::Refused(reason),
                Plan::Already { refreshes_from } => unproven.extend(refreshes_from.map(|from| (at, from))),
                Plan::Adopt(adoption) => {
                    let weight = adoption.changes.iter().map(Change::weight).sum::<usize>();
                    if weight > MOST_BYTES {
                        outcomes[at] = Outcome::Refused(TOO_LARGE.to_owned());
                        continue;
                    }
                    if waiting.adoptions.len() >= MOST_TOGETHER || waiting.bytes + weight > MOST_BYTES {
                        let batch = std::mem::take(&mut waiting);
                        self.take(batch, &grants, &applications, options, &mut outcomes, &mut unproven).await?;
                    }
                    waiting.bytes += weight;
                    waiting.adoptions.push((at, *adoption));
                }
            }
        }
        self.take(waiting, &grants, &applications, options, &mut outcomes, &mut unproven).await?;
        if options.refresh && !options.dry_run {
            self.prove(&grants, unproven, &mut outcomes).await;
        }
        Ok(outcomes)
    }

    async fn applications_of(&self, grants: &[Grant]) -> Result<HashMap<ApplicationName, Application>, Error> {
        let mut applications = HashMap::new();
        for name in grants.iter().map(|grant| grant.name.application()) {
            if !applications.contains_key(name)
                && let Some(stored) = self.vault.application(name).await?
            {
                applications.insert(name.clone(), stored.value);
            }
        }
        Ok(applications)
    }

    /// Commits what waits. Where somebody else changed one of the records meanwhile, each is planned again by itself.
    async fn take(
        &self,
        mut waiting: Waiting,
        grants: &[Grant],
        applications: &HashMap<ApplicationName, Application>,
        options: &ImportOptions,
        outcomes: &mut [Outcome],
        unproven: &mut Vec<(usize, u64)>,
    ) -> Result<(), Error> {
        let each = waiting.adoptions.iter_mut();
        let all: Vec<Change> = each.flat_map(|(_, adoption)| std::mem::take(&mut adoption.changes)).collect();
        let names = || waiting.adoptions.iter().map(|(at, _)| &grants[*at].name);
        let together = options.dry_run || all.is_empty() || self.committed_each(Action::Import, names(), all).await?;
        for (at, mut adoption) in waiting.adoptions {
            if !together {
                let grant = &grants[at];
                let Some(application) = applications.get(grant.name.application()) else { continue };
                adoption = match self.planned(grant, application, options).await? {
                    Plan::Adopt(adoption) => *adoption,
                    Plan::Already { .. } => continue,
                    Plan::Refused(reason) => {
                        outcomes[at] = Outcome::Refused(reason);
                        continue;
                    }
                };
                let changes = std::mem::take(&mut adoption.changes);
                if !self.committed_each(Action::Import, std::iter::once(&grant.name), changes).await? {
                    let reason = "its connection was changed by somebody else at the same moment; run the import again";
                    outcomes[at] = Outcome::Refused(reason.to_owned());
                    continue;
                }
            }
            outcomes[at] = if adoption.replaces { Outcome::Replaced } else { Outcome::Adopted };
            if !options.dry_run {
                adoption.names.iter().for_each(|name| self.refresher.forget(name));
            }
            unproven.extend(adoption.refreshes_from.map(|from| (at, from)));
        }
        Ok(())
    }

    /// Refreshes grants, so many at once as the background job does.
    async fn prove(&self, grants: &[Grant], unproven: Vec<(usize, u64)>, outcomes: &mut [Outcome]) {
        let mut under_way = JoinSet::new();
        let mut settle = |ended: Option<Result<(usize, Option<String>), tokio::task::JoinError>>| {
            if let Some(Ok((at, Some(reason)))) = ended {
                outcomes[at] = Outcome::Unproven(reason);
            }
        };
        for (at, generation) in unproven {
            if under_way.len() >= self.refresher.settings().at_once.max(1) {
                settle(under_way.join_next().await);
            }
            let (this, name) = (self.clone(), grants[at].name.clone());
            under_way.spawn(async move {
                let refreshed = async { Ok(this.refresher.token(&name, Want::NewerThan(generation)).await?) };
                let proven = this.audited(Action::Refresh, Target::of(&name), refreshed).await;
                (at, proven.err().map(|error| error.to_string()))
            });
        }
        while let Some(ended) = under_way.join_next().await {
            settle(Some(ended));
        }
    }
}

/// Adoptions that wait for their commit.
#[derive(Default)]
struct Waiting {
    adoptions: Vec<(usize, Adoption)>,
    bytes: usize,
}
