//! A provider's habits of requests, declared in its entry: what is put into a request before the hooks see it, and what
//! only after them because it holds a secret.

use super::{Exchange, ExchangeError};
use crate::model::{Method, Placeholder, RequestHabits, Secret, Template, of_connection};
use crate::oauth::{self, TokenRequest};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use url::Url;

/// What the authorization request of this exchange carried.
#[derive(Debug, Default)]
pub(super) struct SentBefore {
    /// Its state.
    pub(super) state: Option<Secret>,
    /// Its redirect URL.
    pub(super) redirect_url: Option<Url>,
}

/// Parts of a request that hold a secret of the application: no hook sees them.
#[derive(Debug, Default)]
pub(super) struct Late {
    parameters: Vec<(String, Secret)>,
    headers: Vec<(String, Secret)>,
    query: Vec<(String, Secret)>,
}

/// Applies the habits to a request, but for what must come after the hooks.
pub(super) fn before_hooks(
    exchange: &Exchange,
    mut request: TokenRequest,
    habits: &RequestHabits,
    sent_before: Option<&SentBefore>,
) -> Result<(TokenRequest, Late), ExchangeError> {
    let filler = Filler::new(exchange, sent_before);
    let mut late = Late::default();
    for name in habits.drop.iter().flatten() {
        request.params.remove(name);
        request.drop.insert(name.clone());
    }
    for (name, template) in &habits.parameters {
        let value = filler.fill(template, name)?;
        match template.has_secret() {
            true => late.parameters.push((name.clone(), value)),
            false => request.params.put(name, value.expose()),
        }
    }
    for (name, template) in &habits.headers {
        let value = filler.fill(template, name)?;
        match template.has_secret() {
            true => late.headers.push((name.clone(), value)),
            false => request.headers.push((name.clone(), value.expose().to_owned())),
        }
    }
    for (name, template) in &habits.query {
        let value = filler.fill(template, name)?;
        match template.has_secret() {
            true => late.query.push((name.clone(), value)),
            false => request.query.push((name.clone(), value.expose().to_owned())),
        }
    }
    match habits.method {
        Some(Method::Get) => request.method = http::Method::GET,
        Some(Method::Post) | None => {}
    }
    request.format = habits.format.unwrap_or(request.format);
    request.rename.extend(habits.rename.clone());
    Ok((request, late))
}

impl Late {
    /// The request with the secrets in it. What a script has put under the same name stays.
    pub(super) fn apply(self, mut request: TokenRequest) -> TokenRequest {
        for (name, value) in self.parameters {
            if !request.params.contains(&name) && !request.drop.contains(&name) {
                request.params.put(name, value.expose());
            }
        }
        let has =
            |list: &[(String, String)], name: &str| list.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        for (name, value) in self.headers {
            if !has(&request.headers, &name) {
                request.headers.push((name, value.expose().to_owned()));
            }
        }
        for (name, value) in self.query {
            if !has(&request.query, &name) {
                request.query.push((name, value.expose().to_owned()));
            }
        }
        request
    }
}

/// Fills templates for one request: `{uuid}` and `{now}` are the same wherever they stand in it.
struct Filler<'a> {
    exchange: &'a Exchange,
    sent_before: Option<&'a SentBefore>,
    uuid: OnceCell<String>,
    now: OnceCell<String>,
    fresh: OnceCell<Secret>,
}

impl<'a> Filler<'a> {
    fn new(exchange: &'a Exchange, sent_before: Option<&'a SentBefore>) -> Self {
        Self { exchange, sent_before, uuid: OnceCell::new(), now: OnceCell::new(), fresh: OnceCell::new() }
    }

    fn fill(&self, template: &Template, name: &str) -> Result<Secret, ExchangeError> {
        let application = &self.exchange.application;
        let of = &self.exchange.of;
        let before = self.sent_before;
        let value = |placeholder: &Placeholder| match placeholder {
            Placeholder::ClientId => Some(application.client_id.clone()),
            Placeholder::ClientSecret => application.client_secret.as_ref().map(|secret| secret.expose().to_owned()),
            Placeholder::Secret(name) => application.secrets.get(name).map(|secret| secret.expose().to_owned()),
            Placeholder::RedirectUrl => {
                let sent = before.and_then(|before| before.redirect_url.as_ref());
                Some(match sent {
                    Some(sent) => sent.to_string(),
                    None => (self.exchange.redirect_url)(application).to_string(),
                })
            }
            Placeholder::State => {
                let sent = before.and_then(|before| before.state.as_ref());
                Some(sent.unwrap_or_else(|| self.fresh.get_or_init(oauth::random_text)).expose().to_owned())
            }
            Placeholder::Uuid => Some(self.uuid.get_or_init(|| uuid::Uuid::new_v4().to_string()).clone()),
            Placeholder::Now => {
                Some(self.now.get_or_init(|| self.exchange.clock.now().as_second().to_string()).clone())
            }
            Placeholder::Field(_) | Placeholder::Label(_) => of_connection(placeholder, &of.fields, &of.labels),
        };
        template.fill(value).map(Secret::new).map_err(|missing| {
            ExchangeError::Setup(format!(
                "{}: {name} of the request needs {missing}, and there is none; {}",
                of.connection,
                match &missing {
                    Placeholder::Label(label) => format!("give it when connecting, e.g. --label {label}=VALUE"),
                    Placeholder::Field(_) =>
                        "neither the callback nor a reply has brought it: keep it with callback.keep or connect again"
                            .to_owned(),
                    _ => "state it in the application's file".to_owned(),
                }
            ))
        })
    }
}

/// Further headers of a request that is none to the token endpoint, filled.
pub(super) fn headers(
    exchange: &Exchange,
    headers: &BTreeMap<String, Template>,
) -> Result<Vec<(String, Secret)>, ExchangeError> {
    let filler = Filler::new(exchange, None);
    headers.iter().map(|(name, template)| Ok((name.clone(), filler.fill(template, name)?))).collect()
}

/// The parameters that an entry adds to an authorization request, filled.
pub(super) fn authorization_parameters(
    exchange: &Exchange,
    state: &Secret,
    redirect_url: &Url,
) -> Result<BTreeMap<String, String>, ExchangeError> {
    let before = SentBefore { state: Some(state.clone()), redirect_url: Some(redirect_url.clone()) };
    let filler = Filler::new(exchange, Some(&before));
    let parameters = &exchange.application.habits.authorization.parameters;
    parameters
        .iter()
        .map(|(name, template)| Ok((name.clone(), filler.fill(template, name)?.expose().to_owned())))
        .collect()
}
