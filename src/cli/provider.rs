//! `provider`: the catalog. Needs no home.

use super::context::Context;
use super::error::Error;
use super::view::Lines;
use crate::api::ProviderDocument;
use crate::connector::CallbackSettings;
use crate::model::ScriptName;
use crate::registry::{Catalog, Provider};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the providers that `app add --provider` takes
    List,
    /// Show what is known of a provider: what to do there first, its endpoints and scopes
    Show {
        /// The provider
        provider: String,
    },
    /// Check entries that you are writing; the whole catalog when none is named
    Lint {
        /// Entry files
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub(super) fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List => list(context),
        Command::Show { provider } => show(context, Catalog::find(&provider)?),
        Command::Lint { files } => lint(context, &files),
    }
}

fn list(context: &Context) -> Result<(), Error> {
    let all = Catalog::list();
    let rows = all.iter().map(|provider| {
        let script = provider.settings.script.as_ref().map_or("", |script| script.as_str());
        [provider.name.clone().into(), provider.title.clone().into(), script.into()]
    });
    let document: Vec<ProviderDocument> = all.iter().map(ProviderDocument::of).collect();
    context.output.table(&document, ["PROVIDER", "TITLE", "SCRIPT"], rows.collect(), "the catalog is empty")
}

fn show(context: &Context, provider: &Provider) -> Result<(), Error> {
    context.output.result(&ProviderDocument::of(provider), || {
        let mut lines = Lines::default();
        lines.put("provider", &provider.name).put("title", &provider.title);
        lines.endpoints(&provider.settings.endpoints);
        lines.maybe("script", provider.settings.script.as_ref().map(ScriptName::as_str));
        for (name, variable) in &provider.variables {
            let default = variable.default.as_ref().map(|default| format!(" (unless said: {default})"));
            lines.put(&format!("variable {name}"), format!("{}{}", variable.about, default.unwrap_or_default()));
        }
        for page in &provider.sources {
            lines.put("page", format!("{} (read {})", page.page, page.read));
        }
        for (scope, sentence) in &provider.scopes {
            lines.put(&format!("scope {scope}"), sentence);
        }
        let redirect = CallbackSettings::default();
        let redirect = provider.name.parse().map(|name| redirect.redirect_url(&name).to_string()).unwrap_or_default();
        let name = &provider.name;
        let to_register = format!(
            "Unless a web address is asked for above, the redirect URL to register for an application called {name} is {redirect}"
        );
        format!("{}\n{}\n\n{to_register}\n", lines.text(), provider.setup)
    })
}

/// Bytes of an entry; those of the catalog have a few thousand.
const LARGEST_ENTRY: usize = 256 * 1024;

fn lint(context: &Context, files: &[PathBuf]) -> Result<(), Error> {
    let mut found: Vec<(String, String)> = Vec::new();
    if files.is_empty() {
        for provider in Catalog::list() {
            found.extend(provider.complaints().into_iter().map(|complaint| (provider.name.clone(), complaint)));
        }
    }
    for file in files {
        let shown = file.display().to_string();
        let text =
            std::fs::read_to_string(file).map_err(|error| Error::Input(format!("{shown} cannot be read: {error}")))?;
        if text.len() > LARGEST_ENTRY {
            return Err(Error::Input(format!("{shown} is no entry: it has more than {LARGEST_ENTRY} bytes")));
        }
        let name = file.file_name().map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
        match Provider::read(&text, &name) {
            // It has its place in it, after the file's name.
            Err(error) => found.push((shown, error.to_string())),
            Ok(provider) => found.extend(provider.complaints().into_iter().map(|complaint| (shown.clone(), complaint))),
        }
    }
    let count = if files.is_empty() { Catalog::list().len() } else { files.len() };
    let document: Vec<Value> =
        found.iter().map(|(entry, problem)| json!({ "entry": entry, "problem": problem })).collect();
    context.output.result(&document, || match found.is_empty() {
        true => format!("{count} {} as they should be\n", if count == 1 { "entry is" } else { "entries are" }),
        false => found.iter().map(|(entry, problem)| format!("{entry}: {problem}\n")).collect(),
    })?;
    match found.len() {
        0 => Ok(()),
        problems => Err(Error::Entries(problems)),
    }
}
