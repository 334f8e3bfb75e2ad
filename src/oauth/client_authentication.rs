//! A token request as HTTP, with the client's authentication applied last, so that no hook ever sees the secret.

use super::signing::{ASSERTION_SECONDS, KeyError, sign_with_private_key, sign_with_secret};
use super::{Params, TokenRequest, Value, with_query};
use crate::model::{BasicEncoding, ClientAuthentication, Failure, FailureKind, RequestFormat, Secret, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;
use std::collections::BTreeMap;
use url::form_urlencoded;
use zeroize::Zeroizing;

/// Who authenticates, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// Our client secret; a public client has none.
    pub client_secret: Option<&'a Secret>,
    /// The secret named `private_key`, in PEM.
    pub private_key: Option<&'a Secret>,
    /// The `aud` of a client assertion: the issuer where it is known, else the token endpoint (RFC 7523 section 3).
    /// Never taken from the request's endpoint, which a script may have set: an assertion for another server must not
    /// be had by pointing a request at one's own.
    pub audience: &'a str,
    /// When the assertion is signed.
    pub now: Timestamp,
    /// The `jti` of the assertion: from [`super::random_text`], never used twice (RFC 7523 section 3).
    pub jti: &'a str,
}

/// Why a token request cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The method needs the client secret.
    #[error(
        "client authentication {:?} needs a client secret and the application has none; set one, or use \"none\" for a public client",
        .0.as_str()
    )]
    NoSecret(ClientAuthentication),
    /// The method needs the private key.
    #[error(
        "client authentication \"private_key_jwt\" needs the application's secret named `private_key`; set it, in PEM"
    )]
    NoPrivateKey,
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A header that is none. The value is not shown.
    #[error(
        "the request header {0:?} is not one: a name is letters, digits and dashes, a value has no line break or control character"
    )]
    BadHeader(String),
    /// A header that decides where a message begins and ends, or goes to a proxy.
    #[error("the request header {0:?} belongs to the connection and cannot be set")]
    ForbiddenHeader(String),
    /// A URL that HTTP cannot carry. It is not shown: its query may be secret.
    #[error("the request's URL is too long or holds characters that HTTP cannot carry")]
    BadUrl,
}

impl EncodeError {
    /// The same as a failure: nothing was sent, and the application or its script must be mended.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (kind, code) = match self {
            Self::NoSecret(_) | Self::NoPrivateKey | Self::Key(_) => {
                (FailureKind::ClientRejected, "client_credentials_unusable")
            }
            Self::BadHeader(_) | Self::ForbiddenHeader(_) | Self::BadUrl => {
                (FailureKind::RequestRejected, "request_unusable")
            }
        };
        Failure::new(kind, code).with_words(&self.to_string())
    }
}

/// Writes a token request as HTTP. Headers of the request replace our own `Accept` and `Content-Type`; the client's
/// credentials replace everything of their name. All headers but those two are marked sensitive, so that no log of a
/// dependency prints them.
///
/// # Errors
/// When the application lacks what its authentication needs, or a header is not one.
pub fn encode(request: &TokenRequest, client: &Client<'_>) -> Result<http::Request<Zeroizing<Vec<u8>>>, EncodeError> {
    let mut credentials = Params::new();
    let authorization = authenticate(request.client_authentication, client, &mut credentials)?;
    let mut params = request.params.clone();
    for (name, value) in credentials.iter().filter(|(name, _)| !request.drop.contains(*name)) {
        params.put(name, value.clone());
    }
    let params = renamed(params, &request.rename);
    let query: Params = request.query.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut url = with_query(&request.endpoint, &query);
    let (body, content_type) = match request.format {
        _ if request.method == http::Method::GET => {
            url = with_query(&url, &params);
            (Vec::new(), None)
        }
        RequestFormat::Form => (params.to_form().into_bytes(), Some("application/x-www-form-urlencoded")),
        RequestFormat::Json => (to_json(params), Some("application/json")),
        RequestFormat::Query => {
            url = with_query(&url, &params);
            (Vec::new(), None)
        }
        RequestFormat::FormAndQuery => {
            url = with_query(&url, &params);
            (params.to_form().into_bytes(), Some("application/x-www-form-urlencoded"))
        }
    };
    let mut encoded = http::Request::new(Zeroizing::new(body));
    *encoded.method_mut() = request.method.clone();
    *encoded.uri_mut() = url.as_str().parse().map_err(|_| EncodeError::BadUrl)?;
    let headers = encoded.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in &request.headers {
        let (name, value) = header(name, value)?;
        headers.insert(name, value);
    }
    if let Some(value) = authorization {
        let mut value = HeaderValue::from_str(&value).map_err(|_| EncodeError::BadHeader("authorization".into()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(encoded)
}

/// Puts the client's credentials into the parameters, or gives the `Authorization` header that has them.
fn authenticate(
    method: ClientAuthentication,
    client: &Client<'_>,
    params: &mut Params,
) -> Result<Option<Zeroizing<String>>, EncodeError> {
    let secret = || client.client_secret.filter(|secret| !secret.is_empty()).ok_or(EncodeError::NoSecret(method));
    let assertion = match method {
        ClientAuthentication::Basic => return Ok(Some(basic(client.client_id, secret()?, BasicEncoding::Form))),
        ClientAuthentication::BasicRaw => return Ok(Some(basic(client.client_id, secret()?, BasicEncoding::Raw))),
        ClientAuthentication::BasicSecret => {
            let user = Zeroizing::new(format!("{}:", secret()?.expose()));
            return Ok(Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(user.as_bytes())))));
        }
        ClientAuthentication::Bearer => {
            params.put("client_id", client.client_id);
            return Ok(Some(Zeroizing::new(format!("Bearer {}", secret()?.expose()))));
        }
        ClientAuthentication::None => {
            params.put("client_id", client.client_id);
            return Ok(None);
        }
        ClientAuthentication::Post => {
            params.put("client_id", client.client_id);
            params.put("client_secret", secret()?.expose());
            return Ok(None);
        }
        ClientAuthentication::PrivateKeyJwt => {
            sign_with_private_key(client.private_key.ok_or(EncodeError::NoPrivateKey)?, &client_claims(client))?
        }
        ClientAuthentication::ClientSecretJwt => sign_with_secret(secret()?, &client_claims(client))?,
    };
    // Optional beside an assertion (RFC 7521 section 4.2); Microsoft and others want it.
    params.put("client_id", client.client_id);
    params.put("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    params.put("client_assertion", assertion.expose());
    Ok(None)
}

/// The parameters under the provider's names, in the same order.
pub(super) fn renamed(params: Params, rename: &BTreeMap<String, String>) -> Params {
    if rename.is_empty() {
        return params;
    }
    let name = |name: String| rename.get(&name).cloned().unwrap_or(name);
    params.into_object().into_iter().map(|(standard, value)| (name(standard), value)).collect()
}

/// RFC 6749 section 2.3.1: both halves are form-encoded first, so that a colon in the id is no separator.
fn basic(id: &str, secret: &Secret, encoding: BasicEncoding) -> Zeroizing<String> {
    let pair = Zeroizing::new(match encoding {
        BasicEncoding::Form => {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            format!("{}:{}", encode(id), encode(secret.expose()))
        }
        BasicEncoding::Raw => format!("{id}:{}", secret.expose()),
    });
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// RFC 7523 section 3 and OpenID Connect Core section 9.
fn client_claims(client: &Client<'_>) -> Value {
    let now = client.now.as_second();
    json!({
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": client.audience,
        "jti": client.jti,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), EncodeError> {
    let bad = || EncodeError::BadHeader(name.chars().take(100).collect());
    let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
    if OF_THE_CONNECTION.contains(&known.as_str()) {
        return Err(EncodeError::ForbiddenHeader(known.as_str().to_owned()));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
    value.set_sensitive(known != ACCEPT && known != CONTENT_TYPE);
    Ok((known, value))
}

/// `null` is left out, as it is of a form.
fn to_json(params: Params) -> Vec<u8> {
    let mut object = params.into_object();
    object.retain(|_, value| !value.is_null());
    Value::Object(object).to_string().into_bytes()
}

/// Headers with which a script could smuggle a second request, talk to a proxy, or have a body decoded that is not
/// encoded.
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::super::signing::tests::{EC, EC_PUBLIC, verified};
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey};

    fn request(client_authentication: ClientAuthentication) -> TokenRequest {
        let endpoint = "https://a.example/token?tenant=1".parse().unwrap();
        let params = [("grant_type", "refresh_token"), ("refresh_token", "rt-old")].into_iter().collect();
        TokenRequest::post(&endpoint, params, client_authentication)
    }

    fn send(request: &TokenRequest, secret: &str) -> Result<http::Request<Zeroizing<Vec<u8>>>, EncodeError> {
        let (secret, key) = (Secret::new(secret), Secret::new(EC));
        encode(
            request,
            &Client {
                client_id: "c:id",
                client_secret: Some(&secret).filter(|secret| !secret.is_empty()),
                private_key: Some(&key),
                audience: "https://a.example",
                now: Timestamp::from_second(1_700_000_000).unwrap(),
                jti: "j-1",
            },
        )
    }

    fn body(request: &http::Request<Zeroizing<Vec<u8>>>) -> Params {
        Params::from_form(request.body())
    }

    #[test]
    fn basic_is_form_encoded_and_raw_is_not() {
        let header = |method| {
            let sent = send(&request(method), "s&c r").unwrap();
            assert_eq!(body(&sent).names().collect::<Vec<_>>(), ["grant_type", "refresh_token"]);
            sent.headers()["authorization"].to_str().unwrap().to_owned()
        };
        // base64 of `c%3Aid:s%26c+r` and of `c:id:s&c r`
        assert_eq!(header(ClientAuthentication::Basic), "Basic YyUzQWlkOnMlMjZjK3I=");
        assert_eq!(header(ClientAuthentication::BasicRaw), "Basic YzppZDpzJmMgcg==");
    }

    #[test]
    fn post_and_public_clients_write_the_body() {
        let sent = send(&request(ClientAuthentication::Post), "csecret").unwrap();
        assert_eq!(
            &***sent.body(),
            b"grant_type=refresh_token&refresh_token=rt-old&client_id=c%3Aid&client_secret=csecret"
        );
        assert_eq!(sent.headers()["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(sent.headers()["accept"], "application/json");
        let sent = send(&request(ClientAuthentication::None), "csecret").unwrap();
        assert_eq!((body(&sent).text("client_id"), body(&sent).contains("client_secret")), (Some("c:id"), false));
        assert!(!sent.headers().contains_key("authorization"));
    }

    #[test]
    fn assertions_are_signed_for_the_audience_and_used_once() {
        let public = DecodingKey::from_ec_pem(EC_PUBLIC.as_bytes()).unwrap();
        let shared = DecodingKey::from_secret(b"csecret");
        for (method, algorithm, key) in [
            (ClientAuthentication::PrivateKeyJwt, Algorithm::ES256, public),
            (ClientAuthentication::ClientSecretJwt, Algorithm::HS256, shared),
        ] {
            let sent = body(&send(&request(method), "csecret").unwrap());
            assert_eq!(
                sent.text("client_assertion_type"),
                Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            );
            let claims = verified(sent.text("client_assertion").unwrap(), algorithm, &key);
            let expected = json!({"iss": "c:id", "sub": "c:id", "aud": "https://a.example", "jti": "j-1",
                                  "iat": 1_700_000_000, "exp": 1_700_000_300});
            assert_eq!(claims, expected);
            assert!(!sent.contains("client_secret"));
        }
    }

    #[test]
    fn without_its_secret_a_method_gets_a_sentence() {
        for method in [ClientAuthentication::Basic, ClientAuthentication::Post, ClientAuthentication::ClientSecretJwt] {
            let error = send(&request(method), "").unwrap_err();
            assert_eq!(error, EncodeError::NoSecret(method));
            assert!(error.to_string().contains(method.as_str()), "{error}");
            assert_eq!(error.failure().kind, FailureKind::ClientRejected);
        }
    }

    #[test]
    fn a_get_carries_its_parameters_in_the_query_and_a_json_request_in_its_body() {
        let mut get = request(ClientAuthentication::Post);
        get.method = http::Method::GET;
        get.query = vec![("v".into(), "2".into())];
        let sent = send(&get, "csecret").unwrap();
        assert!(sent.body().is_empty() && !sent.headers().contains_key("content-type"));
        let query = "tenant=1&v=2&grant_type=refresh_token&refresh_token=rt-old&client_id=c%3Aid&client_secret=csecret";
        assert_eq!(sent.uri().query(), Some(query));

        let mut json = request(ClientAuthentication::None);
        json.format = RequestFormat::Json;
        json.params.put("nothing", Value::Null);
        let sent = send(&json, "").unwrap();
        assert_eq!(&***sent.body(), br#"{"grant_type":"refresh_token","refresh_token":"rt-old","client_id":"c:id"}"#);
        assert_eq!(sent.headers()["content-type"], "application/json");
    }

    #[test]
    fn a_header_cannot_smuggle_anything() {
        let with = |name: &str, value: &str| {
            let mut request = request(ClientAuthentication::Basic);
            request.headers = vec![(name.into(), value.into())];
            send(&request, "csecret")
        };
        for (name, value) in
            [("x-a", "hunter2\r\nEvil: 1"), ("x-a", "hunter2\n"), ("x a", "hunter2"), ("x-a\r\nb", "hunter2"), ("", "")]
        {
            let error = with(name, value).unwrap_err();
            assert!(matches!(error, EncodeError::BadHeader(_)), "{name}");
            assert!(!error.to_string().contains("hunter2"));
        }
        for name in ["Transfer-Encoding", "content-length", "HOST", "Proxy-Authorization"] {
            assert!(matches!(with(name, "1"), Err(EncodeError::ForbiddenHeader(_))), "{name}");
        }
        // Our own credentials win over a script's.
        assert!(
            with("authorization", "Bearer x").unwrap().headers()["authorization"]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
        assert_eq!(with("accept", "text/xml").unwrap().headers()["accept"], "text/xml");
    }

    #[test]
    fn headers_that_may_be_secret_do_not_print() {
        let mut request = request(ClientAuthentication::Basic);
        request.headers = vec![("x-api-key".into(), "hunter2".into())];
        let sent = send(&request, "csecret").unwrap();
        let printed = format!("{:?}", sent.headers());
        assert!(!printed.contains("hunter2") && !printed.contains("Basic"), "{printed}");
    }
}
