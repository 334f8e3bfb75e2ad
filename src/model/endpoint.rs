//! Addresses that a secret may be sent to.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// Why a text is not an address that Grantkeeper sends to, or not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL at all.
    #[error("{0:?} is not a URL; write it whole, e.g. https://provider.example/oauth/token")]
    NotUrl(String),
    /// Not https, and not on this machine.
    #[error(
        "{0:?} is not https; OAuth endpoints must use https (RFC 6749 section 3.1), http only on 127.0.0.1, [::1] or localhost"
    )]
    NotHttps(String),
    /// Carries a user, a password or a fragment.
    #[error("{0:?} carries a user name, a password or a fragment; an endpoint has none of them (RFC 6749 section 3.1)")]
    NotBare(String),
    /// No host pattern.
    #[error(
        "{0:?} is not a host; write a host name such as api.provider.example, or *.provider.example for its subdomains"
    )]
    NotHost(String),
}

/// The URL of an endpoint: https, or http on this machine; no user, no password, no fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Url);

impl Endpoint {
    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// An issuer that differs from tenant to tenant: `{tid}` in its path stands for the `tid` claim of the id token that
    /// is compared with it.
    pub fn issuer_of_tenants(text: &str) -> Result<Self, EndpointError> {
        let endpoint: Self = text.parse()?;
        let bad = || EndpointError::NotUrl(text.chars().take(200).collect());
        let good = endpoint.is_of_tenants() && text.matches(TENANT).count() == 1 && endpoint.0.query().is_none();
        if good { Ok(endpoint) } else { Err(bad()) }
    }

    /// Whether it is an issuer with `{tid}` in it: nothing can be sent there.
    #[must_use]
    pub fn is_of_tenants(&self) -> bool {
        self.0.path().contains(TENANT_IN_URL)
    }

    /// Host and port, lower case, the port only where it is not the scheme's own: `127.0.0.1:8080`.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.0)
    }
}

impl TryFrom<Url> for Endpoint {
    type Error = EndpointError;

    fn try_from(url: Url) -> Result<Self, EndpointError> {
        let shown = || quote_without_userinfo(&url);
        if url.host().is_none() {
            return Err(EndpointError::NotUrl(shown()));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(EndpointError::NotHttps(shown()));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(EndpointError::NotBare(shown()));
        }
        Ok(Self(url))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotUrl(text.chars().take(200).collect()))?;
        Self::try_from(url)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_of_tenants() {
            true => f.write_str(&self.0.as_str().replace(TENANT_IN_URL, TENANT)),
            false => f.write_str(self.0.as_str()),
        }
    }
}

/// What stands for a tenant in an issuer.
const TENANT: &str = "{tid}";
/// The same as a URL writes it.
const TENANT_IN_URL: &str = "%7Btid%7D";

/// A host that an application may send to: `api.provider.example`, `*.provider.example` (its subdomains, not itself),
/// `127.0.0.1:8080`. A pattern without a port stands for the scheme's own port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct HostPattern(String);

impl HostPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for every subdomain of a host: some of them may be anybody's.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether a URL's host and port fit the pattern.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        let given = authority(url);
        match self.0.strip_prefix('*') {
            // `given` must be longer than the suffix: the dot alone is no label.
            Some(suffix) => {
                matches!(url.host(), Some(Host::Domain(_))) && given.len() > suffix.len() && given.ends_with(suffix)
            }
            None => given == self.0,
        }
    }
}

impl FromStr for HostPattern {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError::NotHost(text.chars().take(200).collect());
        let (prefix, host) = match text.strip_prefix("*.") {
            Some(rest) => ("*.", rest),
            None => ("", text),
        };
        // A whole suffix of the internet (`*.com`) is never one provider.
        if host.contains('*') || (!prefix.is_empty() && !host.contains('.')) {
            return Err(wrong());
        }
        let url = Url::parse(&format!("https://{host}/")).map_err(|_| wrong())?;
        let normal = authority(&url);
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.fragment().is_none();
        if bare && !normal.is_empty() && normal.eq_ignore_ascii_case(host) {
            Ok(Self(format!("{prefix}{normal}")))
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// `localhost` is taken for this machine as RFC 6761 section 6.3 asks resolvers to.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn quote_without_userinfo(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_or_on_this_machine() {
        for good in ["https://a.example/token", "http://127.0.0.1:9/t", "http://[::1]/t", "http://localhost:1/t"] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        for bad in [
            "http://a.example/token",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "https://a.example/#f",
            "a.example/token",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "file:///etc/passwd",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated_in_the_message() {
        let error = "https://user:hunter2@a.example/".parse::<Endpoint>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_host_pattern_fits_only_its_hosts() {
        let fits = |pattern: &str, url: &str| pattern.parse::<HostPattern>().unwrap().allows(&Url::parse(url).unwrap());
        assert!(fits("api.a.example", "https://API.a.example/x"));
        assert!(!fits("api.a.example", "https://api.a.example:8443/x"));
        assert!(fits("*.a.example", "https://x.y.a.example/"));
        assert!(!fits("*.a.example", "https://a.example/"));
        assert!(!fits("*.a.example", "https://nota.example/"));
        assert!(!fits("*.a.example", "https://a.example.evil.example/"));
        assert!(fits("127.0.0.1:80", "http://127.0.0.1:80/") || fits("127.0.0.1", "http://127.0.0.1/"));
        for bad in ["", "*", "*.com", "a/b", "https://a.example", "u@a.example", "a example", "*.*.example.org"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
