//! Credentials as rows: what a row's state is, in the words of who looks.

use super::parts::Tone;
use crate::connector::{CredentialState, CredentialView, Holding};
use crate::events::expiring_from;
use crate::model::{Connection, ConnectionState, ExpirySource, Timestamp, TokenKind, quoted};
use std::collections::BTreeMap;

/// A credential with what its row shows of its connection.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) credential: CredentialView,
    /// Which row it is: a refresh brings another credential into the same one.
    pub(super) slot: String,
    pub(super) state: RowState,
    /// What people call the provider.
    pub(super) title: String,
    /// Whose account it is.
    pub(super) account: Option<String>,
    /// When it is renewed, where that is known.
    pub(super) renewed: Option<Timestamp>,
    /// Whether anything but a person's consent renews it.
    renews: bool,
    /// What a search looks through, in lower case.
    pub(super) searched: String,
}

/// Where a credential stands, what needs somebody first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowState {
    /// A person must consent again.
    Consent,
    /// Its connection's refresh fails.
    Degraded,
    /// Nobody has consented yet.
    Pending,
    /// It works.
    Good,
    /// Its time has passed.
    Expired,
    /// It was ended here.
    Revoked,
}

impl RowState {
    pub(super) const ALL: [Self; 6] =
        [Self::Consent, Self::Degraded, Self::Pending, Self::Good, Self::Expired, Self::Revoked];

    pub(super) fn of(connection: &Connection, credential: &CredentialView) -> Self {
        match (credential.state, connection.state) {
            (CredentialState::Revoked, _) | (_, ConnectionState::Revoked) => Self::Revoked,
            (_, ConnectionState::ReauthorizationRequired(_)) => Self::Consent,
            (_, ConnectionState::Pending | ConnectionState::Unauthorized) => Self::Pending,
            (_, ConnectionState::Degraded) => Self::Degraded,
            (CredentialState::Expired, _) => Self::Expired,
            (CredentialState::Good | CredentialState::Dead, ConnectionState::Active) => Self::Good,
        }
    }

    /// The word of addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Consent => "Needs consent",
            Self::Degraded => "Degraded",
            Self::Pending => "Pending",
            Self::Good => "Good",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
        }
    }

    /// In a count of them.
    pub(super) fn many(self) -> &'static str {
        match self {
            Self::Consent => "need consent",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Consent => Tone::Bad,
            Self::Degraded => Tone::Warn,
            Self::Pending => Tone::Wait,
            Self::Good => Tone::Good,
            Self::Expired => Tone::Idle,
            Self::Revoked => Tone::Ended,
        }
    }

    pub(super) fn is_alive(self) -> bool {
        matches!(self, Self::Good | Self::Degraded)
    }
}

impl Row {
    /// The colour of its bar: none where how much is left no longer matters.
    pub(super) fn bar(&self, now: Timestamp) -> Option<Tone> {
        let expires = self.credential.expires;
        let is_over = expires.at <= now;
        match self.state {
            RowState::Consent => Some(Tone::Bad),
            RowState::Revoked | RowState::Pending => None,
            RowState::Degraded if is_over => Some(Tone::Bad),
            _ if is_over => None,
            RowState::Degraded => Some(Tone::Warn),
            _ if self.renews || expires.source == ExpirySource::Default => Some(Tone::Good),
            _ if now >= expiring_from(self.credential.issued, expires.at) => Some(Tone::Warn),
            _ => Some(Tone::Good),
        }
    }

    /// What makes it another row than before, for a page that keeps itself up to date to mark it.
    pub(super) fn is(&self) -> String {
        let credential = &self.credential;
        format!("{} {} {}", self.state.word(), credential.generation, credential.expires.at.as_second())
    }
}

/// The rows of connections. `titles` are what people call the providers, by application.
pub(super) fn rows(holdings: Vec<Holding>, titles: &BTreeMap<String, String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for Holding { connection, credentials } in holdings {
        let application = connection.name.application().as_str();
        let title = titles.get(application).cloned().unwrap_or_else(|| application.to_owned());
        let account = connection.account.as_ref();
        let account = account.map(|account| quoted(account.name.as_deref().unwrap_or(&account.id)));
        let refreshable = credentials
            .iter()
            .any(|credential| credential.kind == TokenKind::RefreshToken && credential.state == CredentialState::Good);
        for (at, credential) in credentials.iter().cloned().enumerate() {
            // By age, so the newest of a kind has none after it.
            let newer = credentials[at + 1..].iter().filter(|other| other.kind == credential.kind).count();
            let slot = format!("{}-{}-{newer}", connection.name, credential.kind);
            let is_access = credential.kind == TokenKind::AccessToken;
            let labels = connection.labels.iter().map(|(name, value)| format!("{name}={value}"));
            let labels = labels.collect::<Vec<_>>().join(" ");
            let searched = format!(
                "{} {title} {} {} {labels}",
                connection.name,
                account.as_deref().unwrap_or_default(),
                credential.scopes.join(" ")
            );
            rows.push(Row {
                slot,
                state: RowState::of(&connection, &credential),
                renewed: connection.due.filter(|_| is_access),
                // Without a refresh token, what is due is another way to ask; a refresh token renews nothing of itself.
                renews: is_access && (refreshable || connection.due.is_some_and(|due| due < credential.expires.at)),
                searched: searched.to_lowercase(),
                title: title.clone(),
                account: account.clone(),
                credential,
            });
        }
    }
    rows
}
