//! A token reply becomes the connection's next generation: which credentials there are afterwards, and until when.

use super::{Held, Settings};
use crate::exchange::Answer;
use crate::model::{
    Application, Connection, ConnectionState, Credential, Direction, Expiry, ExpirySource, Fields, GrantType, Profile,
    RECEIVED_ACCESS_TOKEN_SECONDS, RECEIVED_REFRESH_TOKEN_SECONDS, Scopes, Secret, Timestamp, TokenKind, new_id,
    quoted,
};
use crate::store::{Change, Expect, Key};
use crate::vault::{Stored, Vault, VaultError};
use serde_json::Value;

/// Most bytes of provider fields that a connection keeps, as JSON: a reply of a megabyte must not become a row of one.
const MOST_FIELD_BYTES: usize = 16 * 1024;

/// What a reply is settled against.
#[derive(Clone, Copy)]
pub struct Books<'a> {
    /// Where it goes.
    pub vault: &'a Vault,
    /// When the next refresh is due.
    pub settings: &'a Settings,
    /// Lifespans, and whether the password is kept.
    pub application: &'a Application,
    /// The scopes that were asked for.
    pub profile: &'a Profile,
    /// The credentials until now.
    pub old: &'a [Stored<Credential>],
}

/// The next generation of a connection.
pub struct Settled {
    /// The connection as it will be; the caller writes it, in the same commit.
    pub connection: Connection,
    /// Its access token.
    pub access: Credential,
    /// Its refresh token, where it has one.
    pub refresh: Option<Credential>,
    /// The credentials that come and those that go.
    pub changes: Vec<Change>,
}

/// Makes `answer` the next generation of `connection`.
pub fn settle(
    books: &Books<'_>,
    connection: &Connection,
    answer: Answer,
    now: Timestamp,
) -> Result<Settled, VaultError> {
    let Books { vault, settings, application, profile, old } = *books;
    let mut next = connection.clone();
    next.generation += 1;
    next.state = ConnectionState::Active;
    next.failure = None;
    next.failures = 0;
    next.restored = None;
    next.waits = false;
    learn(&mut next, newest(old, TokenKind::AccessToken).map(|access| &access.value));
    let reply = answer.reply;
    let (old_access, old_refresh) = (newest(old, TokenKind::AccessToken), newest(old, TokenKind::RefreshToken));
    let granted = match (&reply.scopes, old_access) {
        (Some(scopes), _) => scopes.clone(),
        // A refresh without `scope` keeps what was granted (RFC 6749 section 6).
        (None, Some(before)) => before.value.scopes.clone(),
        // As asked for (section 5.1).
        (None, _) if next.scopes.requested.is_empty() => profile.scopes.clone(),
        (None, _) => next.scopes.requested.clone(),
    };
    // A token takes the place of the one that it replaces, under the same id: whoever watches a credential goes on watching it, and the
    // store writes half as much.
    let made = |kind, token, expires, before: Option<&Stored<Credential>>| Credential {
        id: before.map_or_else(new_id, |before| before.value.id),
        connection: next.id,
        kind,
        direction: Direction::Received,
        generation: next.generation,
        token,
        token_type: reply.token_type.clone(),
        scopes: granted.clone(),
        issued: now,
        expires,
        revoked: None,
    };
    let lifespans = &application.lifespans;
    let access_expires =
        Expiry::of_received(now, reply.expires_in, lifespans.access_token, RECEIVED_ACCESS_TOKEN_SECONDS)
            .or_learned(now, next.learned_lifetime);
    let access = made(TokenKind::AccessToken, reply.access_token.clone(), access_expires, old_access);
    let refresh_expires =
        || Expiry::of_received(now, reply.refresh_expires_in, lifespans.refresh_token, RECEIVED_REFRESH_TOKEN_SECONDS);
    let mut changes = vec![vault.put_credential(&access, old_access.map(|before| before.version))?];
    let (mut kept, mut refresh) = (None, None);
    let mut stay = vec![access.id];
    match (&reply.refresh_token, old_refresh) {
        // The same token again, or none: the old one stays, and so does its expiry unless somebody says otherwise.
        (said, Some(before)) if said.as_ref().is_none_or(|token| *token == before.value.token) => {
            refresh = Some(before.value.clone());
            let stated = reply.refresh_expires_in.is_some_and(|seconds| seconds > 0);
            if stated || application.extend_refresh_token_expiry {
                let mut same = before.value.clone();
                same.expires = refresh_expires();
                changes.push(vault.put_credential(&same, Some(before.version))?);
                refresh = Some(same);
            }
            kept = Some(before.value.id);
            stay.push(before.value.id);
        }
        (Some(token), _) => {
            let new = made(TokenKind::RefreshToken, token.clone(), refresh_expires(), old_refresh);
            changes.push(vault.put_credential(&new, old_refresh.map(|before| before.version))?);
            stay.push(new.id);
            refresh = Some(new);
        }
        (None, _) => {}
    }
    let renewable = kept.is_some() || reply.refresh_token.is_some() || renews_by_asking(application, profile, &next);
    changes.extend(
        old.iter()
            .filter(|credential| !stay.contains(&credential.value.id))
            .map(|credential| Change::remove(Key::Credential(credential.value.id), Expect::Any)),
    );
    let further = reply.further.values();
    let all = further.chain([&reply]).flat_map(|reply| {
        [Some(&reply.access_token), reply.refresh_token.as_ref(), reply.id_token.as_ref()].into_iter().flatten()
    });
    let tokens: Vec<&Secret> = all.collect();
    keep_fields(&mut next.fields, reply.extra.clone(), answer.kept, &tokens);
    let knows = next.account.as_ref().is_some_and(|account| account.subject.is_some());
    let came = [
        ("openid", reply.id_token.is_some() || knows),
        ("offline_access", reply.refresh_token.is_some() || kept.is_some()),
    ];
    let came: Vec<&str> = came.into_iter().filter_map(|(scope, came)| came.then_some(scope)).collect();
    next.scopes = Scopes::compared(next.scopes.requested, granted, &came);
    tell_what_is_missing(connection, &next);
    let used = Connection { refreshed: Some(now), ..next.clone() };
    let held = Held { access: &access, refresh: refresh.as_ref(), renewable, habits: application.habits.refresh };
    next.due = Some(settings.due(&used, &held, now));
    Ok(Settled { connection: next, access, refresh, changes })
}

/// A token whose end nobody knew was rejected, and now there is another: then it may have lived about as long as its age was. Two
/// in a row at about the same age teach it; one may have been rejected for another reason, and one that is rejected early in its
/// life was: then nothing that was learned holds.
fn learn(connection: &mut Connection, old: Option<&Credential>) {
    let Some(rejection) = connection.rejected.take() else { return };
    let Some(old) = old.filter(|old| old.generation == rejection.generation) else { return };
    let age = u64::try_from(rejection.at.duration_since(old.issued).as_secs()).unwrap_or(0);
    if !matches!(old.expires.source, ExpirySource::Default | ExpirySource::Learned) {
        return;
    }
    if age < SHORTEST_LEARNED {
        (connection.rejected_age, connection.learned_lifetime) = (None, None);
        return;
    }
    let before = connection.rejected_age.replace(age);
    let about = |before: &u64| before.abs_diff(age) <= age.max(*before) / 5;
    if let Some(before) = before.filter(about) {
        connection.learned_lifetime = Some(before.min(age));
        tracing::info!(connection = %connection.name, seconds = before.min(age), "learned how long its access tokens live");
    }
}

/// Seconds: a token that is rejected younger than this was hardly too old.
const SHORTEST_LEARNED: u64 = 300;

/// Logs once that a scope which was asked for is not granted; who commits this tells it as an event too.
fn tell_what_is_missing(before: &Connection, now: &Connection) {
    let missing = &now.scopes.missing;
    if missing.is_empty() || *missing == before.scopes.missing {
        return;
    }
    let missing: Vec<String> = missing.iter().map(|scope| quoted(scope)).collect();
    tracing::warn!(
        connection = %now.name,
        "scopes that were asked for are not granted: {}; calls that need them will be refused",
        missing.join(", ")
    );
}

/// Whether a connection renews without a refresh token, by asking again with what we hold.
#[must_use]
pub fn renews_by_asking(application: &Application, profile: &Profile, connection: &Connection) -> bool {
    // What the profile asks for is the connection's token and not a further one.
    if connection.name.token().is_some() {
        return false;
    }
    match profile.grant {
        GrantType::ClientCredentials | GrantType::JwtBearer => true,
        GrantType::Password => application.keep_password && connection.password.is_some(),
        GrantType::AuthorizationCode | GrantType::DeviceCode | GrantType::RefreshToken => false,
    }
}

/// The newest credential of a kind that nobody revoked.
pub fn newest(credentials: &[Stored<Credential>], kind: TokenKind) -> Option<&Stored<Credential>> {
    credentials
        .iter()
        .filter(|credential| credential.value.kind == kind && credential.value.revoked.is_none())
        .max_by_key(|credential| credential.value.generation)
}

fn keep_fields(fields: &mut Fields, extra: Fields, kept: Fields, tokens: &[&Secret]) {
    // Only what a reply brings unasked: what a script keeps on purpose is its author's word.
    let extra = extra.into_iter().filter_map(|(name, value)| Some((without_secrets(&name, value)?, name)));
    for (value, name) in extra.chain(kept.into_iter().map(|(name, value)| (value, name))) {
        // A reply inside a text of the reply, say: whatever holds one of the tokens is no field to show.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if tokens.iter().any(|token| !token.is_empty() && text.contains(token.expose())) {
            fields.shift_remove(&name);
            continue;
        }
        let before = fields.insert(name.clone(), value);
        let size = serde_json::to_vec(&*fields).map_or(usize::MAX, |json| json.len());
        if size > MOST_FIELD_BYTES {
            tracing::warn!(field = %crate::model::quoted(&name), "a field of the provider's reply is too large to keep");
            match before {
                Some(before) => fields.insert(name, before),
                None => fields.shift_remove(&name),
            };
        }
    }
}

/// A field without what its names say is secret: fields are shown to people, and a second token among them (Slack's
/// `authed_user`) must not be.
fn without_secrets(name: &str, value: Value) -> Option<Value> {
    let lower = name.to_ascii_lowercase();
    if SECRET_NAMES.iter().any(|secret| lower.contains(secret)) && (value.is_string() || value.is_array()) {
        return None;
    }
    Some(match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name.clone(), without_secrets(&name, value)?)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().filter_map(|item| without_secrets("", item)).collect()),
        plain => plain,
    })
}

/// Parts of names whose values are never kept.
const SECRET_NAMES: [&str; 7] = ["token", "secret", "password", "assertion", "cookie", "session", "private_key"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_second_token_in_a_reply_is_not_kept_and_what_is_no_secret_is() {
        let Value::Object(extra) = json!({
            "team": { "id": "T1" }, "authed_user": { "id": "U1", "access_token": "marked" }, "bot_token": "marked",
            "list": [{ "refreshToken": "marked", "n": 1 }], "token_count": 3,
            "data": "{\"t\":\"the-token-itself\",\"x\":\"marked\"}", "deep": { "a": ["the-token-itself", "marked"] },
        }) else {
            unreachable!()
        };
        let mut fields = Fields::new();
        keep_fields(&mut fields, extra, Fields::new(), &[&Secret::new("the-token-itself")]);
        let kept = serde_json::to_string(&fields).unwrap();
        assert!(!kept.contains("marked"), "{kept}");
        assert!(kept.contains("T1") && kept.contains("U1") && kept.contains("token_count"), "{kept}");
    }

    #[test]
    fn a_field_that_is_too_large_is_left_out() {
        let Value::Object(extra) = json!({ "small": "x", "large": "y".repeat(20_000) }) else { unreachable!() };
        let mut fields = Fields::new();
        keep_fields(&mut fields, extra, Fields::new(), &[&Secret::new("the-token-itself")]);
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["small"]);
    }
}
