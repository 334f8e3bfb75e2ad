//! Routes: a path, its methods, and what answers each.
//!
//! Handlers and what they take are axum's; finding them is done here, once for each request: what was found says what the caller must be allowed
//! (`rights.rs`) and what answers them, so that nothing answers by another path than the one that was judged. axum's own router would find it a second
//! time, and every layer on it costs a request a future on the heap and a copy of the route (docs/performance.md).

use super::answer::{Document, Refusal};
use super::doors::rights::{Rights, Route};
use super::metrics::OfRoute;
use super::shared::Shared;
use crate::model::{ConnectionName, quoted};
use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

/// Bytes that the body of a request may have, for who tells that it has more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Largest(pub(super) usize);

/// Bytes of the largest body of a request, but for those that say another size: names, labels, a callback, a token.
const LARGEST_BODY: usize = 128 * 1024;

/// What answers a request. The future of an axum handler is on the heap already.
type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handling = Arc<dyn Fn(Request, Shared) -> Answering + Send + Sync>;

/// What a handler takes of a request, beside its path and its headers. What it does not take must not be there: a call that is done
/// although half of what was said is not heard does something else than was meant.
#[derive(Debug, Clone, Copy)]
struct Takes {
    query: bool,
    body: bool,
}

/// One thing that a handler takes.
pub(super) trait Part {
    /// Whether it is the query.
    const QUERY: bool = false;
    /// Whether it is the body.
    const BODY: bool = false;
}

/// The whole request, for who reads it as they please.
impl Part for Request {
    const QUERY: bool = true;
    const BODY: bool = true;
}

impl<S> Part for State<S> {}
impl Part for Params {}
/// For who looks at the path.
impl Part for Uri {}

/// All that a handler takes, as axum writes it.
pub(super) trait Taken {
    const QUERY: bool;
    const BODY: bool;
}

macro_rules! taken {
    ($($part:ident),*) => {
        impl<M, $($part: Part),*> Taken for (M, $($part,)*) {
            const QUERY: bool = false $(|| $part::QUERY)*;
            const BODY: bool = false $(|| $part::BODY)*;
        }
    };
}

taken!();
taken!(A);
taken!(A, B);
taken!(A, B, C);
taken!(A, B, C, D);
taken!(A, B, C, D, E);

/// Bytes of a body in which nothing is said.
const LARGEST_UNSAID: usize = 4096;

/// The request without its body, in which nothing may be said.
async fn unsaid(request: Request) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let Document(said): Document<Option<BTreeMap<String, IgnoredAny>>> =
        Document::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    match said.unwrap_or_default().into_iter().next() {
        Some((name, _)) => Err(Refusal::bad(format!(
            "the body is not as it should be: unknown field `{}`, there are none",
            quoted(&name)
        ))),
        None => Ok(Request::from_parts(parts, Body::empty())),
    }
}

/// Paths with what answers at them.
pub(super) struct Routes(Vec<(&'static str, Methods)>);

/// What answers at one path, by method.
pub(super) struct Methods(Vec<One>);

struct One {
    /// `None` stands for all.
    method: Option<Method>,
    handling: Handling,
    largest: usize,
    takes: Takes,
}

impl Routes {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// One more path, in axum's way of writing it.
    pub(super) fn route(mut self, path: &'static str, methods: Methods) -> Self {
        self.0.push((path, methods));
        self
    }

    /// Those of another room.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Methods {
    fn and<H, T>(mut self, method: Option<Method>, handler: H) -> Self
    where
        H: Handler<T, Shared, Future = Answering> + Sync,
        T: Taken + 'static,
    {
        let handling: Handling = Arc::new(move |request, shared| handler.clone().call(request, shared));
        let takes = Takes { query: T::QUERY, body: T::BODY };
        self.0.push(One { method, handling, largest: LARGEST_BODY, takes });
        self
    }

    /// With bodies of other sizes, in bytes, for the methods so far.
    pub(super) fn up_to(mut self, largest: usize) -> Self {
        self.0.iter_mut().for_each(|one| one.largest = largest);
        self
    }

    /// With those of others.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn of(&self, method: &Method) -> Option<&One> {
        let find = |method: &Method| self.0.iter().find(|one| one.method.as_ref().is_none_or(|own| own == method));
        find(method).or_else(|| if *method == Method::HEAD { find(&Method::GET) } else { None })
    }
}

/// Makes what begins a path's methods.
macro_rules! begins {
    ($($name:ident $method:ident),*) => {$(
        /// What answers this method.
        pub(super) fn $name<H, T>(handler: H) -> Methods
        where
            H: Handler<T, Shared, Future = Answering> + Sync,
            T: Taken + 'static,
        {
            Methods(Vec::new()).and(Some(Method::$method), handler)
        }
    )*};
}

begins!(get GET, post POST, put PUT, delete DELETE);

/// Makes what goes on with them.
macro_rules! goes_on {
    ($($name:ident $method:ident),*) => {
        impl Methods {$(
            /// What answers this method too.
            pub(super) fn $name<H, T>(self, handler: H) -> Self
            where
                H: Handler<T, Shared, Future = Answering> + Sync,
                T: Taken + 'static,
            {
                self.and(Some(Method::$method), handler)
            }
        )*}
    };
}

goes_on!(post POST, patch PATCH, delete DELETE);

/// What answers whatever the method is.
pub(super) fn any<H, T>(handler: H) -> Methods
where
    H: Handler<T, Shared, Future = Answering> + Sync,
    T: Taken + 'static,
{
    Methods(Vec::new()).and(None, handler)
}

/// Routes, to be found by a request's path.
pub(super) struct Table {
    paths: matchit::Router<usize>,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    path: &'static str,
    names: [&'static str; MOST_NAMES],
    rights: Rights,
    figures: OfRoute,
    methods: Methods,
}

/// What was found for a request.
pub(super) struct Found {
    pub(super) endpoint: usize,
    /// The path as the table of routes writes it.
    pub(super) path: &'static str,
    /// What stands at its names.
    pub(super) params: Params,
}

/// What stands in a path at its names: where it stands, for whoever has the path. It is decoded where it is read.
#[derive(Debug, Clone)]
pub(super) struct Params {
    names: [&'static str; MOST_NAMES],
    /// Where each begins and ends.
    places: [(u16, u16); MOST_NAMES],
    /// The connection that the path names, where who judged the caller has read it.
    pub(super) connection: Option<ConnectionName>,
}

/// Names in a path at the most.
const MOST_NAMES: usize = 4;

impl Params {
    /// By the name, from the URI that they were found in; nothing where there is none, or where it is no text.
    pub(super) fn get<'a>(&self, uri: &'a Uri, wanted: &str) -> Option<Cow<'a, str>> {
        let (_, (start, end)) = self.names.iter().zip(self.places).find(|(name, _)| **name == wanted)?;
        percent_decode_str(uri.path().get(usize::from(start)..usize::from(end))?).decode_utf8().ok()
    }
}

/// The names in a path of the table.
fn names(path: &'static str) -> [&'static str; MOST_NAMES] {
    let mut names = [""; MOST_NAMES];
    let written = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for (at, name) in written.enumerate() {
        assert!(at < MOST_NAMES, "{path} has more names than there is room for");
        names[at] = name.trim_start_matches('*');
    }
    names
}

impl Table {
    /// Of routes. A path that is there twice is a mistake of ours, which no start survives.
    pub(super) fn of(routes: Routes) -> Self {
        let (mut paths, mut endpoints) = (matchit::Router::new(), Vec::new());
        for (path, methods) in routes.0 {
            #[expect(clippy::expect_used, reason = "what is written wrong here is written wrong for everybody")]
            paths.insert(path, endpoints.len()).expect("each path is given once");
            endpoints.push(Endpoint {
                path,
                names: names(path),
                rights: Rights::of(path),
                figures: OfRoute::default(),
                methods,
            });
        }
        Self { paths, endpoints }
    }

    /// What is at the path of a URI.
    pub(super) fn find(&self, uri: &Uri) -> Option<Found> {
        let whole = uri.path();
        let found = self.paths.at(whole).ok()?;
        let endpoint = *found.value;
        let Endpoint { path, names, .. } = self.endpoints.get(endpoint)?;
        let mut places = [(0, 0); MOST_NAMES];
        for (place, (_, value)) in places.iter_mut().zip(found.params.iter()) {
            let start = u16::try_from(value.as_ptr().addr() - whole.as_ptr().addr()).ok()?;
            *place = (start, start.checked_add(u16::try_from(value.len()).ok()?)?);
        }
        Some(Found { endpoint, path, params: Params { names: *names, places, connection: None } })
    }

    /// Has a request answered; nothing where nothing answers its method.
    pub(super) fn call(&self, endpoint: usize, mut request: Request, shared: Shared) -> Result<Answering, Request> {
        let one = self.endpoints.get(endpoint).and_then(|endpoint| endpoint.methods.of(request.method()));
        let Some(one) = one else { return Err(request) };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            DefaultBodyLimit::max(one.largest).apply(&mut request);
            request.extensions_mut().insert(Largest(one.largest));
        }
        // What is open to everybody is asked by programs that add parameters of their own.
        let is_of_api = request.uri().path().starts_with("/v1/");
        if is_of_api && !one.takes.query && request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Ok(Box::pin(async {
                Refusal::bad("this takes no parameters; leave out what stands behind `?`").into_response()
            }));
        }
        if is_of_api && !one.takes.body && !request.body().is_end_stream() {
            DefaultBodyLimit::max(LARGEST_UNSAID).apply(&mut request);
            request.extensions_mut().insert(Largest(LARGEST_UNSAID));
            let handling = Arc::clone(&one.handling);
            return Ok(Box::pin(async move {
                match unsaid(request).await {
                    Ok(request) => handling(request, shared).await,
                    Err(refusal) => refusal.into_response(),
                }
            }));
        }
        Ok((one.handling)(request, shared))
    }

    /// What the table of rights says of a method there.
    pub(super) fn route(&self, endpoint: usize, method: &Method) -> Route {
        self.endpoints.get(endpoint).map_or(Route::Unknown, |endpoint| Route::of(method, &endpoint.rights))
    }

    /// The figures of its path.
    pub(super) fn figures(&self, endpoint: usize) -> Option<&OfRoute> {
        self.endpoints.get(endpoint).map(|endpoint| &endpoint.figures)
    }

    /// The methods that something answers.
    pub(super) fn methods(&self, endpoint: usize) -> Vec<&str> {
        let methods = self.endpoints.get(endpoint).into_iter().flat_map(|at| &at.methods.0);
        methods.filter_map(|one| one.method.as_ref()).map(Method::as_str).collect()
    }

    /// Every path with its methods, `None` for all.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, Option<&Method>)> {
        self.endpoints.iter().flat_map(|at| at.methods.0.iter().map(|one| (at.path, one.method.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn table() -> Table {
        let answer = async || "here";
        Table::of(
            Routes::new()
                .route("/v1/things", get(answer).post(answer))
                .route("/v1/things/{thing}", any(answer))
                .route("/v1/things/{thing}/of/{*rest}", get(answer)),
        )
    }

    #[test]
    fn what_stands_in_a_path_is_decoded_and_known_by_its_name() {
        let table = table();
        let find = |path: &str| table.find(&path.parse().unwrap());
        let get = |path: &str, name: &str| {
            let uri: Uri = path.parse().unwrap();
            table.find(&uri).unwrap().params.get(&uri, name).map(Cow::into_owned)
        };
        let path = "/v1/things/a%20%2fb/of/x/y%3F?q=1";
        assert_eq!(get(path, "thing").as_deref(), Some("a /b"));
        assert_eq!(get(path, "rest").as_deref(), Some("x/y?"));
        assert_eq!(get(path, "other"), None);
        // No text is nothing.
        assert_eq!(get("/v1/things/%ff", "thing"), None);
        for nothing in ["/v1/things/", "/v1/things/a/", "/v1/things/a/of/", "/v1", "//v1/things", "/"] {
            assert!(find(nothing).is_none(), "{nothing}");
        }
        let long = format!("/v1/things/{}", "a".repeat(65_000));
        assert_eq!(get(&long, "thing").map(|thing| thing.len()), Some(65_000));
    }

    #[test]
    fn a_method_finds_its_own_and_head_what_get_has() {
        let table = table();
        let of = |path: &str, method: Method| {
            let found = table.find(&path.parse().unwrap()).unwrap();
            table.endpoints[found.endpoint].methods.of(&method).map(|one| one.method.clone())
        };
        assert_eq!(of("/v1/things", Method::POST), Some(Some(Method::POST)));
        assert_eq!(of("/v1/things", Method::HEAD), Some(Some(Method::GET)));
        assert_eq!(of("/v1/things", Method::PUT), None);
        assert_eq!(of("/v1/things/a", Method::PUT), Some(None));
        let request = Request::builder().method("PUT").uri("/v1/things").body(Body::empty()).unwrap();
        let found = table.find(&"/v1/things".parse().unwrap()).unwrap();
        assert!(table.endpoints[found.endpoint].methods.of(request.method()).is_none());
    }
}
