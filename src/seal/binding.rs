//! What a sealed record is bound to.

use uuid::Uuid;

/// What a record is, whose it is and how old it is. It is authenticated with the record and stored nowhere: whoever
/// opens a record says what it must be, and one that was sealed as anything else does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// What is sealed.
    pub kind: RecordKind,
    /// Whose it is: the connection of a credential; the record's own id where it belongs to nobody else.
    pub owner: Uuid,
    /// The record itself.
    pub record: Uuid,
    /// Its generation or version: an older one put back in a newer one's place does not open.
    pub generation: u64,
}

/// What is sealed. A code is never changed or used again: records on disk are bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A `model::Application`, with its client secret and everything that decides where secrets are sent.
    Application = 1,
    /// A `model::Connection`.
    Connection = 2,
    /// A `model::Credential` that is an access token.
    AccessToken = 3,
    /// A `model::Credential` that is a refresh token.
    RefreshToken = 4,
    /// A pending authorization: the PKCE verifier and what the callback must fit.
    Pending = 5,
    /// The raw reply of a token endpoint, in the journal.
    Reply = 6,
    /// A `model::Event`.
    Event = 7,
    /// A grant of an export, which another home opens; its generation is its place in the file.
    Export = 8,
    /// A `model::ApiKey`, with what it is checked with.
    ApiKey = 9,
    /// The hash of the administrator's password.
    Administrator = 10,
    /// A page of the audit log; its generation is the sequence of its last entry.
    Audit = 11,
    /// A `model::Webhook`, with the secrets that its messages are signed with.
    Webhook = 12,
    /// A `model::WebhookProgress`.
    WebhookProgress = 13,
}

/// Stands first in the additional data, so that no other protocol's data under the same key can be taken for ours. It
/// ends with the version of the encoding that follows.
const DOMAIN: &[u8; 21] = b"grantkeeper/record/v1";

/// Length of [`Binding::encode`], in bytes.
pub(super) const BINDING_BYTES: usize = DOMAIN.len() + 1 + 16 + 16 + 8;

impl Binding {
    /// The binding as additional data. Every field has a fixed place and length, so no two bindings encode alike.
    pub(super) fn encode(&self) -> [u8; BINDING_BYTES] {
        let mut bytes = [0; BINDING_BYTES];
        let mut at = 0;
        for part in [
            &DOMAIN[..],
            &[self.kind as u8],
            self.owner.as_bytes(),
            self.record.as_bytes(),
            &self.generation.to_be_bytes(),
        ] {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records on disk depend on every byte of this: a test that fails here says that a new format version is needed.
    #[test]
    fn the_encoding_never_changes() {
        let binding = Binding {
            kind: RecordKind::RefreshToken,
            owner: Uuid::from_u128(0x0102),
            record: Uuid::from_u128(0x0304),
            generation: 0x0506,
        };
        let mut expected = b"grantkeeper/record/v1\x04".to_vec();
        expected.extend([[0; 14].as_slice(), &[1, 2], &[0; 14], &[3, 4], &[0; 6], &[5, 6]].concat());
        assert_eq!(binding.encode().as_slice(), expected);
    }

    #[test]
    fn the_codes_never_change() {
        let kinds = [
            RecordKind::Application,
            RecordKind::Connection,
            RecordKind::AccessToken,
            RecordKind::RefreshToken,
            RecordKind::Pending,
            RecordKind::Reply,
            RecordKind::Event,
            RecordKind::Export,
            RecordKind::ApiKey,
            RecordKind::Administrator,
            RecordKind::Audit,
            RecordKind::Webhook,
            RecordKind::WebhookProgress,
        ];
        assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    }
}
