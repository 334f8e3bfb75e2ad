//! `script`: the OAuth API scripts, shipped and of the home folder. None of these opens the store.

use super::context::Context;
use super::error::Error;
use super::output::{Field, Tone};
use super::{replayed, script_new, script_try};
use crate::api::{CheckedDocument, ScriptDocument, ScriptProblem};
use crate::model::ScriptName;
use crate::script::{Origin, ScriptError, Scripts};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the scripts: the shipped ones and those of the home folder
    List,
    /// Compile scripts and tell what is wrong, with line and column
    Check {
        /// A script's name, or a file anywhere; every script when not given
        #[arg(value_name = "NAME|FILE")]
        script: Option<String>,
    },
    /// Replay fixtures: recorded exchanges, and what scripts must make of them
    Test {
        /// Files and folders; the built-in fixtures when none is given
        #[arg(value_name = "FILE|FOLDER")]
        paths: Vec<PathBuf>,
    },
    /// Write a new script to start from: empty, or one that reads a recorded reply
    New(script_new::Args),
    /// Play a recorded reply through a script, and tell what comes of it
    Try(script_try::Args),
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Test { paths } => replayed::test(context, &paths).await,
        Command::List => list(context),
        Command::Check { script: None } => check_all(context),
        Command::Check { script: Some(script) } => check(context, &script),
        Command::New(args) => script_new::run(context, args).await,
        Command::Try(args) => script_try::run(context, args).await,
    }
}

fn open(context: &Context) -> Result<Scripts, Error> {
    let home = context.home()?;
    let settings = home.settings()?;
    Ok(Scripts::open(Some(&home.scripts()), settings.script)?)
}

fn list(context: &Context) -> Result<(), Error> {
    let all = open(context)?.list()?;
    let rows = all.iter().map(|info| {
        let state = match &info.problem {
            None => Field::toned("compiles", Tone::Good),
            Some(_) => Field::toned("does not compile", Tone::Bad),
        };
        [info.name.to_string().into(), origin(&info.origin).into(), info.hooks.join(" ").into(), state]
    });
    let document: Vec<ScriptDocument> = all.iter().map(ScriptDocument::of).collect();
    context.output.table(&document, ["SCRIPT", "FROM", "HOOKS", "STATE"], rows.collect(), "there are no scripts")
}

fn check_all(context: &Context) -> Result<(), Error> {
    let scripts = open(context)?;
    let all = scripts.list()?;
    let problems = scripts.problems()?;
    let document = CheckedDocument {
        scripts: all.iter().map(ScriptDocument::of).collect(),
        problems: problems.iter().map(ScriptProblem::of).collect(),
    };
    context.output.result(&document, || {
        let mut text: String =
            all.iter().filter(|info| info.problem.is_none()).map(|info| format!("{} compiles\n", info.name)).collect();
        for problem in &problems {
            text.push_str(&format!("{problem}\n"));
        }
        text
    })?;
    match problems.len() {
        0 => Ok(()),
        failed => Err(Error::Some { failed, all: all.len().max(failed), what: "scripts have a problem" }),
    }
}

/// A name is looked up as an application would; anything else is a file.
fn check(context: &Context, text: &str) -> Result<(), Error> {
    let scripts = open(context)?;
    let info = match text.parse::<ScriptName>() {
        Ok(name) => scripts.check(&name)?,
        Err(_) if Path::new(text).exists() => {
            scripts.check_file(Path::new(text)).map_err(|problem| ScriptError::Problem(problem.into()))?
        }
        Err(name) => return Err(Error::Missing(format!("{name}, and there is no such file"))),
    };
    context.output.result(&ScriptDocument::of(&info), || {
        format!(
            "{} compiles; it has {}\n",
            info.name,
            if info.hooks.is_empty() { "no hooks".to_owned() } else { info.hooks.join(", ") }
        )
    })
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Shipped => "shipped".to_owned(),
        Origin::Given => "given".to_owned(),
        Origin::File(path) => path.display().to_string(),
    }
}
