//! From a request to bytes, with the client's authentication applied last: no hook ever sees the credentials.

use super::assertion::{client_assertion, secret_assertion};
use super::{BodyFormat, TokenRequest, with_query};
use crate::model::{BasicEncoding, ClientAuthentication, Secret, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use zeroize::Zeroizing;

/// `client_assertion_type` of RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Our client, as the provider knows it.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The client secret; a public client has none.
    pub client_secret: Option<&'a Secret>,
    /// The PEM of the key that signs assertions.
    pub private_key: Option<&'a Secret>,
    /// What assertions name as their audience: the issuer, or the endpoint where no issuer is known.
    pub audience: &'a str,
    /// When the request is made.
    pub now: Timestamp,
}

/// Why a request could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The way of authentication needs a secret that the application does not have.
    #[error("the application authenticates with {0} and has no client secret; set client_secret in its file")]
    NoSecret(&'static str),
    /// It needs a private key.
    #[error("the application authenticates with private_key_jwt and has no private key; set secrets.private_key in its file")]
    NoPrivateKey,
    /// The key cannot sign.
    #[error("the private key cannot be used; it must be an EC (P-256, P-384), RSA or Ed25519 key in PEM (PKCS #8)")]
    Key,
    /// A header or its value is not allowed.
    #[error("the header {0:?} cannot be sent: its name or value holds characters that headers may not hold")]
    Header(String),
    /// The endpoint is not a URL that HTTP can carry.
    #[error("the endpoint cannot be written as an HTTP request")]
    Endpoint,
}

/// Writes a request as HTTP, with the client's authentication.
///
/// # Errors
/// When the application lacks the secret that its authentication needs, or a header is not allowed.
pub fn encode(request: &TokenRequest, client: &Client<'_>) -> Result<http::Request<Vec<u8>>, EncodeError> {
    let mut params = request.params.clone();
    let mut authorization = None;
    let secret = |how| client.client_secret.filter(|secret| !secret.is_empty()).ok_or(EncodeError::NoSecret(how));
    match request.client_authentication {
        ClientAuthentication::Basic => {
            authorization = Some(basic(client.client_id, secret("basic")?, BasicEncoding::Form));
        }
        ClientAuthentication::BasicRaw => {
            authorization = Some(basic(client.client_id, secret("basic_raw")?, BasicEncoding::Raw));
        }
        ClientAuthentication::Post => {
            if !params.contains("client_id") {
                params.put("client_id", client.client_id);
            }
            params.put("client_secret", secret("post")?.expose());
        }
        ClientAuthentication::None => {
            if !params.contains("client_id") {
                params.put("client_id", client.client_id);
            }
        }
        ClientAuthentication::PrivateKeyJwt => {
            let key = client.private_key.ok_or(EncodeError::NoPrivateKey)?;
            let assertion = client_assertion(key, client.client_id, client.audience, client.now)?;
            params.put("client_id", client.client_id);
            params.put("client_assertion_type", ASSERTION_TYPE);
            params.put("client_assertion", assertion.expose());
        }
        ClientAuthentication::ClientSecretJwt => {
            let secret = secret("client_secret_jwt")?;
            let assertion = secret_assertion(secret, client.client_id, client.audience, client.now)?;
            params.put("client_id", client.client_id);
            params.put("client_assertion_type", ASSERTION_TYPE);
            params.put("client_assertion", assertion.expose());
        }
    }
    let mut url = request.endpoint.clone();
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&request.query);
    }
    let mut body = Vec::new();
    let mut content_type = None;
    if request.method == Method::GET {
        url = with_query(&url, &params);
    } else {
        (body, content_type) = match request.body_format {
            BodyFormat::Form => (params.to_form().into_bytes(), Some("application/x-www-form-urlencoded")),
            // An object of texts and JSON values always serializes.
            BodyFormat::Json => (serde_json::to_vec(&params).unwrap_or_default(), Some("application/json")),
        };
    }
    let mut built = http::Request::builder().method(request.method.clone()).uri(url.as_str());
    built = built.header(ACCEPT, "application/json");
    if let Some(content_type) = content_type {
        built = built.header(CONTENT_TYPE, content_type);
    }
    let mut built = built.body(body).map_err(|_| EncodeError::Endpoint)?;
    for (name, value) in &request.headers {
        let wrong = || EncodeError::Header(crate::model::quoted(name));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        // A script's header may carry a credential.
        built.headers_mut().insert(name, sensitive(value).ok_or_else(wrong)?);
    }
    if let Some(authorization) = authorization {
        let value = sensitive(authorization.expose()).ok_or_else(|| EncodeError::Header("authorization".to_owned()))?;
        built.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(built)
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic(id: &str, secret: &Secret, encoding: BasicEncoding) -> Secret {
    let pair = match encoding {
        BasicEncoding::Form => Zeroizing::new(format!("{}:{}", *form(id), *form(secret.expose()))),
        BasicEncoding::Raw => Zeroizing::new(format!("{id}:{}", secret.expose())),
    };
    Secret::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes()))))
}

/// One text in the form encoding of RFC 6749 appendix B.
fn form(text: &str) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Params;
    use url::Url;

    fn request(how: ClientAuthentication) -> TokenRequest {
        TokenRequest {
            endpoint: Url::parse("https://a.example/token?tenant=7").unwrap(),
            method: Method::POST,
            params: [("grant_type", "client_credentials")].into_iter().collect::<Params>(),
            body_format: BodyFormat::Form,
            headers: Vec::new(),
            query: Vec::new(),
            client_authentication: how,
        }
    }

    fn encoded(how: ClientAuthentication) -> http::Request<Vec<u8>> {
        let (secret, key) = (Secret::new("p%s:e/c+r e=t"), Secret::new(include_str!("testdata/ec-p256.pem")));
        let client = Client {
            client_id: "odd:id",
            client_secret: Some(&secret),
            private_key: Some(&key),
            audience: "https://a.example",
            now: Timestamp::UNIX_EPOCH,
        };
        encode(&request(how), &client).unwrap()
    }

    fn basic_pair(request: &http::Request<Vec<u8>>) -> String {
        let header = request.headers()[AUTHORIZATION].to_str().unwrap();
        String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn basic_is_form_encoded_first_and_raw_where_asked() {
        assert_eq!(basic_pair(&encoded(ClientAuthentication::Basic)), "odd%3Aid:p%25s%3Ae%2Fc%2Br+e%3Dt");
        assert_eq!(basic_pair(&encoded(ClientAuthentication::BasicRaw)), "odd:id:p%s:e/c+r e=t");
    }

    #[test]
    fn each_way_puts_the_credentials_where_it_says_and_nowhere_else() {
        let body = |how| String::from_utf8(encoded(how).body().clone()).unwrap();
        assert_eq!(body(ClientAuthentication::Basic), "grant_type=client_credentials");
        assert!(body(ClientAuthentication::Post).ends_with("&client_id=odd%3Aid&client_secret=p%25s%3Ae%2Fc%2Br+e%3Dt"));
        assert_eq!(body(ClientAuthentication::None), "grant_type=client_credentials&client_id=odd%3Aid");
        for how in [ClientAuthentication::PrivateKeyJwt, ClientAuthentication::ClientSecretJwt] {
            assert!(body(how).contains("client_assertion=ey") && !body(how).contains("client_secret="), "{how:?}");
        }
        assert!(!encoded(ClientAuthentication::Post).headers().contains_key(AUTHORIZATION));
    }

    #[test]
    fn credentials_in_headers_are_marked_sensitive_and_the_query_is_kept() {
        let encoded = encoded(ClientAuthentication::Basic);
        assert!(encoded.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(encoded.uri().query(), Some("tenant=7"));
    }

    #[test]
    fn json_and_get_are_written_as_asked() {
        let client = Client {
            client_id: "cid",
            client_secret: None,
            private_key: None,
            audience: "https://a.example",
            now: Timestamp::UNIX_EPOCH,
        };
        let json = TokenRequest { body_format: BodyFormat::Json, ..request(ClientAuthentication::None) };
        let json = encode(&json, &client).unwrap();
        assert_eq!(json.body(), br#"{"grant_type":"client_credentials","client_id":"cid"}"#);
        let get = TokenRequest { method: Method::GET, ..request(ClientAuthentication::None) };
        let get = encode(&get, &client).unwrap();
        assert_eq!(get.uri().query(), Some("tenant=7&grant_type=client_credentials&client_id=cid"));
        assert!(get.body().is_empty());
    }

    #[test]
    fn a_header_cannot_smuggle_another_one_in() {
        let client = Client { client_id: "cid", client_secret: None, private_key: None, audience: "", now: Timestamp::UNIX_EPOCH };
        for (name, value) in [("x-a", "b\r\nx-c: d"), ("x a", "b"), ("x\n", "b")] {
            let headers = vec![(name.to_owned(), value.to_owned())];
            let request = TokenRequest { headers, ..request(ClientAuthentication::None) };
            assert!(matches!(encode(&request, &client), Err(EncodeError::Header(_))), "{name:?}");
        }
    }

    #[test]
    fn a_missing_secret_is_told() {
        let client = Client { client_id: "cid", client_secret: None, private_key: None, audience: "", now: Timestamp::UNIX_EPOCH };
        assert_eq!(encode(&request(ClientAuthentication::Basic), &client).unwrap_err(), EncodeError::NoSecret("basic"));
        assert_eq!(encode(&request(ClientAuthentication::PrivateKeyJwt), &client).unwrap_err(), EncodeError::NoPrivateKey);
    }
}
