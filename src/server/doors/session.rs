//! Signing in to the pages: links that are good once, a password, and the sessions that they begin. All of it is kept in
//! memory, so a restart signs everybody out, and only hashes of what a browser holds are kept.

use super::neighbour::Neighbour;
use crate::model::{ApiKey, Secret, Timestamp, later};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// How long a sign-in link is good, in seconds: long enough to copy it to another machine, too short to lie about.
pub const LINK_SECONDS: u64 = 600;
/// How long a session lasts without being used, in seconds.
pub const IDLE_SECONDS: u64 = 3600;
/// How long a session lasts at the most, in seconds: a working day.
pub const LONGEST_SECONDS: u64 = 12 * 3600;

/// Passwords that one address may try at once; further ones come back one by one.
const TRIES: u64 = 5;
/// How long it takes until one more may be tried, in seconds.
const TRY_EVERY: u64 = 30;
/// Addresses whose tries are remembered. Beyond it all strangers share one count.
const MOST_ADDRESSES: usize = 4096;
/// Sessions and links at once; the oldest make room.
const MOST: usize = 256;

/// Says whether a password is the administrator's. It may take its time: only one is asked at once.
pub type PasswordCheck = Arc<dyn Fn(Secret) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The sign-in links and sessions of a daemon. Clones share everything.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    password: Option<PasswordCheck>,
    /// A check is made to cost much: strangers must not make many run at once.
    checking: Semaphore,
}

#[derive(Default)]
struct State {
    /// Links that were not used.
    links: HashMap<Hash, Link>,
    sessions: HashMap<Hash, Session>,
    tries: HashMap<Option<IpAddr>, Tries>,
}

type Hash = [u8; 32];

/// A link: when it ends, and whose session it begins.
struct Link {
    ends: Timestamp,
    whose: Whose,
}

/// Whose a session is.
#[derive(Clone)]
struct Whose {
    who: Arc<str>,
    /// The API key that it was begun with: it ends with that key.
    key: Option<Uuid>,
}

struct Session {
    whose: Whose,
    form: Secret,
    /// Whose browser began it.
    neighbour: Neighbour,
    began: Timestamp,
    seen: Timestamp,
}

/// How many passwords an address has tried, and until when they count.
struct Tries {
    /// When all of them will be forgotten.
    forgotten: Timestamp,
}

/// Who is signed in, as a request finds it.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who: what the audit log says.
    pub who: Arc<str>,
    /// The API key that the session was begun with, where it was: it is good for as long as that key is.
    pub api_key: Option<Uuid>,
    /// What every form of this session carries.
    pub(in crate::server) form: Secret,
    /// Whose browser began it. Where that is a user of this machine, nobody else's request is of this session.
    pub(in crate::server) neighbour: Neighbour,
    /// Which session it is.
    pub(in crate::server) key: Key,
}

/// Which session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Key(Hash);

/// Why nobody was signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The link was used, has ended, or never was.
    #[error("this sign-in link was used already or has ended; make a new one where the daemon runs")]
    Link,
    /// Another password.
    #[error("this is not the administrator's password")]
    Password,
    /// There is no password to sign in with.
    #[error("no administrator password is set; sign in with a link")]
    NoPassword,
    /// Too many passwords were tried.
    #[error("too many passwords were tried from here; wait half a minute and try again")]
    TooMany,
    /// The system gave no randomness.
    #[error("the system gives no randomness, so no session can begin")]
    NoRandomness,
}

impl Sessions {
    /// None yet. Without a password check, links are the only way in.
    #[must_use]
    pub fn new(password: Option<PasswordCheck>) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), password, checking: Semaphore::new(1) }))
    }

    /// Makes a sign-in link: its path and query, to be put behind the address that the pages are at. It is good once, for
    /// [`LINK_SECONDS`].
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn link(&self, now: Timestamp) -> Result<Secret, SignInError> {
        self.link_of(None, now)
    }

    /// The same for who shows an API key, where it is one: what the session does is done in the key's name, and only for as long as the
    /// key is good.
    pub(in crate::server) fn link_of(&self, api_key: Option<&ApiKey>, now: Timestamp) -> Result<Secret, SignInError> {
        let key = random()?;
        let whose = match api_key {
            Some(api_key) => Whose { who: api_key.name.as_str().into(), key: Some(api_key.id) },
            None => Whose::administrator(),
        };
        let mut state = self.state();
        state.tidy(now);
        room(&mut state.links, |link| link.ends);
        state.links.insert(hash(key.expose()), Link { ends: later(now, LINK_SECONDS), whose });
        Ok(Secret::new(format!("/sign-in/link?key={}", key.expose())))
    }

    /// Whether a link would sign somebody in now. It stays good.
    pub(in crate::server) fn is_good(&self, key: &str, now: Timestamp) -> bool {
        self.state().links.get(&hash(key)).is_some_and(|link| now < link.ends)
    }

    /// Uses a link up. Returns the session's key, for the browser to keep.
    pub(in crate::server) fn with_link(&self, key: &str, now: Timestamp) -> Result<Secret, SignInError> {
        let link = self.state().links.remove(&hash(key)).ok_or(SignInError::Link)?;
        if now < link.ends { self.begin(link.whose, now) } else { Err(SignInError::Link) }
    }

    /// Whether there is a password to sign in with.
    pub(in crate::server) fn has_password(&self) -> bool {
        self.0.password.is_some()
    }

    /// Signs in with the password. Tries are counted by the address they come from.
    pub(in crate::server) async fn with_password(
        &self,
        password: Secret,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Secret, SignInError> {
        let check = self.0.password.as_ref().ok_or(SignInError::NoPassword)?;
        let from = from.map(network);
        self.state().count(from, now)?;
        // Fails only when it is closed, and it never is.
        let _turn = self.0.checking.acquire().await;
        if !check(password).await {
            return Err(SignInError::Password);
        }
        self.state().tries.remove(&from);
        self.begin(Whose::administrator(), now)
    }

    fn begin(&self, whose: Whose, now: Timestamp) -> Result<Secret, SignInError> {
        let (key, form) = (random()?, random()?);
        let mut state = self.state();
        state.tidy(now);
        room(&mut state.sessions, |session| session.seen);
        let neighbour = Neighbour::Elsewhere;
        state.sessions.insert(hash(key.expose()), Session { whose, form, neighbour, began: now, seen: now });
        Ok(key)
    }

    /// The session of the key that a browser sent. `used` says that a person did something, so that it lasts on; a page that
    /// keeps itself up to date does not.
    pub(in crate::server) fn find(&self, key: &str, now: Timestamp, used: bool) -> Option<SignedIn> {
        let key = hash(key);
        let mut state = self.state();
        let session = state.sessions.get_mut(&key).filter(|session| session.lasts(now))?;
        if used {
            session.seen = now;
        }
        let Whose { who, key: api_key } = session.whose.clone();
        Some(SignedIn { who, api_key, form: session.form.clone(), neighbour: session.neighbour, key: Key(key) })
    }

    /// Whose browser a session is of.
    pub(in crate::server) fn is_of(&self, key: Key, neighbour: Neighbour) {
        if let Some(session) = self.state().sessions.get_mut(&key.0) {
            session.neighbour = neighbour;
        }
    }

    /// Whether a session still lasts: for what goes on for long.
    pub(in crate::server) fn lasts(&self, key: Key, now: Timestamp) -> bool {
        self.state().sessions.get(&key.0).is_some_and(|session| session.lasts(now))
    }

    /// Ends a session.
    pub(in crate::server) fn end(&self, key: Key) {
        self.state().sessions.remove(&key.0);
    }

    /// Ends all sessions and links: the password is another one now.
    pub(in crate::server) fn end_all(&self) {
        let mut state = self.state();
        state.sessions.clear();
        state.links.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it panics half-way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whose {
    /// Who has the password, or the socket.
    fn administrator() -> Self {
        Self { who: "administrator".into(), key: None }
    }
}

impl Session {
    fn lasts(&self, now: Timestamp) -> bool {
        now < later(self.seen, IDLE_SECONDS) && now < later(self.began, LONGEST_SECONDS)
    }
}

impl State {
    fn tidy(&mut self, now: Timestamp) {
        self.links.retain(|_, link| now < link.ends);
        self.sessions.retain(|_, session| session.lasts(now));
    }

    /// Counts one try of a password. Each one is forgotten [`TRY_EVERY`] seconds after the one before it.
    fn count(&mut self, from: Option<IpAddr>, now: Timestamp) -> Result<(), SignInError> {
        if !self.tries.contains_key(&from) && self.tries.len() >= MOST_ADDRESSES {
            self.tries.retain(|_, tries| now < tries.forgotten);
        }
        let from = if self.tries.contains_key(&from) || self.tries.len() < MOST_ADDRESSES { from } else { None };
        let tries = self.tries.entry(from).or_insert(Tries { forgotten: now });
        let next = later(tries.forgotten.max(now), TRY_EVERY);
        if next > later(now, TRIES * TRY_EVERY) {
            return Err(SignInError::TooMany);
        }
        tries.forgotten = next;
        Ok(())
    }
}

/// Whose tries are counted together: a household or a machine is given a whole /64 of IPv6 addresses (RFC 6177), and could try with a new
/// one each time. An IPv4 address that is written as an IPv6 one is what it is.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

/// Makes room for one more.
fn room<T>(map: &mut HashMap<Hash, T>, age: impl Fn(&T) -> Timestamp) {
    if map.len() >= MOST
        && let Some(oldest) = map.iter().min_by_key(|(_, value)| age(value)).map(|(key, _)| *key)
    {
        map.remove(&oldest);
    }
}

/// 256 bits by chance, as text.
pub(in crate::server) fn random() -> Result<Secret, SignInError> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|_| SignInError::NoRandomness)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// What is looked up is a hash, so that how long the looking takes tells nothing of what is there.
fn hash(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key_of(link: &Secret) -> String {
        link.expose().split_once("key=").unwrap().1.to_owned()
    }

    #[test]
    fn a_sign_in_link_is_good_once_and_for_ten_minutes() {
        let sessions = Sessions::new(None);
        let key = key_of(&sessions.link(at(0)).unwrap());
        assert!(sessions.is_good(&key, at(599)) && sessions.is_good(&key, at(599)));
        assert!(sessions.with_link(&key, at(599)).is_ok());
        assert_eq!(sessions.with_link(&key, at(599)), Err(SignInError::Link));
        let late = key_of(&sessions.link(at(0)).unwrap());
        assert!(!sessions.is_good(&late, at(600)));
        assert_eq!(sessions.with_link(&late, at(600)), Err(SignInError::Link));
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_a_day_of_work() {
        let sessions = Sessions::new(None);
        let key = sessions.begin(Whose::administrator(), at(0)).unwrap();
        assert!(sessions.find(key.expose(), at(3599), false).is_some());
        assert!(sessions.find(key.expose(), at(3600), false).is_none(), "looking is no use of it");
        let key = sessions.begin(Whose::administrator(), at(0)).unwrap();
        for second in (0..43_200).step_by(3000) {
            assert!(sessions.find(key.expose(), at(second), true).is_some(), "{second}");
        }
        assert!(sessions.find(key.expose(), at(43_200), true).is_none());
    }

    #[test]
    fn signing_out_ends_a_session_at_once() {
        let sessions = Sessions::new(None);
        let (one, other) = (
            sessions.begin(Whose::administrator(), at(0)).unwrap(),
            sessions.begin(Whose::administrator(), at(0)).unwrap(),
        );
        let found = sessions.find(one.expose(), at(1), true).unwrap();
        sessions.end(found.key);
        assert!(sessions.find(one.expose(), at(1), true).is_none() && !sessions.lasts(found.key, at(1)));
        assert!(sessions.find(other.expose(), at(1), true).is_some());
    }

    #[tokio::test]
    async fn passwords_are_tried_five_at_once_and_then_one_each_half_minute() {
        let check: PasswordCheck = Arc::new(|password| Box::pin(async move { password.expose() == "right" }));
        let sessions = Sessions::new(Some(check));
        let from = Some("192.0.2.1".parse().unwrap());
        let tried = async |second, password: &str| {
            sessions.with_password(Secret::new(password), from, at(second)).await.map(|_| ())
        };
        for _ in 0..5 {
            assert_eq!(tried(0, "wrong").await, Err(SignInError::Password));
        }
        assert_eq!(tried(0, "right").await, Err(SignInError::TooMany), "the right one waits as well");
        assert_eq!(tried(29, "right").await, Err(SignInError::TooMany));
        assert_eq!(tried(30, "wrong").await, Err(SignInError::Password));
        assert_eq!(tried(31, "wrong").await, Err(SignInError::TooMany));
        // Another address is not kept waiting.
        let other = sessions.with_password(Secret::new("right"), Some("192.0.2.2".parse().unwrap()), at(31)).await;
        assert!(other.is_ok());
        assert_eq!(tried(60, "right").await, Ok(()));
    }

    #[tokio::test]
    async fn a_whole_network_of_ipv6_addresses_has_one_count() {
        let check: PasswordCheck = Arc::new(|_| Box::pin(async { false }));
        let sessions = Sessions::new(Some(check));
        let tried = async |from: &str| {
            sessions.with_password(Secret::new("wrong"), Some(from.parse().unwrap()), at(0)).await.map(|_| ())
        };
        for last in 1..6 {
            assert_eq!(tried(&format!("2001:db8:1:2:{last}::{last}")).await, Err(SignInError::Password));
            assert_eq!(tried(&format!("::ffff:192.0.2.{last}")).await, Err(SignInError::Password));
        }
        assert_eq!(tried("2001:db8:1:2:ffff::1").await, Err(SignInError::TooMany));
        assert_eq!(tried("2001:db8:1:3::1").await, Err(SignInError::Password), "the network beside it");
        assert_eq!(tried("192.0.2.9").await, Err(SignInError::Password), "IPv4 addresses are counted one by one");
        for _ in 0..4 {
            assert_eq!(tried("192.0.2.1").await, Err(SignInError::Password));
        }
        assert_eq!(tried("::ffff:192.0.2.1").await, Err(SignInError::TooMany), "written in either way");
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let sessions = Sessions::new(None);
        for second in 0..1000 {
            sessions.link(at(0)).unwrap();
            sessions.begin(Whose::administrator(), at(second)).unwrap();
        }
        let mut state = sessions.state();
        assert!(state.links.len() <= MOST && state.sessions.len() <= MOST);
        for last in 0..10_000_u32 {
            let _ = state.count(Some(std::net::Ipv4Addr::from(last).into()), at(0));
        }
        assert!(state.tries.len() <= MOST_ADDRESSES + 1);
    }
}
