//! Every key of the vocabulary, for tests that see to it that each is documented and does something.

/// The keys of applications and provider entries by their whole names; `*` stands for a name that is free.
pub const KEYS: [&str; 99] = [
    "account.headers",
    "account.id",
    "account.method",
    "account.name",
    "authorization.drop",
    "authorization.fragment",
    "authorization.parameters",
    "authorization.rename",
    "authorization_scheme",
    "callback.code",
    "callback.hmac",
    "callback.keep",
    "callback.state",
    "client_authentication",
    "default_grant",
    "endpoints.authorization",
    "endpoints.device_authorization",
    "endpoints.introspection",
    "endpoints.issuer",
    "endpoints.jwks",
    "endpoints.refresh",
    "endpoints.revocation",
    "endpoints.token",
    "endpoints.userinfo",
    "extend_refresh_token_expiry",
    "hosts",
    "iss_required",
    "keep_password",
    "lifespans.access_token",
    "lifespans.refresh_token",
    "pkce",
    "profiles.*.assertion_audience",
    "profiles.*.audience",
    "profiles.*.grant",
    "profiles.*.resource",
    "profiles.*.scopes",
    "profiles.*.subject",
    "profiles.*.username",
    "redirect_url",
    "refresh.idle",
    "refresh.margin",
    "reply.access_token",
    "reply.access_token_stays",
    "reply.error_code",
    "reply.error_description",
    "reply.errors",
    "reply.expires_in",
    "reply.expires_unit",
    "reply.format",
    "reply.id_token",
    "reply.ignore_refresh_token",
    "reply.keep",
    "reply.prefix",
    "reply.refresh_expires_in",
    "reply.refresh_token",
    "reply.retry_after",
    "reply.root",
    "reply.scope",
    "reply.scope_separator",
    "reply.success",
    "reply.token_type",
    "revocation.drop",
    "revocation.format",
    "revocation.headers",
    "revocation.method",
    "revocation.parameters",
    "revocation.query",
    "revocation.rename",
    "scope_separator",
    "script",
    "token.*.drop",
    "token.*.format",
    "token.*.headers",
    "token.*.method",
    "token.*.parameters",
    "token.*.query",
    "token.*.rename",
    "token.authorization_code",
    "token.client_credentials",
    "token.device_code",
    "token.drop",
    "token.format",
    "token.headers",
    "token.jwt_bearer",
    "token.method",
    "token.parameters",
    "token.password",
    "token.query",
    "token.refresh_token",
    "token.rename",
    "tokens.*.access_token",
    "tokens.*.expires_in",
    "tokens.*.expires_unit",
    "tokens.*.refresh_expires_in",
    "tokens.*.refresh_token",
    "tokens.*.root",
    "tokens.*.scope",
    "tokens.*.token_type",
    "variables",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::parse_application;
    use crate::registry::reader::asked;

    /// A document with every table, so that reading asks for every key.
    const EVERYTHING: &str = r#"
        name = "a"
        client_id = "c"
        client_authentication = "none"
        endpoints.token = "https://p.example/t"
        [lifespans]
        [profiles.default]
        [authorization]
        [callback]
        [token.authorization_code]
        [token.client_credentials]
        [token.password]
        [token.jwt_bearer]
        [token.device_code]
        [token.refresh_token]
        [revocation]
        [reply]
        [tokens.user]
        root = "user"
        [account]
        [refresh]
    "#;

    #[test]
    fn every_key_that_is_read_is_listed() {
        parse_application(EVERYTHING, "everything.toml", false).unwrap();
        let tables = asked::all();
        let is_table =
            |key: &str| tables.iter().any(|other| other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
        let ours = ["name", "provider", "client_id", "client_secret", "secrets", "active", "profiles", "tokens"];
        let read: Vec<&str> =
            tables.iter().map(String::as_str).filter(|key| !is_table(key) && !ours.contains(key)).collect();
        assert_eq!(read, KEYS);
    }

    #[test]
    fn every_key_is_documented() {
        let page = include_str!("../../docs/providers.md");
        for key in KEYS {
            let last = key.rsplit('.').next().unwrap_or(key);
            assert!(
                page.contains(key) || page.contains(&format!("`{last}`")) || page.contains(&format!(".{last}`")),
                "docs/providers.md says nothing of {key}"
            );
        }
    }
}
