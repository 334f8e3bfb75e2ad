//! The fixture of a recorded reply: one exchange, with made-up values of the shapes that the real ones have.

use super::body;
use super::guess::Guess;
use super::masks::{Masks, Style};
use super::{Advice, advice::Outcome, advice::default_reading};
use crate::model::{FailureKind, GrantType, Habits, ScriptName, Timestamp};
use crate::oauth::{self, RawReply};
use crate::replay::{Exchange, Expect, Failed, Fixture, Request, Token};

/// The fixture of a reply that came at a time, for the script that reads it. No value of the reply is in it but what
/// everybody may know: scopes, codes and words of errors, durations.
pub fn fixture_of(script: &ScriptName, reply: &RawReply, came: Timestamp) -> Fixture {
    let mut fixture = Fixture::blank(GrantType::AuthorizationCode);
    let mut masks = Masks::new(Style::Shape { came, replayed: fixture.now });
    let real = Guess::of(reply, came);
    let expected = real.expected();
    for (is_refresh, token) in [(false, expected.access_token), (true, expected.refresh_token)] {
        if let Some(token) = token {
            masks.know_token(is_refresh, token.expose());
        }
    }
    let answer = body::masked(reply, &mut masks);
    let made = RawReply {
        status: answer.status,
        headers: answer.headers.clone().into_iter().collect(),
        body: answer.body.clone().unwrap_or_default().into_bytes().into(),
    };
    // From here on the real reply plays no part.
    let guess = Guess::of(&made, fixture.now);
    fixture.expect = expect(&guess, &made, fixture.now);
    // The kind stands in the script, and was judged by words that may be gone.
    if let (Some(failing), Some(error)) = (&real.failing, &mut fixture.expect.error) {
        error.kind = failing.kind.to_string();
    }
    fixture.about = format!("{script} reads the reply that it was started from.");
    fixture.application.insert("script".to_owned(), script.as_str().into());
    fixture.exchanges.push(Exchange { request: Request::default(), reply: answer });
    fixture
}

fn expect(guess: &Guess, reply: &RawReply, now: Timestamp) -> Expect {
    let mut expect = Expect { authorization: Default::default(), token: None, tokens: Default::default(), error: None };
    let expected = guess.expected();
    let Some(access_token) = expected.access_token else {
        expect.error = Some(error(guess, reply, now));
        return expect;
    };
    // What the default reading has made of lifetimes that no clock reaches counts.
    let tokens = match default_reading(reply, now) {
        Outcome::Token(tokens) if guess.advice(reply, now) == Advice::Nothing => Some(tokens),
        _ => None,
    };
    expect.token = Some(Token {
        access_token: access_token.expose().to_owned(),
        refresh_token: expected.refresh_token.map(|token| token.expose().to_owned()),
        expires_in: tokens.as_ref().map_or(expected.expires_in, |tokens| tokens.expires_in),
        refresh_expires_in: tokens.as_ref().map_or(expected.refresh_expires_in, |tokens| tokens.refresh_expires_in),
        lifespan: None,
        refresh_lifespan: None,
        due_after: None,
        due_within: None,
        scopes: expected.scopes,
        token_type: tokens.map_or_else(|| token_type(reply), |tokens| tokens.token_type),
        fields: Default::default(),
        account: None,
    });
    expect
}

/// The type that the default reading finds at the top; a script leaves it there.
fn token_type(reply: &RawReply) -> String {
    let mut params = oauth::read_reply(reply).unwrap_or_default();
    params.put("access_token", "at");
    match oauth::token_reply(params, Timestamp::UNIX_EPOCH, &Habits::default(), " ") {
        Ok(tokens) => tokens.token_type,
        Err(_) => "Bearer".to_owned(),
    }
}

fn failed(kind: FailureKind, code: Option<String>) -> Failed {
    Failed { kind: kind.to_string(), code, words: None, retry_after: None }
}

fn error(guess: &Guess, reply: &RawReply, now: Timestamp) -> Failed {
    if let Some(failing) = &guess.failing {
        let code = failing.code.find(&guess.value);
        let code = code.map(|code| code.as_str().map_or_else(|| code.to_string(), |text| text.trim().to_owned()));
        let kind = FailureKind::from_script(failing.kind.as_str()).unwrap_or(FailureKind::BadResponse);
        return failed(kind, code);
    }
    match default_reading(reply, now) {
        Outcome::Failed(failure) => failed(failure.kind, Some(failure.code)),
        Outcome::Token(_) => failed(FailureKind::BadResponse, None),
    }
}
