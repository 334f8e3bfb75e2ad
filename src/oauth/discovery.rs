//! What a provider says of itself: RFC 8414 and OpenID Connect Discovery.

use super::callback::is_same_issuer;
use super::{Params, Value};
use crate::model::{ClientAuthentication, Endpoint, Endpoints, Pkce, quoted};
use url::Url;

/// Where an issuer's metadata may be, the likelier first: RFC 8414 section 3 (its path goes behind the well-known
/// part), then OpenID Connect Discovery section 4 (its path goes before).
#[must_use]
pub fn metadata_urls(issuer: &Endpoint) -> Vec<Url> {
    let path = issuer.url().path().trim_end_matches('/');
    [format!("/.well-known/oauth-authorization-server{path}"), format!("{path}/.well-known/openid-configuration")]
        .iter()
        .map(|path| {
            let mut url = issuer.url().clone();
            url.set_path(path);
            url.set_query(None);
            url
        })
        .collect()
}

/// What metadata says that matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The endpoints, the issuer among them.
    pub endpoints: Endpoints,
    /// Whether each callback carries `iss` (RFC 9207 section 3).
    pub iss_promised: bool,
    /// The best challenge method that it takes. One that lists none says nothing, and gets S256 (RFC 9700 section 2.1.1).
    pub pkce: Pkce,
    /// The ways to authenticate at the token endpoint that it and we know; Basic where it says nothing (RFC 8414
    /// section 2).
    pub client_authentications: Vec<ClientAuthentication>,
    /// `grant_types_supported`, where stated.
    pub grant_types: Option<Vec<String>>,
    /// `scopes_supported`, where stated.
    pub scopes: Option<Vec<String>>,
}

/// Why metadata is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// RFC 8414 section 3.3: it must say the issuer that was asked.
    #[error(
        "the metadata of {asked} says that it is of {stated}; they must be the same (RFC 8414 section 3.3): use the issuer that the provider names"
    )]
    OtherIssuer {
        /// The issuer that was asked for.
        asked: String,
        /// The one that it states.
        stated: String,
    },
    /// An endpoint that nothing is sent to.
    #[error("{field} in the metadata is {value:?}, which is not a https address")]
    BadEndpoint {
        /// Its name in the metadata.
        field: &'static str,
        /// What stands there, cut short.
        value: String,
    },
    /// Nothing to ask for tokens.
    #[error("the metadata names no token_endpoint; write the endpoints into the application instead")]
    NoTokenEndpoint,
}

/// Reads a metadata document that was asked for `issuer`. Endpoints must be https; on this machine, where the issuer
/// itself is, http is taken too.
///
/// # Errors
/// When it is of another issuer (a mix-up, or a metadata server that is not the provider's), an endpoint is none, or
/// there is no token endpoint.
pub fn parse_metadata(params: &Params, issuer: &Endpoint) -> Result<Metadata, DiscoveryError> {
    let stated = params.text("issuer").unwrap_or_default();
    if !is_same_issuer(issuer.as_str(), stated) {
        let stated = if stated.is_empty() { "nobody".to_owned() } else { quoted(stated) };
        return Err(DiscoveryError::OtherIssuer { asked: issuer.as_str().to_owned(), stated });
    }
    let endpoint = |field: &'static str| -> Result<Option<Endpoint>, DiscoveryError> {
        let Some(value) = params.get(field).filter(|value| !value.is_null()) else { return Ok(None) };
        let text = value.as_str().unwrap_or_default();
        match text.parse::<Endpoint>() {
            // A provider out there has no business with servers on this machine.
            Ok(found) if issuer.url().scheme() == "http" || found.url().scheme() == "https" => Ok(Some(found)),
            _ => Err(DiscoveryError::BadEndpoint { field, value: quoted(text) }),
        }
    };
    let endpoints = Endpoints {
        issuer: Some(issuer.clone()),
        authorization: endpoint("authorization_endpoint")?,
        token: Some(endpoint("token_endpoint")?.ok_or(DiscoveryError::NoTokenEndpoint)?),
        refresh: None,
        revocation: endpoint("revocation_endpoint")?,
        introspection: endpoint("introspection_endpoint")?,
        device_authorization: endpoint("device_authorization_endpoint")?,
        userinfo: endpoint("userinfo_endpoint")?,
        jwks: endpoint("jwks_uri")?,
        ..Endpoints::default()
    };
    Ok(Metadata {
        endpoints,
        iss_promised: params.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        pkce: best_pkce(texts(params, "code_challenge_methods_supported").as_deref()),
        client_authentications: texts(params, "token_endpoint_auth_methods_supported").map_or_else(
            || vec![ClientAuthentication::Basic],
            |names| names.iter().filter_map(|name| known_authentication(name)).collect(),
        ),
        grant_types: texts(params, "grant_types_supported"),
        scopes: texts(params, "scopes_supported"),
    })
}

fn best_pkce(methods: Option<&[String]>) -> Pkce {
    match methods {
        Some(methods) if !methods.iter().any(|method| method == "S256") && methods.iter().any(|m| m == "plain") => {
            Pkce::Plain
        }
        _ => Pkce::S256,
    }
}

fn known_authentication(name: &str) -> Option<ClientAuthentication> {
    Some(match name {
        "client_secret_basic" => ClientAuthentication::Basic,
        "client_secret_post" => ClientAuthentication::Post,
        "private_key_jwt" => ClientAuthentication::PrivateKeyJwt,
        "client_secret_jwt" => ClientAuthentication::ClientSecretJwt,
        "none" => ClientAuthentication::None,
        _ => return None,
    })
}

fn texts(params: &Params, name: &str) -> Option<Vec<String>> {
    let list = params.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: Value, issuer: &str) -> Result<Metadata, DiscoveryError> {
        let Value::Object(object) = document else { panic!("an object") };
        parse_metadata(&Params::from_object(object), &issuer.parse().unwrap())
    }

    #[test]
    fn the_well_known_part_goes_before_the_path_or_behind_it() {
        let of =
            |issuer: &str| metadata_urls(&issuer.parse().unwrap()).into_iter().map(String::from).collect::<Vec<_>>();
        assert_eq!(
            of("https://a.example/tenant/1/"),
            [
                "https://a.example/.well-known/oauth-authorization-server/tenant/1",
                "https://a.example/tenant/1/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            of("https://a.example"),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration"
            ]
        );
    }

    #[test]
    fn metadata_becomes_endpoints_and_flags() {
        let metadata = read(
            json!({
                "issuer": "https://a.example", "token_endpoint": "https://tokens.a.example/t",
                "authorization_endpoint": "https://a.example/auth", "revocation_endpoint": null,
                "authorization_response_iss_parameter_supported": true,
                "code_challenge_methods_supported": ["plain"], "scopes_supported": ["a"],
                "token_endpoint_auth_methods_supported": ["tls_client_auth", "client_secret_post", "private_key_jwt"],
            }),
            "https://a.example",
        )
        .unwrap();
        assert_eq!(metadata.endpoints.token.unwrap().as_str(), "https://tokens.a.example/t");
        assert_eq!(metadata.endpoints.revocation, None);
        assert_eq!((metadata.iss_promised, metadata.pkce), (true, Pkce::Plain));
        assert_eq!(metadata.client_authentications, [ClientAuthentication::Post, ClientAuthentication::PrivateKeyJwt]);
        assert_eq!((metadata.scopes, metadata.grant_types), (Some(vec!["a".into()]), None));
    }

    #[test]
    fn what_metadata_leaves_out_has_the_rfcs_defaults() {
        let metadata = read(
            json!({"issuer": "https://a.example/x", "token_endpoint": "https://a.example/t"}),
            "https://a.example/x",
        );
        let metadata = metadata.unwrap();
        assert_eq!((metadata.iss_promised, metadata.pkce), (false, Pkce::S256));
        assert_eq!(metadata.client_authentications, [ClientAuthentication::Basic]);
    }

    #[test]
    fn metadata_of_another_issuer_is_refused() {
        for stated in [
            json!("https://evil.example"),
            json!("https://a.example/x/"),
            json!("https://a.example"),
            json!(null),
            json!(1),
        ] {
            let error = read(json!({"issuer": stated, "token_endpoint": "https://a.example/t"}), "https://a.example/x");
            assert!(matches!(error, Err(DiscoveryError::OtherIssuer { .. })), "{stated}");
        }
    }

    #[test]
    fn an_endpoint_must_be_https_and_is_on_this_machine_only_when_the_issuer_is() {
        let with = |endpoint: Value, issuer: &str| {
            read(
                json!({"issuer": issuer, "token_endpoint": "https://a.example/t", "revocation_endpoint": endpoint}),
                issuer,
            )
        };
        for bad in [
            json!("http://a.example/r"),
            json!("http://127.0.0.1:1/r"),
            json!("x"),
            json!(1),
            json!("https://u:p@a.example/"),
        ] {
            let error = with(bad.clone(), "https://a.example");
            assert!(matches!(error, Err(DiscoveryError::BadEndpoint { field: "revocation_endpoint", .. })), "{bad}");
        }
        assert!(with(json!("http://127.0.0.1:1/r"), "http://127.0.0.1:1").is_ok());
        let missing = read(json!({"issuer": "https://a.example"}), "https://a.example");
        assert_eq!(missing, Err(DiscoveryError::NoTokenEndpoint));
    }
}
