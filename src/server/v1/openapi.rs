//! `/openapi.json`: the API as a document (OpenAPI 3.1), made of the table of routes and of the types that handlers read and write.

use crate::api::{
    AbandonRequest, ApiKeyDocument, ApplicationDocument, AppliedDocument, AuditQuery, AuthorizationDocument,
    AuthorizeRequest, AwaitDocument, BackupRequest, CheckRequest, CheckedDocument, CompleteRequest, ConnectRequest,
    ConnectionDocument, CreateKeyRequest, CreateWebhookRequest, CreatedKeyDocument, CredentialDocument,
    CredentialsQuery, DeviceDocument, DeviceRequest, EnableRequest, EventsQuery, ExpiryEdit, HealthDocument,
    ImportRequest, KeysDocument, LabelsEdit, LabelsRequest, ListQuery, NewestDocument, PasswordRequest, PollDocument,
    PollRequest, Problem, ProviderDocument, RefreshQuery, RefreshedDocument, RejectedRequest, RevocationDocument,
    RotateRequest, RotateSecretRequest, ScriptDocument, ScriptTextDocument, SignInDocument, TokenDocument, TokenQuery,
    TriedDocument, TryRequest, VERSION, VerifyQuery, WebhookDocument, WebhookEditRequest, WebhookSecretDocument,
};
use crate::model::{
    ApplicationName, KeyName, Profile, ProfileName, RecordedEvent, ScriptName, WebhookAnswer, WebhookName,
};
use crate::oauth::Introspection;
use crate::refresh::Round;
use crate::server::doors::rights::{Needs, ROUTES};
use axum::Json;
use axum::http::Method;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// A schema, made when it is needed.
type Made = fn(&mut SchemaGenerator) -> Schema;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a route reads and writes.
#[derive(Default)]
struct Shape {
    query: Option<Made>,
    body: Option<Made>,
    answer: Option<Made>,
    /// The media type of the answer, where it is not JSON.
    kind: Option<&'static str>,
}

fn shape(method: &Method, path: &str) -> Shape {
    let asks = |body: Made, answer: Made| Shape { body: Some(body), answer: Some(answer), ..Shape::default() };
    let gives = |answer: Made| Shape { answer: Some(answer), ..Shape::default() };
    let lists = |query: Made, answer: Made| Shape { query: Some(query), answer: Some(answer), ..Shape::default() };
    match (method.as_str(), path.trim_start_matches("/v1")) {
        ("GET", "/health") => gives(of::<HealthDocument>),
        ("GET", "/applications") => gives(of::<Vec<ApplicationDocument>>),
        ("GET", "/applications/{application}") => gives(of::<ApplicationDocument>),
        ("PUT", "/applications/{application}") => asks(of::<Map<String, Value>>, of::<AppliedDocument>),
        ("GET", "/applications/{application}/toml") => Shape { kind: Some("application/toml"), ..Shape::default() },
        ("GET", "/applications/{application}/profiles") => gives(of::<BTreeMap<String, Profile>>),
        ("PUT", "/applications/{application}/profiles/{profile}") => asks(of::<Profile>, of::<Profile>),
        ("GET", "/connections") => lists(of::<ListQuery>, of::<Vec<ConnectionDocument>>),
        ("GET", "/connections/{application}/{name}") => gives(of::<ConnectionDocument>),
        ("DELETE", "/connections/{application}/{name}") => gives(of::<RevocationDocument>),
        ("PUT", "/connections/{application}/{name}/labels") => asks(of::<LabelsRequest>, of::<ConnectionDocument>),
        ("PATCH", "/connections/{application}/{name}/labels") => asks(of::<LabelsEdit>, of::<ConnectionDocument>),
        ("POST", "/connections/{application}/{name}/revoke" | "/credentials/{id}/revoke") => {
            gives(of::<RevocationDocument>)
        }
        ("POST", "/connections/{application}/{name}/authorize") => {
            asks(of::<AuthorizeRequest>, of::<AuthorizationDocument>)
        }
        ("POST", "/connections/{application}/{name}/abandon") => {
            Shape { body: Some(of::<AbandonRequest>), ..Shape::default() }
        }
        ("POST", "/connections/{application}/{name}/await") => asks(of::<AbandonRequest>, of::<AwaitDocument>),
        ("POST", "/connections/{application}/{name}/device") => asks(of::<DeviceRequest>, of::<DeviceDocument>),
        ("POST", "/connections/{application}/{name}/device/poll") => asks(of::<PollRequest>, of::<PollDocument>),
        ("POST", "/connections/{application}/{name}/connect") => asks(of::<ConnectRequest>, of::<ConnectionDocument>),
        ("GET", "/connections/{application}/{name}/token") => lists(of::<TokenQuery>, of::<TokenDocument>),
        ("POST", "/connections/{application}/{name}/token-rejected") => {
            asks(of::<RejectedRequest>, of::<TokenDocument>)
        }
        ("POST", "/connections/{application}/{name}/refresh") => lists(of::<RefreshQuery>, of::<RefreshedDocument>),
        ("POST", "/complete") => asks(of::<CompleteRequest>, of::<ConnectionDocument>),
        ("POST", "/sign-in-link") => gives(of::<SignInDocument>),
        ("POST", "/refresh-due") => gives(of::<Round>),
        ("POST", "/grants") => Shape { body: Some(of::<ImportRequest>), kind: Some(LINES), ..Shape::default() },
        ("GET", "/credentials") => lists(of::<CredentialsQuery>, of::<Vec<CredentialDocument>>),
        ("GET", "/credentials/{id}") => gives(of::<CredentialDocument>),
        ("PATCH", "/credentials/{id}") => asks(of::<ExpiryEdit>, of::<CredentialDocument>),
        ("POST", "/credentials/{id}/introspect") => gives(of::<Introspection>),
        ("GET", "/events") => lists(of::<EventsQuery>, of::<Vec<RecordedEvent>>),
        ("GET", "/events/newest" | "/audit/newest") => gives(of::<NewestDocument>),
        ("GET", "/events/stream") => Shape { query: Some(of::<EventsQuery>), kind: Some(LINES), ..Shape::default() },
        ("GET", "/api-keys") => gives(of::<Vec<ApiKeyDocument>>),
        ("POST", "/api-keys") => asks(of::<CreateKeyRequest>, of::<CreatedKeyDocument>),
        ("DELETE", "/api-keys/{key}") => gives(of::<ApiKeyDocument>),
        ("PUT", "/administrator/password") => Shape { body: Some(of::<PasswordRequest>), ..Shape::default() },
        ("GET", "/audit") => lists(of::<AuditQuery>, of::<Map<String, Value>>),
        ("GET", "/audit/stream") => Shape { query: Some(of::<AuditQuery>), kind: Some(LINES), ..Shape::default() },
        ("GET", "/audit/verify") => lists(of::<VerifyQuery>, of::<Map<String, Value>>),
        ("GET", "/providers") => gives(of::<Vec<ProviderDocument>>),
        ("GET", "/providers/{provider}") => gives(of::<ProviderDocument>),
        ("GET", "/scripts") => gives(of::<Vec<ScriptDocument>>),
        ("POST", "/scripts/check") => gives(of::<CheckedDocument>),
        ("GET", "/scripts/{script}") => gives(of::<ScriptTextDocument>),
        ("POST", "/scripts/{script}/check") => asks(of::<CheckRequest>, of::<ScriptDocument>),
        ("POST", "/scripts/{script}/try") => asks(of::<TryRequest>, of::<TriedDocument>),
        ("GET", "/webhooks") => gives(of::<Vec<WebhookDocument>>),
        ("POST", "/webhooks") => asks(of::<CreateWebhookRequest>, of::<WebhookSecretDocument>),
        ("GET", "/webhooks/{webhook}") | ("POST", "/webhooks/{webhook}/disable") => gives(of::<WebhookDocument>),
        ("PATCH", "/webhooks/{webhook}") => asks(of::<WebhookEditRequest>, of::<WebhookDocument>),
        ("DELETE", "/webhooks/{webhook}") => Shape::default(),
        ("POST", "/webhooks/{webhook}/rotate-secret") => asks(of::<RotateSecretRequest>, of::<WebhookSecretDocument>),
        ("POST", "/webhooks/{webhook}/enable") => asks(of::<EnableRequest>, of::<WebhookDocument>),
        ("POST", "/webhooks/{webhook}/test") => gives(of::<WebhookAnswer>),
        ("GET", "/keys") => gives(of::<KeysDocument>),
        ("POST", "/keys/rotate") => Shape { body: Some(of::<RotateRequest>), kind: Some(LINES), ..Shape::default() },
        ("POST", "/store/backup") => Shape { body: Some(of::<BackupRequest>), kind: Some(LINES), ..Shape::default() },
        _ => Shape { kind: Some("*/*"), ..Shape::default() },
    }
}

const LINES: &str = crate::api::LINES_TYPE;

/// The document.
pub(in crate::server) async fn openapi() -> Json<&'static Value> {
    static MADE: LazyLock<Value> = LazyLock::new(document);
    Json(&MADE)
}

/// The API, whatever this daemon's address.
pub(in crate::server) fn document() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for (method, path, needs, summary) in ROUTES {
        let operation = operation(&mut generator, (method, path, *needs, summary));
        // A path's rest is one parameter to OpenAPI.
        let path = path.replace("{*", "{");
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method.as_str().to_ascii_lowercase()] = operation;
    }
    let problem = generator.subschema_for::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Grantkeeper",
            "version": VERSION,
            "summary": "Other people's APIs on behalf of your users: connections, and tokens that work.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer", "description": "An API key, `gk_…`" } },
            "responses": { "Problem": {
                "description": "It was not done (RFC 9457)",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": generator.take_definitions(true),
        },
    })
}

fn operation(generator: &mut SchemaGenerator, (method, path, needs, summary): (&Method, &str, Needs, &str)) -> Value {
    let Shape { query, body, answer, kind } = shape(method, path);
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = named
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({ "name": name, "in": "path", "required": true, "schema": path_schema(generator, name) })
        })
        .collect();
    if let Some(query) = query {
        parameters.extend(query_parameters(generator, query));
    }
    let kind = kind.unwrap_or("application/json");
    let answered = match (answer, kind) {
        (Some(made), _) => json!({ "schema": made(generator) }),
        (None, _) => json!({}),
    };
    let nothing = path.ends_with("/abandon")
        || path.ends_with("/password")
        || (method == Method::DELETE
            && ["/v1/applications", "/v1/webhooks"].iter().any(|begin| path.starts_with(begin)));
    let (status, content) = match nothing {
        true => ("204", json!({ "description": "Done" })),
        false => (
            if matches!(path, "/v1/api-keys" | "/v1/webhooks") && method == Method::POST { "201" } else { "200" },
            json!({ "description": "Done", "content": { kind: answered } }),
        ),
    };
    let mut operation = json!({
        "summary": summary,
        "operationId": id(method, path),
        "description": needs_in_words(needs),
        "responses": { status: content, "default": { "$ref": "#/components/responses/Problem" } },
    });
    if path.ends_with("/{name}/token") {
        let what =
            "What the caller holds: the `ETag` of an earlier answer. 304 where that token is still the one to use.";
        parameters.push(json!({ "name": "If-None-Match", "in": "header", "required": false, "schema": { "type": "string" }, "description": what }));
        operation["responses"]["304"] = json!({ "description": "The token that the caller holds is the one to use" });
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(made) = body {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": made(generator) } } });
    }
    operation
}

/// What stands in a path in a place.
fn path_schema(generator: &mut SchemaGenerator, name: &str) -> Value {
    let made = match name {
        "application" => of::<ApplicationName>(generator),
        "profile" => of::<ProfileName>(generator),
        "key" => of::<KeyName>(generator),
        "script" => of::<ScriptName>(generator),
        "webhook" => of::<WebhookName>(generator),
        "id" => of::<Uuid>(generator),
        // The second half of a connection's name.
        "name" => {
            return json!({ "type": "string", "pattern": "^[A-Za-z0-9_@+:][A-Za-z0-9._@+:-]{0,127}(~[a-z0-9_-]{1,40})?$" });
        }
        _ => return json!({ "type": "string" }),
    };
    made.to_value()
}

/// The members of a query's type as parameters.
fn query_parameters(generator: &mut SchemaGenerator, query: Made) -> Vec<Value> {
    let schema = query(generator).to_value();
    // It is a reference to a definition, which stands for itself nowhere else.
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let definition = generator.definitions().get(&name).cloned().unwrap_or_default();
    let members = definition["properties"].as_object().cloned().unwrap_or_default();
    members
        .into_iter()
        .map(|(name, mut schema)| {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({ "name": name, "in": "query", "required": false, "schema": schema, "description": description })
        })
        .collect()
}

/// A name for the operation that does not change: `GET /v1/connections/{application}/{name}/token` is `getConnectionToken`.
fn id(method: &Method, path: &str) -> String {
    let parts = path.trim_start_matches("/v1").split('/').filter(|part| !part.is_empty());
    let words = parts.map(|part| match part.trim_matches(['{', '}', '*']) {
        "application" | "name" | "id" | "profile" | "host" | "path" | "script" | "provider" => {
            format!("By{}", capital(part.trim_matches(['{', '}', '*'])))
        }
        word => word.split('-').map(capital).collect(),
    });
    format!("{}{}", method.as_str().to_ascii_lowercase(), words.collect::<String>())
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn needs_in_words(needs: Needs) -> &'static str {
    match needs {
        Needs::Known => "Any key may ask; what is shown is what the key may manage.",
        Needs::Token => "The key needs `token:APPLICATION/NAME`.",
        Needs::Manage => "The key needs `manage:APPLICATION/NAME`.",
        Needs::ManageApplication => "The key needs `manage:APPLICATION/*`.",
        Needs::Administer => "The key needs `administer`.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_says_what_it_said() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let mut made = serde_json::to_string_pretty(&document()).unwrap();
        made.push('\n');
        // A changed API is a changed file, which whoever reads the change sees.
        if std::env::var_os("GRANTKEEPER_GOLDEN").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == made, "docs/openapi.json is not what the code makes; GRANTKEEPER_GOLDEN=1 writes it anew");
    }

    #[test]
    fn every_route_is_in_it_under_a_name_of_its_own_and_says_what_it_takes() {
        let document = document();
        let mut names = BTreeSet::new();
        for (method, path, ..) in ROUTES {
            let operation = &document["paths"][path.replace("{*", "{")][method.as_str().to_ascii_lowercase()];
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(["200", "201", "204"].iter().any(|status| answers.contains_key(*status)), "{method} {path}");
            // Only what answers with an API's own words, with figures or with nothing has none.
            let is_open = shape(method, path).kind == Some("*/*");
            let may = path.contains("/proxy/") || *path == "/metrics";
            let may = may || (*method == Method::DELETE && path.starts_with("/v1/applications"));
            assert_eq!(is_open, may, "{method} {path} has a shape");
        }
    }

    /// Whoever writes a request by the document writes one that is taken.
    #[test]
    fn the_patterns_of_the_document_are_what_is_read() {
        use crate::model::{Allowance, ConnectionName, Reach};
        use proptest::strategy::{Strategy as _, ValueTree as _};
        use proptest::string::string_regex;
        use proptest::test_runner::TestRunner;
        type Reader = (&'static str, fn(&str) -> bool);
        fn reads<T: std::str::FromStr>(text: &str) -> bool {
            text.parse::<T>().is_ok()
        }
        let document = document();
        let mut runner = TestRunner::deterministic();
        let readers: [Reader; 8] = [
            ("ApplicationName", reads::<ApplicationName>),
            ("ProfileName", reads::<ProfileName>),
            ("KeyName", reads::<KeyName>),
            ("ScriptName", reads::<ScriptName>),
            ("WebhookName", reads::<WebhookName>),
            ("ConnectionName", reads::<ConnectionName>),
            ("Reach", reads::<Reach>),
            ("Allowance", reads::<Allowance>),
        ];
        for (name, reads) in readers {
            let pattern = document["components"]["schemas"][name]["pattern"].as_str().expect(name);
            let bare = pattern.trim_start_matches('^').trim_end_matches('$');
            let texts = string_regex(bare).unwrap();
            for _ in 0..300 {
                let text = texts.new_tree(&mut runner).unwrap().current();
                assert!(reads(&text), "{name}: {text}");
            }
            assert!(!reads("") && !reads("\u{e9}/x"), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn look(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        let at = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(at).is_some(), "{to}");
                    }
                    members.values().for_each(|member| look(member, document));
                }
                Value::Array(items) => items.iter().for_each(|item| look(item, document)),
                _ => {}
            }
        }
        let document = document();
        look(&document, &document);
    }
}
