//! The script that reads what a guess found: short, commented, in the helpers of `docs/scripts.md`. Nothing of a reply gets
//! into it but plain names ([`Place`]).

use super::guess::{Failing, Guess, Lifetime, Scopes, TokenAt};
use super::shape::{Place, Shape};
use super::times::When;
use crate::model::{FailureKind, ScriptName};
use crate::oauth::Value;
use std::fmt::Write as _;

/// Writes the script of a guess. `fixture` is where the reply of the same shape lies, for the reader of the script.
#[must_use]
pub fn write_script(name: &ScriptName, guess: &Guess, fixture: &str) -> String {
    let mut script = Lines::default();
    script.comment(&format!(
        "{name}: reads a reply that is {}. Started from a recorded reply; {} holds one of the same shape, and `grantkeeper script test` replays it. docs/scripts.md lists every object and helper.",
        described(guess),
        one_line(fixture)
    ));
    script.line(0, "");
    script.line(0, "fn postprocessAccessToken(accessTokenResponse) {");
    script.line(1, "let paramMap = accessTokenResponse.getparameters();");
    match (&guess.access_token, &guess.failing) {
        (Some(at), _) => token(&mut script, guess, at),
        (None, Some(failing)) => failure(&mut script, guess, failing),
        (None, None) => unknown(&mut script, guess),
    }
    script.line(0, "}");
    script.0
}

/// Text that grows line by line.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, depth: usize, text: &str) {
        let indent = if text.is_empty() { 0 } else { 4 * depth };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    fn comment(&mut self, text: &str) {
        self.comment_at(0, text);
    }

    fn comment_at(&mut self, depth: usize, text: &str) {
        let mut line = String::from("//");
        for word in text.split_whitespace() {
            if 4 * depth + line.len() + 1 + word.len() > WIDTH {
                self.line(depth, &line);
                "//".clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(depth, &line);
    }
}

fn described(guess: &Guess) -> String {
    let root = match &guess.access_token {
        Some(TokenAt::Field(place)) => place.parent(),
        _ => None,
    };
    match root {
        Some(root) => format!("{}, with the tokens under `{}`", guess.shape, root.dotted()),
        None => guess.shape.to_string(),
    }
}

/// The lines that make `reply` of the body; where the default reading has done it, `paramMap` is the reply.
fn read(script: &mut Lines, guess: &Guess) -> &'static str {
    let body = "let body = accessTokenResponse.getBody();";
    match &guess.shape {
        Shape::Json | Shape::Form => return "paramMap",
        Shape::JsonValue => script.line(1, "let reply = parse_json(accessTokenResponse.getBody());"),
        Shape::Jsonp => script.line(1, "let reply = parse_jsonp(accessTokenResponse.getBody());"),
        Shape::JsonInJson(place) => {
            script.comment_at(1, "The reply holds a text that is JSON itself.");
            script.line(1, &format!("let inner = {};", at("paramMap", place)));
            script.line(1, "if inner == () {");
            script.line(2, "return;");
            script.line(1, "}");
            script.line(1, "let reply = parse_json(inner);");
        }
        Shape::Prefixed(_) => {
            script.line(1, body);
            script.comment_at(1, "What stands before the JSON is left out.");
            script.line(1, "let start = body.index_of('{');");
            script.line(1, "if start < 0 {");
            script.line(2, "return;");
            script.line(1, "}");
            script.line(1, "let reply = parse_json(body.sub_string(start));");
        }
        Shape::Xml => {
            script.line(1, body);
            script.line(1, "body.trim();");
            script.comment_at(1, "An error page of a gateway may be no XML at all.");
            script.line(1, "if !body.starts_with('<') {");
            script.line(2, "return;");
            script.line(1, "}");
            script.line(1, "let reply = parse_xml(body);");
        }
        Shape::Bare | Shape::Unreadable => {}
    }
    "reply"
}

/// `path(reply, 'a.b')`, or the shorter way at the top of the parameters.
fn at(source: &str, place: &Place) -> String {
    match place.parent() {
        None if source == "paramMap" => format!("paramMap.get('{}')", place.dotted()),
        _ => format!("path({source}, '{}')", place.dotted()),
    }
}

fn token(script: &mut Lines, guess: &Guess, token_at: &TokenAt) {
    let source = match token_at {
        TokenAt::Body if guess.shape != Shape::JsonValue => {
            script.line(1, "let token = accessTokenResponse.getBody();");
            script.line(1, "token.trim();");
            script.comment_at(1, "The whole body is the token; what is no single word is an error or a page.");
            script.line(1, "if accessTokenResponse.getStatusCode() != 200 || token == '' || token.contains(' ') || token.contains('<') {");
            script.line(2, "return;");
            script.line(1, "}");
            script.comment_at(1, "What the default reading may have made of it is no parameter.");
            script.line(1, "paramMap.clear();");
            "paramMap"
        }
        TokenAt::Body => {
            let source = read(script, guess);
            script.line(1, &format!("let token = {source};"));
            script.line(1, "if type_of(token) != 'string' {");
            script.line(2, "return;");
            script.line(1, "}");
            source
        }
        TokenAt::Header(name) => {
            script.line(1, &format!("let token = accessTokenResponse.getHeader('{name}');"));
            if name == "authorization" {
                script.line(1, "if token != () {");
                script.line(2, "token = token.sub_string(7);");
                script.line(1, "}");
            }
            script.line(1, "if token == () {");
            script.line(2, "return;");
            script.line(1, "}");
            if guess.refresh_token.is_some() || guess.expires.as_ref().is_some_and(|found| found.place.is_some()) {
                read(script, guess)
            } else {
                "paramMap"
            }
        }
        TokenAt::Field(place) => {
            let source = read(script, guess);
            script.line(1, &format!("let token = {};", at(source, place)));
            script.line(1, "if token == () {");
            no_token(script, guess, source);
            script.line(2, "return;");
            script.line(1, "}");
            source
        }
    };
    script.line(1, "paramMap.put('access_token', token);");
    match &guess.refresh_token {
        Some(place) if guess.shape == Shape::Json && place.dotted() == "refresh_token" => {}
        Some(place) => script.line(1, &format!("paramMap.put('refresh_token', {});", at(source, place))),
        None => {
            script.comment_at(1, "No refresh token was found. Where there is one:");
            script.line(1, &format!("// paramMap.put('refresh_token', path({source}, '…'));"));
        }
    }
    lifetime(script, source, guess.expires.as_ref(), &ACCESS);
    if guess.refresh_token.is_some() {
        lifetime(script, source, guess.refresh_expires.as_ref(), &REFRESH);
    }
    scopes(script, source, guess.scopes.as_ref());
}

/// What a reply without a token gets: a failure where the code of a good reply is known, else the default reading.
fn no_token(script: &mut Lines, guess: &Guess, source: &str) {
    match &guess.success {
        Some((place, value)) if !value.is_boolean() => {
            script.comment_at(
                2,
                &format!(
                    "`{}` is {} in a good reply. Say here which codes end the grant: 'reauthorization_required'; docs/scripts.md lists the kinds.",
                    place.dotted(),
                    if value.is_number() { value.to_string() } else { "another".to_owned() }
                ),
            );
            script.line(2, &format!("let code = {};", at(source, place)));
            script.line(2, "if code != () {");
            script.line(3, "fail('request_rejected', '' + code, 'the provider says no');");
            script.line(2, "}");
        }
        _ => script.comment_at(2, "An error reply: the default reading says what it means."),
    }
}

/// The names that a lifetime is read under after the script.
struct Names {
    duration: &'static str,
    moment: &'static str,
    /// Names that would be read before `moment`.
    before: &'static [&'static str],
    what: &'static str,
}

const ACCESS: Names =
    Names { duration: "expires_in", moment: "expires_at", before: &["expires_in"], what: "the access token" };
const REFRESH: Names = Names {
    duration: "refresh_expires_in",
    moment: "refresh_token_expires_at",
    before: &["refresh_expires_in", "refresh_token_expires_in"],
    what: "the refresh token",
};

fn lifetime(script: &mut Lines, source: &str, lifetime: Option<&Lifetime>, names: &Names) {
    let Some(lifetime) = lifetime else {
        script.comment_at(1, &format!("No lifetime of {} was found. Where there is one, in seconds:", names.what));
        script.line(1, &format!("// paramMap.put('{}', path({source}, '…'));", names.duration));
        return;
    };
    let Some(place) = &lifetime.place else {
        script.comment_at(1, "Only the token itself, a JWT, tells when it ends.");
        script.line(1, &format!("paramMap.put('{}', jwt_payload(token).exp);", names.moment));
        return;
    };
    let value = at(source, place);
    match lifetime.when {
        When::In(1) => script.line(1, &format!("paramMap.put('{}', {value});", names.duration)),
        When::In(_) | When::InMilliseconds => {
            let (unit, change) = match lifetime.when {
                When::In(60) => ("minutes", "* 60"),
                When::In(3600) => ("hours", "* 3600"),
                When::In(_) => ("days", "* 86400"),
                _ => ("milliseconds", "/ 1000"),
            };
            let variable = if names.what == ACCESS.what { "lifetime" } else { "refreshLifetime" };
            let number = if lifetime.is_text { format!("parse_int({variable})") } else { variable.to_owned() };
            script.line(1, &format!("let {variable} = {value};"));
            script.line(1, &format!("if {variable} != () {{"));
            script.comment_at(2, &format!("It comes in {unit}."));
            script.line(2, &format!("paramMap.put('{}', {number} {change});", names.duration));
            script.line(1, "}");
        }
        When::At | When::AtCivil => {
            let variable = if names.what == ACCESS.what { "ends" } else { "refreshEnds" };
            let moment =
                if lifetime.when == When::AtCivil { format!("parse_time({variable})") } else { variable.to_owned() };
            script.line(1, &format!("let {variable} = {value};"));
            script.line(1, &format!("if {variable} != () {{"));
            script.comment_at(2, "It is the moment that it ends at, not a duration.");
            for name in names.before {
                script.line(2, &format!("paramMap.remove('{name}');"));
            }
            script.line(2, &format!("paramMap.put('{}', {moment});", names.moment));
            script.line(1, "}");
        }
    }
}

fn scopes(script: &mut Lines, source: &str, scopes: Option<&Scopes>) {
    match scopes {
        None => {
            script.comment_at(1, "No scopes were found. Where there are some, as a list or with spaces between them:");
            script.line(1, &format!("// paramMap.put('scope', path({source}, '…'));"));
        }
        Some(Scopes { place, separator: Some(separator), .. }) if *separator != ' ' => {
            script.line(1, &format!("let scopes = {};", at(source, place)));
            script.line(1, "if type_of(scopes) == 'string' {");
            script.line(2, &format!("paramMap.put('scope', scopes.split('{separator}'));"));
            script.line(1, "}");
        }
        Some(Scopes { place, .. }) => script.line(1, &format!("paramMap.put('scope', {});", at(source, place))),
    }
}

fn failure(script: &mut Lines, guess: &Guess, failing: &Failing) {
    let source = read(script, guess);
    script.line(1, &format!("let code = {};", at(source, &failing.code)));
    let zero = match failing.code.find(&guess.value) {
        Some(Value::Number(_)) => " || code == 0",
        _ => "",
    };
    script.line(1, &format!("if code == (){zero} {{"));
    script.comment_at(
        2,
        "A good reply. It was not seen yet: write where the tokens are, or record one and start from that.",
    );
    script.line(2, &format!("// paramMap.put('access_token', path({source}, '…'));"));
    script.line(2, &format!("// paramMap.put('refresh_token', path({source}, '…'));"));
    script.line(2, &format!("// paramMap.put('expires_in', path({source}, '…'));"));
    script.line(2, "return;");
    script.line(1, "}");
    let words = match &failing.words {
        Some(place) => format!("{} ?? 'refused'", at(source, place)),
        None => "'refused'".to_owned(),
    };
    script.line(1, &format!("let words = {words};"));
    script.comment_at(1, "Which code means what stands in the provider's documentation; one kind for each line.");
    script.line(1, "switch code {");
    script.line(2, "// 'expired' => fail('reauthorization_required', '' + code, words),");
    script.line(2, &format!("_ => fail('{}', '' + code, words)", script_kind(failing.kind)));
    script.line(1, "}");
}

fn unknown(script: &mut Lines, guess: &Guess) {
    let source = read(script, guess);
    script.comment_at(1, "Neither a token nor an error was found in the reply. Write where they are:");
    if guess.shape == Shape::Unreadable {
        script.line(1, "// let reply = parse_json(accessTokenResponse.getBody());");
    }
    for name in ["access_token", "refresh_token", "expires_in", "scope"] {
        script.line(1, &format!("// paramMap.put('{name}', path({source}, '…'));"));
    }
    script.line(1, "// fail('request_rejected', 'code', 'words');");
}

/// Scripts do not say "sent, no reply".
fn script_kind(kind: FailureKind) -> &'static str {
    FailureKind::from_script(kind.as_str()).map_or("bad_response", FailureKind::as_str)
}

/// A path as a comment shows it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Columns of a comment.
const WIDTH: usize = 110;
