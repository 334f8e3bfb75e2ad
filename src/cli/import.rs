//! `connections import`: grants that move in from a file.

use super::context::Context;
use super::error::Error;
use super::time;
use crate::connector::{Defaults, ExportReader, FileFormat, Grant, GrantReader, ImportOptions, Line, Outcome};
use crate::model::{ApplicationName, ConnectionName, ProfileName};
use crate::seal::Keyring;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Take over grants from a file of refresh tokens, or from an export.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A file is CSV with a header line, or a JSON object a line; docs/moving.md has every name:
  name,refresh_token,access_token,expires_at,scopes,label:team,field:realmId
  ann,1//0g…,,,,sales,
A refresh token is sealed and stored, and nothing is sent to the provider: first refreshes are spread over --spread. With --refresh \
each is proven now. Run again with the same file, what is here already is passed over; a token that a refresh has replaced since is \
told as another one. Where others go on using the same refresh tokens, a provider that rotates them ends the grant: stop the other \
side first. The exit code is 1 when a line was not taken over.")]
pub(super) struct Args {
    /// The file: CSV, JSON lines, or what `connections export` wrote; `-` is standard input
    file: PathBuf,
    /// The application of all of them; names need not say it then
    #[arg(long, visible_alias = "application", value_name = "APPLICATION")]
    app: Option<ApplicationName>,
    /// The profile of those that name none; the connection's own, or `default`, when not given
    #[arg(long)]
    profile: Option<ProfileName>,
    /// How the file is written; by what it looks like when not given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Check every line and say what would happen; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Prove each grant by a refresh now
    #[arg(long, conflicts_with = "dry_run")]
    refresh: bool,
    /// Take a grant also where there is a connection of its name with another one, which is lost here
    #[arg(long)]
    replace: bool,
    /// The time over which first refreshes are spread [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    spread: Option<Duration>,
    /// The key file that an export was sealed for; the home's own keys when not given
    #[arg(long, value_name = "FILE")]
    export_key: Option<PathBuf>,
}

/// How a file of grants is written, as a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

/// Grants that are handed to the store at once, at the most.
const BATCH: usize = 512;
/// The same where each is proven: the bar goes on.
const BATCH_TO_PROVE: usize = 64;
/// Bytes of records that they may make, about.
const BATCH_BYTES: usize = 8 << 20;

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    // Reading may block for as long as whoever writes likes, and an import that is ended anywhere goes on with the next: only proofs are waited for.
    let context = &if args.refresh { context.clone() } else { context.minding_interrupts() };
    let options = ImportOptions {
        replace: args.replace,
        refresh: args.refresh,
        dry_run: args.dry_run,
        spread: args.spread.unwrap_or(ImportOptions::default().spread),
    };
    let bar = bar();
    let shown = shown(&args.file);
    let unreadable = |error: std::io::Error| Error::Input(format!("{shown} cannot be read: {error}"));
    let mut input = open(&args.file, &bar).map_err(unreadable)?;
    let start = input.fill_buf().map_err(unreadable)?;
    let format = match args.format {
        Some(Format::Csv) => FileFormat::Csv,
        Some(Format::Jsonl) => FileFormat::JsonLines,
        None => FileFormat::of(start),
    };
    let defaults = Defaults { application: args.app.clone(), profile: args.profile.clone() };
    let keyring;
    let mut source = match format {
        FileFormat::Csv => {
            Source::Lines(GrantReader::csv(input, defaults).map_err(|error| Error::Input(format!("{shown}: {error}")))?)
        }
        FileFormat::JsonLines => Source::Lines(GrantReader::json_lines(input, defaults)),
        FileFormat::Export => {
            keyring = export_keys(context, &args)?;
            check(&args, &keyring, &bar)?;
            Source::Export(begun(input, &keyring, &shown)?, 1)
        }
    };
    if format != FileFormat::Export {
        warn_of_readers(context, &args.file);
    }
    let mut report = Report::new(context, options.dry_run, bar);
    // Before the store is opened: whoever writes the input may take a while.
    let mut batch = source.batch(&shown, &args)?;
    let result = context
        .with(async |desk| {
            while !batch.lines.is_empty() {
                let (numbers, grants) = report.sorted(std::mem::take(&mut batch.lines))?;
                let names: Vec<ConnectionName> = grants.iter().map(|grant| grant.name.clone()).collect();
                let outcomes = desk.import(grants, &options).await?;
                report.take(numbers.into_iter().zip(names).zip(outcomes))?;
                match batch.over.take() {
                    Some(Err(error)) => return Err(error),
                    Some(Ok(())) => break,
                    None => batch = source.batch(&shown, &args)?,
                }
            }
            batch.over.take().unwrap_or(Ok(()))
        })
        .await;
    report.end(result)
}

/// Where grants come from.
enum Source<'a> {
    Lines(GrantReader<Input>),
    Export(ExportReader<'a, Input>, u64),
}

type Input = Box<dyn BufRead>;

/// Some lines, and whether there are more.
struct Batch {
    lines: Vec<Line>,
    over: Option<Result<(), Error>>,
}

impl Source<'_> {
    fn batch(&mut self, shown: &str, args: &Args) -> Result<Batch, Error> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let told = |error: &dyn std::fmt::Display| Error::Input(format!("{shown}: {error}"));
        let most = if args.refresh { BATCH_TO_PROVE } else { BATCH };
        while lines.len() < most && bytes < BATCH_BYTES {
            let next = match self {
                Self::Lines(reader) => reader.next().map(|line| line.map_err(|error| told(&error))),
                Self::Export(reader, number) => reader.next().map(|grant| {
                    *number += 1;
                    let grant = grant.map_err(|error| told(&error))?;
                    Ok(Line { number: *number, grant: fitted(grant, args) })
                }),
            };
            match next {
                Some(Ok(line)) => {
                    bytes += line.grant.as_ref().map_or(0, Grant::weight);
                    lines.push(line);
                }
                Some(Err(error)) => return Ok(Batch { lines, over: Some(Err(error)) }),
                None => return Ok(Batch { lines, over: Some(Ok(())) }),
            }
        }
        Ok(Batch { lines, over: None })
    }
}

/// A grant of an export, with what the command line says of all.
fn fitted(mut grant: Grant, args: &Args) -> Result<Grant, String> {
    if args.app.as_ref().is_some_and(|application| application != grant.name.application()) {
        return Err("its name is of another application than --app says".to_owned());
    }
    grant.profile = args.profile.clone().or(grant.profile);
    Ok(grant)
}

/// Reads an export to its end before anything of it is taken over: one that was cut off or changed changes nothing.
fn check(args: &Args, keyring: &Keyring, bar: &ProgressBar) -> Result<(), Error> {
    let shown = shown(&args.file);
    if args.file == Path::new("-") {
        return Err(Error::Usage(
            "an export is read twice, so that one that was cut off changes nothing; give it by name".to_owned(),
        ));
    }
    bar.set_message("checking the export");
    let input = open(&args.file, bar).map_err(|error| Error::Input(format!("{shown} cannot be read: {error}")))?;
    for grant in begun(input, keyring, &shown)? {
        grant.map_err(|error| Error::Input(format!("{shown}: {error}")))?;
    }
    bar.reset();
    Ok(())
}

fn begun<'a>(input: Input, keyring: &'a Keyring, shown: &str) -> Result<ExportReader<'a, Input>, Error> {
    ExportReader::begin(input, keyring).map_err(|error| Error::Input(format!("{shown}: {error}")))
}

fn export_keys(context: &Context, args: &Args) -> Result<Keyring, Error> {
    Ok(match &args.export_key {
        Some(file) => Keyring::from_file(file)?,
        None => context.home()?.keyring()?,
    })
}

fn open(file: &Path, bar: &ProgressBar) -> std::io::Result<Input> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let mut opened = File::open(file)?;
    // A pipe has no length, and cannot be sought in.
    if let Ok(length) = opened.seek(std::io::SeekFrom::End(0)) {
        opened.rewind()?;
        bar.set_length(length);
    }
    Ok(Box::new(BufReader::with_capacity(64 * 1024, bar.wrap_read(opened))))
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// Refresh tokens in a file that others can read are others' too.
fn warn_of_readers(context: &Context, file: &Path) {
    let Ok(found) = std::fs::metadata(file) else { return };
    let mode = found.permissions().mode() & 0o7777;
    if found.is_file() && mode & 0o077 != 0 {
        context.output.note(&format!(
            "warning: {} holds tokens in clear, and others can read it (mode {mode:04o}); run: chmod 600 {}",
            file.display(),
            file.display()
        ));
    }
}

/// Shown on a terminal and nowhere else.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn counted(lines: usize) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
}

/// Problems that a JSON report lists, at the most: it is one document, and held until its end.
const MOST_PROBLEMS: usize = 10_000;

/// What an import came to.
struct Report<'a> {
    context: &'a Context,
    bar: ProgressBar,
    document: Document,
}

#[derive(Default, Serialize)]
struct Document {
    dry_run: bool,
    lines: usize,
    adopted: usize,
    replaced: usize,
    already: usize,
    refused: usize,
    unproven: usize,
    problems: Vec<Problem>,
    problems_left_out: usize,
}

#[derive(Serialize)]
struct Problem {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<ConnectionName>,
    outcome: &'static str,
    reason: String,
}

impl<'a> Report<'a> {
    fn new(context: &'a Context, dry_run: bool, bar: ProgressBar) -> Self {
        Self { context, bar, document: Document { dry_run, ..Document::default() } }
    }

    /// Tells the lines that are no grants, and gives back those that are.
    fn sorted(&mut self, lines: Vec<Line>) -> Result<(Vec<u64>, Vec<Grant>), Error> {
        let (mut numbers, mut grants) = (Vec::new(), Vec::new());
        for Line { number, grant } in lines {
            self.document.lines += 1;
            match grant {
                Ok(grant) => {
                    numbers.push(number);
                    grants.push(grant);
                }
                Err(reason) => {
                    self.document.refused += 1;
                    self.problem(Problem { line: number, name: None, outcome: "refused", reason })?;
                }
            }
        }
        Ok((numbers, grants))
    }

    /// Counts what became of grants, and tells what did not go well.
    fn take(&mut self, outcomes: impl Iterator<Item = ((u64, ConnectionName), Outcome)>) -> Result<(), Error> {
        for ((line, name), outcome) in outcomes {
            let document = &mut self.document;
            let (count, word) = match &outcome {
                Outcome::Adopted => (&mut document.adopted, ""),
                Outcome::Replaced => (&mut document.replaced, ""),
                Outcome::Already => (&mut document.already, ""),
                Outcome::Unproven(_) => (&mut document.unproven, "unproven"),
                Outcome::NoApplication | Outcome::Refused(_) => (&mut document.refused, "refused"),
            };
            *count += 1;
            if let Some(reason) = outcome.reason() {
                // With an application that is not there, the name may be anything: a token in the wrong column, say.
                let name = (outcome != Outcome::NoApplication).then_some(name);
                self.problem(Problem { line, name, outcome: word, reason: reason.to_owned() })?;
            }
        }
        self.bar.set_message(counted(self.document.lines));
        Ok(())
    }

    fn problem(&mut self, problem: Problem) -> Result<(), Error> {
        if self.context.output.is_json() {
            if self.document.problems.len() < MOST_PROBLEMS {
                self.document.problems.push(problem);
            } else {
                self.document.problems_left_out += 1;
            }
            return Ok(());
        }
        let name = problem.name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
        let said = if problem.outcome == "unproven" { "taken over, and its refresh failed: " } else { "" };
        let text = format!("line {}{name}: {said}{}", problem.line, problem.reason);
        // Lines go above the bar, where both are on one terminal.
        self.bar.suspend(|| self.context.output.line(&problem, || text))
    }

    /// Tells what it came to, also where it was cut short.
    fn end(self, result: Result<(), Error>) -> Result<(), Error> {
        self.bar.finish_and_clear();
        let Document { dry_run, lines, adopted, replaced, already, refused, unproven, .. } = self.document;
        if result.is_ok() || lines > 0 {
            self.context.output.result(&self.document, || {
                let mut parts = vec![format!("{adopted} {}", if dry_run { "would be adopted" } else { "adopted" })];
                for (count, words) in [
                    (
                        replaced,
                        if dry_run { "would replace another grant" } else { "adopted in place of another grant" },
                    ),
                    (unproven, "adopted and not proven"),
                    (already, "there already"),
                    (refused, "refused"),
                ] {
                    if count > 0 {
                        parts.push(format!("{count} {words}"));
                    }
                }
                format!("{}: {}\n", counted(lines), parts.join(", "))
            })?;
        }
        result?;
        match refused + unproven {
            0 => Ok(()),
            failed => {
                Err(Error::Some { failed, all: lines, what: "lines were not taken over or not proven, as said above" })
            }
        }
    }
}
