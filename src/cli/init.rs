//! `init`: makes a home folder and its keys.

use super::context::Context;
use super::error::Error;
use crate::connector::KeySource;
use serde_json::json;

pub(super) fn run(context: &Context) -> Result<(), Error> {
    let made = context.home()?.init(context.now())?;
    let document = json!({ "home": made.folder, "keys": made.keys.to_string(), "made": made.made });
    context.output.result(&document, || {
        if made.made.is_empty() {
            return format!("{} is ready; nothing was missing\nkeys: {}\n", made.folder.display(), made.keys);
        }
        let mut text = String::new();
        for path in &made.made {
            text.push_str(&format!("made {}\n", path.display()));
        }
        if let KeySource::File(path) = &made.keys {
            let path = path.display();
            text.push_str(&format!(
                "\nThe keys are in {path}. Without them nobody can open the store: keep a copy in a safe\nplace, and never beside a copy of the home.\n"
            ));
        }
        text.push_str("\nNext: grantkeeper provider list, then grantkeeper app add NAME --provider PROVIDER --client-id ID --client-secret-stdin\n");
        text
    })
}
