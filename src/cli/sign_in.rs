//! `sign-in`: opens the daemon's pages in a browser.

use super::context::Context;
use super::error::Error;
use super::time;
use serde_json::json;

/// Open the daemon's pages (Manage Tokens) in your browser, signed in.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It asks the daemon for a link that is good once, for ten minutes. docs/pages.md says what is there."
)]
pub(super) struct Args {
    /// Print the link, and open no browser
    #[arg(long)]
    no_browser: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    let link = context.with(async |desk| desk.sign_in_link().await).await?;
    let url = link.url.expose();
    let opened = !args.no_browser && open::that_detached(url).is_ok();
    context.output.line(&json!({ "url": url, "expires": link.expires, "opened": opened }), || match opened {
        true => "your browser was opened; `grantkeeper sign-in --no-browser` prints a link instead".to_owned(),
        false => format!(
            "open this link once, before {}:\n{url}",
            time::with_distance(link.expires, context.now(), &context.zone)
        ),
    })
}
