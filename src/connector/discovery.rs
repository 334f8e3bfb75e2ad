//! Asking an issuer where its endpoints are.

use super::{Connector, Error};
use crate::http::HttpError;
use crate::model::Endpoint;
use crate::oauth::{Metadata, metadata_urls, parse_metadata, read_reply};
use zeroize::Zeroizing;

impl Connector {
    /// Reads an issuer's metadata, at the address of RFC 8414 and then at OpenID Connect's. Only the issuer's own host
    /// is asked, without credentials, and a redirect is not followed.
    pub async fn discover(&self, issuer: &Endpoint) -> Result<Metadata, Error> {
        let mut status = 0;
        for url in metadata_urls(issuer) {
            let request = http::Request::get(url.as_str()).header("accept", "application/json");
            let request = request.body(Zeroizing::default()).map_err(|_| HttpError::BadRequest)?;
            let own = |url: &url::Url| {
                Endpoint::try_from(url.clone()).is_ok_and(|asked| asked.authority() == issuer.authority())
            };
            let reply = self.exchanges.http().send(request, own).await?;
            status = reply.status;
            if let (200, Ok(document)) = (reply.status, read_reply(&reply)) {
                return Ok(parse_metadata(&document, issuer)?);
            }
        }
        Err(Error::NoMetadata { issuer: issuer.clone(), status })
    }
}
