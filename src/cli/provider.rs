//! `provider`: the catalog. Needs no home.

use super::context::Context;
use super::error::Error;
use super::view::Lines;
use crate::connector::CallbackSettings;
use crate::model::ScriptName;
use crate::registry::{Catalog, Provider};
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the providers that `app add --provider` takes
    List,
    /// Show what is known of a provider: what to do there first, its endpoints and scopes
    Show {
        /// The provider
        provider: String,
    },
}

pub(super) fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List => list(context),
        Command::Show { provider } => show(context, Catalog::find(&provider)?),
    }
}

fn list(context: &Context) -> Result<(), Error> {
    let all = Catalog::list();
    let rows = all.iter().map(|provider| {
        let script = provider.settings.script.as_ref().map_or("", |script| script.as_str());
        [provider.name.clone().into(), provider.title.clone().into(), script.into()]
    });
    let document: Vec<Value> = all.iter().map(as_json).collect();
    context.output.table(&document, ["PROVIDER", "TITLE", "SCRIPT"], rows.collect(), "the catalog is empty")
}

fn show(context: &Context, provider: &Provider) -> Result<(), Error> {
    context.output.result(&as_json(provider), || {
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

fn as_json(provider: &Provider) -> Value {
    let pages: Vec<Value> =
        provider.sources.iter().map(|page| json!({ "page": page.page, "read": page.read })).collect();
    json!({
        "name": provider.name,
        "title": provider.title,
        "setup": provider.setup,
        "pages": pages,
        "variables": provider.variables,
        "scopes": provider.scopes,
        "script": provider.settings.script,
        "endpoints": provider.settings.endpoints,
    })
}
