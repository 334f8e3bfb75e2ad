//! Asking an issuer where its endpoints are.

use super::{Connector, Error};
use crate::model::Endpoint;
use crate::oauth::{DiscoveryError, Metadata, metadata_urls, read_metadata};

impl Connector {
    /// Reads an issuer's metadata, at the address of RFC 8414 and then at OpenID Connect's. Only the issuer's own host
    /// is asked, without credentials, and a redirect is not followed.
    pub async fn discover(&self, issuer: &Endpoint) -> Result<Metadata, Error> {
        let mut first = None;
        for url in metadata_urls(issuer) {
            let request = http::Request::get(url.as_str()).header("accept", "application/json").body(Vec::new());
            let request = request.map_err(|_| crate::http::HttpError::BadRequest)?;
            let reply = self.exchanges.http().send(request, |url| {
                Endpoint::try_from(url.clone()).is_ok_and(|asked| asked.authority() == issuer.authority())
            });
            match read_metadata(issuer, &reply.await?) {
                Ok(metadata) => return Ok(metadata),
                Err(error @ DiscoveryError::NotFound { .. }) => first = first.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        let nothing = || DiscoveryError::NotFound { issuer: issuer.to_string(), reason: "nothing was asked".to_owned() };
        Err(first.unwrap_or_else(nothing).into())
    }
}
