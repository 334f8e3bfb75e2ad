//! Lists in pages: as many as were asked for, and where the next ones are (RFC 8288).

use crate::model::{ApplicationName, Connection, ConnectionName};
use crate::server::answer::{Json, Refusal};
use crate::server::doors::asker::Asker;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// The longest page.
const MOST: usize = 1000;
/// Connections that are read at once.
const READ: usize = 500;

/// A page of connections: those that are wanted and that the asker may see.
pub(in crate::server) struct Page {
    pub(in crate::server) connections: Vec<Connection>,
    /// After which the next page begins.
    pub(in crate::server) next: Option<ConnectionName>,
}

/// Reads connections by name until there are as many as were asked for, all where nobody said how many.
pub(in crate::server) async fn read(
    asker: &Asker,
    application: Option<&ApplicationName>,
    (limit, mut after): (Option<usize>, Option<ConnectionName>),
    wanted: impl Fn(&Connection) -> bool,
) -> Result<Page, Refusal> {
    if let Some(limit) = limit.filter(|limit| !(1..=MOST).contains(limit)) {
        return Err(Refusal::bad(format!(
            "limit must be 1 to {MOST}, and is {limit}; the Link header has the next page"
        )));
    }
    // A name that is not there is a mistake, not an empty list.
    if let Some(application) = application {
        asker.application(application).await?;
    }
    let mut connections = Vec::new();
    if !asker.may_see_some() {
        return Ok(Page { connections, next: None });
    }
    loop {
        let may = |name: &ConnectionName| asker.manages(name);
        let (page, behind) = asker.connections_that(application, after.as_ref(), READ, may).await?;
        for connection in page {
            if !wanted(&connection) {
                continue;
            }
            if limit == Some(connections.len()) {
                let next = connections.last().map(|last: &Connection| last.name.clone());
                return Ok(Page { connections, next });
            }
            connections.push(connection);
        }
        if behind.is_none() {
            return Ok(Page { connections, next: None });
        }
        after = behind;
    }
}

/// An answer that says where the next page is.
pub(in crate::server) fn paged<Q: Serialize>(path: &str, documents: &impl Serialize, next: Option<Q>) -> Response {
    let mut response = Json(documents).into_response();
    let link = next.and_then(|query| serde_urlencoded::to_string(query).ok());
    let link = link.and_then(|query| HeaderValue::from_str(&format!("<{path}?{query}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
