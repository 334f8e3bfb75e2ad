//! What scripts see beside their maps: `this`, `this.oauthContext`, the reply, the connection, the profile.

use super::call::{Answer, Call, charge, current, error};
use super::compile::Hook;
use super::default_reading;
use super::params::ParamMap;
use super::values::{from_json, sendable, to_json};
use crate::model::{ClientAuthentication, Endpoint, RequestFormat};
use crate::oauth::{RawReply, TokenRequest, Value};
use rhai::{Array, Dynamic, Engine, ImmutableString, Map, NativeCallContext};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use url::Url;

/// The script as it sees itself. It holds nothing: what is asked of it is the chain's that runs in the thread.
#[derive(Clone)]
pub(super) struct This;

#[derive(Clone)]
struct OAuthContext;

#[derive(Clone)]
struct ConnectionHandle;

#[derive(Clone)]
struct ProfileHandle;

/// A reply in a script's hands.
#[derive(Clone)]
pub(super) struct ReplyHandle(Arc<Reply>);

struct Reply {
    raw: RawReply,
    params: ParamMap,
    text: OnceLock<ImmutableString>,
}

/// Headers that the client writes itself, or that say how a message is framed: a script that could set them could make
/// one request look like two.
const NOT_FOR_SCRIPTS: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "content-type",
    "accept-encoding",
    "proxy-authorization",
    "proxy-connection",
];

/// Headers and query parameters that a script may add to one request.
const MOST_ADDED: usize = 32;

/// Bytes of a header's value; servers refuse more than 8 to 16 KiB of headers in all.
const LONGEST_HEADER: usize = 8 << 10;

/// Bytes of all fields that one chain puts on a connection: they are sealed with it and written at each refresh.
pub(super) const MOST_KEPT: usize = 16 << 10;

impl ReplyHandle {
    /// A reply, with the default reading in its parameters, and what it says of secrets never to be shown.
    pub(super) fn new(raw: RawReply, call: &Call) -> Self {
        let context = &call.start.context;
        let params = default_reading::read(&raw, &context.reply, context.now);
        call.masks.borrow_mut().add_params(&params);
        Self(Arc::new(Reply { raw, params: ParamMap::of_reply(params), text: OnceLock::new() }))
    }

    /// Its parameters.
    pub(super) fn params(&self) -> &ParamMap {
        &self.0.params
    }

    /// It as it came.
    pub(super) fn raw(&self) -> &RawReply {
        &self.0.raw
    }

    fn body(&mut self) -> Answer<ImmutableString> {
        charge(self.0.raw.body.len() as u64)?;
        Ok(self.0.text.get_or_init(|| String::from_utf8_lossy(&self.0.raw.body).into_owned().into()).clone())
    }
}

/// Names and methods as ServiceNow has them.
pub(super) fn register(engine: &mut Engine) {
    register_this(engine);
    register_reply(engine);
    register_context(engine);
    register_connection(engine);
}

fn register_this(engine: &mut Engine) {
    engine
        .register_type_with_name::<This>("OAuthScript")
        .register_get("oauthContext", |_: &mut This| OAuthContext)
        .register_fn("base", |context: NativeCallContext<'_>, _: &mut This, name: &str, argument: Dynamic| {
            let hook = Hook::named(name).ok_or_else(|| {
                let known = Hook::ALL.map(Hook::as_str).join(", ");
                error(format!("this.base knows no hook of that name; the hooks are {known}"))
            })?;
            current()?.hook(hook, argument, true, context.call_level() + 1)
        });
    for hook in Hook::ALL {
        // As `this.hook(…)` and, as one writes it in Rhai, `hook(…)`.
        engine.register_fn(
            hook.as_str(),
            move |context: NativeCallContext<'_>, _: &mut This, argument: Dynamic| -> Answer<Dynamic> {
                current()?.hook(hook, argument, false, context.call_level() + 1)
            },
        );
        engine.register_fn(
            hook.as_str(),
            move |context: NativeCallContext<'_>, argument: Dynamic| -> Answer<Dynamic> {
                current()?.hook(hook, argument, false, context.call_level() + 1)
            },
        );
    }
}

fn register_reply(engine: &mut Engine) {
    engine
        .register_type_with_name::<ReplyHandle>("AccessTokenResponse")
        .register_fn("getStatusCode", |reply: &mut ReplyHandle| i64::from(reply.0.raw.status))
        .register_fn("getContentType", |reply: &mut ReplyHandle| reply.0.raw.content_type().to_owned())
        .register_fn("getHeader", |reply: &mut ReplyHandle, name: &str| {
            reply.0.raw.header(name).map_or(Dynamic::UNIT, Into::into)
        })
        .register_fn("getBody", ReplyHandle::body)
        .register_fn("getparameters", |reply: &mut ReplyHandle| reply.0.params.clone())
        .register_fn("getParameters", |reply: &mut ReplyHandle| reply.0.params.clone());
}

fn register_context(engine: &mut Engine) {
    engine
        .register_type_with_name::<OAuthContext>("OAuthContext")
        .register_fn("getGrantType", |_: &mut OAuthContext| -> Answer<String> {
            Ok(current()?.start.context.grant.as_str().to_owned())
        })
        .register_fn("getClientId", |_: &mut OAuthContext| -> Answer<String> {
            Ok(current()?.start.context.client_id.clone())
        })
        .register_fn("getOAuthProfile", |_: &mut OAuthContext| ProfileHandle)
        .register_fn("getConnection", |_: &mut OAuthContext| ConnectionHandle)
        .register_fn("setEndpoint", |_: &mut OAuthContext, url: &str| set_endpoint(url))
        .register_fn("setHeader", |_: &mut OAuthContext, name: &str, value: Dynamic| set_header(name, &value))
        .register_fn("setQueryParameter", |_: &mut OAuthContext, name: &str, value: Dynamic| set_query(name, &value))
        .register_fn("setMethod", |_: &mut OAuthContext, method: &str| set_method(method))
        .register_fn("setBodyFormat", |_: &mut OAuthContext, format: &str| set_format(format))
        .register_fn("setClientAuthentication", |_: &mut OAuthContext, how: &str| set_client_authentication(how));
}

fn register_connection(engine: &mut Engine) {
    engine
        .register_type_with_name::<ConnectionHandle>("Connection")
        .register_fn("getName", |_: &mut ConnectionHandle| -> Answer<String> {
            Ok(current()?.start.context.connection.to_string())
        })
        .register_fn("getTokenName", |_: &mut ConnectionHandle| -> Answer<Dynamic> {
            Ok(current()?.start.context.connection.token().map_or(Dynamic::UNIT, Into::into))
        })
        .register_fn("getLabels", |_: &mut ConnectionHandle| -> Answer<Map> {
            let call = current()?;
            let labels = &call.start.context.labels;
            Ok(labels.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect())
        })
        .register_fn("getLabel", |_: &mut ConnectionHandle, name: &str| -> Answer<Dynamic> {
            Ok(current()?.start.context.labels.get(name).map_or(Dynamic::UNIT, Into::into))
        })
        .register_fn("get", |_: &mut ConnectionHandle, name: &str| -> Answer<Dynamic> {
            let call = current()?;
            let kept = call.kept.borrow().get(name).cloned();
            kept.as_ref().or_else(|| call.start.context.fields.get(name)).map_or(Ok(Dynamic::UNIT), from_json)
        })
        .register_fn("put", |_: &mut ConnectionHandle, name: &str, value: Dynamic| keep(name, &value));
    engine
        .register_type_with_name::<ProfileHandle>("OAuthProfile")
        .register_fn("getName", |_: &mut ProfileHandle| -> Answer<String> {
            Ok(current()?.start.context.profile_name.to_string())
        })
        .register_fn("getGrantType", |_: &mut ProfileHandle| -> Answer<String> {
            Ok(current()?.start.context.profile.grant.as_str().to_owned())
        })
        .register_fn("getScopes", |_: &mut ProfileHandle| -> Answer<Array> {
            Ok(current()?.start.context.profile.scopes.iter().map(Into::into).collect())
        })
        .register_fn("getAudience", |_: &mut ProfileHandle| -> Answer<Dynamic> {
            Ok(current()?.start.context.profile.audience.as_ref().map_or(Dynamic::UNIT, Into::into))
        })
        .register_fn("getResource", |_: &mut ProfileHandle| -> Answer<Dynamic> {
            Ok(current()?.start.context.profile.resource.as_ref().map_or(Dynamic::UNIT, Into::into))
        });
}

/// Checks that an address may be sent to: well-formed, safe and one of the application's hosts.
pub(super) fn allowed_url(call: &Rc<Call>, text: &str) -> Answer<Url> {
    // The address may hold a secret in its query: the message names the host at most.
    let url = Url::parse(text).map_err(|_| error("that is not a URL; write it whole, with https://"))?;
    let host = url.host_str().unwrap_or("(none)").to_owned();
    let url = Endpoint::try_from(url)
        .map_err(|_| {
            error(format!("the address on {host} must be https (or on this machine), without user and fragment"))
        })?
        .url()
        .clone();
    if (call.start.context.allowed)(&url) {
        return Ok(url);
    }
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let application = &call.start.context.application;
    Err(error(format!(
        "{host}{port} is not a host of the application; if it is the provider's, add {host}{port} to hosts of {application}"
    )))
}

/// Checks a header that a script sets.
pub(super) fn checked_header(name: &str, value: &str) -> Answer<(String, String)> {
    let name = name.to_ascii_lowercase();
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(error("that is not a header's name: it is letters, digits and - only"));
    }
    if value.len() > LONGEST_HEADER {
        return Err(error(format!("the value of header {name} is longer than {LONGEST_HEADER} bytes")));
    }
    // Only visible ASCII and spaces: no line end can start another header, no byte is read otherwise by another server.
    if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(error(format!("the value of header {name} may only have visible ASCII characters, no line ends")));
    }
    Ok((name, value.to_owned()))
}

/// Runs `change` on the request under way.
fn on_request<T>(change: impl FnOnce(&mut TokenRequest) -> Answer<T>) -> Answer<T> {
    let call = current()?;
    match call.request.borrow_mut().as_mut() {
        Some(request) => change(request),
        None => Err(error(
            "there is no request to change in this hook: use interceptRequestParameters, preprocessAccessToken or preprocessRevokeToken",
        )),
    }
}

fn set_endpoint(url: &str) -> Answer<()> {
    let call = current()?;
    let url = allowed_url(&call, url)?;
    on_request(|request| {
        request.endpoint = url;
        Ok(())
    })
}

fn set_header(name: &str, value: &Dynamic) -> Answer<()> {
    let (value, secret) = sendable(value)?;
    let (name, value) = checked_header(name, &value)?;
    if NOT_FOR_SCRIPTS.contains(&name.as_str()) {
        let instead = if name == "content-type" { "; use setBodyFormat" } else { "" };
        return Err(error(format!("header {name} is written by the client, not by scripts{instead}")));
    }
    let call = current()?;
    if secret || name == "authorization" {
        call.masks.borrow_mut().add(&value);
    }
    on_request(|request| {
        request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        push_added(&mut request.headers, name, value)
    })
}

fn set_query(name: &str, value: &Dynamic) -> Answer<()> {
    let (value, secret) = sendable(value)?;
    if secret {
        current()?.masks.borrow_mut().add(&value);
    }
    on_request(|request| {
        request.query.retain(|(known, _)| known != name);
        push_added(&mut request.query, name.to_owned(), value.as_str().to_owned())
    })
}

fn push_added(list: &mut Vec<(String, String)>, name: String, value: String) -> Answer<()> {
    if list.len() >= MOST_ADDED {
        return Err(error(format!(
            "a request takes at most {MOST_ADDED} further headers and as many query parameters"
        )));
    }
    list.push((name, value));
    Ok(())
}

fn set_method(method: &str) -> Answer<()> {
    let method = match method.to_ascii_uppercase().as_str() {
        "GET" => http::Method::GET,
        "POST" => http::Method::POST,
        _ => return Err(error("setMethod takes \"GET\" or \"POST\"")),
    };
    on_request(|request| {
        request.method = method;
        Ok(())
    })
}

fn set_format(format: &str) -> Answer<()> {
    let format = match format {
        "json" => RequestFormat::Json,
        "form" => RequestFormat::Form,
        "query" => RequestFormat::Query,
        "form_and_query" => RequestFormat::FormAndQuery,
        _ => return Err(error("setBodyFormat takes \"form\", \"json\", \"query\" or \"form_and_query\"")),
    };
    on_request(|request| {
        request.format = format;
        Ok(())
    })
}

fn set_client_authentication(how: &str) -> Answer<()> {
    let known = [
        ClientAuthentication::Basic,
        ClientAuthentication::BasicRaw,
        ClientAuthentication::Post,
        ClientAuthentication::None,
        ClientAuthentication::PrivateKeyJwt,
        ClientAuthentication::ClientSecretJwt,
        ClientAuthentication::Bearer,
        ClientAuthentication::BasicSecret,
    ];
    let Some(how) = known.into_iter().find(|known| known.as_str() == how) else {
        let known = known.map(ClientAuthentication::as_str).join(", ");
        return Err(error(format!("setClientAuthentication takes one of {known}")));
    };
    on_request(|request| {
        request.client_authentication = how;
        Ok(())
    })
}

fn keep(name: &str, value: &Dynamic) -> Answer<()> {
    let call = current()?;
    if matches!(call.start.entry, Hook::PreprocessAuthCode | Hook::PreprocessRevokeToken) {
        return Err(error("fields are kept from the callback on: put them in postprocessAuthCode or in a token hook"));
    }
    let value = to_json(value)?;
    call.masks.borrow_mut().add_named(name, &value);
    let mut kept = call.kept.borrow_mut();
    kept.insert(name.to_owned(), value);
    if Value::Object(kept.clone()).to_string().len() > MOST_KEPT {
        kept.shift_remove(name);
        return Err(error(format!("a connection keeps at most {MOST_KEPT} bytes of fields from one reply")));
    }
    Ok(())
}
