//! What the registry promises.

use super::catalog::embedded;
use super::*;
use crate::model::{Application, ClientAuthentication, GrantType, Pkce, ProfileName, Secret, Timestamp};
use uuid::Uuid;

mod making;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----";

/// An application with everything that one of its own needs.
const FULL: &str = r#"
name = "drive"
client_id = "our-id"
client_secret = { env = "DRIVE_SECRET" }
endpoints.authorization = "https://a.example/authorize"
endpoints.token = "https://a.example/token"
"#;

fn parse(text: &str) -> Result<Draft, RegistryError> {
    parse_application(text, "drive.toml", false)
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// Secrets by the name of their source: `the environment variable X` is `secret of X`, a private key is a PEM.
fn secret(source: &SecretSource) -> Result<Secret, String> {
    match source {
        SecretSource::Env(name) if name.contains("PRIVATE_KEY") => Ok(Secret::new(PEM)),
        SecretSource::Env(name) => Ok(Secret::new(format!("secret of {name}\n"))),
        other => Err(format!("{other} is not there")),
    }
}

fn resolve(text: &str) -> Result<Application, RegistryError> {
    parse(text).unwrap().resolve(Uuid::from_u128(7), NOW, &mut secret, None)
}

fn does_not_fit(text: &str) -> String {
    resolve(text).unwrap_err().to_string()
}

fn again(text: &str, previous: &Application) -> Result<Application, RegistryError> {
    let later = Timestamp::from_second(1000).unwrap();
    parse(text).unwrap().resolve(previous.id, later, &mut secret, Some(previous))
}

mod reading {
    use super::*;

    fn profile(grant: &str, scopes: &[&str], texts: &[(&str, &str)]) -> serde_json::Value {
        let mut profile = serde_json::json!({
            "grant": grant, "scopes": scopes, "audience": null, "resource": null, "username": null, "subject": null,
            "assertion_audience": null
        });
        for (key, text) in texts {
            profile[*key] = serde_json::json!(text);
        }
        profile
    }

    #[test]
    fn every_key_arrives_where_it_belongs() {
        let application = resolve(
            r#"
            name = "drive"
            client_id = "our-id"
            client_secret = { env = "DRIVE_SECRET" }
            secrets.private_key = { env = "PRIVATE_KEY" }
            active = false
            hosts = ["api.a.example", "*.files.a.example"]
            client_authentication = "private_key_jwt"
            pkce = "plain"
            iss_required = true
            scope_separator = ","
            script = "OAuthDrive"
            redirect_url = "https://me.example/back"
            extend_refresh_token_expiry = true
            keep_password = true
            default_grant = "client_credentials"
            authorization.parameters = { access_type = "offline" }
            token.parameters.tenant = "t1"
            lifespans.access_token = 3_600
            lifespans.refresh_token = 0x10

            [endpoints]
            issuer = "https://a.example"
            authorization = "https://a.example/authorize"
            token = "https://a.example/token"
            refresh = "https://a.example/refresh"
            revocation = "https://a.example/revoke"
            introspection = "https://a.example/introspect"
            device_authorization = "https://a.example/device"
            userinfo = "https://a.example/userinfo"
            jwks = "https://a.example/keys"

            [profiles.default]
            scopes = ["a", "b"]
            audience = "https://api.a.example"
            resource = "https://r.a.example"

            [profiles.robot]
            grant = "jwt_bearer"
            subject = "ann"
            assertion_audience = "https://aud.a.example"

            [profiles.old]
            grant = "password"
            username = "ann"
            "#,
        )
        .unwrap();
        let expected = serde_json::json!({
            "id": Uuid::from_u128(7),
            "name": "drive",
            "provider": null,
            "active": false,
            "client_id": "our-id",
            "client_secret": "secret of DRIVE_SECRET",
            "secrets": { "private_key": PEM },
            "endpoints": {
                "issuer": "https://a.example/",
                "authorization": "https://a.example/authorize",
                "token": "https://a.example/token",
                "refresh": "https://a.example/refresh",
                "revocation": "https://a.example/revoke",
                "introspection": "https://a.example/introspect",
                "device_authorization": "https://a.example/device",
                "userinfo": "https://a.example/userinfo",
                "jwks": "https://a.example/keys"
            },
            "hosts": ["api.a.example", "*.files.a.example"],
            "client_authentication": "private_key_jwt",
            "pkce": "plain",
            "iss_required": true,
            "scope_separator": ",",
            "habits": {
                "authorization": { "parameters": { "access_type": "offline" } },
                "token": { "parameters": { "tenant": "t1" } }
            },
            "script": "OAuthDrive",
            "redirect_url": "https://me.example/back",
            "lifespans": { "access_token": 3600, "refresh_token": 16 },
            "extend_refresh_token_expiry": true,
            "keep_password": true,
            "profiles": {
                "default": profile("client_credentials", &["a", "b"], &[("audience", "https://api.a.example"), ("resource", "https://r.a.example")]),
                "robot": profile("jwt_bearer", &[], &[("subject", "ann"), ("assertion_audience", "https://aud.a.example")]),
                "old": profile("password", &[], &[("username", "ann")])
            },
            "created": "1970-01-01T00:00:00Z"
        });
        assert_eq!(serde_json::to_value(application).unwrap(), expected);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
        assert_eq!(
            refused(&format!("{FULL}clientauthentication = \"post\"\n")),
            "drive.toml:7:1: there is no key `clientauthentication`; did you mean `client_authentication`?"
        );
        assert_eq!(
            refused("name = \"d\"\nclient_id = \"i\"\n[endpoints]\n  tokn = \"https://a.example/\"\n"),
            "drive.toml:4:3: there is no key `endpoints.tokn`; did you mean `endpoints.token`?"
        );
        assert_eq!(
            refused(&format!("{FULL}profiles.default.scope = [\"a\"]\n")),
            "drive.toml:7:18: there is no key `profiles.default.scope`; did you mean `profiles.default.scopes`?"
        );
        let message = refused(&format!("{FULL}lifespans.banana = 1\n"));
        assert!(message.ends_with("; known here: access_token, refresh_token"), "{message}");
    }

    #[test]
    fn a_word_of_another_tool_leads_to_ours() {
        for (word, ours) in [
            ("scopes", "profiles.default.scopes"),
            ("redirect_uri", "redirect_url"),
            ("token_url", "endpoints.token"),
            ("grant_type", "default_grant"),
        ] {
            let message = refused(&format!("{FULL}{word} = 1\n"));
            assert!(message.ends_with(&format!("did you mean `{ours}`?")), "{message}");
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_place_and_the_nearest_one() {
        for (line, expected) in [
            ("pkce = \"s256\"", "7:8: `pkce` cannot be s256; it is one of S256, plain, none; did you mean `S256`?"),
            (
                "client_authentication = \"client_secret_post\"",
                "cannot be client_secret_post; it is one of basic, basic_raw, post, none, private_key_jwt, client_secret_jwt, bearer, basic_secret; did you mean `post`?",
            ),
            ("profiles.a.grant = \"urn:ietf:params:oauth:grant-type:jwt-bearer\"", "did you mean `jwt_bearer`?"),
            ("default_grant = \"clientcredentials\"", "did you mean `client_credentials`?"),
            ("active = \"yes\"", "7:10: `active` must be true or false, without quotes, not string"),
            ("hosts = \"a.example\"", "`hosts` must be a list in square brackets, not string"),
            (
                "hosts = [\"b.example\", \"https://a.example\"]",
                "7:23: `hosts[1]` does not fit: \"https://a.example\" is not a host",
            ),
            ("lifespans.access_token = 0", "must be a number of seconds, 1 or more"),
            ("lifespans.access_token = -5", "must be a number of seconds, 1 or more"),
            ("lifespans.access_token = \"30 days\"", "a number of seconds, without quotes; did you mean `2592000`?"),
            ("lifespans.access_token = \"1h 30m\"", "did you mean `5400`?"),
            ("script = \"Evil\"", "must start with `OAuth`"),
            ("profiles.Bad.scopes = []", "\"Bad\" is not a profile name"),
            ("profiles.default.scopes = [\"a b\"]", "write each scope in its own quotes"),
            ("profiles.default.scopes = [\"\"]", "`profiles.default.scopes[0]` is empty"),
            ("scope_separator = \"\"", "one to three characters"),
            ("scope_separator = \"x\"", "one to three characters"),
            ("redirect_url = \"http://me.example/back\"", "is not https"),
            ("token.parameters.n = 5", "must be a text in quotes, not integer"),
            ("provider = \"gogle\"", "did you mean `google`?; see: grantkeeper provider list"),
            ("token.format = \"jsn\"", "it is one of form, json, query, form_and_query; did you mean `json`?"),
            ("token.format = \"application/json\"", "did you mean `json`?"),
            ("token.method = \"PUT\"", "cannot be PUT; it is one of POST, GET"),
            ("reply.errors.x = \"invalid_grant\"", "did you mean `reauthorization_required`?"),
            ("reply.expires_unit = \"ms\"", "did you mean `milliseconds`?"),
            ("reply.success = { a = 1.5 }", "must be a text, a whole number, true or false"),
            ("authorization.parameters.a = \"{client_secret}\"", "would put a secret into the browser's address"),
            ("authorization.parameters.a = \"{nothing}\"", "has the placeholder {nothing}, which there is not"),
            ("authorization.parameters.a = \"{state\"", "has a brace without its partner"),
            ("authorization.drop = [\"state\"]", "protects the callback and cannot be left out"),
            ("authorization.drop = [\"code_challenge\"]", "set pkce = \"none\""),
            ("token.drop = [\"code_verifier\"]", "set pkce = \"none\""),
            ("authorization.rename.code_challenge = \"x\"", "protects the callback and keeps its name"),
            ("authorization.fragment = \"#a\"", "without it and without white space"),
            ("authorization_scheme = \"Bearer x\"", "must be one word"),
            ("token.headers.\"a b\" = \"x\"", "is no header's name"),
            ("token.headers.a = \"x\\ny\"", "holds a line break"),
            ("account.id = \"sub\"", "must say where it comes from: id_token.CLAIM"),
            ("tokens.user.scope = \"x\"", "must say where the token is: its root, or its access_token"),
            ("tokens.main.root = \"x\"", "and not main"),
            ("refresh.margin = \"30s\"", "did you mean `30`?"),
            (
                "endpoints.refresh = \"https://a.example/{client_id}\"",
                "an endpoint takes {field.NAME} and {label.NAME}",
            ),
            ("endpoints.refresh = \"https://a.example/x?{field.a}\"", "in its host and its path only"),
            ("endpoints.refresh = \"http://{field.a}/x\"", "is not https"),
            ("variables.x = \"y\"", "belong to a provider's entry"),
            ("endpoints.refresh = \"{field.a}/token\"", "must begin with https://"),
            ("reply.access_token = \"data[0].token\"", "is written with dots here: \"data.0.token\""),
            ("reply.access_token = \"$.data.token\"", "is written with dots here: \"data.token\""),
            ("reply.expires_in = 3600", "must be a path in quotes, or a list of paths"),
            ("reply.errors = { \"*expired*\" = \"transient\" }", "can have a * at its end only"),
        ] {
            let message = refused(&format!("{FULL}{line}\n"));
            assert!(message.starts_with("drive.toml:7:"), "{message}");
            assert!(message.contains(expected), "{message:?} should say {expected:?}");
        }
    }

    #[test]
    fn an_endpoint_that_is_not_https_is_refused_with_its_place() {
        assert_eq!(
            refused("name = \"d\"\nclient_id = \"i\"\n\n[endpoints]\ntoken = \"http://a.example/token\"\n"),
            "drive.toml:5:9: `endpoints.token` does not fit: \"http://a.example/token\" is not https; OAuth endpoints must \
             use https (RFC 6749 section 3.1), http only on 127.0.0.1, [::1] or localhost"
        );
    }

    #[test]
    fn an_unknown_key_of_a_table_is_refused_with_the_nearest_one() {
        for (line, expected) in [
            (
                "token.refresh_tokn.drop = []",
                "there is no key `token.refresh_tokn`; did you mean `token.refresh_token`?",
            ),
            (
                "token.refresh_token.drp = []",
                "there is no key `token.refresh_token.drp`; did you mean `token.refresh_token.drop`?",
            ),
            ("reply.acess_token = \"x\"", "did you mean `reply.access_token`?"),
            ("tokens.user.rot = \"x\"", "did you mean `tokens.user.root`?"),
            ("callback.kep = []", "did you mean `callback.keep`?"),
            ("refresh.margins = 3", "did you mean `refresh.margin`?"),
            ("authorization_parameters.a = \"b\"", "did you mean `authorization.parameters`?"),
        ] {
            let message = refused(&format!("{FULL}{line}\n"));
            assert!(
                message.starts_with("drive.toml:7:") && message.contains(expected),
                "{message:?} should say {expected:?}"
            );
        }
    }

    /// What decides the host of an endpoint comes from outside: the hosts that it may be must be said.
    #[test]
    fn a_host_that_depends_on_the_connection_needs_hosts() {
        let text = format!("{FULL}endpoints.refresh = \"https://{{field.shop}}/token\"\n");
        let message = resolve(&text).unwrap_err().to_string();
        assert!(
            message.contains("endpoints.refresh on a host that depends on the connection, and no hosts"),
            "{message}"
        );
        assert!(resolve(&format!("{text}hosts = [\"*.shops.example\"]\n")).is_ok());
    }

    #[test]
    fn variables_fill_every_text_of_an_entry() {
        let text = |line: &str| {
            format!(
                "name = \"m\"\nprovider = \"microsoft\"\nclient_id = \"i\"\nclient_secret = {{ env = \"S\" }}\n{line}\n"
            )
        };
        let token = |line: &str| resolve(&text(line)).unwrap().endpoints.token.unwrap().to_string();
        assert!(token("").contains("/common/"));
        assert!(token("variables.tenant = \"contoso.example\"").contains("/contoso.example/"));
        let message = refused(&text("variables.tenent = \"x\""));
        assert!(message.starts_with("drive.toml:5:") && message.contains("did you mean `tenant`?"), "{message}");
        for bad in ["a/b", "a b", "", "a?b", "..", "a@b", "a#b", "{x}"] {
            let message = refused(&text(&format!("variables.tenant = {bad:?}")));
            assert!(message.contains("must be a word of letters"), "{bad}: {message}");
        }
        let message = refused(&text("").replace("microsoft", "zendesk"));
        assert!(message.contains("needs variables.subdomain"), "{message}");
    }

    /// A URL parser takes `{tenant}` quietly, and the request would go to `%7Btenant%7D`.
    #[test]
    fn an_endpoint_with_a_placeholder_is_refused() {
        let message = refused(&format!("{FULL}endpoints.refresh = \"https://a.example/{{tenant}}/token\"\n"));
        assert!(message.contains("placeholder"), "{message}");
    }

    /// A fixed `state` would switch off the protection against forged callbacks, a fixed verifier PKCE's.
    #[test]
    fn parameters_that_are_made_anew_for_each_request_cannot_be_fixed() {
        for key in [
            "authorization.parameters.state",
            "authorization.parameters.code_challenge",
            "authorization.parameters.redirect_uri",
            "token.parameters.client_secret",
            "token.parameters.code_verifier",
            "token.parameters.refresh_token",
        ] {
            let message = refused(&format!("{FULL}{key} = \"hunter2\"\n"));
            assert!(message.contains("set by Grantkeeper itself"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn name_and_client_id_must_be_there() {
        assert!(refused("client_id = \"i\"").starts_with("drive.toml: there is no `name`; "));
        assert!(refused("name = \"d\"").starts_with("drive.toml: there is no `client_id`; "));
        assert!(refused("name = \"d\"\nclient_id = \"\"").contains("`client_id` is empty"));
        assert!(
            refused("name = \"Drive!\"").contains("1:8: `name` does not fit: \"Drive!\" is not an application name")
        );
    }

    #[test]
    fn a_text_that_is_not_toml_is_refused_with_its_place() {
        let message = refused("name = \"d\"\nclient_id = = 3\n");
        assert!(message.starts_with("drive.toml:2:13: this is not TOML: "), "{message}");
        assert!(!message.contains('\n'));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_never_panics(text in "\\PC{0,120}") {
            let _ = parse(&text);
        }

        /// Broken in any one place, the file still gives an error with a place in it, or an application.
        #[test]
        fn any_edit_of_a_file_is_read_or_refused_and_never_panics(at in 0_usize..200, with in "[\\PC\n]{0,3}") {
            let mut text = FULL.to_owned();
            let at = at.min(text.len());
            text.insert_str(at, &with);
            let _ = parse(&text);
        }
    }
}

mod secrets {
    use super::*;

    #[test]
    fn a_secret_in_the_file_is_refused_unless_the_person_insists() {
        let text = FULL.replace("{ env = \"DRIVE_SECRET\" }", "\"hunter2\"") + "secrets.signing = \"hunter3\"\n";
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, RegistryError::PlainSecret { .. }));
        let shown = format!("{error} {error:?}");
        assert!(shown.starts_with("drive.toml:4:17: `client_secret` stands in clear"), "{shown}");
        assert!(!shown.contains("hunter"));
        let draft = parse_application(&text, "drive.toml", true).unwrap();
        assert!(!format!("{draft:?}").contains("hunter"));
        let application = draft.resolve(Uuid::nil(), NOW, &mut secret, None).unwrap();
        assert_eq!(application.client_secret.unwrap().expose(), "hunter2");
        assert_eq!(application.secrets["signing"].expose(), "hunter3");
    }

    #[test]
    fn no_message_repeats_a_secret_that_was_put_in_the_wrong_place() {
        for wrong in [
            "client_secret = { env = \"hunter2!\" }",
            "client_secret = { environment = \"hunter2\" }",
            "client_secret = { file = \"\", env = \"hunter2!\" }",
            "client_secret = [\"hunter2\"]",
            "client_secret = \"hunter2",
            "client_secret = hunter2",
            "client_secret = \"hunter2\" client_id",
            "secrets = \"hunter2\"",
        ] {
            for insist in [false, true] {
                let error =
                    parse_application(&format!("name = \"d\"\nclient_id = \"i\"\n{wrong}\n"), "f", insist).unwrap_err();
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("hunter2"), "{wrong}: {shown}");
            }
        }
    }

    #[test]
    fn a_source_is_one_of_three() {
        let source =
            |value: &str| parse(&FULL.replace("{ env = \"DRIVE_SECRET\" }", value)).map(|d| d.client_secret.unwrap());
        assert_eq!(source("{ env = \"A_1\" }"), Ok(SecretSource::Env("A_1".into())));
        assert_eq!(source("{ file = \"a/b\" }"), Ok(SecretSource::File("a/b".into())));
        assert_eq!(source("{ stdin = true }"), Ok(SecretSource::Stdin));
        for wrong in ["{}", "{ stdin = false }", "{ env = \"A\", file = \"b\" }", "{ env = \"1A\" }", "{ env = \"\" }"]
        {
            assert!(source(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_break_at_the_end_is_not_part_of_a_secret_and_an_empty_one_is_refused() {
        assert_eq!(resolve(FULL).unwrap().client_secret.unwrap().expose(), "secret of DRIVE_SECRET");
        let error = parse(FULL).unwrap().resolve(Uuid::nil(), NOW, &mut |_| Ok(Secret::new("\r\n")), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the client_secret of application drive cannot be read from the environment variable DRIVE_SECRET: it is empty"
        );
    }

    #[test]
    fn standard_input_gives_one_secret() {
        let text = FULL.replace("{ env = \"DRIVE_SECRET\" }", "{ stdin = true }");
        assert!(does_not_fit(&format!("{text}secrets.a = {{ stdin = true }}\n")).contains("read once"));
    }
}
