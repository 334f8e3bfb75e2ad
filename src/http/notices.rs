//! Messages to somebody's endpoint: they carry no secret, and nothing of the answer but its status counts.

use super::client::{builder, trusting};
use super::{HttpError, Settings};
use crate::model::{WebhookUrl, is_of_the_link};
use http::{HeaderMap, Method, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

/// How long one message may take, from the first to the last byte, in seconds.
pub const LONGEST_TRY: u64 = 15;

/// Bytes of an answer that are read and thrown away, so that its connection serves the next message; a longer one costs it.
const READ_AWAY: usize = 4 * 1024;

/// Idle connections to one endpoint.
const KEPT_CONNECTIONS: usize = 2;

/// Sends messages. Follows no redirect, repeats nothing by itself, and connects to no address of the link. Clones share everything.
#[derive(Debug, Clone)]
pub struct Notices(reqwest::Client);

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`, as it came.
    pub retry_after: Option<String>,
}

/// Finds the addresses of a name, and gives them only when none is the link's own. As it is the one that connects, there is no second
/// look that could find others.
#[derive(Debug, Clone, Copy)]
struct NotOfTheLink;

/// The name leads to an address of the link.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address of the link itself, or of a cloud's metadata")]
struct Leads;

impl Notices {
    /// A client of these settings. Where a proxy is set, https goes through it, and it looks names up: only addresses that are written
    /// out are judged here then.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        let client = trusting(settings, || {
            let builder = builder(settings)?
                .timeout(Duration::from_secs(LONGEST_TRY))
                .connect_timeout(Duration::from_secs(settings.connect_timeout.get().min(LONGEST_TRY * 2 / 3)))
                .pool_max_idle_per_host(KEPT_CONNECTIONS);
            Ok(if settings.proxy.is_some() { builder } else { builder.dns_resolver(NotOfTheLink) })
        })?;
        Ok(Self(client))
    }

    /// Posts a JSON document. Whatever the status is, that is an answer.
    ///
    /// # Errors
    /// When there was none.
    pub async fn post(&self, url: &WebhookUrl, headers: HeaderMap, body: Vec<u8>) -> Result<Told, HttpError> {
        let host = url.authority();
        let mut request = reqwest::Request::new(Method::POST, url.url().clone());
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.into());
        let mut answer = self.0.execute(request).await.map_err(|error| of(error, &host))?;
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let told = Told { status: answer.status().as_u16(), retry_after: retry_after.map(str::to_owned) };
        let mut read = 0;
        // The message was answered; what becomes of the rest changes nothing.
        while let Ok(Some(piece)) = answer.chunk().await {
            read += piece.len();
            if read > READ_AWAY {
                break;
            }
        }
        Ok(told)
    }
}

fn of(error: reqwest::Error, host: &str) -> HttpError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<Leads>() {
            return HttpError::OfTheLink(host.to_owned());
        }
        cause = inner.source();
    }
    HttpError::of(error, host)
}

impl Resolve for NotOfTheLink {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            given(found)
        })
    }
}

/// All of the addresses, or none: of a name that leads to several places, which one is taken is chance.
fn given(found: Vec<SocketAddr>) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
    match found.iter().any(|address| is_of_the_link(address.ip())) {
        true => Err(Box::new(Leads)),
        false => Ok(Box::new(found.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_to_an_address_of_the_link_is_not_given_whatever_else_it_leads_to() {
        let addresses =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        for bad in [
            &["169.254.169.254:0"][..],
            &["192.0.2.7:0", "169.254.0.1:0"],
            &["[2001:db8::1]:0", "[fe80::1]:0"],
            &["[::ffff:169.254.169.254]:0"],
            &["0.0.0.0:0"],
        ] {
            let refused = given(addresses(bad)).err().unwrap();
            assert!(refused.is::<Leads>(), "{bad:?}");
        }
        assert_eq!(given(addresses(&["10.0.0.1:0", "127.0.0.1:0"])).unwrap().count(), 2);
    }

    /// The refusal comes through the client as what it is: with a resolver that finds such an address for every name.
    #[tokio::test]
    async fn a_message_to_a_name_that_leads_to_the_link_is_not_sent() {
        struct Metadata;
        impl Resolve for Metadata {
            fn resolve(&self, _: Name) -> Resolving {
                Box::pin(async { given(vec![SocketAddr::from(([169, 254, 169, 254], 0))]) })
            }
        }
        let client = builder(&Settings::default()).unwrap().dns_resolver(Metadata).build().unwrap();
        let url = "https://hooks.example.com/".parse().unwrap();
        let refused = Notices(client).post(&url, HeaderMap::new(), b"{}".to_vec()).await.unwrap_err();
        assert_eq!(refused, HttpError::OfTheLink("hooks.example.com".to_owned()));
    }
}
