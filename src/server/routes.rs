//! Routes: a path, its methods, and what answers each.
//!
//! Handlers and what they take are axum's; finding them is done here, once for each request: what was found says what the caller must be allowed
//! (`rights.rs`) and what answers them, so that nothing answers by another path than the one that was judged. axum's own router would find it a second
//! time, and every layer on it costs a request a future on the heap and a copy of the route (docs/performance.md).

use super::shared::Shared;
use crate::model::ConnectionName;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

/// Bytes of the largest body of a request, but for those that say another size: names, labels, a callback, a token.
const LARGEST_BODY: usize = 128 * 1024;

/// What answers a request. The future of an axum handler is on the heap already.
type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handling = Arc<dyn Fn(Request, Shared) -> Answering + Send + Sync>;

/// Paths with what answers at them.
pub(super) struct Routes(Vec<(&'static str, Methods)>);

/// What answers at one path, by method.
pub(super) struct Methods(Vec<One>);

struct One {
    /// `None` stands for all.
    method: Option<Method>,
    handling: Handling,
    largest: usize,
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
        T: 'static,
    {
        let handling: Handling = Arc::new(move |request, shared| handler.clone().call(request, shared));
        self.0.push(One { method, handling, largest: LARGEST_BODY });
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
            T: 'static,
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
                T: 'static,
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
    T: 'static,
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
    names: Vec<&'static str>,
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

/// What stands in a path at its names. It is decoded where it is read.
#[derive(Debug, Clone)]
pub(super) struct Params {
    /// Its path is where they stand. A clone shares the text.
    uri: Uri,
    places: [(&'static str, Range<u16>); MOST_NAMES],
    /// The connection that the path names, where who judged the caller has read it.
    pub(super) connection: Option<ConnectionName>,
}

/// Names in a path at the most.
const MOST_NAMES: usize = 4;

impl Params {
    /// A clone that has the connection, which is then not read a second time.
    pub(super) fn for_handler(&mut self) -> Self {
        let connection = self.connection.take();
        Self { connection, ..self.clone() }
    }

    /// By the name; nothing where there is none, or where it is no text.
    pub(super) fn get(&self, wanted: &str) -> Option<Cow<'_, str>> {
        let (_, place) = self.places.iter().find(|(name, _)| *name == wanted)?;
        let value = self.uri.path().get(usize::from(place.start)..usize::from(place.end))?;
        percent_decode_str(value).decode_utf8().ok()
    }
}

impl Table {
    /// Of routes. A path that is there twice is a mistake of ours, which no start survives.
    pub(super) fn of(routes: Routes) -> Self {
        let (mut paths, mut endpoints) = (matchit::Router::new(), Vec::new());
        for (path, methods) in routes.0 {
            #[expect(clippy::expect_used, reason = "what is written wrong here is written wrong for everybody")]
            paths.insert(path, endpoints.len()).expect("each path is given once");
            let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let names: Vec<_> = names.map(|name| name.trim_start_matches('*')).collect();
            assert!(names.len() <= MOST_NAMES, "{path} has more names than there is room for");
            endpoints.push(Endpoint { path, names, methods });
        }
        Self { paths, endpoints }
    }

    /// What is at the path of a URI.
    pub(super) fn find(&self, uri: &Uri) -> Option<Found> {
        let whole = uri.path();
        let found = self.paths.at(whole).ok()?;
        let endpoint = *found.value;
        let Endpoint { path, names, .. } = self.endpoints.get(endpoint)?;
        let mut places = [const { ("", 0..0) }; MOST_NAMES];
        for (place, (name, (_, value))) in places.iter_mut().zip(names.iter().zip(found.params.iter())) {
            let start = u16::try_from(value.as_ptr().addr() - whole.as_ptr().addr()).ok()?;
            *place = (*name, start..start.checked_add(u16::try_from(value.len()).ok()?)?);
        }
        let params = Params { uri: uri.clone(), places, connection: None };
        Some(Found { endpoint, path, params })
    }

    /// Has a request answered; nothing where nothing answers its method.
    pub(super) fn call(&self, endpoint: usize, mut request: Request, shared: Shared) -> Result<Answering, Request> {
        let one = self.endpoints.get(endpoint).and_then(|endpoint| endpoint.methods.of(request.method()));
        let Some(one) = one else { return Err(request) };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            DefaultBodyLimit::max(one.largest).apply(&mut request);
        }
        Ok((one.handling)(request, shared))
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
        let params = find("/v1/things/a%20%2fb/of/x/y%3F?q=1").unwrap().params;
        assert_eq!(params.get("thing").as_deref(), Some("a /b"));
        assert_eq!(params.get("rest").as_deref(), Some("x/y?"));
        assert_eq!(params.get("other"), None);
        // No text is nothing.
        assert_eq!(find("/v1/things/%ff").unwrap().params.get("thing"), None);
        for nothing in ["/v1/things/", "/v1/things/a/", "/v1/things/a/of/", "/v1", "//v1/things", "/"] {
            assert!(find(nothing).is_none(), "{nothing}");
        }
        let long = format!("/v1/things/{}", "a".repeat(65_000));
        assert_eq!(find(&long).unwrap().params.get("thing").map(|thing| thing.len()), Some(65_000));
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
