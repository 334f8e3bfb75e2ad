//! The tables of a provider's habits, read key by key.

use super::error::RegistryError;
use super::reader::{Found, Reader};
use super::settings::{GRANTS, is_separator};
use crate::model::{
    AccountHabits, AuthorizationHabits, CallbackHabits, FailureKind, Habits, Ignored, Method, Places, RefreshHabits,
    ReplyFormat, ReplyHabits, RequestFormat, RequestHabits, Template, TokenHabits, Unit,
};
use std::collections::BTreeMap;

/// Reads every table of habits that stands at the top of a file.
pub(super) fn read_habits(reader: &mut Reader<'_>) -> Result<Habits, RegistryError> {
    Ok(Habits {
        authorization_scheme: reader
            .take("authorization_scheme")
            .map(|found| found.text_that(is_scheme))
            .transpose()?,
        authorization: reader.take("authorization").map(read_authorization).transpose()?.unwrap_or_default(),
        callback: reader.take("callback").map(read_callback).transpose()?.unwrap_or_default(),
        token: reader.take("token").map(read_token).transpose()?.unwrap_or_default(),
        revocation: reader.take("revocation").map(read_revocation).transpose()?.unwrap_or_default(),
        reply: reader.take("reply").map(read_reply).transpose()?.unwrap_or_default(),
        tokens: reader.take("tokens").map(read_tokens).transpose()?.unwrap_or_default(),
        account: reader.take("account").map(read_account).transpose()?.unwrap_or_default(),
        refresh: reader.take("refresh").map(read_refresh).transpose()?.unwrap_or_default(),
    })
}

fn read_authorization(found: Found<'_>) -> Result<AuthorizationHabits, RegistryError> {
    let mut table = found.table()?;
    let habits = AuthorizationHabits {
        fragment: table.take("fragment").map(|found| found.text_that(is_fragment)).transpose()?,
        drop: table.take("drop").map(|found| names(found, &GUARDS)).transpose()?,
        parameters: templates(table.take("parameters"), &OURS_TO_AUTHORIZE, Place::Browser)?,
        rename: renames(table.take("rename"), &["code_challenge", "code_challenge_method"])?,
    };
    table.finish()?;
    Ok(habits)
}

fn read_callback(found: Found<'_>) -> Result<CallbackHabits, RegistryError> {
    let mut table = found.table()?;
    let habits = CallbackHabits {
        code: table.take("code").map(Found::some_text).transpose()?,
        state: table.take("state").map(Found::some_text).transpose()?,
        keep: table.take("keep").map(|found| names(found, &["code", "state"])).transpose()?,
        hmac: table.take("hmac").map(Found::some_text).transpose()?,
    };
    table.finish()?;
    Ok(habits)
}

fn read_token(found: Found<'_>) -> Result<TokenHabits, RegistryError> {
    let mut table = found.table()?;
    let mut grants = BTreeMap::new();
    for grant in GRANTS {
        if let Some(found) = table.take(grant.as_str()) {
            let mut table = found.table()?;
            grants.insert(grant, read_request(&mut table)?);
            table.finish()?;
        }
    }
    let every = read_request(&mut table)?;
    table.finish()?;
    Ok(TokenHabits { every, grants })
}

fn read_revocation(found: Found<'_>) -> Result<RequestHabits, RegistryError> {
    let mut table = found.table()?;
    let habits = read_request(&mut table)?;
    table.finish()?;
    Ok(habits)
}

fn read_request(table: &mut Reader<'_>) -> Result<RequestHabits, RegistryError> {
    Ok(RequestHabits {
        method: table.take("method").map(|found| found.choice(&METHODS, &[])).transpose()?,
        format: table.take("format").map(|found| found.choice(&FORMATS, &OTHER_FORMATS)).transpose()?,
        drop: table.take("drop").map(|found| names(found, &["code_verifier"])).transpose()?,
        parameters: templates(table.take("parameters"), &OURS_TO_EXCHANGE, Place::Request)?,
        rename: renames(table.take("rename"), &[])?,
        headers: templates(table.take("headers"), &[], Place::Header)?,
        query: templates(table.take("query"), &[], Place::Request)?,
    })
}

fn read_reply(found: Found<'_>) -> Result<ReplyHabits, RegistryError> {
    let mut table = found.table()?;
    let habits = ReplyHabits {
        prefix: table.take("prefix").map(Found::some_text).transpose()?,
        format: table.take("format").map(|found| found.choice(&REPLY_FORMATS, &[])).transpose()?,
        scope_separator: table.take("scope_separator").map(|found| found.text_that(is_separator)).transpose()?,
        access_token_stays: table.take("access_token_stays").map(Found::flag).transpose()?,
        ignore_refresh_token: table.take("ignore_refresh_token").map(read_ignored).transpose()?,
        error_code: paths(table.take("error_code"))?,
        error_description: paths(table.take("error_description"))?,
        retry_after: paths(table.take("retry_after"))?,
        keep: read_keep(table.take("keep"))?,
        success: table.take("success").map(read_success).transpose()?.unwrap_or_default(),
        errors: table.take("errors").map(read_errors).transpose()?.unwrap_or_default(),
        places: Places { id_token: paths(table.take("id_token"))?, ..read_places(&mut table)? },
    };
    table.finish()?;
    Ok(habits)
}

fn read_places(table: &mut Reader<'_>) -> Result<Places, RegistryError> {
    Ok(Places {
        root: table.take("root").map(Found::some_text).transpose()?,
        expires_unit: table.take("expires_unit").map(|found| found.choice(&UNITS, &OTHER_UNITS)).transpose()?,
        access_token: paths(table.take("access_token"))?,
        refresh_token: paths(table.take("refresh_token"))?,
        expires_in: paths(table.take("expires_in"))?,
        refresh_expires_in: paths(table.take("refresh_expires_in"))?,
        scope: paths(table.take("scope"))?,
        token_type: paths(table.take("token_type"))?,
        // A further token has no id token of its own.
        id_token: Vec::new(),
    })
}

fn read_tokens(found: Found<'_>) -> Result<BTreeMap<String, Places>, RegistryError> {
    let read = |(name, found): (String, Found<'_>)| {
        let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if name.is_empty() || name.len() > 40 || !fits || name == "main" {
            return Err(found.wrong("must be named with a-z, 0-9, - and _, 40 characters at most, and not main"));
        }
        let spot = found.spot();
        let mut table = found.table()?;
        let places = read_places(&mut table)?;
        table.finish()?;
        if places.root.is_none() && places.access_token.is_empty() {
            return Err(spot.wrong("must say where the token is: its root, or its access_token"));
        }
        Ok((name, places))
    };
    found.table()?.rest().map(read).collect()
}

fn read_account(found: Found<'_>) -> Result<AccountHabits, RegistryError> {
    let mut table = found.table()?;
    let is_source = |text: &str| {
        let known = text.split_once('.').is_some_and(|(source, path)| SOURCES.contains(&source) && !path.is_empty());
        if known {
            return Ok(());
        }
        Err("must say where it comes from: id_token.CLAIM, userinfo.PATH, reply.PATH or callback.PATH".to_owned())
    };
    let habits = AccountHabits {
        id: texts(table.take("id"), is_source)?,
        name: texts(table.take("name"), is_source)?,
        method: table.take("method").map(|found| found.choice(&METHODS, &[])).transpose()?,
        headers: templates(table.take("headers"), &[], Place::Header)?,
    };
    table.finish()?;
    Ok(habits)
}

fn read_refresh(found: Found<'_>) -> Result<RefreshHabits, RegistryError> {
    let mut table = found.table()?;
    let habits = RefreshHabits {
        margin: table.take("margin").map(Found::seconds).transpose()?,
        idle: table.take("idle").map(Found::seconds).transpose()?,
    };
    table.finish()?;
    Ok(habits)
}

/// Where a template's text ends up.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// In the browser's address: no secret.
    Browser,
    /// In a request of ours.
    Request,
    /// In a header of such a request.
    Header,
}

fn templates(
    found: Option<Found<'_>>,
    ours: &[&str],
    place: Place,
) -> Result<BTreeMap<String, Template>, RegistryError> {
    let Some(found) = found else { return Ok(BTreeMap::new()) };
    let read = |(name, found): (String, Found<'_>)| {
        let spot = found.spot();
        if name.is_empty() {
            return Err(spot.wrong("has no name"));
        }
        if ours.contains(&name.as_str()) {
            return Err(spot.wrong("is set by Grantkeeper itself for each request, and a fixed value would break or weaken it; take it out"));
        }
        if place == Place::Header && http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(spot.wrong("is no header's name: letters, digits and dashes"));
        }
        let text = found.text()?;
        let template: Template = text.parse().map_err(|error| spot.again().wrong(format!("{error}")))?;
        if place == Place::Browser && template.has_secret() {
            return Err(spot.wrong("would put a secret into the browser's address; take it out"));
        }
        if place == Place::Header && text.chars().any(char::is_control) {
            return Err(spot.wrong("holds a line break or another control character, which no header can carry"));
        }
        Ok((name, template))
    };
    found.table()?.rest().map(read).collect()
}

fn renames(found: Option<Found<'_>>, kept: &[&str]) -> Result<BTreeMap<String, String>, RegistryError> {
    let Some(found) = found else { return Ok(BTreeMap::new()) };
    let read = |(name, found): (String, Found<'_>)| {
        if kept.contains(&name.as_str()) {
            return Err(found
                .wrong("protects the callback and keeps its name; set pkce = \"none\" where the provider refuses it"));
        }
        Ok((name, found.some_text()?))
    };
    found.table()?.rest().map(read).collect()
}

fn names(found: Found<'_>, kept: &[&str]) -> Result<Vec<String>, RegistryError> {
    let fits = |name: &str| match name {
        "" => Err("is empty".to_owned()),
        "code_challenge" | "code_challenge_method" | "code_verifier" if kept.contains(&name) => {
            Err("belongs to the proof key; set pkce = \"none\" where the provider refuses one".to_owned())
        }
        name if kept.contains(&name) => Err("protects the callback and cannot be left out".to_owned()),
        _ => Ok(()),
    };
    found.list()?.into_iter().map(|name| name.text_that(fits)).collect()
}

fn paths(found: Option<Found<'_>>) -> Result<Vec<String>, RegistryError> {
    match &found {
        Some(found) if !found.is_text() && !found.is_list() => {
            Err(found.wrong("must be a path in quotes, or a list of paths"))
        }
        _ => texts(found, is_path),
    }
}

/// A dotted path, and not the way that other tools write one.
fn is_path(text: &str) -> Result<(), String> {
    if !text.contains('[') && !text.starts_with('$') {
        return Ok(());
    }
    let plain = text.trim_start_matches("$.").trim_start_matches('$').replace('[', ".").replace(']', "");
    Err(format!("is written with dots here: {:?}", plain.trim_start_matches('.')))
}

/// One text, or a list of them.
fn texts(found: Option<Found<'_>>, fits: impl Fn(&str) -> Result<(), String>) -> Result<Vec<String>, RegistryError> {
    let some = |text: &str| if text.is_empty() { Err("is empty".to_owned()) } else { fits(text) };
    match found {
        None => Ok(Vec::new()),
        Some(found) if found.is_text() => Ok(vec![found.text_that(some)?]),
        Some(found) => found.list()?.into_iter().map(|text| text.text_that(some)).collect(),
    }
}

fn read_keep(found: Option<Found<'_>>) -> Result<BTreeMap<String, String>, RegistryError> {
    let Some(found) = found else { return Ok(BTreeMap::new()) };
    found.table()?.rest().map(|(name, found)| Ok((name, found.some_text()?))).collect()
}

fn read_success(found: Found<'_>) -> Result<BTreeMap<String, Vec<serde_json::Value>>, RegistryError> {
    found.table()?.rest().map(|(path, found)| Ok((path, found.plain_values()?))).collect()
}

fn read_errors(found: Found<'_>) -> Result<BTreeMap<String, FailureKind>, RegistryError> {
    let read = |(code, found): (String, Found<'_>)| {
        if code.strip_suffix('*').unwrap_or(&code).contains('*') {
            return Err(found.wrong("can have a * at its end only: the beginning of codes"));
        }
        Ok((code, found.choice(&KINDS, &OTHER_KINDS)?))
    };
    found.table()?.rest().map(read).collect()
}

fn read_ignored(found: Found<'_>) -> Result<Ignored, RegistryError> {
    if found.is_flag() {
        return Ok(Ignored::All(found.flag()?));
    }
    Ok(Ignored::These(texts(Some(found), |_| Ok(()))?))
}

fn is_scheme(text: &str) -> Result<(), String> {
    // RFC 9110 section 11.1: a token.
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if fits { Ok(()) } else { Err("must be one word, such as Bearer".to_owned()) }
}

fn is_fragment(text: &str) -> Result<(), String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if fits { Ok(()) } else { Err("must be what follows the #, without it and without white space".to_owned()) }
}

/// What protects the callback (RFC 6749 section 10.12, RFC 7636).
const GUARDS: [&str; 3] = ["state", "code_challenge", "code_challenge_method"];

/// Parameters of the authorization request that are made anew for each (RFC 6749 section 4.1.1, RFC 7636 section 4.3), or
/// have a key of their own.
const OURS_TO_AUTHORIZE: [&str; 6] =
    ["client_id", "client_secret", "redirect_uri", "state", "code_challenge", "code_challenge_method"];

/// Parameters of the token request that are a secret or made anew for each (RFC 6749 sections 4.1.3 and 6).
const OURS_TO_EXCHANGE: [&str; 8] =
    ["client_id", "client_secret", "redirect_uri", "code", "code_verifier", "device_code", "refresh_token", "password"];

const METHODS: [(&str, Method); 2] = [("POST", Method::Post), ("GET", Method::Get)];

const FORMATS: [(&str, RequestFormat); 4] = [
    ("form", RequestFormat::Form),
    ("json", RequestFormat::Json),
    ("query", RequestFormat::Query),
    ("form_and_query", RequestFormat::FormAndQuery),
];

const OTHER_FORMATS: [(&str, &str); 3] =
    [("application/json", "json"), ("application/x-www-form-urlencoded", "form"), ("url", "query")];

const REPLY_FORMATS: [(&str, ReplyFormat); 1] = [("text", ReplyFormat::Text)];

const UNITS: [(&str, Unit); 5] = [
    ("seconds", Unit::Seconds),
    ("milliseconds", Unit::Milliseconds),
    ("minutes", Unit::Minutes),
    ("hours", Unit::Hours),
    ("days", Unit::Days),
];

const OTHER_UNITS: [(&str, &str); 4] = [("s", "seconds"), ("ms", "milliseconds"), ("min", "minutes"), ("h", "hours")];

const SOURCES: [&str; 4] = ["id_token", "userinfo", "reply", "callback"];

/// `ambiguous` is not among them: only the client knows whether it sent.
const KINDS: [(&str, FailureKind); 6] = [
    ("transient", FailureKind::Transient),
    ("rate_limited", FailureKind::RateLimited),
    ("reauthorization_required", FailureKind::ReauthorizationRequired),
    ("client_rejected", FailureKind::ClientRejected),
    ("request_rejected", FailureKind::RequestRejected),
    ("bad_response", FailureKind::BadResponse),
];

const OTHER_KINDS: [(&str, &str); 5] = [
    ("invalid_grant", "reauthorization_required"),
    ("invalid_client", "client_rejected"),
    ("invalid_request", "request_rejected"),
    ("temporarily_unavailable", "transient"),
    ("server_error", "transient"),
];
