//! The style sheet, the script and the mark: embedded, and served under names that change with what is in them.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// A file that the pages load.
pub(super) struct Asset {
    /// Its path, which no other content ever has.
    pub(super) path: String,
    media_type: &'static str,
    text: &'static str,
}

/// What all pages look like.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("look/style.css")));
/// What keeps pages up to date.
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("script", "js", "text/javascript; charset=utf-8", include_str!("look/script.js")));
/// The mark in a browser's tab.
pub(super) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("look/mark.svg")));

impl Asset {
    fn new(name: &str, end: &str, media_type: &'static str, text: &'static str) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("/assets/{name}.{hash}.{end}"), media_type, text }
    }
}

/// Gives a file. It needs no session: there is nothing in it.
pub(super) async fn give(Path(name): Path<String>) -> Response {
    let wanted = format!("/assets/{name}");
    match [&*STYLE, &*SCRIPT, &*MARK].into_iter().find(|asset| asset.path == wanted) {
        // The name tells what is in it, so it may be kept for good.
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.media_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "There is no such file. Reload the page that asked for it.").into_response(),
    }
}
