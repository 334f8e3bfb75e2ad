//! One hook chain as it runs: what it knows, what it may still use up, and what it has done so far. It lives in its
//! thread for as long as it runs; the functions that scripts call find it there.

use super::compile::{Compiled, Hook};
use super::redact::Masks;
use super::{Broke, Context, Declared, ScriptError, Settings};
use crate::model::{Failure, Fields, quoted};
use crate::oauth::TokenRequest;
use rhai::{Caches, Dynamic, Engine, EvalAltResult, Position, Scope, Shared};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// What natives answer to Rhai.
pub(super) type Answer<T> = Result<T, Box<EvalAltResult>>;

/// Extra calls in one hook chain: enough for a long-lived exchange or a look at whose token it is.
const MOST_CALLS: u8 = 2;

/// Hooks that are remembered as having run: a script may call one in a loop.
const MOST_HOOKS_TOLD: usize = 32;

/// Imports within imports.
const MOST_IMPORTS: u8 = 4;

/// Why a secret is no part of a text, and what to do.
pub(super) const SECRET_IN_TEXT: &str = "a secret cannot become part of a text; hash or sign a list such as [secret('api'), body], or put it into a header of the application: token.headers = { Authorization = \"Bearer {client_secret}\" }";

/// A limit that a script broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Operations,
    Deadline,
    Memory,
    StringSize,
    ArraySize,
    MapSize,
    CallDepth,
    Nesting,
    Variables,
    Imports,
    ExtraCalls,
    SecretInText,
}

impl Limit {
    fn say(self, limits: &Settings) -> String {
        match self {
            Self::Operations => format!("it took more than {} operations; does a loop never end?", limits.operations),
            Self::Deadline => format!("it took longer than {} ms", limits.deadline_ms),
            Self::Memory => format!("it moved more than {} bytes of memory", limits.memory),
            Self::StringSize => format!("it made a text of more than {} bytes", limits.string_size),
            Self::ArraySize => format!("it made an array of more than {} items", limits.array_size),
            Self::MapSize => format!("it made a map of more than {} members", limits.map_size),
            Self::CallDepth => {
                format!("its functions call each other more than {} deep; does a call never end?", limits.call_depth)
            }
            Self::Nesting => format!("it nested arrays and maps more than {} deep", super::weight::DEEPEST),
            Self::Variables => "it holds too many variables at one time".to_owned(),
            Self::Imports => format!("its imports import each other more than {MOST_IMPORTS} deep, or are too many"),
            Self::SecretInText => SECRET_IN_TEXT.to_owned(),
            Self::ExtraCalls => format!("it made more than {MOST_CALLS} extra calls"),
        }
    }
}

/// Where a chain broke: the hook, the script whose line it is, and the line.
struct Place {
    hook: Hook,
    file: String,
    line: Option<usize>,
}

/// What starts a chain.
pub(super) struct Start {
    pub(super) engine: Arc<Engine>,
    pub(super) script: Arc<Compiled>,
    pub(super) base: Arc<Compiled>,
    pub(super) context: Context,
    pub(super) limits: Settings,
    pub(super) entry: Hook,
    pub(super) until: Instant,
    pub(super) runtime: Handle,
    /// Names of what the entry hook is given.
    pub(super) given: Vec<String>,
}

/// A chain that runs.
pub(super) struct Call {
    pub(super) start: Start,
    /// The request under way, in the hooks that may change it.
    pub(super) request: RefCell<Option<TokenRequest>>,
    /// Fields put on the connection.
    pub(super) kept: RefCell<Fields>,
    /// Texts that no log line or message may show.
    pub(super) masks: RefCell<Masks>,
    /// Lines that it has logged.
    pub(super) lines_logged: Cell<usize>,
    /// Hooks that ran, and whether each was the script's own.
    pub(super) hooks_run: RefCell<Vec<(Hook, bool)>>,
    operations: Cell<u64>,
    moved: Cell<u64>,
    calls: Cell<u8>,
    imports: Cell<u8>,
    stopped: Cell<Option<Limit>>,
    declared: RefCell<Option<Failure>>,
    /// Set with either of those: a built-in may swallow the error (`sort` does), and the chain must end all the same.
    ended: Cell<bool>,
    place: RefCell<Option<Place>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Call>>> = const { RefCell::new(None) };
}

/// The chain that runs in this thread.
pub(super) fn current() -> Answer<Rc<Call>> {
    CURRENT.with_borrow(Clone::clone).ok_or_else(|| error("this can only be used while a hook runs"))
}

/// An error that a script may catch.
pub(super) fn error(message: impl Into<String>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.into().into(), Position::NONE).into()
}

/// Breaks the running chain; nothing catches it.
pub(super) fn stop(limit: Limit) -> Box<EvalAltResult> {
    if let Ok(call) = current() {
        call.stop(limit);
    }
    terminated()
}

fn terminated() -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into()
}

/// Called by the engine at each operation; something is "stop".
pub(super) fn tick() -> Option<Dynamic> {
    CURRENT.with_borrow(|call| call.as_ref().and_then(|call| call.tick()))
}

/// Charges the running chain for bytes that it makes or copies; for free outside of a chain.
pub(super) fn charge(bytes: u64) -> Answer<()> {
    match current() {
        Ok(call) => call.charge(bytes),
        Err(_) => Ok(()),
    }
}

impl Call {
    /// Runs `work` as the chain of this thread.
    pub(super) fn run<T>(start: Start, work: impl FnOnce(&Rc<Self>) -> T) -> T {
        let masks = Masks::of(&start.context);
        let call = Rc::new(Self {
            start,
            request: RefCell::new(None),
            kept: RefCell::new(Fields::new()),
            masks: RefCell::new(masks),
            lines_logged: Cell::new(0),
            hooks_run: RefCell::default(),
            operations: Cell::new(0),
            moved: Cell::new(0),
            calls: Cell::new(0),
            imports: Cell::new(0),
            stopped: Cell::new(None),
            declared: RefCell::new(None),
            ended: Cell::new(false),
            place: RefCell::new(None),
        });
        // Cleared in every case, a panic included, so that nothing of one call is seen by the next.
        struct Clear;
        impl Drop for Clear {
            fn drop(&mut self) {
                CURRENT.take();
            }
        }
        CURRENT.set(Some(Rc::clone(&call)));
        let _clear = Clear;
        work(&call)
    }

    /// Runs a hook from outside, as the application's script has it.
    pub(super) fn enter(&self, hook: Hook, argument: Dynamic) -> Result<Dynamic, ScriptError> {
        let result = self.hook(hook, argument, false, 0);
        let result = if self.ended.get() { result.and(Err(terminated())) } else { result };
        result.map_err(|error| self.explain(hook, &error))
    }

    /// Runs a hook: the script's own, else `OAuthUtil`'s, or that at once where `base` says so.
    pub(super) fn hook(&self, hook: Hook, argument: Dynamic, base: bool, level: usize) -> Answer<Dynamic> {
        let own = if base { None } else { self.start.script.hook(hook).map(|body| (&self.start.script, body)) };
        // A shipped OAuthUtil has every hook (a test holds it to that); without one there is nothing to do.
        let Some((owner, body)) = own.or_else(|| self.start.base.hook(hook).map(|body| (&self.start.base, body)))
        else {
            return Ok(Dynamic::UNIT);
        };
        if level > self.start.limits.call_depth {
            return Err(stop(Limit::CallDepth));
        }
        let mut run = self.hooks_run.borrow_mut();
        if run.len() < MOST_HOOKS_TOLD {
            run.push((hook, !base && self.start.script.hook(hook).is_some()));
        }
        drop(run);
        // As the shipped ones are: an engine that is made ready for nothing is what such a hook costs.
        if owner.top.is_empty() && body.statements.is_empty() {
            return Ok(Dynamic::UNIT);
        }
        let engine = &self.start.engine;
        let mut global = engine.new_global_runtime_state();
        global.level = level;
        global.source = Some(owner.name.as_str().into());
        global.lib.push(Shared::clone(&owner.functions));
        let mut scope = Scope::new();
        // The body runs as statements and not as a function call: Rhai forgets the line of a limit at a function's end.
        #[allow(deprecated)] // stays until Rhai 2; the only way to run statements in a state of ours
        let result = (|| {
            let caches = &mut Caches::new();
            if !owner.top.is_empty() {
                let _ = engine.eval_statements_raw(&mut global, caches, &mut scope, &owner.top)?;
            }
            scope.push_dynamic(body.parameter.clone(), argument);
            engine.eval_statements_raw(&mut global, caches, &mut scope, &body.statements)
        })();
        result.map_err(|error| {
            let file = owner.name.as_str().to_owned();
            if error.is_system_exception() {
                let line = error.position().line();
                self.place.borrow_mut().get_or_insert(Place { hook, file, line });
                return error;
            }
            EvalAltResult::ErrorInFunctionCall(hook.as_str().to_owned(), file, error, Position::NONE).into()
        })
    }

    /// Ends the chain as the script says: `fail(kind, message)`.
    pub(super) fn declare(&self, failure: Failure) -> Box<EvalAltResult> {
        *self.declared.borrow_mut() = Some(failure);
        self.ended.set(true);
        terminated()
    }

    /// Lets hooks run again after `fail`: `classifyError` comes after it.
    pub(super) fn reopen(&self) {
        self.declared.take();
        self.ended.set(self.stopped.get().is_some());
    }

    /// One more import within imports; `end_import` goes back.
    pub(super) fn begin_import(&self) -> Answer<()> {
        if self.imports.get() >= MOST_IMPORTS {
            return Err(stop(Limit::Imports));
        }
        self.imports.set(self.imports.get() + 1);
        Ok(())
    }

    pub(super) fn end_import(&self) {
        self.imports.set(self.imports.get().saturating_sub(1));
    }

    /// Takes one of the extra calls; the third ends the chain.
    pub(super) fn take_extra_call(&self) -> Answer<()> {
        if self.calls.get() >= MOST_CALLS {
            return Err(stop(Limit::ExtraCalls));
        }
        self.calls.set(self.calls.get() + 1);
        Ok(())
    }

    /// Steps so far.
    pub(super) fn operations(&self) -> u64 {
        self.operations.get()
    }

    /// Charges for bytes.
    pub(super) fn charge(&self, bytes: u64) -> Answer<()> {
        let moved = self.moved.get().saturating_add(bytes);
        self.moved.set(moved);
        if moved > self.start.limits.memory { Err(stop(Limit::Memory)) } else { Ok(()) }
    }

    /// What is left of the deadline.
    #[allow(clippy::disallowed_methods)] // a script that runs is stopped by the real clock, whatever a test's shows
    pub(super) fn time_left(&self) -> Duration {
        self.start.until.saturating_duration_since(Instant::now())
    }

    /// A text with every known secret taken out, fit to be shown.
    pub(super) fn clean(&self, text: &str) -> String {
        quoted(&self.masks.borrow().redact(text))
    }

    fn stop(&self, limit: Limit) {
        self.stopped.set(self.stopped.get().or(Some(limit)));
        self.ended.set(true);
    }

    fn tick(&self) -> Option<Dynamic> {
        let operations = self.operations.get() + 1;
        self.operations.set(operations);
        if operations > self.start.limits.operations {
            self.stop(Limit::Operations);
        }
        // The clock is read now and then: it costs more than an operation.
        if operations.is_multiple_of(128) && self.time_left().is_zero() {
            self.stop(Limit::Deadline);
        }
        self.ended.get().then_some(Dynamic::UNIT)
    }

    pub(super) fn explain(&self, entry: Hook, error: &EvalAltResult) -> ScriptError {
        let script = self.start.script.name.clone();
        let place = self.place.take();
        if let Some(failure) = self.declared.borrow().clone() {
            let hook = place.map_or(entry, |place| place.hook).as_str().to_owned();
            return ScriptError::Declared(Declared { script, hook, failure }.into());
        }
        let mut hook = entry.as_str().to_owned();
        let mut file = script.as_str().to_owned();
        let mut inner = error;
        loop {
            match inner {
                EvalAltResult::ErrorInFunctionCall(function, source, cause, _) => {
                    if let Some(known) = Hook::named(function) {
                        known.as_str().clone_into(&mut hook);
                    }
                    if !source.is_empty() {
                        file.clone_from(source);
                    }
                    inner = cause;
                }
                EvalAltResult::ErrorInModule(_, cause, _) => inner = cause,
                _ => break,
            }
        }
        let mut line = inner.position().line();
        if error.is_system_exception()
            && let Some(place) = place
        {
            place.hook.as_str().clone_into(&mut hook);
            file = place.file;
            line = place.line;
        }
        let what = match self.stopped.get().or_else(|| limit_of(inner)) {
            Some(limit) => limit.say(&self.start.limits),
            None => self.clean(&said(inner)),
        };
        let given = self.start.given.iter().take(20).map(|name| quoted(name)).collect();
        ScriptError::Broke(Broke { script, hook, file, line, what, given }.into())
    }
}

/// The limit that Rhai itself tells of.
fn limit_of(error: &EvalAltResult) -> Option<Limit> {
    match error {
        EvalAltResult::ErrorTooManyOperations(..) => Some(Limit::Operations),
        EvalAltResult::ErrorTooManyVariables(..) => Some(Limit::Variables),
        EvalAltResult::ErrorTooManyModules(..) => Some(Limit::Imports),
        EvalAltResult::ErrorStackOverflow(..) => Some(Limit::CallDepth),
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("string") => Some(Limit::StringSize),
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("map") => Some(Limit::MapSize),
        EvalAltResult::ErrorDataTooLarge(..) => Some(Limit::ArraySize),
        _ => None,
    }
}

/// What an error says, without its place. Messages of the interpreter may quote the value that they are about, between
/// quotes: that is cut out.
fn said(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorRuntime(thrown, _) => match thrown.as_immutable_string_ref() {
            Ok(text) => text.to_string(),
            Err(_) => format!("it threw a {}", thrown.type_name()),
        },
        EvalAltResult::ErrorFunctionNotFound(signature, _) => format!("there is no function {signature}"),
        EvalAltResult::ErrorVariableNotFound(name, _) => format!("there is no variable {name}"),
        EvalAltResult::ErrorPropertyNotFound(name, _) => format!("there is no property {name}"),
        EvalAltResult::ErrorModuleNotFound(name, _) => {
            format!("there is no OAuth script {name} to import; only other OAuth scripts can be imported")
        }
        EvalAltResult::ErrorMismatchDataType(wanted, given, _) if wanted.is_empty() => format!("{given} does not fit"),
        EvalAltResult::ErrorMismatchDataType(wanted, given, _) => format!("{wanted} is wanted where {given} stands"),
        // Names of properties and types, which stand in the script's own text.
        EvalAltResult::ErrorDotExpr(text, _) => text.clone(),
        EvalAltResult::ErrorIndexNotFound(..) => "an index that is not there".to_owned(),
        EvalAltResult::ErrorArithmetic(text, _) => without_quoted(text),
        other => {
            let text = other.to_string();
            let end = text.rfind(" (line ").unwrap_or(text.len());
            without_quoted(&text[..end])
        }
    }
}

/// A text without what stands between its first and its last quote.
fn without_quoted(text: &str) -> String {
    const QUOTES: [char; 3] = ['\'', '"', '`'];
    match (text.find(QUOTES), text.rfind(QUOTES)) {
        (Some(first), Some(last)) => format!("{}…{}", &text[..first], &text[last + 1..]),
        _ => text.to_owned(),
    }
}
