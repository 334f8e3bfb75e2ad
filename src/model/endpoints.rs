//! Where a provider's endpoints are.

use super::{Endpoint, Fields, HostPattern, Labels, Part, Placeholder, Template, of_connection};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;

/// Where a provider's endpoints are; each is https, or on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// The issuer identifier (RFC 8414 section 2); what a callback's `iss` must equal.
    pub issuer: Option<Endpoint>,
    /// RFC 6749 section 3.1.
    pub authorization: Option<Endpoint>,
    /// RFC 6749 section 3.2.
    pub token: Option<Endpoint>,
    /// Where refreshes go, when not to `token`.
    pub refresh: Option<Endpoint>,
    /// RFC 7009.
    pub revocation: Option<Endpoint>,
    /// RFC 7662.
    pub introspection: Option<Endpoint>,
    /// RFC 8628 section 3.1.
    pub device_authorization: Option<Endpoint>,
    /// OpenID Connect Core section 5.3.
    pub userinfo: Option<Endpoint>,
    /// The keys that sign id tokens (RFC 7517 section 5).
    pub jwks: Option<Endpoint>,
    /// Endpoints that differ from connection to connection, by the names above: URLs with placeholders of a connection in
    /// host or path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, Template>,
}

/// Why an endpoint's placeholders cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// The connection has no such field.
    #[error("the {endpoint} endpoint needs the field {field}, which neither the callback nor a reply has brought yet")]
    NoField {
        /// The endpoint.
        endpoint: String,
        /// The field.
        field: String,
    },
    /// The connection has no such label.
    #[error("the {endpoint} endpoint needs the label {label}; give it when connecting, e.g. --label {label}=VALUE")]
    NoLabel {
        /// The endpoint.
        endpoint: String,
        /// The label.
        label: String,
    },
    /// A value that would change what the URL is.
    #[error(
        "the {endpoint} endpoint cannot take what the connection has for {placeholder}: a host is made of letters, digits, dots and dashes, a path of anything but control characters"
    )]
    BadValue {
        /// The endpoint.
        endpoint: String,
        /// The placeholder.
        placeholder: String,
    },
    /// A host that nobody named.
    #[error(
        "the {endpoint} endpoint would be on a host that the application's `hosts` does not name; nothing is sent there"
    )]
    StrangeHost {
        /// The endpoint.
        endpoint: String,
    },
}

impl Endpoints {
    /// Every endpoint that is set.
    pub fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.named().into_iter().filter_map(|(_, endpoint)| endpoint.as_ref())
    }

    /// Every endpoint by the name that entries use.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Option<Endpoint>); 9] {
        [
            ("issuer", &self.issuer),
            ("authorization", &self.authorization),
            ("token", &self.token),
            ("refresh", &self.refresh),
            ("revocation", &self.revocation),
            ("introspection", &self.introspection),
            ("device_authorization", &self.device_authorization),
            ("userinfo", &self.userinfo),
            ("jwks", &self.jwks),
        ]
    }

    /// The same, to be set.
    pub fn named_mut(&mut self) -> [(&'static str, &mut Option<Endpoint>); 9] {
        [
            ("issuer", &mut self.issuer),
            ("authorization", &mut self.authorization),
            ("token", &mut self.token),
            ("refresh", &mut self.refresh),
            ("revocation", &mut self.revocation),
            ("introspection", &mut self.introspection),
            ("device_authorization", &mut self.device_authorization),
            ("userinfo", &mut self.userinfo),
            ("jwks", &mut self.jwks),
        ]
    }

    /// Whether an endpoint is set or will be for each connection.
    #[must_use]
    pub fn states(&self, name: &str) -> bool {
        self.templates.contains_key(name) || self.named().iter().any(|(known, set)| *known == name && set.is_some())
    }

    /// These endpoints, and where one is not said that of `below`.
    #[must_use]
    pub fn over(mut self, below: &Self) -> Self {
        let mut templates = below.templates.clone();
        templates.append(&mut self.templates);
        let own: Vec<&'static str> =
            self.named().iter().filter(|(_, set)| set.is_some()).map(|(name, _)| *name).collect();
        templates.retain(|name, _| !own.contains(&name.as_str()));
        for ((name, set), (_, under)) in self.named_mut().into_iter().zip(below.named()) {
            if set.is_none() && !templates.contains_key(name) {
                set.clone_from(under);
            }
        }
        Self { templates, ..self }
    }

    /// The endpoints with every placeholder filled that can be.
    pub(super) fn placed(&self, fields: &Fields, labels: &Labels, hosts: &[HostPattern]) -> Self {
        let mut placed = self.clone();
        for (name, set) in placed.named_mut() {
            if let Some(Ok(endpoint)) = self.place(name, fields, labels, hosts) {
                *set = Some(endpoint);
            }
        }
        placed
    }

    /// An endpoint with its placeholders filled; `None` when it has none.
    pub(super) fn place(
        &self,
        name: &str,
        fields: &Fields,
        labels: &Labels,
        hosts: &[HostPattern],
    ) -> Option<Result<Endpoint, Unplaced>> {
        let template = self.templates.get(name)?;
        Some(place(name, template, fields, labels, hosts))
    }
}

fn place(
    name: &str,
    template: &Template,
    fields: &Fields,
    labels: &Labels,
    hosts: &[HostPattern],
) -> Result<Endpoint, Unplaced> {
    let endpoint = name.to_owned();
    let (mut text, mut in_host) = (String::new(), false);
    for part in template.parts() {
        let placeholder = match part {
            Part::Text(plain) => {
                text.push_str(plain);
                continue;
            }
            Part::Hole(placeholder) => placeholder,
        };
        let value = of_connection(placeholder, fields, labels).ok_or_else(|| match placeholder {
            Placeholder::Label(label) => Unplaced::NoLabel { endpoint: endpoint.clone(), label: label.clone() },
            Placeholder::Field(field) => Unplaced::NoField { endpoint: endpoint.clone(), field: field.clone() },
            other => Unplaced::BadValue { endpoint: endpoint.clone(), placeholder: other.to_string() },
        })?;
        if has_whole_host(&text) {
            // A value is a part of the path and never a way out of it.
            if value.chars().any(char::is_control) || value.split('/').any(|part| part == "." || part == "..") {
                return Err(Unplaced::BadValue { endpoint, placeholder: placeholder.to_string() });
            }
            text.extend(percent_encoding::utf8_percent_encode(&value, NOT_IN_A_PATH));
        } else {
            in_host = true;
            // Some send the whole origin (Zoho's `accounts-server`): its host is what is meant.
            let value = match value.strip_prefix("https://") {
                Some(origin) => origin.strip_suffix('/').unwrap_or(origin).to_owned(),
                None => value,
            };
            if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-') {
                return Err(Unplaced::BadValue { endpoint, placeholder: placeholder.to_string() });
            }
            text.push_str(&value);
        }
    }
    let bad = || Unplaced::BadValue { endpoint: endpoint.clone(), placeholder: "its placeholders".to_owned() };
    let url: Url = text.parse().map_err(|_| bad())?;
    if in_host && !hosts.iter().any(|pattern| pattern.allows(&url)) {
        return Err(Unplaced::StrangeHost { endpoint });
    }
    Endpoint::try_from(url).map_err(|_| bad())
}

/// Whether the beginning of a URL has its host in it, whole. A URL parser passes over further slashes before a host, and
/// over what is no character of a URL: `https:///a` is on the host `a`.
pub(crate) fn has_whole_host(beginning: &str) -> bool {
    let passed_over = |c: char| matches!(c, '/' | '\\') || c.is_ascii_control();
    beginning.split_once("://").is_some_and(|(_, rest)| rest.trim_start_matches(passed_over).contains('/'))
}

/// What would end a path or begin another part of a URL. A slash stays: BigCommerce's `stores/abc` is two segments.
const NOT_IN_A_PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(template: &str, label: &str) -> Result<Endpoint, Unplaced> {
        let labels = Labels::from([("shop".to_owned(), label.to_owned())]);
        let hosts: Vec<HostPattern> = vec!["*.shops.example".parse().unwrap()];
        place("token", &template.parse().unwrap(), &Fields::new(), &labels, &hosts)
    }

    #[test]
    fn a_placeholder_is_filled_in_host_and_path() {
        let url = |template, label| placed(template, label).unwrap().to_string();
        assert_eq!(url("https://{label.shop}/t", "a.shops.example"), "https://a.shops.example/t");
        assert_eq!(url("https://{label.shop}.shops.example/t", "a"), "https://a.shops.example/t");
        assert_eq!(url("https://{label.shop}/t", "https://a.shops.example/"), "https://a.shops.example/t");
        assert_eq!(url("https://p.example/{label.shop}/t", "a b?c#d"), "https://p.example/a%20b%3Fc%23d/t");
        assert_eq!(url("https://p.example/{label.shop}/t", "stores/x"), "https://p.example/stores/x/t");
    }

    #[test]
    fn a_host_that_nobody_named_is_refused() {
        for label in ["evil.example", "shops.example", "a.shops.example.evil.example", "127.0.0.1", "localhost"] {
            let result = placed("https://{label.shop}/t", label);
            assert!(matches!(result, Err(Unplaced::StrangeHost { .. })), "{label}: {result:?}");
        }
    }

    #[test]
    fn a_host_behind_further_slashes_is_a_host() {
        for template in [
            "https:///{label.shop}/t",
            "https:////{label.shop}/t",
            "https://\\/{label.shop}/t",
            "https://\t/{label.shop}/t",
        ] {
            let result = placed(template, "evil.example");
            assert!(matches!(result, Err(Unplaced::StrangeHost { .. })), "{template:?}: {result:?}");
            let result = placed(&template.replace("}", "}.shops.example"), "evil.example/");
            assert!(matches!(result, Err(Unplaced::BadValue { .. })), "{template:?}: {result:?}");
        }
    }

    #[test]
    fn a_value_cannot_change_what_the_url_is() {
        for label in
            ["a.shops.example/x", "u@a.shops.example", "a.shops.example:8080", "a.shops.example#", "a b", "a%2e"]
        {
            let result = placed("https://{label.shop}/t", label);
            assert!(matches!(result, Err(Unplaced::BadValue { .. })), "{label}: {result:?}");
        }
        for label in ["..", "a/../b", "a\nb", "."] {
            assert!(placed("https://p.example/{label.shop}/t", label).is_err(), "{label:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = (Fields::new(), Labels::new());
        let text =
            |template: &str| place("token", &template.parse().unwrap(), &none.0, &none.1, &[]).unwrap_err().to_string();
        assert!(text("https://{label.shop}/t").contains("--label shop=VALUE"));
        assert!(text("https://{field.host}/t").contains("needs the field host"));
    }

    #[test]
    fn an_endpoint_said_twice_is_the_upper_one() {
        let fixed = |url: &str| Endpoints { token: Some(url.parse().unwrap()), ..Endpoints::default() };
        let template = |url: &str| Endpoints {
            templates: BTreeMap::from([("token".to_owned(), url.parse().unwrap())]),
            ..Endpoints::default()
        };
        let (a, b) = ("https://a.example/t", "https://{label.shop}/t");
        assert_eq!(fixed(a).over(&template(b)), fixed(a));
        assert_eq!(template(b).over(&fixed(a)), template(b));
        assert_eq!(Endpoints::default().over(&template(b)), template(b));
    }

    proptest! {
        #[test]
        fn no_value_leaves_the_host_or_the_path(label in "\\PC{1,20}") {
            if let Ok(endpoint) = placed("https://p.example/a/{label.shop}/t", &label) {
                prop_assert_eq!(endpoint.url().host_str(), Some("p.example"));
                let path = endpoint.url().path();
                prop_assert!(path.starts_with("/a/") && path.ends_with("/t"));
                prop_assert!(endpoint.url().query().is_none());
            }
            if let Ok(endpoint) = placed("https://{label.shop}.shops.example/t", &label) {
                prop_assert!(endpoint.url().host_str().unwrap().ends_with(".shops.example"));
                prop_assert_eq!(endpoint.url().path(), "/t");
            }
        }
    }
}
