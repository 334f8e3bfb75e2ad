//! The hooks as the rest of the crate calls them: asynchronous, each on a script thread, within one deadline.

use super::call::{Call, Start};
use super::compile::{Compiled, Hook};
use super::helpers::KINDS;
use super::objects::ReplyHandle;
use super::params::ParamMap;
use super::{Broke, Context, Kept, Reading, ScriptError, Scripts, Watched, default_reading};
use crate::model::{ClientAuthentication, Failure, FailureKind, Fields, ReplyHabits, ScriptName, Timestamp};
use crate::oauth::{Params, RawReply, TokenRequest};
use rhai::Dynamic;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A script as it was when it was asked for; a file that changes meanwhile does not change it.
#[derive(Clone)]
pub struct Script {
    scripts: Scripts,
    compiled: Arc<Compiled>,
}

impl Script {
    pub(super) fn new(scripts: Scripts, compiled: Arc<Compiled>) -> Self {
        Self { scripts, compiled }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ScriptName {
        &self.compiled.name
    }

    /// `preprocessAuthCode`: the query of the authorization URL (RFC 6749 section 4.1.1). Secrets are refused in it.
    pub async fn authorization(&self, context: &Context, query: Params) -> Result<Params, ScriptError> {
        let hook = Hook::PreprocessAuthCode;
        if self.leaves_to_base(hook) {
            return Ok(query);
        }
        let given = names(&query);
        self.run(hook, context, given, move |call| {
            call.masks.borrow_mut().add_params(&query);
            let map = ParamMap::of_reply(query);
            let _ = call.enter(hook, Dynamic::from(map.clone()))?;
            finish(call, hook, &map)
        })
        .await
    }

    /// `postprocessAuthCode`: the callback's parameters, with the code in `code`, and the fields to keep.
    pub async fn callback(&self, context: &Context, params: Params) -> Result<Kept<Params>, ScriptError> {
        let hook = Hook::PostprocessAuthCode;
        if self.leaves_to_base(hook) {
            return Ok(Kept { value: params, fields: Fields::new() });
        }
        let given = names(&params);
        self.run(hook, context, given, move |call| {
            call.masks.borrow_mut().add_params(&params);
            let map = ParamMap::of_reply(params);
            let _ = call.enter(hook, Dynamic::from(map.clone()))?;
            let value = finish(call, hook, &map)?;
            Ok(Kept { value, fields: call.kept.take() })
        })
        .await
    }

    /// `interceptRequestParameters`, whose default calls `preprocessAccessToken`: any token request before it is sent.
    pub async fn request(&self, context: &Context, request: TokenRequest) -> Result<Kept<TokenRequest>, ScriptError> {
        self.change_request(Hook::InterceptRequestParameters, context, request).await
    }

    /// `preprocessRevokeToken`: a revocation request (RFC 7009) before it is sent.
    pub async fn revocation(&self, context: &Context, request: TokenRequest) -> Result<TokenRequest, ScriptError> {
        Ok(self.change_request(Hook::PreprocessRevokeToken, context, request).await?.value)
    }

    /// `parseTokenResponse`, whose default calls `postprocessAccessToken`, on any reply to a token request; then
    /// `classifyError` where the reply is an error or the script says that it is one.
    pub async fn reply(&self, context: &Context, reply: &RawReply) -> Result<Kept<Reading>, ScriptError> {
        if self.reads_at_once(reply) {
            return self.read_at_once(reply, &context.reply, context.now);
        }
        let reply = reply.clone();
        self.run(Hook::ParseTokenResponse, context, Vec::new(), move |call| {
            let handle = ReplyHandle::new(reply, call);
            read_reply(call, &handle)
        })
        .await
    }

    /// The same, with what happened on the way.
    pub async fn watched_reply(&self, context: &Context, reply: &RawReply) -> Result<Watched, ScriptError> {
        let reply = reply.clone();
        self.run(Hook::ParseTokenResponse, context, Vec::new(), move |call| {
            let handle = ReplyHandle::new(reply, call);
            let before = finish(call, Hook::ParseTokenResponse, handle.params())?;
            let reading = read_reply(call, &handle);
            // A script that broke leaves a map that may be too large to take out.
            let after = handle.params().finish().unwrap_or_default();
            let hooks = call.hooks_run.take().into_iter().map(|(hook, own)| (hook.as_str(), own)).collect();
            Ok(Watched { reading, before, after, hooks, operations: call.operations() })
        })
        .await
    }

    async fn change_request(
        &self,
        hook: Hook,
        context: &Context,
        mut request: TokenRequest,
    ) -> Result<Kept<TokenRequest>, ScriptError> {
        if self.leaves_to_base(hook) {
            return Ok(Kept { value: request, fields: Fields::new() });
        }
        let given = names(&request.params);
        self.run(hook, context, given, move |call| {
            let params = std::mem::take(&mut request.params);
            call.masks.borrow_mut().add_params(&params);
            call.request.replace(Some(request));
            let map = ParamMap::of_request(params);
            let _ = call.enter(hook, Dynamic::from(map.clone()))?;
            let params = finish(call, hook, &map)?;
            // Put there above, and nothing takes it out.
            let Some(mut value) = call.request.take() else { return Err(broke(call, hook, "the request is gone")) };
            value.params = params;
            // A parameter that the script takes out stays out, also where our own credentials would bring it.
            value.drop.extend(map.removed());
            let basic = matches!(
                value.client_authentication,
                ClientAuthentication::Basic | ClientAuthentication::BasicRaw
            );
            if basic && value.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
                let what = "it set header authorization, which our client authentication writes too; say setClientAuthentication(\"none\") or (\"post\") as well";
                return Err(broke(call, hook, what));
            }
            Ok(Kept { value, fields: call.kept.take() })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        entry: Hook,
        context: &Context,
        given: Vec<String>,
        work: impl FnOnce(&Rc<Call>) -> Result<T, ScriptError> + Send + 'static,
    ) -> Result<T, ScriptError> {
        let (engine, base) = (Arc::clone(self.scripts.engine()), Arc::clone(self.scripts.base()));
        let (script, context) = (Arc::clone(&self.compiled), context.clone());
        let (limits, runtime) = (*self.scripts.settings(), Handle::current());
        let job =
            move |until| Call::run(Start { engine, script, base, context, limits, entry, until, runtime, given }, work);
        self.scripts.pool().run(self.name(), entry.as_str(), limits.deadline(), job).await?
    }

    /// Whether a reply is read at once, by nothing but us: the shipped `OAuthUtil` would change nothing of it.
    #[must_use]
    pub fn reads_at_once(&self, reply: &RawReply) -> bool {
        reply.body.len() <= SHORT_REPLY && self.leaves_to_base(Hook::ParseTokenResponse)
    }

    /// Reads a reply without a script, where [`Script::reads_at_once`]. What a provider sends must not end more than its own exchange, a mistake
    /// of ours in reading it included.
    pub fn read_at_once(
        &self,
        reply: &RawReply,
        habits: &ReplyHabits,
        now: Timestamp,
    ) -> Result<Kept<Reading>, ScriptError> {
        let read = catch_unwind(AssertUnwindSafe(|| default_reading::reading(reply, habits, now)));
        match read {
            Ok(value) => Ok(Kept { value, fields: Fields::new() }),
            Err(_panic) => {
                Err(ScriptError::Crashed { script: self.name().clone(), hook: Hook::ParseTokenResponse.as_str() })
            }
        }
    }

    /// Whether a token request goes out as it is: no hook but the shipped `OAuthUtil`'s sees it.
    #[must_use]
    pub fn leaves_requests(&self) -> bool {
        self.leaves_to_base(Hook::InterceptRequestParameters)
    }

    /// Whether the chain of a hook is `OAuthUtil`'s alone: the shipped one, which changes nothing (a test holds it to that), and need not be run for that.
    fn leaves_to_base(&self, entry: Hook) -> bool {
        let chain: &[Hook] = match entry {
            Hook::InterceptRequestParameters => &[entry, Hook::PreprocessAccessToken],
            Hook::ParseTokenResponse => &[entry, Hook::PostprocessAccessToken, Hook::ClassifyError],
            _ => &[entry],
        };
        chain.iter().all(|hook| self.compiled.hook(*hook).is_none()) || Arc::ptr_eq(&self.compiled, self.scripts.base())
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(self.name()).finish()
    }
}

/// Runs the hooks of a reply.
fn read_reply(call: &Rc<Call>, handle: &ReplyHandle) -> Result<Kept<Reading>, ScriptError> {
    let parsed = match call.enter(Hook::ParseTokenResponse, Dynamic::from(handle.clone())) {
        Ok(_) => None,
        Err(ScriptError::Declared(declared)) => Some(declared.failure),
        Err(ScriptError::Broke(mut broke)) => {
            broke.given = handle.params().names().iter().map(|name| crate::model::quoted(name)).take(20).collect();
            return Err(ScriptError::Broke(broke));
        }
        Err(other) => return Err(other),
    };
    call.reopen();
    let params = finish(call, Hook::ParseTokenResponse, handle.params())?;
    let failure = parsed.map(|failure| failure.with_status(handle.raw().status)).or_else(|| {
        let context = &call.start.context;
        default_reading::classify(handle.raw(), &params, &context.reply, context.now)
    });
    let value = match failure {
        None => Reading::Token(params),
        Some(failure) => Reading::Failed(classified(call, handle, failure)?),
    };
    Ok(Kept { value, fields: call.kept.take() })
}

/// What the script's `classifyError` makes of a failure.
fn classified(call: &Rc<Call>, handle: &ReplyHandle, mut failure: Failure) -> Result<Failure, ScriptError> {
    let hook = Hook::ClassifyError;
    let said = match call.enter(hook, Dynamic::from(handle.clone())) {
        Ok(said) => said,
        Err(ScriptError::Declared(declared)) => return Ok(declared.failure.with_status(handle.raw().status)),
        Err(other) => return Err(other),
    };
    if said.is_unit() {
        return Ok(failure);
    }
    let kind = said.as_immutable_string_ref().ok().and_then(|word| FailureKind::from_script(&word));
    match kind {
        Some(kind) => {
            failure.kind = kind;
            Ok(failure)
        }
        None => Err(broke(call, hook, &format!("it must return one of {KINDS}, or ()"))),
    }
}

/// The map as it leaves the script.
fn finish(call: &Rc<Call>, hook: Hook, map: &ParamMap) -> Result<Params, ScriptError> {
    map.finish().map_err(|error| call.explain(hook, &error))
}

fn broke(call: &Rc<Call>, hook: Hook, what: &str) -> ScriptError {
    let script = call.start.script.name.clone();
    let file = script.as_str().to_owned();
    let given = call.start.given.clone();
    ScriptError::Broke(
        Broke { script, hook: hook.as_str().to_owned(), file, line: None, what: what.to_owned(), given }.into(),
    )
}

fn names(params: &Params) -> Vec<String> {
    params.names().map(str::to_owned).collect()
}

/// Bytes of a reply that are read in microseconds, where no script has a say: real ones are shorter by far.
const SHORT_REPLY: usize = 16 * 1024;
