//! `log` and `fail`.

use crate::model::{Failure, FailureKind};
use crate::script::call::{Answer, current, error};
use crate::script::values::to_json;
use rhai::{Dynamic, Engine, EvalAltResult};

/// Lines that one chain may log: a loop must not fill a disk.
const MOST_LINES: usize = 64;

pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("log", |value: Dynamic| log(&value));
    // Rhai's logarithm of a float has the same name.
    engine.register_fn("log", |number: f64| log(&number.into()));
    engine.register_fn("fail", |kind: &str, message: &str| fail(kind, None, message));
    engine.register_fn("fail", |kind: &str, code: &str, message: &str| fail(kind, Some(code), message));
    engine.register_fn("fail", |kind: &str, code: i64, message: &str| fail(kind, Some(&code.to_string()), message));
}

/// Writes a line, redacted, with the script's name, to the log of the process.
pub(in crate::script) fn log_line(text: &str) {
    let Ok(call) = current() else { return };
    let lines = call.lines_logged.get() + 1;
    call.lines_logged.set(lines);
    if lines <= MOST_LINES {
        let script = &call.start.script.name;
        tracing::info!(script = %script, connection = %call.start.context.connection, "{}", call.clean(text));
    }
}

fn log(value: &Dynamic) -> Answer<()> {
    match value.as_immutable_string_ref() {
        Ok(text) => log_line(&text),
        Err(_) => log_line(&to_json(value)?.to_string()),
    }
    Ok(())
}

/// Ends the hook with a failure of a kind; no `catch` holds it.
fn fail(kind: &str, code: Option<&str>, message: &str) -> Result<(), Box<EvalAltResult>> {
    let call = current()?;
    let Some(kind) = FailureKind::from_script(kind) else {
        return Err(error(format!("fail takes one of {KINDS} as its kind")));
    };
    let code = call.clean(code.unwrap_or(kind.as_str()));
    Err(call.declare(Failure::new(kind, &code).with_words(&call.clean(message))))
}

/// The kinds that scripts may name.
pub(in crate::script) const KINDS: &str =
    "transient, rate_limited, reauthorization_required, client_rejected, request_rejected, bad_response";
