//! An application as the TOML that makes it.

use super::catalog::Catalog;
use super::settings::Settings;
use crate::model::{Application, Endpoint, Habits, HostPattern, Pkce, Profile, ScriptName, Template};
use std::collections::BTreeMap;

/// The TOML that [`super::parse_application`] reads this application from. Everything stands in it explicitly but the
/// secrets, in whose places are environment variables to set.
#[must_use]
pub fn export(application: &Application) -> String {
    let mut toml = Toml::default();
    let provider = application.provider.as_deref();
    match provider.filter(|provider| says_the_same_over(application, provider)) {
        Some(_) => toml.head(application),
        None => {
            toml.head(&Application { provider: None, ..application.clone() });
            if let Some(provider) = provider {
                // The entry has changed, or the application lacks what it says: over the entry it would be another one.
                toml.line(&format!(
                    "# made from the catalog's {}, and no longer expressible over it",
                    quoted(provider)
                ));
            }
        }
    }
    toml.settings(application);
    toml.0
}

/// Whether the application, written over its provider's entry, says what it says by itself.
fn says_the_same_over(application: &Application, provider: &str) -> bool {
    let own = Settings::of(application);
    let Ok(entry) = Catalog::find(provider) else { return false };
    // Variables are not kept: the application has what they made.
    let Ok(settings) = entry.settings_with(&BTreeMap::new()) else { return false };
    let over = own.clone().over(&Settings { default_grant: None, ..settings });
    over == own
}

#[derive(Default)]
struct Toml(String);

impl Toml {
    fn head(&mut self, application: &Application) {
        self.text("name", application.name.as_str());
        self.optional("provider", application.provider.as_deref());
        self.flag("active", application.active);
        self.text("client_id", &application.client_id);
        let variable = |key: &str| variable(application.name.as_str(), key);
        if application.client_secret.is_some() || !application.secrets.is_empty() {
            self.line("# Secrets are not exported: set these variables, or take the lines out where the application has its secrets.");
        }
        if application.client_secret.is_some() {
            self.line(&format!("client_secret = {{ env = {} }}", quoted(&variable("client_secret"))));
        }
        for name in application.secrets.keys() {
            self.line(&format!("secrets.{} = {{ env = {} }}", key(name), quoted(&variable(&format!("secret_{name}")))));
        }
    }

    fn settings(&mut self, application: &Application) {
        self.text("client_authentication", application.client_authentication.as_str());
        self.text("pkce", pkce_word(application));
        self.flag("iss_required", application.iss_required);
        self.text("scope_separator", &application.scope_separator);
        self.optional("script", application.script.as_ref().map(ScriptName::as_str));
        self.optional("redirect_url", application.redirect_url.as_ref().map(url::Url::as_str));
        self.flag("extend_refresh_token_expiry", application.extend_refresh_token_expiry);
        self.flag("keep_password", application.keep_password);
        self.list("hosts", application.hosts.iter().map(HostPattern::as_str));
        let spans = &application.lifespans;
        for (name, seconds) in [("access_token", spans.access_token), ("refresh_token", spans.refresh_token)] {
            if let Some(seconds) = seconds {
                self.line(&format!("lifespans.{name} = {seconds}"));
            }
        }
        self.optional("authorization_scheme", application.habits.authorization_scheme.as_deref());
        let endpoints = &application.endpoints;
        self.line("\n[endpoints]");
        for (name, endpoint) in endpoints.named() {
            let template = endpoints.templates.get(name).map(Template::as_str);
            self.optional(name, endpoint.as_ref().map(Endpoint::as_str).or(template));
        }
        self.habits(&application.habits);
        for (name, profile) in &application.profiles {
            self.line(&format!("\n[profiles.{}]", key(name.as_str())));
            self.profile(profile);
        }
    }

    fn profile(&mut self, profile: &Profile) {
        self.text("grant", profile.grant.as_str());
        self.list("scopes", profile.scopes.iter().map(String::as_str));
        self.optional("audience", profile.audience.as_deref());
        self.optional("resource", profile.resource.as_deref());
        self.optional("username", profile.username.as_deref());
        self.optional("subject", profile.subject.as_deref());
        self.optional("assertion_audience", profile.assertion_audience.as_deref());
    }

    fn habits(&mut self, habits: &Habits) {
        // Its own line above: a key after a table would be the table's.
        let tables = Habits { authorization_scheme: None, ..habits.clone() };
        // Texts, numbers and tables of them always serialize.
        let text = toml::to_string(&tables).unwrap_or_default();
        if !text.is_empty() {
            self.line(&format!("\n{}", text.trim_end()));
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {}", quoted(value)));
    }

    fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.line(&format!("{key} = {value}"));
    }

    fn list<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) {
        self.line(&format!("{key} = [{}]", values.map(quoted).collect::<Vec<_>>().join(", ")));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

fn pkce_word(application: &Application) -> &'static str {
    match application.pkce {
        Pkce::S256 => "S256",
        Pkce::Plain => "plain",
        Pkce::None => "none",
    }
}

/// A basic string of TOML: on one line, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { quoted(name) }
}

/// `GOOGLE_DRIVE_CLIENT_SECRET` for the client secret of `google-drive`.
fn variable(application: &str, key: &str) -> String {
    let name = format!("{application}_{key}").to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AccountHabits, AuthorizationHabits, CallbackHabits, ClientAuthentication, Endpoints, FailureKind, GrantType,
        Ignored, Lifespans, Method, Places, ProfileName, RefreshHabits, ReplyHabits, RequestFormat, RequestHabits,
        Secret, Timestamp, TokenHabits, Unit,
    };
    use crate::registry::{SecretSource, parse_application};
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use uuid::Uuid;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----";

    /// The application that its export makes, with the secrets that it had.
    fn back(application: &Application) -> Application {
        let text = export(application);
        let draft = parse_application(&text, "export.toml", false).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut secrets = |source: &SecretSource| {
            let SecretSource::Env(name) = source else { panic!("{source:?}") };
            let key = name.strip_prefix("_").unwrap_or(name).split_once("_SECRET_").map(|(_, key)| key.to_lowercase());
            let secret = key.and_then(|key| application.secrets.get(&key)).or(application.client_secret.as_ref());
            Ok(secret.unwrap().clone())
        };
        draft
            .resolve(application.id, application.created, &mut secrets, None)
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        "[a-z]{1,5}\\.example/[a-z?=&%20]{0,6}".prop_filter_map("a URL", |text| format!("https://{text}").parse().ok())
    }

    fn endpoints() -> impl Strategy<Value = Endpoints> {
        (vec(endpoint(), 4), vec(option::of(endpoint()), 5)).prop_map(|(set, maybe)| {
            let mut set = set.into_iter();
            let mut maybe = maybe.into_iter();
            Endpoints {
                issuer: set.next(),
                authorization: set.next(),
                token: set.next(),
                device_authorization: set.next(),
                refresh: maybe.next().unwrap(),
                revocation: maybe.next().unwrap(),
                introspection: maybe.next().unwrap(),
                userinfo: maybe.next().unwrap(),
                jwks: maybe.next().unwrap(),
                templates: BTreeMap::new(),
            }
        })
    }

    fn profile() -> impl Strategy<Value = Profile> {
        let grant = prop::sample::select(vec![
            GrantType::AuthorizationCode,
            GrantType::ClientCredentials,
            GrantType::Password,
            GrantType::JwtBearer,
            GrantType::DeviceCode,
            GrantType::RefreshToken,
        ]);
        (grant, vec("[a-z:/.\"'\\\\]{1,8}", 0..3), vec(option::of("\\PC{1,9}"), 5)).prop_map(
            |(grant, scopes, mut texts)| Profile {
                grant,
                scopes,
                audience: texts.pop().flatten(),
                resource: texts.pop().flatten(),
                username: texts.pop().flatten(),
                subject: texts.pop().flatten(),
                assertion_audience: texts.pop().flatten(),
            },
        )
    }

    fn templates() -> impl Strategy<Value = BTreeMap<String, Template>> {
        let text = any::<String>().prop_map(|text| text.replace('{', "{{").replace('}', "}}") + "{client_id}");
        btree_map("[a-z.\" ]{1,6}x", text.prop_map(|text| text.parse().unwrap()), 0..3)
    }

    fn renames() -> impl Strategy<Value = BTreeMap<String, String>> {
        btree_map("[a-z.\" ]{1,6}y", "\\PC{1,5}", 0..2)
    }

    fn request() -> impl Strategy<Value = RequestHabits> {
        let method = option::of(prop::sample::select(vec![Method::Post, Method::Get]));
        let format = option::of(prop::sample::select(vec![RequestFormat::Json, RequestFormat::FormAndQuery]));
        (method, format, option::of(vec("[a-z]{1,3}", 0..2)), templates(), renames(), templates()).prop_map(
            |(method, format, drop, parameters, rename, query)| RequestHabits {
                method,
                format,
                drop,
                parameters,
                rename,
                headers: BTreeMap::from([("X-A".to_owned(), "{uuid}".parse().unwrap())]),
                query,
            },
        )
    }

    fn places() -> impl Strategy<Value = Places> {
        let unit = option::of(prop::sample::select(vec![Unit::Milliseconds, Unit::Days]));
        (option::of("[a-z]{1,3}"), unit, vec(vec("[a-z.]{1,4}", 0..3), 3)).prop_map(|(root, unit, mut lists)| Places {
            root,
            expires_unit: unit,
            access_token: lists.pop().unwrap(),
            scope: lists.pop().unwrap(),
            refresh_expires_in: lists.pop().unwrap(),
            ..Places::default()
        })
    }

    fn habits() -> impl Strategy<Value = Habits> {
        let reply =
            (places(), option::of(any::<bool>()), renames(), any::<bool>()).prop_map(|(places, stays, keep, all)| {
                ReplyHabits {
                    prefix: Some("&&&".to_owned()),
                    access_token_stays: stays,
                    ignore_refresh_token: Some(if all {
                        Ignored::All(true)
                    } else {
                        Ignored::These(vec!["x".to_owned()])
                    }),
                    error_code: vec!["a/b".to_owned()],
                    places,
                    keep,
                    success: BTreeMap::from([("a.b".to_owned(), vec![true.into(), 0.into(), "0".into()])]),
                    errors: BTreeMap::from([("1: \"".to_owned(), FailureKind::Transient)]),
                    ..ReplyHabits::default()
                }
            });
        (request(), option::of(request()), reply, places(), templates(), renames()).prop_map(
            |(every, refresh, reply, mut further, parameters, rename)| {
                further.root = Some("user".to_owned());
                Habits {
                    authorization_scheme: Some("OAuth".to_owned()),
                    authorization: AuthorizationHabits { parameters, rename, ..AuthorizationHabits::default() },
                    callback: CallbackHabits { keep: Some(vec!["realmId".to_owned()]), ..CallbackHabits::default() },
                    token: TokenHabits {
                        every,
                        grants: refresh.into_iter().map(|habits| (GrantType::RefreshToken, habits)).collect(),
                    },
                    revocation: RequestHabits::default(),
                    reply,
                    tokens: BTreeMap::from([("user".to_owned(), further)]),
                    account: AccountHabits { id: vec!["reply.a".to_owned()], ..AccountHabits::default() },
                    refresh: RefreshHabits { margin: Some(30), idle: Some(2_592_000) },
                }
            },
        )
    }

    prop_compose! {
        fn application()(
            (name, provider) in ("[a-z0-9][a-z0-9_.-]{0,8}", option::of(prop::sample::select(vec!["google", "slack", "gone"]))),
            client_id in "\\PC{1,20}",
            client_authentication in prop::sample::select(vec![
                ClientAuthentication::Basic, ClientAuthentication::BasicRaw, ClientAuthentication::Post,
                ClientAuthentication::None, ClientAuthentication::PrivateKeyJwt, ClientAuthentication::ClientSecretJwt,
            ]),
            pkce in prop::sample::select(vec![Pkce::S256, Pkce::Plain, Pkce::None]),
            endpoints in endpoints(),
            flags in any::<[bool; 4]>(),
            separator in prop::sample::select(vec![" ", ",", "; "]),
            habits in habits(),
            script in option::of("OAuth[A-Za-z]{1,5}"),
            redirect in option::of(endpoint()),
            spans in any::<[Option<u32>; 2]>(),
            mut profiles in btree_map("[a-z][a-z.]{0,5}", profile(), 0..3),
            default in profile(),
            host in option::of("[a-z]{2,6}\\.example"),
        ) -> Application {
            profiles.insert("default".to_owned(), default);
            let seconds = |span: Option<u32>| span.map(|seconds| u64::from(seconds.max(1)));
            Application {
                id: Uuid::from_u128(1),
                name: name.parse().unwrap(),
                provider: provider.map(str::to_owned),
                active: flags[0],
                client_id,
                client_secret: Some(Secret::new("s")),
                secrets: BTreeMap::from([("private_key".to_owned(), Secret::new(PEM)), ("k2".to_owned(), Secret::new("t"))]),
                endpoints,
                hosts: host.into_iter().map(|host| host.parse().unwrap()).collect(),
                client_authentication,
                pkce,
                iss_required: flags[1],
                scope_separator: separator.to_owned(),
                habits: Box::new(habits),
                script: script.map(|script| script.parse().unwrap()),
                redirect_url: redirect.map(|url| url.url().clone()),
                lifespans: Lifespans { access_token: seconds(spans[0]), refresh_token: seconds(spans[1]) },
                extend_refresh_token_expiry: flags[2],
                keep_password: flags[3],
                profiles: profiles.into_iter().map(|(name, profile)| (name.parse::<ProfileName>().unwrap(), profile)).collect(),
                created: Timestamp::UNIX_EPOCH,
                rejected: None,
            }
        }
    }

    proptest! {
        #[test]
        fn an_exported_application_is_made_again_as_it_was(application in application()) {
            let mut again = back(&application);
            if export(&application).contains("no longer expressible") {
                again.provider.clone_from(&application.provider);
            }
            prop_assert_eq!(again, application);
        }
    }

    /// What an entry makes stays bound to it.
    #[test]
    fn an_application_of_an_entry_is_exported_over_it_without_its_secrets() {
        let provider = Catalog::find("google").unwrap();
        let mut draft =
            crate::registry::Draft::from_provider("g".parse().unwrap(), provider, &BTreeMap::new(), "id".into())
                .unwrap();
        draft.client_secret = Some(SecretSource::Plain(Secret::new("hunter2")));
        let application = draft.resolve(Uuid::nil(), Timestamp::UNIX_EPOCH, &mut |_| unreachable!(), None).unwrap();
        let text = export(&application);
        assert!(
            text.contains("provider = \"google\"\n")
                && text.contains("client_secret = { env = \"G_CLIENT_SECRET\" }\n"),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
        assert_eq!(back(&application), application);
    }

    /// Over its entry, an application that lacks what the entry says would get it back.
    #[test]
    fn an_application_that_lacks_what_its_entry_says_is_exported_by_itself() {
        let provider = Catalog::find("google").unwrap();
        let mut draft =
            crate::registry::Draft::from_provider("g".parse().unwrap(), provider, &BTreeMap::new(), "id".into())
                .unwrap();
        draft.client_secret = Some(SecretSource::Plain(Secret::new("s")));
        draft.settings.script = None;
        let application = draft.resolve(Uuid::nil(), Timestamp::UNIX_EPOCH, &mut |_| unreachable!(), None).unwrap();
        let text = export(&application);
        assert!(text.contains("# made from the catalog's \"google\""), "{text}");
        assert_eq!(back(&application).script, None);
    }
}
