//! `script new`: a script to start from, a template or what reads a recorded reply.

use super::context::Context;
use super::error::Error;
use super::files;
use crate::model::{Clock as _, ScriptName, SystemClock};
use crate::oauth::RawReply;
use crate::recording::{Advice, Guess, Lifetime, Shape, TokenAt, When, fixture_of, read_reply_file, write_script};
use crate::replay::{self, Fixture};
use crate::script::Scripts;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name: `OAuth`, then letters, digits or _
    name: ScriptName,
    /// Start from a recorded reply: a body, or what `curl -i` prints; `-` is standard input
    #[arg(long, value_name = "FILE")]
    reply: Option<PathBuf>,
    /// Where to write the fixture of the reply; fixtures/NAME/reply.toml of the home when not given
    #[arg(long, value_name = "FILE", requires = "reply")]
    fixture: Option<PathBuf>,
    /// Say what would be written, and write nothing
    #[arg(long, requires = "reply")]
    dry_run: bool,
    /// Write over a script, and a fixture, of that name
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    if args.name.as_str() == "OAuthUtil" {
        return Err(Error::Exists(
            "OAuthUtil is the shipped base of all scripts and cannot be replaced; give yours another name".to_owned(),
        ));
    }
    match &args.reply {
        Some(file) => from_reply(context, &args, file).await,
        None => from_template(context, &args.name, args.force),
    }
}

fn from_template(context: &Context, name: &ScriptName, force: bool) -> Result<(), Error> {
    let home = context.home()?;
    // A folder that is no home gets no script.
    home.settings()?;
    let path = home.scripts().join(format!("{name}.rhai"));
    files::write(&path, &Scripts::template(name), force, false)?;
    context.output.result(&json!({ "name": name, "file": path }), || {
        format!(
            "made {}\n\nEdit it, compile it with `grantkeeper script check {name}`, and name it in an application: script = \"{name}\"\n",
            path.display()
        )
    })
}

async fn from_reply(context: &Context, args: &Args, file: &Path) -> Result<(), Error> {
    let name = &args.name;
    let home = context.home()?;
    if !args.dry_run {
        home.settings()?;
    }
    let script_file = home.scripts().join(format!("{name}.rhai"));
    let short = name.as_str().trim_start_matches("OAuth").to_ascii_lowercase();
    let fixture_file =
        args.fixture.clone().unwrap_or_else(|| home.folder().join("fixtures").join(&short).join("reply.toml"));
    if !args.dry_run {
        // Both before either: half of it would be in the way of the next try.
        files::must_be_free(&script_file, args.force)?;
        files::must_be_free(&fixture_file, args.force)?;
    }
    let reply = read_reply(file)?;
    let now = SystemClock.now();
    let guess = Guess::of(&reply, now);
    let advice = guess.advice(&reply, now);
    let shown =
        args.fixture.as_ref().map_or_else(|| format!("fixtures/{short}/reply.toml"), |f| f.display().to_string());
    let script = write_script(name, &guess, &shown);
    let mut fixture = fixture_of(name, &reply, now);
    let problems = problems(&mut fixture, name, &script).await;
    if !args.dry_run {
        files::write(&script_file, &script, args.force, false)?;
        files::write(&fixture_file, &fixture.to_toml(), args.force, false)?;
    }
    let document = json!({
        "name": name,
        "needs": match &advice { Advice::Nothing => "nothing", Advice::Keys(_) => "keys", Advice::Script => "script" },
        "keys": match &advice { Advice::Keys(keys) => Some(keys.to_string()), _ => None },
        "reply": guess.shape.to_string(),
        "found": found(&guess).into_iter().map(|(what, place)| (what.to_owned(), place.into())).collect::<serde_json::Map<_, Value>>(),
        "notes": guess.notes,
        "written": !args.dry_run,
        "file": script_file,
        "script": script,
        "fixture_file": fixture_file,
        "fixture": fixture.to_toml(),
        "fixture_problems": problems,
    });
    context.output.result(&document, || {
        let mut text = told(&guess, &advice);
        if args.dry_run {
            text.push_str(&format!("\nThe script would be:\n\n{script}\n"));
        } else {
            text.push_str(&format!("\nmade {}\nmade {}\n", script_file.display(), fixture_file.display()));
        }
        for problem in &problems {
            text.push_str(&format!("\nThe fixture does not pass yet: {problem}\n"));
        }
        if !args.dry_run {
            text.push_str(&format!(
                "\nNext: grantkeeper script try {name} --reply {}\n      grantkeeper script test {}\n",
                file.display(),
                fixture_file.display()
            ));
        }
        text
    })
}

/// A recorded reply from a file or standard input.
pub(super) fn read_reply(file: &Path) -> Result<RawReply, Error> {
    let bytes = files::read(file)?;
    read_reply_file(&bytes).map_err(|error| Error::Input(format!("{} is no HTTP reply: {error}", file.display())))
}

/// What a replay finds: nothing, or the guess was wrong in a way that somebody has to mend.
async fn problems(fixture: &mut Fixture, name: &ScriptName, script: &str) -> Vec<String> {
    fixture.scripts.insert(name.to_string(), script.to_owned());
    let report = Box::pin(replay::replay(fixture, None)).await;
    let differences = report.differences();
    differences.map(|one| format!("{} should be {} and is {}", one.what, one.expected, one.actual)).collect()
}

fn told(guess: &Guess, advice: &Advice) -> String {
    let mut text = format!("The reply is {}.\n\n", guess.shape);
    for (what, place) in found(guess) {
        text.push_str(&format!("  {what:<26}{place}\n"));
    }
    for note in &guess.notes {
        text.push_str(&format!("\n{note}"));
    }
    if !guess.notes.is_empty() {
        text.push('\n');
    }
    match advice {
        Advice::Nothing if guess.access_token.is_none() && guess.failing.is_none() => {}
        Advice::Nothing => text.push_str("\nNo script is needed: such replies are read without one.\n"),
        Advice::Keys(keys) => text.push_str(&format!(
            "\nNo script is needed: these keys of the application's file, or of a provider's, read such replies:\n\n{keys}"
        )),
        Advice::Script => {}
    }
    text
}

/// What was found, and where.
fn found(guess: &Guess) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    match &guess.access_token {
        Some(TokenAt::Field(place)) => all.push(("access token", place.dotted())),
        Some(TokenAt::Body) => all.push(("access token", "the whole body".to_owned())),
        Some(TokenAt::Header(name)) => all.push(("access token", format!("the header {name}"))),
        None => {}
    }
    if let Shape::JsonInJson(place) = &guess.shape {
        all.push(("JSON in", place.dotted()));
    }
    all.extend(guess.refresh_token.iter().map(|place| ("refresh token", place.dotted())));
    for (what, lifetime) in [("lifetime", &guess.expires), ("refresh token's lifetime", &guess.refresh_expires)] {
        all.extend(lifetime.iter().map(|lifetime| (what, told_lifetime(lifetime))));
    }
    if let Some(scopes) = &guess.scopes {
        let how = match scopes.separator {
            None => "a list".to_owned(),
            Some(' ') => "with spaces between them".to_owned(),
            Some(separator) => format!("with \"{separator}\" between them"),
        };
        all.push(("scopes", format!("{}, {how}", scopes.place.dotted())));
    }
    if let Some(failing) = &guess.failing {
        all.push(("error code", failing.code.dotted()));
        all.extend(failing.words.iter().map(|place| ("error words", place.dotted())));
    }
    all.extend(guess.success.iter().map(|(place, _)| ("says that it worked", place.dotted())));
    all
}

fn told_lifetime(lifetime: &Lifetime) -> String {
    let place =
        lifetime.place.as_ref().map_or_else(|| "the token's exp claim".to_owned(), crate::recording::Place::dotted);
    let how = match lifetime.when {
        When::In(1) => "in seconds",
        When::In(60) => "in minutes",
        When::In(3600) => "in hours",
        When::In(_) => "in days",
        When::InMilliseconds => "in milliseconds",
        When::At => "the moment that it ends at",
        When::AtCivil => "the moment that it ends at, without a zone",
    };
    format!("{place}, {how}")
}
