//! The keys that the store is sealed with, and a new one in their place.

use super::{Connector, Error};
use crate::model::{Action, counted};
use crate::seal::{KeyId, KeyInfo};
use crate::vault::{RotateOptions, Rotated, RotationProgress};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

impl Connector {
    /// The keys of the keyring, without their secrets.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        self.vault.keyring().keys()
    }

    /// How many records name each key; reads the whole store.
    pub async fn key_counts(&self) -> Result<BTreeMap<KeyId, u64>, Error> {
        Ok(self.vault.key_counts(RotateOptions::default().batch).await?)
    }

    /// Makes a new key, seals everything under it while everything else goes on, and lets the old key go when nothing names
    /// it; or goes on with a rotation that was stopped or killed. `each` is told after each batch; where it says
    /// [`ControlFlow::Break`] the rotation stops, and the same call goes on later.
    pub async fn rotate_keys(
        &self,
        options: &RotateOptions,
        each: &mut (dyn FnMut(RotationProgress) -> ControlFlow<()> + Send),
    ) -> Result<Rotated, Error> {
        let rotated = async { Ok(self.vault.rotate(self.key_file.as_deref(), self.clock.now(), options, each).await?) };
        let said = |rotated: &Result<Rotated, Error>| {
            let rotated = rotated.as_ref().ok()?;
            let end = if rotated.stopped { ", stopped before its end" } else { "" };
            Some(format!("{} sealed anew under {}{end}", counted(rotated.sealed, "record", "records"), rotated.key))
        };
        self.audited_as(Action::KeysRotate, Box::pin(rotated), |rotated| (None, said(rotated))).await
    }
}
