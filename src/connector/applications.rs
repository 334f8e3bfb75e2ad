//! The application registry.

use super::{Connector, Error};
use crate::model::{Action, Application, ApplicationName, Profile, ProfileName, Secret, Target, new_id};
use crate::registry::{Draft, SecretSource};
use crate::store::{Change, Expect, Key};
use serde::{Deserialize, Serialize};

/// What applying an application came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum Applied {
    /// It is new.
    Created,
    /// It was there and changed.
    Updated,
    /// It was there and is the same.
    Unchanged,
}

impl Applied {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Connector {
    /// Makes an application of a draft, or edits the one of its name. Endpoints that it needs and does not say are read from
    /// its issuer's metadata. `secrets` fetches what the draft only points
    /// at (an environment variable, a file, standard input).
    pub async fn apply(
        &self,
        draft: Draft,
        secrets: &mut (dyn FnMut(&SecretSource) -> Result<Secret, String> + Send),
    ) -> Result<(Application, Applied), Error> {
        let target = Target::Application(draft.name.clone());
        let applied = Box::pin(self.apply_now(draft, secrets));
        let said =
            |applied: &Result<(_, Applied), _>| applied.as_ref().ok().map(|(_, applied)| applied.as_str().to_owned());
        self.audited_as(Action::ApplicationEdit, applied, |applied| (Some(target), said(applied))).await
    }

    async fn apply_now(
        &self,
        mut draft: Draft,
        secrets: &mut (dyn FnMut(&SecretSource) -> Result<Secret, String> + Send),
    ) -> Result<(Application, Applied), Error> {
        if let Some(issuer) = draft.discover_from().cloned() {
            let metadata = self.discover(&issuer).await?;
            draft.fill(&metadata.endpoints, metadata.iss_promised);
        }
        let before = self.vault.application(&draft.name).await?;
        let previous = before.as_ref().map(|stored| &stored.value);
        let id = previous.map_or_else(new_id, |previous| previous.id);
        let application = draft.resolve(id, self.clock.now(), secrets, previous)?;
        // Told now, and not to whoever asks for a token in the night.
        self.scripts().get(application.script.as_ref())?;
        if previous == Some(&application) {
            return Ok((application, Applied::Unchanged));
        }
        let read = before.as_ref().map(|stored| stored.version);
        let this = self.clone();
        self.to_its_end(async move {
            this.take_over(&application, read).await?;
            Ok((application, if read.is_some() { Applied::Updated } else { Applied::Created }))
        })
        .await
    }

    /// Writes an application in the place of what was read, and has its connections go on with it.
    async fn take_over(&self, application: &Application, read: Option<u64>) -> Result<(), Error> {
        let change = self.vault.put_application(application, read)?;
        if !self.committed(vec![change]).await? {
            return Err(Error::Changed(format!("the application {}", application.name)));
        }
        self.refresher.forget_all();
        Ok(self.refresher.wake(application).await?)
    }

    /// All applications, by name.
    pub async fn applications(&self) -> Result<Vec<Application>, Error> {
        Ok(self.vault.applications().await?.into_iter().map(|stored| stored.value).collect())
    }

    /// The application of a name.
    pub async fn application(&self, name: &ApplicationName) -> Result<Application, Error> {
        let stored = self.vault.application(name).await?;
        Ok(stored.ok_or_else(|| Error::NoApplication(name.to_string()))?.value)
    }

    /// Removes an application that no connection uses.
    pub async fn remove_application(&self, name: &ApplicationName) -> Result<(), Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            let target = Some(Target::Application(name.clone()));
            this.audited(Action::ApplicationRemove, target, this.remove_application_now(&name)).await
        })
        .await
    }

    async fn remove_application_now(&self, name: &ApplicationName) -> Result<(), Error> {
        let stored = self.vault.application(name).await?.ok_or_else(|| Error::NoApplication(name.to_string()))?;
        let connections = self.vault.connections(Some(name), None, 1).await?;
        if let Some(connection) = connections.first() {
            return Err(Error::InUse { application: name.clone(), connection: connection.value.name.clone() });
        }
        let change = Change::remove(Key::Application(stored.value.id), Expect::Version(stored.version));
        if !self.committed(vec![change]).await? {
            return Err(Error::Changed(format!("the application {name}")));
        }
        Ok(())
    }

    /// Sets or replaces a profile of an application.
    pub async fn put_profile(&self, name: &ApplicationName, profile: ProfileName, as_is: Profile) -> Result<(), Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            let target = Some(Target::Profile { application: name.clone(), profile: profile.clone() });
            let edited = this.edit_application(&name, |application| {
                application.profiles.insert(profile, as_is);
                Ok(())
            });
            this.audited(Action::ProfileEdit, target, edited).await
        })
        .await
    }

    /// Removes a profile. `default` stays, and so does one that a connection uses.
    pub async fn remove_profile(&self, name: &ApplicationName, profile: &ProfileName) -> Result<(), Error> {
        let (this, name, profile) = (self.clone(), name.clone(), profile.clone());
        self.to_its_end(async move {
            let target = Some(Target::Profile { application: name.clone(), profile: profile.clone() });
            this.audited(Action::ProfileRemove, target, this.remove_profile_now(&name, &profile)).await
        })
        .await
    }

    async fn remove_profile_now(&self, name: &ApplicationName, profile: &ProfileName) -> Result<(), Error> {
        if *profile == ProfileName::default() {
            return Err(Error::DefaultProfile(name.clone()));
        }
        for connection in self.connections(Some(name)).await? {
            if connection.profile == *profile {
                return Err(Error::InUse { application: name.clone(), connection: connection.name });
            }
        }
        self.edit_application(name, |application| {
            let missing = || Error::NoProfile { application: name.clone(), profile: profile.clone() };
            application.profiles.remove(profile).map(|_| ()).ok_or_else(missing)
        })
        .await
    }

    async fn edit_application(
        &self,
        name: &ApplicationName,
        edit: impl FnOnce(&mut Application) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut stored = self.vault.application(name).await?.ok_or_else(|| Error::NoApplication(name.to_string()))?;
        edit(&mut stored.value)?;
        // Whatever was changed is worth a try.
        stored.value.rejected = None;
        self.take_over(&stored.value, Some(stored.version)).await
    }
}
