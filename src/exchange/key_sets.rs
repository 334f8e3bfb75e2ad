//! The JWK sets of providers, kept for a while.

use super::ExchangeError;
use crate::http::{HttpClient, HttpError};
use crate::model::{Application, Clock, Endpoint, Timestamp, later};
use crate::oauth::JwkSet;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// The sets that were fetched, by address. Clones share everything.
#[derive(Clone, Default)]
pub(super) struct KeySets(Arc<Mutex<HashMap<String, Fetched>>>);

struct Fetched {
    at: Timestamp,
    set: Arc<JwkSet>,
}

impl KeySets {
    /// The set at an address as it was fetched within the last hour.
    pub(super) fn kept(&self, endpoint: &Endpoint, now: Timestamp) -> Option<Arc<JwkSet>> {
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fetched = sets.get(endpoint.as_str())?;
        (now < later(fetched.at, GOOD_SECONDS)).then(|| Arc::clone(&fetched.set))
    }

    /// Fetches the set at an address.
    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        application: &Application,
        endpoint: &Endpoint,
        clock: &dyn Clock,
    ) -> Result<Arc<JwkSet>, ExchangeError> {
        let unusable = |why: String, passing: bool| ExchangeError::Keys { at: endpoint.authority(), why, passing };
        let mut request = http::Request::get(endpoint.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
        }
        let request = request.body(Zeroizing::new(Vec::new())).map_err(|error| unusable(error.to_string(), false))?;
        let reply = http.send(request, |url| application.allows(url)).await;
        let reply = reply.map_err(|error| {
            let passing = matches!(error, HttpError::NotSent { .. } | HttpError::NoReply { .. });
            unusable(error.to_string(), passing)
        })?;
        if reply.status != 200 {
            let passing = reply.status == 429 || reply.status >= 500;
            return Err(unusable(format!("it answered with status {}", reply.status), passing));
        }
        let set = Arc::new(JwkSet::read(&reply.body).map_err(|error| unusable(error.to_string(), false))?);
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= MOST_SETS {
            sets.clear();
        }
        sets.insert(endpoint.as_str().to_owned(), Fetched { at: clock.now(), set: Arc::clone(&set) });
        Ok(set)
    }
}

impl fmt::Debug for KeySets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySets").finish_non_exhaustive()
    }
}

/// Seconds that a set is used: a key that the provider has withdrawn is believed no longer than that.
const GOOD_SECONDS: u64 = 3600;
/// Sets that are kept: more than anybody has providers.
const MOST_SETS: usize = 1000;
