//! The map that hooks are given: `requestParamMap`, `callbackParamMap`, `accessTokenResponse.getparameters()`. It is a
//! handle: what a script changes through it stays changed.

use super::call::{Answer, Limit, charge, current, error, stop};
use super::values::{self, Handle, from_json, to_json};
use crate::model::Secret;
use crate::oauth::{Params, Value};
use rhai::{Array, Dynamic, Engine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parameters in order. Secrets that a script puts in stay apart from texts until the map leaves the script.
#[derive(Clone)]
pub(super) struct ParamMap(Arc<Mutex<Held>>);

struct Held {
    params: Params,
    secrets: BTreeMap<String, Secret>,
    /// Names that were taken out and not put in again.
    removed: BTreeSet<String>,
    takes_secrets: bool,
}

impl ParamMap {
    /// A map that goes to the provider's token endpoint, where secrets may stand.
    pub(super) fn of_request(params: Params) -> Self {
        Self::new(params, true)
    }

    /// A map that goes through the browser, or that came from the provider: no place for secrets.
    pub(super) fn of_reply(params: Params) -> Self {
        Self::new(params, false)
    }

    fn new(params: Params, takes_secrets: bool) -> Self {
        Self(Arc::new(Mutex::new(Held { params, secrets: BTreeMap::new(), removed: BTreeSet::new(), takes_secrets })))
    }

    /// The parameters with the secrets in them: what leaves the script.
    pub(super) fn finish(&self) -> Answer<Params> {
        let held = self.held();
        let mut params = held.params.clone();
        for (name, secret) in &held.secrets {
            params.put(name.as_str(), secret.expose());
        }
        let limits = current()?.start.limits;
        if params.len() > limits.map_size {
            return Err(stop(Limit::MapSize));
        }
        let weight: usize = params.iter().map(|(name, value)| name.len() + weight_of(value)).sum();
        if weight > limits.string_size { Err(stop(Limit::StringSize)) } else { Ok(params) }
    }

    /// The members for JSON and forms that a script writes; a secret among them is refused.
    pub(super) fn to_object(&self) -> Answer<serde_json::Map<String, Value>> {
        let held = self.held();
        if !held.secrets.is_empty() {
            return Err(error("a map that holds a secret cannot become text; put it into a token request"));
        }
        Ok(held.params.clone().into_object())
    }

    /// Names that the script took out.
    pub(super) fn removed(&self) -> Vec<String> {
        self.held().removed.iter().cloned().collect()
    }

    /// Names in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.held().params.names().map(str::to_owned).collect()
    }

    // A panic while the lock is held ends the whole call, and no other has the map.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&mut self, name: &str) -> Answer<Dynamic> {
        let held = self.held();
        if let Some(secret) = held.secrets.get(name) {
            return Ok(Dynamic::from(Handle(secret.clone())));
        }
        held.params.get(name).map_or(Ok(Dynamic::UNIT), from_json)
    }

    fn put(&mut self, name: &str, value: &Dynamic) -> Answer<()> {
        charge(name.len() as u64)?;
        // Read before the lock is taken: the value may be this very map.
        let secret =
            value.is::<Handle>() || (value.is_array() && values::sendable(value).is_ok_and(|(_, secret)| secret));
        let secret = if secret { Some(values::sendable(value)?.0) } else { None };
        let plain = if secret.is_some() { Value::Null } else { to_json(value)? };
        let call = current()?;
        let mut held = self.held();
        held.removed.remove(name);
        if !held.params.contains(name) && held.params.len() >= call.start.limits.map_size {
            return Err(stop(Limit::MapSize));
        }
        match secret {
            Some(_) if !held.takes_secrets => {
                Err(error("a secret may only be put into a token or revocation request: not into a URL or a reply"))
            }
            Some(text) => {
                held.params.put(name, plain);
                held.secrets.insert(name.to_owned(), Secret::new(text.as_str()));
                Ok(())
            }
            None => {
                call.masks.borrow_mut().add_named(name, &plain);
                held.params.put(name, plain);
                held.secrets.remove(name);
                Ok(())
            }
        }
    }

    fn remove(&mut self, name: &str) -> Answer<Dynamic> {
        let was = self.get(name)?;
        let mut held = self.held();
        held.params.remove(name);
        held.secrets.remove(name);
        if held.removed.len() < MOST_REMOVED {
            held.removed.insert(name.to_owned());
        }
        Ok(was)
    }

    fn key_set(&mut self) -> Answer<Array> {
        let names = self.names();
        charge(names.iter().map(|name| 16 + name.len() as u64).sum())?;
        Ok(names.into_iter().map(Dynamic::from).collect())
    }
}

/// Names taken out that are remembered: more than there are parameters of ours.
const MOST_REMOVED: usize = 64;

/// The names and methods that ServiceNow's request and reply maps have.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<ParamMap>("ParamMap")
        .register_fn("get", |map: &mut ParamMap, name: &str| map.get(name))
        .register_fn("put", |map: &mut ParamMap, name: &str, value: Dynamic| map.put(name, &value))
        .register_fn("remove", |map: &mut ParamMap, name: &str| map.remove(name))
        .register_fn("containsKey", |map: &mut ParamMap, name: &str| map.held().params.contains(name))
        .register_fn("keySet", ParamMap::key_set)
        .register_fn("size", |map: &mut ParamMap| map.held().params.len() as i64)
        .register_fn("isEmpty", |map: &mut ParamMap| map.held().params.is_empty())
        .register_fn("clear", |map: &mut ParamMap| {
            let mut held = map.held();
            held.params = Params::new();
            held.secrets.clear();
        })
        .register_fn("putAll", |map: &mut ParamMap, members: rhai::Map| -> Answer<()> {
            members.iter().try_for_each(|(name, value)| map.put(name, value))
        });
}

fn weight_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(|item| 8 + weight_of(item)).sum(),
        Value::Object(object) => object.iter().map(|(name, item)| 8 + name.len() + weight_of(item)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}
