//! The keys and the store.

use super::Desk;
use crate::api::{BackupRequest, KeysDocument, RotateRequest, SignInDocument};
use crate::cli::error::Error;
use crate::store::Backup;
use crate::vault::{RotateOptions, Rotated, RotationProgress};
use reqwest::Method;
use serde_json::json;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

impl Desk {
    /// A link that signs a browser in at the daemon's pages.
    pub(in crate::cli) async fn sign_in_link(&self) -> Result<SignInDocument, Error> {
        match self {
            Self::Here(_) => Err(Error::Missing(
                "the pages are the daemon's, and none runs here; start it with `grantkeeper serve`".to_owned(),
            )),
            Self::There(client) => client.send(Method::POST, "/sign-in-link", &json!({})).await,
        }
    }

    pub(in crate::cli) async fn keys(&self) -> Result<KeysDocument, Error> {
        match self {
            Self::Here(connector) => {
                Ok(KeysDocument { keys: connector.keys(), records: connector.key_counts().await? })
            }
            Self::There(client) => client.get("/keys").await,
        }
    }

    /// Rotates the keys until that is done or `stop` ends. Nothing where it stopped and nobody is left to say how far it was: the
    /// daemon stops when it is hung up on.
    pub(in crate::cli) async fn rotate_keys(
        &self,
        options: &RotateOptions,
        stop: impl Future<Output = ()>,
        show: &(dyn Fn(RotationProgress) + Send + Sync),
    ) -> Result<Option<Rotated>, Error> {
        match self {
            Self::Here(connector) => {
                let stopped = AtomicBool::new(false);
                let mut each = |progress| {
                    show(progress);
                    if stopped.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                let mut rotating = pin!(connector.rotate_keys(options, &mut each));
                tokio::select! {
                    rotated = &mut rotating => return Ok(Some(rotated?)),
                    () = stop => stopped.store(true, Ordering::SeqCst),
                }
                Ok(Some(rotating.await?))
            }
            Self::There(client) => {
                let request = RotateRequest { batch: options.batch };
                let rotating = client.long("/keys/rotate", &request, show);
                tokio::select! {
                    rotated = rotating => Ok(Some(rotated?)),
                    () = stop => Ok(None),
                }
            }
        }
    }

    pub(in crate::cli) async fn back_up(&self, folder: &Path) -> Result<Backup, Error> {
        match self {
            Self::Here(connector) => Ok(connector.back_up(folder).await?),
            Self::There(client) => {
                let request = BackupRequest { folder: folder.to_owned() };
                client.long("/store/backup", &request, |(): ()| {}).await
            }
        }
    }
}
