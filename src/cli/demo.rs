//! `demo`: the guided tour against the provider that is built in. It needs no home and leaves nothing behind.

use super::context::Context;
use super::error::Error;
use crate::demo::tour;
use std::io::{Write, sink, stdout};

pub(super) async fn run(context: &Context) -> Result<(), Error> {
    let json = context.output.is_json();
    // Told as it happens: a person wants to see it walk. With --json the steps are one document at the end.
    let mut out: Box<dyn Write + Send> = if json { Box::new(sink()) } else { Box::new(stdout()) };
    let steps = Box::pin(tour(out.as_mut())).await.map_err(|error| Error::Demo(error.to_string()))?;
    if json { context.output.result(&steps, String::new) } else { Ok(()) }
}
