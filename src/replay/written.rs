//! A fixture as TOML, as a person would have written it: the keys in the order of `docs/fixtures.md`, texts of JSON in
//! single quotes, and what is usual not at all.

use super::fixture::{
    Account, Authorization, Client, Exchange, Failed, Fixture, Held, Pairs, Reply, Request, Token, bearer, usual_time,
};
use std::fmt::Write as _;

/// A table is written on one line up to this length.
const LINE: usize = 120;

/// Parameters that come first, in the order in which the RFCs name them.
const FIRST: [&str; 14] = [
    "response_type",
    "grant_type",
    "client_id",
    "client_secret",
    "code",
    "refresh_token",
    "username",
    "password",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
];

impl Fixture {
    /// The fixture as a file. [`Fixture::read`] makes the same of it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        line(&mut out, "about", &text(&self.about));
        if let Some(source) = &self.source {
            line(&mut out, "source", &text(source));
        }
        line(&mut out, "grant", &text(self.grant.as_str()));
        if self.now != usual_time() {
            line(&mut out, "now", &text(&self.now.to_string()));
        }
        if !self.then.is_empty() {
            list(&mut out, "then", &self.then.iter().map(|then| then.as_str().to_owned()).collect::<Vec<_>>());
        }
        if self.client != Client::default() {
            header(&mut out, "[client]");
            line(&mut out, "id", &text(&self.client.id));
            line(&mut out, "secret", &text(&self.client.secret));
        }
        if !self.application.is_empty() {
            table(&mut out, "application", &self.application);
        }
        stored(&mut out, &self.stored);
        if !self.callback.is_empty() {
            header(&mut out, "[callback]");
            for (name, value) in in_order(&self.callback) {
                line(&mut out, &key(name), &text(value));
            }
        }
        authorization(&mut out, &self.expect.authorization);
        for Exchange { request: asked, reply: answer } in &self.exchanges {
            header(&mut out, "[[exchange]]");
            request(&mut out, asked);
            reply(&mut out, answer);
        }
        if let Some(expected) = &self.expect.token {
            token(&mut out, "expect.token", expected);
        }
        for (name, expected) in &self.expect.tokens {
            token(&mut out, &format!("expect.tokens.{}", key(name)), expected);
        }
        if let Some(Failed { kind, code, words, retry_after }) = &self.expect.error {
            header(&mut out, "[expect.error]");
            line(&mut out, "kind", &text(kind));
            optional(&mut out, "code", code.as_deref());
            optional(&mut out, "words", words.as_deref());
            number(&mut out, "retry_after", *retry_after);
        }
        out
    }
}

fn stored(out: &mut String, stored: &Held) {
    let usual = Held::default();
    if *stored == usual {
        return;
    }
    header(out, "[stored]");
    if stored.access_token != usual.access_token {
        line(out, "access_token", &text(&stored.access_token));
    }
    if stored.refresh_token != usual.refresh_token {
        line(out, "refresh_token", &text(&stored.refresh_token));
    }
    number(out, "age", Some(stored.age).filter(|age| *age > 0));
    if !stored.fields.is_empty() {
        line(out, "fields", &toml::Value::Table(stored.fields.clone()).to_string());
    }
    if !stored.labels.is_empty() {
        line(out, "labels", &on_one_line(&stored.labels));
    }
    for (name, held) in &stored.tokens {
        header(out, &format!("[stored.tokens.{}]", key(name)));
        line(out, "access_token", &text(&held.access_token));
        optional(out, "refresh_token", held.refresh_token.as_deref());
    }
}

fn authorization(out: &mut String, expected: &Authorization) {
    if *expected == Authorization::default() {
        return;
    }
    header(out, "[expect.authorization]");
    optional(out, "url", expected.url.as_deref());
    inline(out, "params", &expected.params);
    list(out, "absent", &expected.absent);
    optional(out, "fragment", expected.fragment.as_deref());
    below(out, "expect.authorization.params", &expected.params);
}

fn request(out: &mut String, expected: &Request) {
    if *expected == Request::default() {
        return;
    }
    out.push_str("[exchange.request]\n");
    optional(out, "method", expected.method.as_deref());
    optional(out, "url", expected.url.as_deref());
    optional(out, "content_type", expected.content_type.as_deref());
    optional(out, "auth", expected.auth.as_deref());
    inline(out, "params", &expected.params);
    inline(out, "query", &expected.query);
    list(out, "absent", &expected.absent);
    inline(out, "headers", &expected.headers);
    inline(out, "claims", &expected.claims);
    below(out, "exchange.request.params", &expected.params);
    below(out, "exchange.request.query", &expected.query);
    below(out, "exchange.request.headers", &expected.headers);
    below(out, "exchange.request.claims", &expected.claims);
    out.push('\n');
}

fn reply(out: &mut String, reply: &Reply) {
    out.push_str("[exchange.reply]\n");
    line(out, "status", &reply.status.to_string());
    inline(out, "headers", &reply.headers);
    if let Some(body) = &reply.body {
        line(out, "body", &body_text(body));
    }
    optional(out, "body_base64", reply.body_base64.as_deref());
    if let Some(generate) = &reply.generate {
        line(out, "generate", &format!("{{ bytes = {}, of = {} }}", generate.bytes, text(&generate.of)));
    }
    below(out, "exchange.reply.headers", &reply.headers);
}

fn token(out: &mut String, name: &str, token: &Token) {
    header(out, &format!("[{name}]"));
    line(out, "access_token", &text(&token.access_token));
    optional(out, "refresh_token", token.refresh_token.as_deref());
    number(out, "expires_in", token.expires_in);
    number(out, "refresh_expires_in", token.refresh_expires_in);
    number(out, "lifespan", token.lifespan);
    number(out, "refresh_lifespan", token.refresh_lifespan);
    number(out, "due_after", token.due_after);
    number(out, "due_within", token.due_within);
    list(out, "scopes", &token.scopes);
    if token.token_type != bearer() {
        line(out, "token_type", &text(&token.token_type));
    }
    if !token.fields.is_empty() {
        let fields: Vec<String> =
            token.fields.iter().map(|(path, value)| format!("{} = {}", key(path), value_text(value))).collect();
        line(out, "fields", &format!("{{ {} }}", fields.join(", ")));
    }
    if let Some(Account { id, name }) = &token.account {
        let says = [("id", id), ("name", name)];
        let said: Vec<String> =
            says.iter().filter_map(|(key, value)| Some(format!("{key} = {}", text(value.as_ref()?)))).collect();
        line(out, "account", &format!("{{ {} }}", said.join(", ")));
    }
}

/// A table and those within it: plain keys, then what fits on a line, then the rest under headers of their own.
fn table(out: &mut String, path: &str, content: &toml::Table) {
    let (mut lines, mut below) = (Vec::new(), Vec::new());
    for (name, value) in content {
        // A chain of tables with one key each is a dotted key.
        let (mut dotted, mut value) = (key(name), value);
        while let Some((name, inside)) =
            value.as_table().filter(|inside| inside.len() == 1).and_then(|t| t.iter().next())
        {
            dotted = format!("{dotted}.{}", key(name));
            value = inside;
        }
        let written = format!("{dotted} = {}", value_text(value));
        match value {
            toml::Value::Table(inside) if written.len() > LINE || inside.values().any(toml::Value::is_table) => {
                below.push((dotted, inside));
            }
            // Plain keys first, dotted ones next, tables last.
            _ => lines.push((2 * usize::from(value.is_table()) + usize::from(dotted.contains('.')), written)),
        }
    }
    // A table that holds only tables needs no header of its own.
    if !lines.is_empty() || below.is_empty() {
        header(out, &format!("[{path}]"));
    }
    lines.sort_by_key(|(rank, _)| *rank);
    for (_, written) in lines {
        out.push_str(&written);
        out.push('\n');
    }
    for (name, inside) in below {
        table(out, &format!("{path}.{name}"), inside);
    }
}

/// A table of texts on a line, where it fits on one.
fn inline(out: &mut String, name: &str, pairs: &Pairs) {
    if !pairs.is_empty() && fits(name, pairs) {
        line(out, name, &on_one_line(pairs));
    }
}

/// A table of texts that does not fit on a line, under a header of its own; so it comes after all plain keys.
fn below(out: &mut String, path: &str, pairs: &Pairs) {
    let name = path.rsplit('.').next().unwrap_or(path);
    if !pairs.is_empty() && !fits(name, pairs) {
        header(out, &format!("[{path}]"));
        for (name, value) in in_order(pairs) {
            line(out, &key(name), &text(value));
        }
    }
}

fn fits(name: &str, pairs: &Pairs) -> bool {
    name.len() + 3 + on_one_line(pairs).len() <= LINE
}

fn in_order(pairs: &Pairs) -> impl Iterator<Item = (&str, &str)> {
    let place = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    let mut all: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.sort_by_key(|(name, _)| place(name));
    all.into_iter()
}

fn on_one_line(pairs: &Pairs) -> String {
    format!("{{ {} }}", in_order(pairs).map(|(name, value)| pair(name, value)).collect::<Vec<_>>().join(", "))
}

fn pair(name: &str, value: &str) -> String {
    format!("{} = {}", key(name), text(value))
}

fn header(out: &mut String, header: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(header);
    out.push('\n');
}

fn line(out: &mut String, name: &str, value: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{name} = {value}");
}

fn optional(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        line(out, name, &text(value));
    }
}

fn number(out: &mut String, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        line(out, name, &value.to_string());
    }
}

fn list(out: &mut String, name: &str, texts: &[String]) {
    if !texts.is_empty() {
        let texts: Vec<String> = texts.iter().map(|one| text(one)).collect();
        line(out, name, &format!("[{}]", texts.join(", ")));
    }
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare { name.to_owned() } else { quoted(name) }
}

fn value_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(plain) => text(plain),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(value_text).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(inside) => {
            let members: Vec<String> =
                inside.iter().map(|(name, value)| format!("{} = {}", key(name), value_text(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// A body: single quotes where it holds double ones, so that JSON stays readable; several lines where it has them.
fn body_text(body: &str) -> String {
    let has_controls = body.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    if has_controls || body.contains("'''") || body.ends_with('\'') {
        quoted(body)
    } else if body.contains('\n') || body.contains('\'') {
        format!("'''\n{body}'''")
    } else {
        format!("'{body}'")
    }
}

fn text(value: &str) -> String {
    if value.contains('"') && !value.contains('\'') && !value.chars().any(char::is_control) {
        format!("'{value}'")
    } else {
        quoted(value)
    }
}

fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"about = 'What it shows: "all" of it.'
source = "https://provider.example/docs"
grant = "authorization_code"
now = "2024-01-01T00:00:00Z"
then = ["refresh", "revoke"]

[client]
id = "CLIENT??"
secret = "s"

[application]
script = "OAuthAcme"
profiles.default.scopes = ["read"]
token = { format = "json", method = "POST" }

[stored]
refresh_token = "rt-1"
age = 60
fields = { device = { id = 7 } }
labels = { shop = "acme.example" }

[stored.tokens.user]
access_token = "xoxp-old"
refresh_token = "xoxe-old"

[callback]
code = "code-2"
realmId = "42"

[expect.authorization]
url = "https://provider.example/authorize"
params = { response_type = "code", state = "*", access_type = "offline" }
absent = ["scope"]
fragment = "x"

[[exchange]]
[exchange.request]
method = "POST"
url = "https://provider.example/token"
content_type = "application/json"
auth = "post"
params = { grant_type = "authorization_code", code = "code-2" }
absent = ["client_id"]
headers = { accept = "application/json" }
claims = { sub = "me" }

[exchange.reply]
status = 200
headers = { content-type = "application/json" }
body = '{"access_token":"at"}'

[[exchange]]
[exchange.request]
method = "GET"

[exchange.request.params]
access_token = "at"
appsecret_proof = "0123456789abcdef0123456789abcdef"
fields = "id,name,email,picture,locale,timezone,verified,updated_time"

[exchange.reply]
status = 500
generate = { bytes = 3, of = "x" }

[expect.token]
access_token = "at"
refresh_token = "rt-1"
expires_in = 3600
lifespan = 3600
refresh_lifespan = 31536000
due_after = 60
due_within = 6000
scopes = ["read"]
token_type = "MAC"
fields = { "team.id" = "T1" }
account = { id = "1", name = "Ann" }

[expect.tokens.user]
access_token = "xoxp"
"#;

    #[test]
    fn a_fixture_is_written_as_a_person_writes_it() {
        assert_eq!(Fixture::read("x", WRITTEN).unwrap().to_toml(), WRITTEN);
    }

    #[test]
    fn every_shipped_fixture_reads_back_as_it_was() {
        for fixture in super::super::shipped() {
            let fixture = fixture.unwrap();
            let text = fixture.to_toml();
            let again = Fixture { scripts: fixture.scripts.clone(), ..Fixture::read(&fixture.name, &text).unwrap() };
            assert_eq!(again, fixture, "{text}");
        }
    }

    #[test]
    fn a_body_of_any_characters_reads_back() {
        for body in ["{\"a\":\"it's\"}", "a\r\nb", "'", "''' \"", "\n\n x", "\u{1}\u{7f}é", "ends'", ""] {
            let mut fixture = Fixture::read("x", WRITTEN).unwrap();
            fixture.exchanges[0].reply.body = Some(body.to_owned());
            assert_eq!(Fixture::read("x", &fixture.to_toml()).unwrap(), fixture, "{body:?}");
        }
    }
}
