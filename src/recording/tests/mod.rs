//! The guess against replies of every shape that is known, each through the script that it writes; and against anything.

mod any;
mod samples;

use super::*;
use crate::model::{ApplicationName, GrantType, Profile, ProfileName, ScriptName, Secret, Timestamp};
use crate::oauth::{Params, RawReply};
use crate::script::{Context, Reading, ScriptError, Scripts, Settings};
use std::collections::BTreeMap;
use std::sync::Arc;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn name() -> ScriptName {
    "OAuthAcme".parse().unwrap()
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> RawReply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    RawReply { status, headers, body: body.as_bytes().to_vec().into() }
}

fn ok(body: &str) -> RawReply {
    reply(200, &[], body)
}

/// The script of a guess.
fn script_of(guess: &Guess) -> String {
    write_script(&name(), guess, "fixtures/acme/reply.toml")
}

/// What the script of a text reads from a reply.
async fn read_with(script: &str, reply: &RawReply) -> Result<Reading, ScriptError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("OAuthAcme.rhai"), script).unwrap();
    let scripts = Scripts::open(Some(folder.path()), Settings { threads: 1, ..Settings::default() })?;
    let context = Context {
        application: ApplicationName::try_from("acme".to_owned()).unwrap(),
        client_id: "cid".to_owned(),
        profile_name: ProfileName::default(),
        profile: Profile::default(),
        grant: GrantType::AuthorizationCode,
        connection: "acme/test".parse().unwrap(),
        labels: BTreeMap::new(),
        fields: serde_json::Map::new(),
        secrets: Arc::new(BTreeMap::from([("client_secret".to_owned(), Secret::new("csecret"))])),
        reply: Arc::default(),
        allowed: Arc::new(|_| false),
        now: now(),
        calls: None,
    };
    Ok(scripts.get(Some(&name()))?.reply(&context, reply).await?.value)
}

async fn params_of(script: &str, reply: &RawReply) -> Params {
    match read_with(script, reply).await {
        Ok(Reading::Token(params)) => params,
        other => panic!("{other:?}\n{script}"),
    }
}
