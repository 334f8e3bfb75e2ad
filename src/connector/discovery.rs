//! Asking an issuer where its endpoints are.

use super::{Connector, Error};
use crate::http::{HttpClient, HttpError};
use crate::model::Endpoint;
use crate::oauth::{Metadata, metadata_urls, parse_metadata, read_reply};
use zeroize::Zeroizing;

impl Connector {
    /// Reads an issuer's metadata, at the address of RFC 8414 and then at OpenID Connect's. Only the issuer's own host
    /// is asked, without credentials, and a redirect is not followed.
    pub async fn discover(&self, issuer: &Endpoint) -> Result<Metadata, Error> {
        discovered(self.exchanges.http(), issuer).await
    }

    /// The same for an issuer that somebody typed into a page: an address of this machine or of a private network is not asked,
    /// also when a name leads to it.
    pub async fn discover_publicly(&self, issuer: &Endpoint) -> Result<Metadata, Error> {
        discovered(&HttpClient::of_the_public(&self.settings.http, issuer.url())?, issuer).await
    }
}

async fn discovered(http: &HttpClient, issuer: &Endpoint) -> Result<Metadata, Error> {
    let mut status = 0;
    for url in metadata_urls(issuer) {
        let request = http::Request::get(url.as_str()).header("accept", "application/json");
        let request = request.body(Zeroizing::default()).map_err(|_| HttpError::BadRequest)?;
        let own =
            |url: &url::Url| Endpoint::try_from(url.clone()).is_ok_and(|asked| asked.authority() == issuer.authority());
        let reply = http.send(request, own).await?;
        status = reply.status;
        if let (200, Ok(document)) = (reply.status, read_reply(&reply)) {
            return Ok(parse_metadata(&document, issuer)?);
        }
    }
    Err(Error::NoMetadata { issuer: issuer.clone(), status })
}
