//! Where an issuer's endpoints are: its metadata (RFC 8414, OpenID Connect Discovery 1.0).

use super::callback::same_issuer;
use super::{Params, RawReply, Value, read_reply};
use crate::model::{Endpoint, Endpoints, quoted};
use url::Url;

/// What an issuer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its endpoints; those that are neither https nor on this machine are refused.
    pub endpoints: Endpoints,
    /// Whether its callbacks carry `iss` (RFC 9207 section 3).
    pub iss_promised: bool,
    /// How clients may authenticate at its token endpoint; empty when it does not say.
    pub client_authentication: Vec<String>,
    /// The scopes it names.
    pub scopes: Vec<String>,
}

/// Why metadata is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// No document at either address.
    #[error("{issuer} publishes no metadata: {reason}; write the endpoints into the application's file")]
    NotFound {
        /// Who was asked.
        issuer: String,
        /// What came instead.
        reason: String,
    },
    /// The document names another issuer (RFC 8414 section 3.3).
    #[error("the metadata of {asked} names another issuer, {named:?}; take the issuer exactly as the provider writes it")]
    OtherIssuer {
        /// Who was asked.
        asked: String,
        /// Who answered.
        named: String,
    },
    /// An endpoint in it is not one.
    #[error("the metadata of {issuer} is not usable: {key}: {reason}")]
    Endpoint {
        /// Who was asked.
        issuer: String,
        /// The member.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where to look, in order: RFC 8414 puts the well-known part before the issuer's path (section 3.1), OpenID Connect
/// behind it (section 4).
#[must_use]
pub fn metadata_urls(issuer: &Endpoint) -> [Url; 2] {
    let path = issuer.url().path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = issuer.url().clone();
        url.set_query(None);
        url.set_path(&path);
        url
    };
    [at(format!("/.well-known/oauth-authorization-server{path}")), at(format!("{path}/.well-known/openid-configuration"))]
}

/// Reads a metadata document of `issuer`.
///
/// # Errors
/// When it is no such document, names another issuer, or an endpoint in it is not https.
pub fn read_metadata(issuer: &Endpoint, reply: &RawReply) -> Result<Metadata, DiscoveryError> {
    let asked = issuer.as_str().to_owned();
    let missing = |reason: String| DiscoveryError::NotFound { issuer: asked.clone(), reason };
    if reply.status != 200 {
        return Err(missing(format!("it answered with status {}", reply.status)));
    }
    let params = read_reply(reply).map_err(|unreadable| missing(unreadable.to_string()))?;
    let named = params.text("issuer").unwrap_or_default();
    if !same_issuer(named, &asked) {
        return Err(DiscoveryError::OtherIssuer { asked, named: quoted(named) });
    }
    let endpoint = |key: &'static str| -> Result<Option<Endpoint>, DiscoveryError> {
        params
            .text(key)
            .map(|text| {
                let wrong = |error: crate::model::EndpointError| DiscoveryError::Endpoint {
                    issuer: asked.clone(),
                    key,
                    reason: quoted(&error.to_string()),
                };
                text.parse().map_err(wrong)
            })
            .transpose()
    };
    Ok(Metadata {
        endpoints: Endpoints {
            issuer: Some(issuer.clone()),
            authorization: endpoint("authorization_endpoint")?,
            token: endpoint("token_endpoint")?,
            refresh: None,
            revocation: endpoint("revocation_endpoint")?,
            introspection: endpoint("introspection_endpoint")?,
            device_authorization: endpoint("device_authorization_endpoint")?,
            userinfo: endpoint("userinfo_endpoint")?,
        },
        iss_promised: params.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        client_authentication: texts(&params, "token_endpoint_auth_methods_supported"),
        scopes: texts(&params, "scopes_supported"),
    })
}

fn texts(params: &Params, name: &str) -> Vec<String> {
    let list = params.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(quoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn read(body: &str) -> Result<Metadata, DiscoveryError> {
        let issuer: Endpoint = "https://a.example/tenant".parse().unwrap();
        let body = Zeroizing::new(body.as_bytes().to_vec());
        read_metadata(&issuer, &RawReply { status: 200, headers: Vec::new(), body })
    }

    #[test]
    fn both_addresses_are_those_of_their_documents() {
        let [rfc8414, openid] = metadata_urls(&"https://a.example/tenant".parse().unwrap());
        assert_eq!(rfc8414.as_str(), "https://a.example/.well-known/oauth-authorization-server/tenant");
        assert_eq!(openid.as_str(), "https://a.example/tenant/.well-known/openid-configuration");
        let [bare, _] = metadata_urls(&"https://a.example".parse().unwrap());
        assert_eq!(bare.as_str(), "https://a.example/.well-known/oauth-authorization-server");
    }

    #[test]
    fn endpoints_and_promises_are_read() {
        let metadata = read(
            r#"{"issuer":"https://a.example/tenant","token_endpoint":"https://a.example/t",
                "authorization_response_iss_parameter_supported":true}"#,
        );
        let metadata = metadata.unwrap();
        assert_eq!(metadata.endpoints.token.unwrap().as_str(), "https://a.example/t");
        assert!(metadata.iss_promised);
    }

    #[test]
    fn another_issuer_and_an_http_endpoint_are_refused() {
        let other = read(r#"{"issuer":"https://b.example"}"#);
        assert!(matches!(other, Err(DiscoveryError::OtherIssuer { .. })));
        let plain = read(r#"{"issuer":"https://a.example/tenant","token_endpoint":"http://a.example/t"}"#);
        assert!(matches!(plain, Err(DiscoveryError::Endpoint { key: "token_endpoint", .. })));
    }
}
