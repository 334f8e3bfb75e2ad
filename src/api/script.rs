//! OAuth API scripts: which there are, what is wrong with them, and what one makes of a reply.

use crate::exchange::{Outcome, Trial, masked, shown};
use crate::model::{ApplicationName, ExpirySource, Failure, GrantType, ScriptName, Timestamp};
use crate::oauth::Params;
use crate::script::{Origin, Problem, ScriptInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptDocument {
    /// Its name.
    pub name: ScriptName,
    /// `shipped`, `file`, or `given` with the request or by the program.
    pub origin: OriginWord,
    /// Its file, where it has one.
    pub file: Option<PathBuf>,
    /// The hooks that it defines; the others are `OAuthUtil`'s.
    pub hooks: Vec<String>,
    /// Why it does not run as it is now. Where hooks are named all the same, an earlier one compiled and goes on running.
    pub problem: Option<ScriptProblem>,
}

/// Where a script comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OriginWord {
    /// It is in the program.
    Shipped,
    /// It is in the home's `scripts/`.
    File,
    /// It came with the request, or from the program that embeds the library.
    Given,
}

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptProblem {
    /// The file, or the script's name.
    pub file: String,
    /// What is wrong.
    pub message: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The line itself, at most 200 characters.
    pub source_line: Option<String>,
}

/// A script and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptTextDocument {
    /// The script.
    #[serde(flatten)]
    pub script: ScriptDocument,
    /// Its text as it is now, whether it compiles or not.
    pub text: String,
}

/// A script to be checked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckRequest {
    /// A text to be checked under the script's name, instead of the one in use. It is not kept.
    pub text: Option<String>,
}

/// What checking all scripts found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckedDocument {
    /// Every script.
    pub scripts: Vec<ScriptDocument>,
    /// Every problem of the home's folder: scripts that do not compile, files whose name is none of a script.
    pub problems: Vec<ScriptProblem>,
}

/// A script to be tried with a recorded reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TryRequest {
    /// The reply: a body alone, or what `curl -i` prints.
    pub reply: String,
    /// The HTTP status, where it is not the reply's own, or 200.
    #[schemars(range(min = 100, max = 999))]
    pub status: Option<u16>,
    /// The grant that the script is told; `authorization_code` when not said.
    #[serde(default)]
    pub grant: GrantType,
    /// An application whose settings count.
    pub application: Option<ApplicationName>,
    /// A text to be tried under the script's name, instead of the one in use. It is not kept.
    pub text: Option<String>,
}

/// What a script made of a reply. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriedDocument {
    /// The script.
    pub script: ScriptName,
    /// What is read from the reply without it.
    pub before: BTreeMap<String, String>,
    /// What it has made of that.
    pub after: BTreeMap<String, String>,
    /// The hooks that ran, in their order.
    pub hooks: Vec<HookDocument>,
    /// The interpreter's steps.
    pub operations: u64,
    /// How long it took.
    pub microseconds: u64,
    /// What came of it.
    pub outcome: OutcomeDocument,
}

/// A hook that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookDocument {
    /// Its name.
    pub hook: String,
    /// Whether it is the script's own; else `OAuthUtil`'s.
    pub own: bool,
}

/// What came of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeDocument {
    /// A token.
    Token(Box<TriedToken>),
    /// A failure, as the reply is read.
    Failure(Box<Failure>),
    /// The script broke: where, and why.
    Broke(String),
}

/// A token that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriedToken {
    /// How it begins, and how long it is.
    pub access_token: String,
    /// The same of the refresh token.
    pub refresh_token: Option<String>,
    /// The same of the id token.
    pub id_token: Option<String>,
    /// Its type.
    pub token_type: String,
    /// When it would end.
    pub expires: Timestamp,
    /// Who says so.
    pub expires_source: ExpirySource,
    /// Its lifetime in seconds, where the reply says it.
    pub expires_in: Option<u64>,
    /// The refresh token's.
    pub refresh_expires_in: Option<u64>,
    /// The scopes, where the reply says them.
    pub scopes: Option<Vec<String>>,
    /// The names of the fields that would be kept on the connection.
    pub fields: Vec<String>,
}

impl ScriptDocument {
    /// What is told of a script.
    #[must_use]
    pub fn of(info: &ScriptInfo) -> Self {
        let (origin, file) = match &info.origin {
            Origin::Shipped => (OriginWord::Shipped, None),
            Origin::Given => (OriginWord::Given, None),
            Origin::File(path) => (OriginWord::File, Some(path.clone())),
        };
        Self {
            name: info.name.clone(),
            origin,
            file,
            hooks: info.hooks.iter().map(|hook| (*hook).to_owned()).collect(),
            problem: info.problem.as_ref().map(ScriptProblem::of),
        }
    }

    /// A text that does not compile.
    #[must_use]
    pub fn wrong(name: ScriptName, problem: &Problem) -> Self {
        let problem = Some(ScriptProblem::of(problem));
        Self { name, origin: OriginWord::Given, file: None, hooks: Vec::new(), problem }
    }
}

impl ScriptProblem {
    /// What is told of a problem.
    #[must_use]
    pub fn of(problem: &Problem) -> Self {
        let Problem { file, line, column, message, source_line } = problem.clone();
        Self { file, message, line, column, source_line }
    }
}

impl TriedDocument {
    /// What is told of a try that took so long.
    #[must_use]
    pub fn of(script: &ScriptName, trial: &Trial, took: Duration) -> Self {
        let params =
            |params: &Params| params.iter().map(|(name, value)| (name.to_owned(), shown(name, value))).collect();
        let outcome = match &trial.outcome {
            Outcome::Token(tokens, expires) => OutcomeDocument::Token(Box::new(TriedToken {
                access_token: masked(&tokens.access_token),
                refresh_token: tokens.refresh_token.as_ref().map(masked),
                id_token: tokens.id_token.as_ref().map(masked),
                token_type: tokens.token_type.clone(),
                expires: expires.at,
                expires_source: expires.source,
                expires_in: tokens.expires_in,
                refresh_expires_in: tokens.refresh_expires_in,
                scopes: tokens.scopes.clone(),
                fields: tokens.extra.keys().chain(trial.kept.keys()).cloned().collect(),
            })),
            Outcome::Failed(failure) => OutcomeDocument::Failure(Box::new(failure.clone())),
            Outcome::Broke(error) => OutcomeDocument::Broke(error.to_string()),
        };
        Self {
            script: script.clone(),
            before: params(&trial.before),
            after: params(&trial.after),
            hooks: trial.hooks.iter().map(|(hook, own)| HookDocument { hook: (*hook).to_owned(), own: *own }).collect(),
            operations: trial.operations,
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            outcome,
        }
    }
}
