//! The keys and the store: what is done to all of it.

use crate::api::{BackupRequest, KeysDocument, RotateRequest};
use crate::server::answer::{Answer, Document, Json};
use crate::server::doors::asker::Asker;
use crate::server::lines::{Teller, lines};
use crate::server::routes::{Routes, get, post};
use crate::server::shared::Shared;
use crate::vault::{RotateOptions, RotationProgress};
use axum::extract::State;
use axum::response::Response;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/keys", get(keys))
        .route("/v1/keys/rotate", post(rotate))
        .route("/v1/store/backup", post(back_up))
}

async fn keys(asker: Asker) -> Answer<KeysDocument> {
    Ok(Json(KeysDocument { keys: asker.keys(), records: asker.key_counts().await? }))
}

/// Stops behind a batch when its caller hangs up (which is how a person interrupts it) and when the daemon ends; the same
/// request goes on with it.
async fn rotate(State(shared): State<Shared>, asker: Asker, Document(request): Document<RotateRequest>) -> Response {
    let (ended, connector) = (shared.clone(), asker.clone());
    lines(&shared, |teller: Teller<RotationProgress>| async move {
        let (told, mut news) = watch::channel(None);
        let left_alone = Arc::new(AtomicBool::new(false));
        let telling = tokio::spawn({
            let left_alone = Arc::clone(&left_alone);
            async move {
                // The newest is what counts; a slow reader holds nothing up.
                while news.changed().await.is_ok() {
                    let progress = *news.borrow_and_update();
                    if let Some(progress) = progress
                        && !teller.tell(progress).await
                    {
                        left_alone.store(true, Ordering::SeqCst);
                        return;
                    }
                }
            }
        });
        let mut each = |progress| {
            told.send_replace(Some(progress));
            match left_alone.load(Ordering::SeqCst) || ended.is_stopping() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let options = RotateOptions { batch: request.batch.max(1) };
        let rotated = connector.rotate_keys(&options, &mut each).await;
        drop(told);
        // Whatever was told comes before the result.
        let _ = telling.await;
        Ok(rotated?)
    })
}

async fn back_up(State(shared): State<Shared>, asker: Asker, Document(request): Document<BackupRequest>) -> Response {
    let connector = asker.clone();
    lines(&shared, |_: Teller<()>| async move { Ok(connector.back_up(&request.folder).await?) })
}
