//! Webhooks: where events are sent, which of them, and how far each webhook has come.

use super::{Event, EventKind, Reach, Timestamp, WebhookName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use url::{Host, Url};
use uuid::Uuid;

/// A webhook as people see it: everything but the secret that its messages are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: WebhookName,
    /// Where its messages go.
    pub url: WebhookUrl,
    /// The kinds of events that it tells of; all of them where there is none.
    pub kinds: Vec<EventKind>,
    /// What it tells of; everything where there is none.
    pub reach: Vec<Reach>,
    /// When it was made.
    pub created: Timestamp,
    /// When its secret was made.
    pub secret_made: Timestamp,
    /// Since when and why nothing is sent; nothing where it is sent.
    pub disabled: Option<Disabled>,
}

impl Webhook {
    /// Whether it tells of an event. What happens to a whole application is told where that is within its reach: who asked for one
    /// connection's events does not get those of the others.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let covers = |reach: &Reach| match &event.connection {
            Some(connection) => reach.covers(connection),
            None => reach.covers_application(&event.application),
        };
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.reach.is_empty() || self.reach.iter().any(covers))
    }
}

/// Since when, and why, a webhook sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: DisabledReason,
}

/// Why a webhook sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum DisabledReason {
    /// Somebody wanted it.
    ByHand,
    /// Its endpoint answered 410 Gone: nothing is to be sent there any more.
    Gone,
}

/// How far a webhook has come with the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookProgress {
    /// The webhook.
    pub webhook: Uuid,
    /// Every event up to this sequence was tried once at the least, or is none that the webhook tells of.
    pub cursor: u64,
    /// Messages that were tried and not taken, and that are tried again: those that were not answered, and those that were refused.
    pub waiting: Vec<WaitingMessage>,
    /// How many messages were taken.
    pub delivered: u64,
    /// How many messages were given up.
    pub given_up: u64,
    /// The event of the last message that was given up.
    pub last_given_up: Option<u64>,
    /// When a message was last taken.
    pub last_delivered: Option<Timestamp>,
    /// What came of the last try.
    pub last_answer: Option<WebhookAnswer>,
    /// How many new messages the endpoint has refused since it last took one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub refused_in_a_row: u32,
}

/// Not written: a version that does not know the count reads the rest.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

impl WebhookProgress {
    /// Of a webhook that tells of what comes after an event.
    #[must_use]
    pub fn from(webhook: Uuid, cursor: u64) -> Self {
        Self {
            webhook,
            cursor,
            waiting: Vec::new(),
            delivered: 0,
            given_up: 0,
            last_given_up: None,
            last_delivered: None,
            last_answer: None,
            refused_in_a_row: 0,
        }
    }

    /// How many messages wait that the endpoint did not answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.waiting.iter().filter(|message| !message.refused).count()
    }

    /// Whether the last that was heard of the endpoint is that it does not take messages. One that answered and refused a message for
    /// good, and for which nothing waits, does take them.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let is_well = |answer: &WebhookAnswer| answer.is_taken() || (answer.is_refusal() && self.waiting.is_empty());
        self.last_answer.as_ref().is_some_and(|answer| !is_well(answer))
    }
}

/// A message that was tried and not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct WaitingMessage {
    /// The sequence of its event.
    pub sequence: u64,
    /// How often it was tried at its time.
    pub attempts: u32,
    /// When it is tried again, unless the webhook is disabled then.
    pub next: Timestamp,
    /// Whether the endpoint refused it once: such a message says nothing of whether the endpoint is down, and holds no other up.
    #[serde(default)]
    pub refused: bool,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct WebhookAnswer {
    /// When.
    pub at: Timestamp,
    /// The status that the endpoint answered with, where it did.
    pub status: Option<u16>,
    /// Why the message was not taken; nothing where it was.
    pub problem: Option<String>,
}

impl WebhookAnswer {
    /// Whether the message was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.problem.is_none()
    }

    /// Whether the endpoint answered, and did not want this message. No answer, 5xx and 429 speak of the endpoint, and of no message.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !self.is_taken() && self.status.is_some_and(|status| !matches!(status, 429 | 500..=599))
    }
}

/// Where messages go: https, or http on this machine; no user, no password, no fragment, and no address that is the link's own, where
/// clouds keep the credentials of machines.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(Url);

/// Why a text is not where messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// No URL at all.
    #[error("this is not a URL; write it whole, e.g. https://app.example.com/hooks/grants")]
    NotUrl,
    /// Longer than anybody needs.
    #[error("the URL of a webhook has at most {LONGEST_URL} characters")]
    TooLong,
    /// Not https, and not on this machine.
    #[error("the URL of a webhook must be https, or http on 127.0.0.1, [::1] or localhost")]
    NotHttps,
    /// Carries a user, a password or a fragment.
    #[error(
        "the URL of a webhook has no user name, no password and no fragment; messages are signed, and need no password"
    )]
    NotBare,
    /// The link's own address, or one of no machine.
    #[error("the URL of a webhook leads to an address of the link itself, or of a cloud's metadata; name another one")]
    OfTheLink,
    /// Port 0.
    #[error("port 0 is nobody's; name the port where the endpoint listens")]
    NoPort,
}

/// Characters of a URL.
const LONGEST_URL: usize = 2000;

impl WebhookUrl {
    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Host and port, without the path, which some take for a secret: for logs.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        if text.len() > LONGEST_URL {
            return Err(WebhookUrlError::TooLong);
        }
        let url = Url::parse(text).map_err(|_| WebhookUrlError::NotUrl)?;
        let address = match url.host() {
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address)),
            None => return Err(WebhookUrlError::NotUrl),
        };
        let is_here = url.host_str() == Some("localhost") || address.is_some_and(|address| address.is_loopback());
        if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
            return Err(WebhookUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(WebhookUrlError::NotBare);
        }
        if address.is_some_and(is_of_the_link) {
            return Err(WebhookUrlError::OfTheLink);
        }
        if url.port() == Some(0) {
            return Err(WebhookUrlError::NoPort);
        }
        Ok(Self(url))
    }
}

/// Whether an address is the link's own, a cloud's metadata service, or no single machine's: no message goes there. Other private
/// networks are where an administrator's own programs are.
#[must_use]
pub fn is_of_the_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_of_the_link_v4(address),
        IpAddr::V6(address) => is_of_the_link_v6(address),
    }
}

fn is_of_the_link_v4(address: Ipv4Addr) -> bool {
    // The metadata services of Alibaba Cloud, Azure and Oracle Cloud that are not link-local.
    let metadata = matches!(address.octets(), [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192]);
    address.is_link_local() || metadata || address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast()
}

fn is_of_the_link_v6(address: Ipv6Addr) -> bool {
    // One that holds a version 4 address leads there.
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => false,
        // IPv4-compatible, IPv4-mapped, translated (SIIT), NAT64 and 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_of_the_link_v4(Ipv4Addr::new(a, b, c, d))
        }
        // NAT64 of a network's own, where the place of the inner address is that network's choice (RFC 8215, RFC 6052 section 2.2); the
        // metadata services of Amazon (of machines, of pods) and Google.
        [0x64, 0xff9b, 1, ..] | [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            true
        }
        // Link-local, and site-local, which was given up (RFC 3879).
        [first, ..] => matches!(first & 0xffc0, 0xfe80 | 0xfec0) || address.is_multicast(),
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = WebhookUrlError;

    fn try_from(text: String) -> Result<Self, WebhookUrlError> {
        text.parse()
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Host and port only.
impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({})", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fields;

    #[test]
    fn a_webhook_goes_by_https_or_to_this_machine_and_to_no_address_of_the_link() {
        for good in [
            "https://app.example.com/hooks?x=1",
            "https://10.1.2.3/h",
            "https://[fd00::1]:8443/h",
            "http://127.0.0.1:9000/h",
            "http://[::1]:9000/",
            "http://localhost/h",
            "https://[::ffff:10.1.2.3]/",
            "https://[64:ff9b::a01:203]/",
        ] {
            assert!(good.parse::<WebhookUrl>().is_ok(), "{good}");
        }
        for (bad, why) in [
            ("app.example.com", WebhookUrlError::NotUrl),
            ("data:text/plain,x", WebhookUrlError::NotUrl),
            ("http://app.example.com/", WebhookUrlError::NotHttps),
            ("http://10.1.2.3/", WebhookUrlError::NotHttps),
            ("http://localhost.example.com/", WebhookUrlError::NotHttps),
            ("ftp://127.0.0.1/", WebhookUrlError::NotHttps),
            ("https://user@app.example.com/", WebhookUrlError::NotBare),
            ("https://:pass@app.example.com/", WebhookUrlError::NotBare),
            ("https://app.example.com/#part", WebhookUrlError::NotBare),
            ("https://169.254.169.254/latest/meta-data", WebhookUrlError::OfTheLink),
            ("https://0xa9fea9fe/", WebhookUrlError::OfTheLink),
            ("https://[fe80::1]/", WebhookUrlError::OfTheLink),
            ("https://[::ffff:169.254.169.254]/", WebhookUrlError::OfTheLink),
            ("https://[64:ff9b::a9fe:a9fe]/", WebhookUrlError::OfTheLink),
            ("https://[2002:a9fe:a9fe::]/", WebhookUrlError::OfTheLink),
            ("https://[fd00:ec2::254]/", WebhookUrlError::OfTheLink),
            ("https://[fd00:ec2::23]/", WebhookUrlError::OfTheLink),
            ("https://[64:ff9b:1::1]/", WebhookUrlError::OfTheLink),
            ("https://[64:ff9b:1:a9fe:a9:fe00::]/", WebhookUrlError::OfTheLink),
            ("https://[::169.254.169.254]/", WebhookUrlError::OfTheLink),
            ("https://[::ffff:0:169.254.169.254]/", WebhookUrlError::OfTheLink),
            ("https://[::ffff:168.63.129.16]/", WebhookUrlError::OfTheLink),
            ("https://[fec0::1]/", WebhookUrlError::OfTheLink),
            ("https://[feff::1]/", WebhookUrlError::OfTheLink),
            ("https://168.63.129.16/", WebhookUrlError::OfTheLink),
            ("https://192.0.0.192/", WebhookUrlError::OfTheLink),
            ("https://app.example.com:0/", WebhookUrlError::NoPort),
            ("http://127.0.0.1:0/", WebhookUrlError::NoPort),
            ("https://100.100.100.200/", WebhookUrlError::OfTheLink),
            ("https://0.0.0.0/", WebhookUrlError::OfTheLink),
            ("https://[::]/", WebhookUrlError::OfTheLink),
            ("https://[ff02::1]/", WebhookUrlError::OfTheLink),
            ("https://255.255.255.255/", WebhookUrlError::OfTheLink),
        ] {
            assert_eq!(bad.parse::<WebhookUrl>().unwrap_err(), why, "{bad}");
        }
        let long = format!("https://a.example/{}", "x".repeat(2000));
        assert_eq!(long.parse::<WebhookUrl>().unwrap_err(), WebhookUrlError::TooLong);
        let shown = format!("{:?}", "https://a.example:8443/hooks/marked?token=marked".parse::<WebhookUrl>().unwrap());
        assert_eq!(shown, "WebhookUrl(a.example:8443)");
    }

    #[test]
    fn a_webhook_wants_the_kinds_and_the_reach_that_it_names_or_everything() {
        let webhook = |kinds: &[EventKind], reach: &[&str]| Webhook {
            id: Uuid::nil(),
            name: "ops".parse().unwrap(),
            url: "https://a.example/".parse().unwrap(),
            kinds: kinds.to_vec(),
            reach: reach.iter().map(|text| text.parse().unwrap()).collect(),
            created: Timestamp::UNIX_EPOCH,
            secret_made: Timestamp::UNIX_EPOCH,
            disabled: None,
        };
        let event = |kind, connection: Option<&str>| Event {
            id: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            kind,
            connection: connection.map(|name| name.parse().unwrap()),
            application: "drive".parse().unwrap(),
            details: Fields::new(),
        };
        let (revoked, rejected) = (event(EventKind::Revoked, Some("drive/a")), event(EventKind::ClientRejected, None));
        let further = event(EventKind::Revoked, Some("drive/a~user"));
        let all = webhook(&[], &[]);
        assert!(all.wants(&revoked) && all.wants(&rejected) && all.wants(&further));
        let some = webhook(&[EventKind::Revoked], &["slack/*", "drive/a"]);
        assert!(some.wants(&revoked) && !some.wants(&further) && !some.wants(&rejected));
        assert!(!some.wants(&event(EventKind::Revoked, Some("drive/b"))));
        assert!(!some.wants(&event(EventKind::Degraded, Some("drive/a"))));
        let one = webhook(&[], &["drive/a"]);
        assert!(one.wants(&revoked) && !one.wants(&rejected), "an application's alarm is not one connection's");
        assert!(webhook(&[], &["drive/*"]).wants(&rejected) && webhook(&[], &["*"]).wants(&rejected));
    }
}
