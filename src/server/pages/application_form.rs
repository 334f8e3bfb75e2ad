//! Making an application: from the catalog, or by hand.

use super::Pages;
use super::applications::{authentication, redirect};
use super::fields::{Fields, field};
use super::guard::Form;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, mark, note};
use super::trouble::{Trouble, capital};
use crate::connector::{self, Connector};
use crate::model::{ApplicationName, ClientAuthentication, GrantType};
use crate::registry::{Catalog, Draft, Provider, parse_application};
use crate::server::doors::session::SignedIn;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use toml::{Table, Value};

/// Ways of authenticating that the form offers; a file can say any.
const AUTHENTICATIONS: [ClientAuthentication; 4] = [
    ClientAuthentication::Basic,
    ClientAuthentication::Post,
    ClientAuthentication::BasicRaw,
    ClientAuthentication::None,
];

/// Grants that the form offers.
const GRANTS: [GrantType; 3] = [GrantType::AuthorizationCode, GrantType::ClientCredentials, GrantType::DeviceCode];

/// What the application is made of.
#[derive(Clone, Copy)]
enum From {
    Entry(&'static Provider),
    Hand,
}

/// The choice of a provider, or the form.
pub(super) async fn page(pages: Pages, me: SignedIn, RawQuery(query): RawQuery) -> Result<Html, Trouble> {
    let (mut provider, mut search) = (None, String::new());
    for (name, value) in url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes()) {
        match &*name {
            "provider" => provider = Some(value.into_owned()),
            "q" => search = value.trim().chars().take(80).collect(),
            _ => {}
        }
    }
    match provider.as_deref() {
        None => Ok(choice(&me, &search)),
        Some(name) => {
            let from = from(name)?;
            Ok(form(&me, &pages.connector, from, &Fields::default()))
        }
    }
}

/// Makes it.
pub(super) async fn make(pages: Pages, me: SignedIn, form_sent: Form) -> Result<Response, Trouble> {
    let connector = &pages.connector;
    let from = from(form_sent.text("provider"))?;
    let made = async {
        let mut draft = written(from, &form_sent)?;
        let taken = connector.application(&draft.name).await.is_ok();
        if taken {
            let wrong = "is taken by another application; choose another name, or edit that one";
            return Err(Fields::default().with("name", wrong));
        }
        discover(connector, &mut draft).await?;
        let secrets = &mut |_: &_| Err("nothing is read".to_owned());
        connector.apply(draft, secrets).await.map_err(|error| Fields::of(&error))
    };
    match made.await {
        Ok((application, _)) => {
            Ok(Redirect::to(&format!("/applications/{}?did=created", application.name)).into_response())
        }
        Err(wrong) => {
            let page = form(&me, connector, from, &wrong.sent(&form_sent));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// Fills endpoints in from the issuer. What somebody typed into a page is asked for in public networks alone.
async fn discover(connector: &Connector, draft: &mut Draft) -> Result<(), Fields> {
    let Some(issuer) = draft.discover_from().cloned() else { return Ok(()) };
    let found = connector.discover_publicly(&issuer).await;
    let found = found.map_err(|error| Fields::default().with("endpoints.issuer", &told(&error)))?;
    draft.fill(&found.endpoints, found.iss_promised);
    if draft.discover_from().is_some() {
        let wrong = "names no authorization or token endpoint in its metadata; state them below";
        return Err(Fields::default().with("endpoints.issuer", wrong));
    }
    Ok(())
}

fn told(error: &connector::Error) -> String {
    format!("was asked for its metadata: {error}")
}

fn from(name: &str) -> Result<From, Trouble> {
    if name == "hand" {
        return Ok(From::Hand);
    }
    Catalog::find(name).map(From::Entry).map_err(|error| Trouble::missing(&error.to_string()))
}

/// The application's file, as the form says it. What is wrong is then said in the words of the file, at the key's field.
fn written(from: From, form: &Form) -> Result<Draft, Fields> {
    let mut file = Table::new();
    let mut put = |key: &str, value: Value| {
        file.insert(key.to_owned(), value);
    };
    for key in ["name", "client_id"] {
        if let Some(value) = some(form, key) {
            put(key, value.into());
        }
    }
    if let Some(secret) = form.secret("client_secret") {
        put("client_secret", secret.expose().into());
    }
    let scopes: Vec<Value> = form.text("profiles.default.scopes").split_whitespace().map(Value::from).collect();
    let mut profile = Table::from_iter([("scopes".to_owned(), Value::from(scopes))]);
    match from {
        From::Entry(provider) => {
            put("provider", provider.name.clone().into());
            let stated = provider
                .variables
                .keys()
                .filter_map(|name| Some((name.clone(), Value::from(some(form, &format!("variables.{name}"))?))));
            let stated = Table::from_iter(stated);
            if !stated.is_empty() {
                put("variables", stated.into());
            }
        }
        From::Hand => {
            for key in ["client_authentication", "script"] {
                if let Some(value) = some(form, key) {
                    put(key, value.into());
                }
            }
            let endpoints = ["issuer", "authorization", "token", "revocation"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), Value::from(some(form, &format!("endpoints.{name}"))?))));
            put("endpoints", Table::from_iter(endpoints).into());
            if let Some(grant) = some(form, "profiles.default.grant") {
                profile.insert("grant".to_owned(), grant.into());
            }
        }
    }
    put("profiles", Table::from_iter([("default".to_owned(), Value::from(profile))]).into());
    let text =
        toml::to_string(&file).map_err(|_| Fields::default().with("", "the form cannot be written as a file"))?;
    let text = zeroize::Zeroizing::new(text);
    parse_application(&text, "the form", true).map_err(|error| Fields::of(&error.into()))
}

fn some(form: &Form, key: &str) -> Option<String> {
    form.get(key).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn choice(me: &SignedIn, search: &str) -> Html {
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let fits = |provider: &&Provider| {
        let text = format!("{} {}", provider.name, provider.title.to_lowercase());
        words.iter().all(|word| text.contains(word))
    };
    let found: Vec<&Provider> = Catalog::list().iter().filter(fits).collect();
    let body = html! {
        div.crumb { a href="/applications" { "Applications" } }
        div.head { h1 { "New application" } a.button href="/new-application?provider=hand" { "By hand, or from an issuer" } }
        form.filters.few role="search" action="/new-application" {
            div.field {
                label for="q" { "Provider" }
                input #q type="search" name="q" value=(search) placeholder="google, slack, …" autocomplete="off" autofocus;
            }
            div.actions { button { "Search" } @if !search.is_empty() { a href="/new-application" { "Clear" } } }
        }
        @if found.is_empty() {
            div.panel { div.empty { p { "The catalog has no such provider." } p { a href="/new-application?provider=hand" { "Make it by hand, or from its issuer" } } } }
        } @else {
            ul.providers {
                @for provider in found {
                    li { a href=(format!("/new-application?provider={}", provider.name)) { (mark(&provider.name, &provider.title, false)) span { (provider.title) } } }
                }
            }
        }
    };
    layout::page(me, Place::Applications, "New application", false, &body)
}

fn form(me: &SignedIn, connector: &Connector, from: From, fields: &Fields) -> Html {
    let (title, word) = match from {
        From::Entry(provider) => (provider.title.as_str(), provider.name.as_str()),
        From::Hand => ("By hand", "hand"),
    };
    let name = fields
        .value("name")
        .map_or_else(|| if word == "hand" { String::new() } else { word.to_owned() }, str::to_owned);
    let redirect_url =
        name.parse::<ApplicationName>().ok().map(|name| connector.settings().callback.redirect_url(&name));
    let body = html! {
        div.crumb { a href="/applications" { "Applications" } " / " a href="/new-application" { "New" } }
        div.with-mark { (mark(word, title, true)) h1 { "New application: " (title) } }
        @if let Some(wrong) = fields.first() {
            (note(Tone::Bad, &html! { p { strong { "It was not made." } " " (capital(wrong)) } }))
        }
        div.columns {
            form.panel method="post" action="/new-application" {
                div.body.form {
                    (token(me))
                    input type="hidden" name="provider" value=(word);
                    (field(fields, "name", "Name", "What you call it. It stands in addresses and file names: a-z, 0-9, - _ .", &html! {
                        input #name name="name" value=(name) required autocomplete="off" spellcheck="false" aria-describedby=(fields.about("name")) aria-invalid=[fields.invalid("name")];
                    }))
                    @if let From::Entry(provider) = from {
                        @for (variable, about) in &provider.variables {
                            @let key = format!("variables.{variable}");
                            @let label = capital_label(variable);
                            (field(fields, &key, &label, &about.about, &html! {
                                input id=(key) name=(key) value=(fields.value(&key).or(about.default.as_deref()).unwrap_or_default()) autocomplete="off" spellcheck="false" aria-describedby=(fields.about(&key)) aria-invalid=[fields.invalid(&key)];
                            }))
                        }
                    }
                    (field(fields, "client_id", "Client id", "The provider gives it when you register there.", &html! {
                        input #client_id name="client_id" value=(fields.value("client_id").unwrap_or_default()) autocomplete="off" spellcheck="false" aria-describedby=(fields.about("client_id")) aria-invalid=[fields.invalid("client_id")];
                    }))
                    (field(fields, "client_secret", "Client secret", "Sealed when it is stored, and never shown again. A public client has none.", &html! {
                        input #client_secret type="password" name="client_secret" autocomplete="off" aria-describedby=(fields.about("client_secret")) aria-invalid=[fields.invalid("client_secret")];
                    }))
                    @if let From::Hand = from { (by_hand(fields)) }
                    @let scopes = fields.value("profiles.default.scopes").map_or_else(|| default_scopes(from), str::to_owned);
                    (field(fields, "profiles.default.scopes", "Scopes", "One a line, of the profile default.", &html! {
                        textarea id="profiles.default.scopes" name="profiles.default.scopes" rows="4" spellcheck="false" aria-describedby=(fields.about("profiles.default.scopes")) aria-invalid=[fields.invalid("profiles.default.scopes")] { (scopes) }
                    }))
                    div.actions { button.primary { "Make it" } a.button href="/applications" { "Leave it" } }
                }
            }
            div.stack { (beside(from, redirect_url.as_ref().map(url::Url::as_str))) }
        }
    };
    layout::page(me, Place::Applications, "New application", false, &body)
}

fn by_hand(fields: &Fields) -> Markup {
    let url = |key: &'static str, label: &str, hint: &str| {
        field(
            fields,
            key,
            label,
            hint,
            &html! {
                input id=(key) type="url" name=(key) value=(fields.value(key).unwrap_or_default()) placeholder="https://" autocomplete="off" spellcheck="false" aria-describedby=(fields.about(key)) aria-invalid=[fields.invalid(key)];
            },
        )
    };
    html! {
        (url("endpoints.issuer", "Issuer", "Where it publishes its metadata, the endpoints that you leave empty are filled in from there. Only public addresses are asked."))
        (url("endpoints.authorization", "Authorization endpoint", "Where people are sent to consent."))
        (url("endpoints.token", "Token endpoint", "Where codes and refresh tokens are exchanged."))
        (url("endpoints.revocation", "Revocation endpoint", "Where tokens are revoked (RFC 7009), if there is one."))
        div.two {
            (field(fields, "client_authentication", "Client authentication", "", &html! {
                select #client_authentication name="client_authentication" aria-describedby=(fields.about("client_authentication")) {
                    @for how in AUTHENTICATIONS { option value=(how.as_str()) selected[fields.value("client_authentication") == Some(how.as_str())] { (authentication(how)) } }
                }
            }))
            (field(fields, "profiles.default.grant", "Grant", "", &html! {
                select id="profiles.default.grant" name="profiles.default.grant" aria-describedby=(fields.about("profiles.default.grant")) {
                    @for grant in GRANTS { option value=(grant) selected[fields.value("profiles.default.grant") == Some(grant.as_str())] { (grant.as_str().replace('_', " ")) } }
                }
            }))
        }
        (field(fields, "script", "Script", "An OAuth API script for the provider's habits; most need none.", &html! {
            input #script name="script" value=(fields.value("script").unwrap_or_default()) placeholder="OAuth…" autocomplete="off" spellcheck="false" aria-describedby=(fields.about("script")) aria-invalid=[fields.invalid("script")];
        }))
    }
}

/// What one needs to know beside the form.
fn beside(from: From, redirect_url: Option<&str>) -> Markup {
    html! {
        @if let From::Entry(provider) = from {
            section.panel aria-labelledby="setup" {
                header { h2 #setup { "At the provider, first" } }
                div.body {
                    p { (provider.setup.trim()) }
                    ul.small { @for source in &provider.sources { li { a href=(source.page) rel="noreferrer noopener" target="_blank" { (host(&source.page)) span.hidden-text { ": " (source.page) " (opens in a new tab)" } } span.faint { ", read " (source.read) } } } }
                }
            }
        }
        section.panel aria-labelledby="redirect" {
            header { h2 #redirect { "Redirect URL" } }
            div.body {
                @match redirect_url {
                    Some(url) => { p.soft { "Enter it there, exactly as it is here. The application's name stands in it." } (redirect(url)) }
                    None => { p.soft { "It is shown when the application has a name." } }
                }
            }
        }
        @if let From::Entry(provider) = from {
            @if !provider.scopes.is_empty() {
                section.panel aria-labelledby="scopes" {
                    header { h2 #scopes { "Scopes that people ask for" } }
                    div.body { dl.stack.small { @for (scope, about) in &provider.scopes { div { dt { code { (scope) } } dd.soft { (about) } } } } }
                }
            }
        }
    }
}

fn default_scopes(from: From) -> String {
    match from {
        From::Entry(provider) => {
            let profile = provider.settings.profiles.get(&crate::model::ProfileName::default());
            profile.and_then(|profile| profile.scopes.as_ref()).map(|scopes| scopes.join("\n")).unwrap_or_default()
        }
        From::Hand => String::new(),
    }
}

fn host(page: &str) -> String {
    let url = page.parse::<url::Url>().ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| page.to_owned())
}

fn capital_label(word: &str) -> String {
    let mut chars = word.chars();
    let text: String = chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
    text.replace('_', " ")
}
