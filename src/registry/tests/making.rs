//! What the registry promises of drafts on their way to an application, and of the catalog.

use super::*;

mod fitting {
    use super::*;

    #[test]
    fn what_no_request_could_be_made_from_is_refused_in_one_sentence() {
        let no_secret = FULL.replace("client_secret = { env = \"DRIVE_SECRET\" }\n", "");
        for (text, expected) in [
            (no_secret.clone(), "authenticates with basic and has no client_secret"),
            (
                format!("{no_secret}client_authentication = \"post\""),
                "authenticates with post and has no client_secret",
            ),
            (
                format!("{no_secret}client_authentication = \"client_secret_jwt\""),
                "authenticates with client_secret_jwt and has no client_secret",
            ),
            (
                format!("{FULL}client_authentication = \"private_key_jwt\""),
                "authenticates with private_key_jwt and has no secrets.private_key",
            ),
            (format!("{FULL}secrets.private_key = {{ env = \"NOT_PEM\" }}"), "is no PEM text"),
            (format!("{FULL}iss_required = true"), "no endpoints.issuer to compare it with"),
            (
                FULL.replace("endpoints.authorization", "endpoints.userinfo"),
                "a profile default with the grant authorization_code and no endpoints.authorization",
            ),
            (
                FULL.replace("endpoints.token", "endpoints.userinfo"),
                "a profile default with the grant authorization_code and no endpoints.token",
            ),
            (
                format!("{FULL}profiles.tv.grant = \"device_code\""),
                "a profile tv with the grant device_code and no endpoints.device_authorization",
            ),
            (format!("{FULL}profiles.robot.grant = \"jwt_bearer\""), "no secrets.private_key to sign with"),
            (
                format!("{FULL}scope_separator = \",\"\nprofiles.default.scopes = [\"a,b\"]"),
                "has the scope \"a,b\" in profile default, which holds the scope_separator \",\"",
            ),
        ] {
            let message = does_not_fit(&text);
            assert!(message.starts_with("application drive ") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_public_client_needs_no_secret_and_a_robot_no_authorization_endpoint() {
        let application = resolve(
            "name = \"r\"\nclient_id = \"i\"\nclient_authentication = \"none\"\ndefault_grant = \"client_credentials\"\n\
             endpoints.token = \"https://a.example/token\"",
        )
        .unwrap();
        assert_eq!(application.client_authentication, ClientAuthentication::None);
        assert_eq!(application.profiles[&ProfileName::default()].grant, GrantType::ClientCredentials);
    }

    #[test]
    fn the_default_profile_is_always_there_and_active_is_the_rule() {
        let application = resolve(&format!("{FULL}profiles.other.scopes = [\"a\"]")).unwrap();
        assert!(application.active);
        assert_eq!(application.profiles.keys().map(ProfileName::as_str).collect::<Vec<_>>(), ["default", "other"]);
    }

    #[test]
    fn what_the_issuer_publishes_fills_what_is_missing_and_changes_nothing() {
        let text = FULL.replace(
            "endpoints.authorization = \"https://a.example/authorize\"",
            "endpoints.issuer = \"https://a.example\"",
        );
        let mut draft = parse(&text).unwrap();
        assert_eq!(draft.discover_from().unwrap().as_str(), "https://a.example/");
        let published = parse(&FULL.replace("a.example", "b.example")).unwrap().settings.endpoints;
        draft.fill(&published, true);
        assert!(draft.discover_from().is_none());
        let application = draft.resolve(Uuid::nil(), NOW, &mut secret, None).unwrap();
        assert_eq!(application.endpoints.authorization.unwrap().as_str(), "https://b.example/authorize");
        assert_eq!(application.endpoints.token.unwrap().as_str(), "https://a.example/token");
        assert!(application.iss_required);
        assert!(parse(FULL).unwrap().discover_from().is_none(), "nothing is missing");
    }
}

mod applying_again {
    use super::*;

    fn without_secret() -> String {
        FULL.replace("client_secret = { env = \"DRIVE_SECRET\" }\n", "")
    }

    fn previous() -> Application {
        let mut application =
            resolve(&format!("{FULL}secrets.signing = {{ env = \"S\" }}\nhosts = [\"api.a.example\"]")).unwrap();
        application.active = false;
        application
    }

    #[test]
    fn what_is_not_stated_again_of_identity_and_secrets_is_kept() {
        let previous = previous();
        let next = again(&without_secret(), &previous).unwrap();
        assert_eq!((next.id, next.created, next.active), (previous.id, previous.created, false));
        assert_eq!((&next.client_secret, &next.secrets), (&previous.client_secret, &previous.secrets));
        assert!(next.hosts.is_empty(), "settings are what the file says");
        assert!(again(&format!("{}active = true", without_secret()), &previous).unwrap().active);
    }

    #[test]
    fn a_secret_that_is_stated_again_replaces_the_old_one() {
        let next = again(&FULL.replace("DRIVE_SECRET", "NEW"), &previous()).unwrap();
        assert_eq!(next.client_secret.unwrap().expose(), "secret of NEW");
    }

    /// Whoever can edit the file but does not know the secret must not have it sent to a host of his own.
    #[test]
    fn a_secret_is_not_kept_for_a_host_that_it_was_not_given_for() {
        for change in [
            without_secret().replace("https://a.example/token", "https://evil.example/token"),
            format!("{}endpoints.revocation = \"https://evil.example/r\"", without_secret()),
            format!("{}hosts = [\"evil.example\"]", without_secret()),
        ] {
            let message = again(&change, &previous()).unwrap_err().to_string();
            assert!(
                message.contains("now names evil.example, which client_secret, secrets.signing was not given for"),
                "{message}"
            );
        }
        let stated = format!("{FULL}secrets.signing = {{ env = \"S\" }}\nhosts = [\"new.example\"]");
        assert!(again(&stated, &previous()).is_ok());
    }

    /// Of a provider's many hosts some may be anybody's: what Shopify calls an app proxy sends a shop's pages elsewhere.
    #[test]
    fn a_secret_is_not_kept_for_another_address_on_many_hosts() {
        let shop = FULL.replace("https://a.example/token", "https://{label.shop}/token");
        let shop = format!("{shop}hosts = [\"*.shops.example\"]");
        let previous = resolve(&shop).unwrap();
        let shop = shop.replace("client_secret = { env = \"DRIVE_SECRET\" }\n", "");
        assert!(again(&shop, &previous).is_ok());
        for token in [
            "https://evil.shops.example/token",
            "https://{label.shop}/apps/evil",
            "https:///{label.shop}.shops.example/token",
        ] {
            let message = again(&shop.replace("https://{label.shop}/token", token), &previous).unwrap_err().to_string();
            assert!(message.contains("which client_secret was not given for"), "{message}");
        }
    }

    #[test]
    fn a_secret_is_kept_where_only_a_path_depends_on_the_connection() {
        let tenant = FULL.replace("https://a.example/token", "https://b.example/{label.tenant}/token");
        let previous = resolve(&tenant).unwrap();
        let tenant = tenant.replace("client_secret = { env = \"DRIVE_SECRET\" }\n", "");
        assert!(again(&tenant, &previous).is_ok());
    }

    #[test]
    fn a_secret_is_not_kept_for_another_client_id() {
        let message = again(&without_secret().replace("our-id", "other-id"), &previous()).unwrap_err().to_string();
        assert!(message.contains("has a new client_id"), "{message}");
    }

    #[test]
    fn a_client_that_becomes_public_keeps_no_client_secret() {
        let next = again(&format!("{}client_authentication = \"none\"", without_secret()), &previous()).unwrap();
        assert_eq!(next.client_secret, None);
    }
}

mod providers {
    use super::*;

    #[test]
    fn every_entry_parses_and_makes_an_application() {
        let mut names = Vec::new();
        for (file, text) in embedded() {
            let provider = Provider::parse(text, &file, None, None).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(provider.complaints(), Vec::<String>::new(), "{file}");
            names.push(provider.name);
        }
        names.sort();
        assert_eq!(names, Catalog::list().iter().map(|provider| provider.name.clone()).collect::<Vec<_>>());
        assert!(names.len() >= 60, "{names:?}");
    }

    #[test]
    fn an_entry_that_people_would_stumble_over_is_told() {
        let entry = r#"
            name = "a"
            title = "A"
            setup = "Register"
            sources = [{ page = "https://a.example", read = 2026-11-23 }]
            account.id = "userinfo.id"
            endpoints.authorization = "http://127.0.0.1:1/a"
            endpoints.token = "https://a.example/t"
            profiles.default.scopes = ["read"]
        "#;
        let complaints = Provider::read(entry, "a.toml").unwrap().complaints().join("\n");
        for said in [
            "is not https",
            "no sentence for \"read\"",
            "ends with a dot: \"Register\"",
            "endpoints.userinfo is not set",
        ] {
            assert!(complaints.contains(said), "{complaints}");
        }
        let no_token = entry.replace("endpoints.token", "endpoints.revocation");
        let complaints = Provider::read(&no_token, "a.toml").unwrap().complaints().join("\n");
        assert!(complaints.contains("no endpoints.token"), "{complaints}");
    }

    #[test]
    fn googles_entries_bring_the_script_that_asks_for_a_refresh_token() {
        for name in ["google", "google-drive"] {
            let script = Catalog::find(name).unwrap().settings.script.as_ref().unwrap();
            assert_eq!(script.as_str(), "OAuthGoogleDrive");
        }
    }

    #[test]
    fn an_unknown_provider_is_refused_with_the_nearest_one() {
        assert_eq!(
            Catalog::find("gogle").unwrap_err().to_string(),
            "there is no provider \"gogle\" in the catalog; did you mean `google`?; see: grantkeeper provider list"
        );
        assert_eq!(
            Catalog::find("nobody").unwrap_err().to_string(),
            "there is no provider \"nobody\" in the catalog; see: grantkeeper provider list"
        );
    }

    #[test]
    fn an_application_lies_over_its_provider() {
        let application = resolve(
            r#"
            name = "mail"
            provider = "microsoft"
            client_id = "i"
            client_secret = { env = "S" }
            pkce = "plain"
            endpoints.token = "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token"
            authorization.parameters.prompt = "select_account"
            profiles.default.scopes = ["offline_access"]
            "#,
        )
        .unwrap();
        assert_eq!(application.pkce, Pkce::Plain);
        assert_eq!(application.client_authentication, ClientAuthentication::Post, "the provider's");
        assert!(application.endpoints.token.unwrap().as_str().contains("tenant-1"));
        assert!(application.endpoints.authorization.unwrap().as_str().contains("common"), "the provider's");
        assert_eq!(application.habits.authorization.parameters["prompt"].as_str(), "select_account");
        assert_eq!(application.profiles[&ProfileName::default()].scopes, ["offline_access"], "a list replaces");
    }

    #[test]
    fn an_entry_says_where_it_comes_from_and_is_named_as_its_file() {
        let entry = "name = \"a\"\ntitle = \"A\"\nsetup = \"Do.\"\n";
        let wrong = |text: &str| Provider::parse(text, "a.toml", None, None).unwrap_err().to_string();
        assert!(wrong(entry).contains("there is no `sources`"));
        assert!(wrong(&format!("{entry}sources = []")).contains("one page"));
        assert!(wrong(&format!("{entry}sources = [{{ page = \"a\", read = 2026-11-23 }}]")).contains("https address"));
        assert!(
            wrong(&format!("{entry}sources = [{{ page = \"https://a.example\" }}]")).contains("there is no `read`")
        );
        assert!(wrong(&format!("{entry}client_id = \"x\"")).contains("`sources`"));
        let whole = format!("{entry}sources = [{{ page = \"https://a.example\", read = 2026-11-23 }}]\n");
        assert!(Provider::parse(&whole, "a.toml", None, None).is_ok());
        assert!(Provider::parse(&whole, "b.toml", None, None).unwrap_err().to_string().contains("must be \"b\""));
        assert!(wrong(&format!("{whole}client_id = \"x\"")).contains("there is no key `client_id`"));
    }

    #[test]
    fn the_examples_of_the_documentation_work() {
        let page = include_str!("../../../docs/providers.md");
        let mut seen = [0, 0];
        for block in page.split("```toml\n").skip(1) {
            let text = block.split("```").next().unwrap();
            if text.contains("title = ") {
                Provider::parse(text, "acme.toml", None, None).unwrap_or_else(|error| panic!("{error}\n{text}"));
                seen[0] += 1;
            } else {
                let draft = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
                let mut any = |_: &SecretSource| Ok(Secret::new(PEM));
                draft.resolve(Uuid::nil(), NOW, &mut any, None).unwrap_or_else(|error| panic!("{error}\n{text}"));
                seen[1] += 1;
            }
        }
        assert_eq!(seen, [1, 8]);
    }
}
