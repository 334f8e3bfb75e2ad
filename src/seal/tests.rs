//! What the keyring promises.

use super::keyring::{FORMAT, OVERHEAD};
use super::*;
use crate::model::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn keyring() -> Keyring {
    Keyring::generate(NOW).unwrap()
}

fn binding() -> Binding {
    Binding { kind: RecordKind::RefreshToken, owner: Uuid::from_u128(1), record: Uuid::from_u128(2), generation: 3 }
}

#[test]
fn what_is_sealed_opens_and_is_longer_by_a_fixed_length() {
    let keyring = keyring();
    for length in [0, 1, 15, 16, 17, 4096, 3 * 1024 * 1024] {
        let plain = vec![7; length];
        let sealed = keyring.seal(&binding(), &plain).unwrap();
        assert_eq!(sealed.len(), length + OVERHEAD);
        assert_eq!(*keyring.open(&binding(), &sealed).unwrap(), plain);
    }
}

#[test]
fn a_sealed_record_does_not_hold_its_text() {
    let sealed = keyring().seal(&binding(), b"a-token-that-is-marked").unwrap();
    assert!(!sealed.windows(6).any(|part| b"a-token-that-is-marked".windows(6).any(|text| text == part)));
}

/// In the head, the nonce, the text and the tag alike.
#[test]
fn no_record_with_any_one_bit_flipped_opens() {
    let keyring = keyring();
    let sealed = keyring.seal(&binding(), b"refresh-token").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(keyring.open(&binding(), &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn a_record_opens_as_nothing_but_what_it_was_sealed_as() {
    let keyring = keyring();
    let right = binding();
    let sealed = keyring.seal(&right, b"refresh-token").unwrap();
    for wrong in [
        Binding { kind: RecordKind::AccessToken, ..right },
        Binding { owner: Uuid::from_u128(9), ..right },
        Binding { record: Uuid::from_u128(9), ..right },
        Binding { generation: 2, ..right },
        Binding { owner: right.record, record: right.owner, ..right },
    ] {
        let key = keyring.keys()[0].id;
        assert_eq!(keyring.open(&wrong, &sealed).unwrap_err(), SealError::DoesNotOpen { key }, "{wrong:?}");
    }
    assert!(keyring.open(&right, &sealed).is_ok());
}

#[test]
fn a_record_moved_to_another_row_does_not_open() {
    let keyring = keyring();
    let (mine, theirs) = (binding(), Binding { record: Uuid::from_u128(77), ..binding() });
    let (my_record, their_record) = (keyring.seal(&mine, b"mine").unwrap(), keyring.seal(&theirs, b"theirs").unwrap());
    assert!(keyring.open(&mine, &their_record).is_err());
    assert!(keyring.open(&theirs, &my_record).is_err());
}

#[test]
fn a_record_under_a_strange_key_is_told_apart_from_a_damaged_one() {
    let (ours, theirs) = (keyring(), keyring());
    let sealed = theirs.seal(&binding(), b"x").unwrap();
    let message = ours.open(&binding(), &sealed).unwrap_err().to_string();
    for part in [theirs.keys()[0].id.to_string(), ours.keys()[0].id.to_string(), "this keyring".to_owned()] {
        assert!(message.contains(&part), "{message}");
    }
}

/// Even one who renames the key in the record's head gets no further.
#[test]
fn a_record_whose_key_name_was_rewritten_does_not_open() {
    let mut keyring = keyring();
    let sealed = keyring.seal(&binding(), b"x").unwrap();
    let second = keyring.add_key(NOW).unwrap();
    let mut renamed = sealed.clone();
    renamed[1..9].copy_from_slice(second.as_bytes());
    assert_eq!(keyring.open(&binding(), &renamed).unwrap_err(), SealError::DoesNotOpen { key: second });
}

#[test]
fn a_record_of_the_old_key_still_opens_and_new_ones_are_sealed_under_the_current() {
    let mut keyring = keyring();
    let first = keyring.keys()[0].id;
    let old = keyring.seal(&binding(), b"old").unwrap();
    let second = keyring.add_key(NOW).unwrap();
    assert_eq!(Keyring::sealed_by(&keyring.seal(&binding(), b"x").unwrap()), Ok(first), "not chosen yet");
    keyring.make_current(second).unwrap();
    let new = keyring.seal(&binding(), b"new").unwrap();
    assert_eq!((Keyring::sealed_by(&old), Keyring::sealed_by(&new)), (Ok(first), Ok(second)));
    assert_eq!(*keyring.open(&binding(), &old).unwrap(), b"old");
    assert_eq!(*keyring.open(&binding(), &new).unwrap(), b"new");
}

#[test]
fn a_key_that_is_not_there_cannot_be_made_current() {
    let mut ours = keyring();
    let theirs = keyring().keys()[0].id;
    assert!(matches!(ours.make_current(theirs), Err(SealError::NoSuchKey { .. })));
    assert!(ours.keys()[0].current);
}

#[test]
fn a_record_that_is_cut_off_or_of_another_format_says_so() {
    let keyring = keyring();
    let sealed = keyring.seal(&binding(), b"").unwrap();
    for length in 0..OVERHEAD {
        let error = keyring.open(&binding(), &sealed[..length]).unwrap_err();
        assert_eq!(error, SealError::TooShort { length });
        assert_eq!(Keyring::sealed_by(&sealed[..length]), Err(error));
    }
    let mut newer = sealed;
    newer[0] = FORMAT + 1;
    let error = keyring.open(&binding(), &newer).unwrap_err();
    assert_eq!(error, SealError::UnknownFormat { version: FORMAT + 1, known: FORMAT });
}

#[test]
fn no_two_records_share_a_nonce() {
    let keyring = keyring();
    let nonces: std::collections::HashSet<Vec<u8>> =
        (0..10_000).map(|_| keyring.seal(&binding(), b"same").unwrap()[9..33].to_vec()).collect();
    assert_eq!(nonces.len(), 10_000);
}

#[test]
fn debug_shows_no_key() {
    let keyring = keyring();
    let text = keyring.to_text();
    let key = text.split("grantkeeper-key-1:").nth(1).unwrap().trim();
    assert_eq!(key.len(), 44);
    let shown = format!("{keyring:?} {keyring:#?}");
    assert!(shown.contains(&keyring.keys()[0].id.to_string()));
    assert!(!shown.contains(key));
    let root: Vec<u8> = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).unwrap();
    assert!(
        !shown.contains(&format!("{root:?}")) && !shown.contains(&format!("{:?}", &root[..4]).replace(['[', ']'], ""))
    );
}

#[test]
fn a_keyed_hash_depends_on_key_purpose_and_data_and_outlives_a_new_key() {
    let mut keyring = keyring();
    let first = keyring.keys()[0].id;
    let hash = keyring.keyed_hash("issued-token", b"abc");
    assert_eq!(keyring.keyed_hash("issued-token", b"abc"), hash);
    assert_ne!(keyring.keyed_hash("state", b"abc"), hash);
    assert_ne!(keyring.keyed_hash("issued-token", b"abd"), hash);
    let second = keyring.add_key(NOW).unwrap();
    assert_eq!(keyring.keyed_hash("issued-token", b"abc"), hash, "a key that is not current changes nothing");
    keyring.make_current(second).unwrap();
    assert_ne!(keyring.keyed_hash("issued-token", b"abc"), hash);
    assert_eq!(keyring.keyed_hash_under(first, "issued-token", b"abc"), Ok(hash));
}

#[test]
fn a_key_file_is_replaced_whole_and_stays_its_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("keys");
    let first = Keyring::create_file(&path, NOW).unwrap();
    let second = first.with_new_key(NOW).unwrap();
    assert_eq!((second.keys()[0].id, second.keys().len()), (first.current(), 2));
    assert_ne!(second.current(), first.current());
    // Of an earlier attempt that a crash cut short.
    std::fs::write(root.path().join("keys.new"), "half").unwrap();
    second.write_file(&path).unwrap();
    assert_eq!(Keyring::from_file(&path).unwrap().keys(), second.keys());
    let third = second.without(&[first.current(), second.current()]).unwrap();
    assert_eq!(third.keys().len(), 1, "the current key is never left out");
    third.write_file(&path).unwrap();
    let read = Keyring::from_file(&path).unwrap();
    assert_eq!((read.current(), read.keys().len()), (second.current(), 1));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "nothing lies beside it");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        second.write_file(&link).unwrap();
        assert!(link.is_symlink(), "what it leads to is replaced, not the link");
        assert_eq!(Keyring::from_file(&path).unwrap().keys(), second.keys());
    }
}

/// Somebody who may write beside the key file cannot have the keys written to where a link of his leads.
#[cfg(unix)]
#[test]
fn a_link_that_waits_where_a_new_key_file_is_written_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let (path, theirs) = (root.path().join("keys"), root.path().join("theirs"));
    let keyring = Keyring::create_file(&path, NOW).unwrap();
    std::fs::write(&theirs, "nothing yet").unwrap();
    std::os::unix::fs::symlink(&theirs, root.path().join("keys.new")).unwrap();
    keyring.with_new_key(NOW).unwrap().write_file(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "nothing yet");
    assert_eq!(Keyring::from_file(&path).unwrap().keys().len(), 2);
}

/// What lies on disk today must open tomorrow. The three constants were computed by another implementation (Python's
/// `cryptography`) from the format's description, so they check the description too.
#[test]
fn what_the_first_version_wrote_is_still_read() {
    let keyring = Keyring::from_text(FIRST_KEY, "the test").unwrap();
    let sealed: Vec<u8> = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, FIRST_RECORD).unwrap();
    assert_eq!(*keyring.open(&binding(), &sealed).unwrap(), b"written by the first version");
    let hash = keyring.keyed_hash("issued-token", b"abc");
    assert_eq!(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash), FIRST_HASH);
}

const FIRST_KEY: &str =
    "317de4a869e65a05 1970-01-01T00:00:00Z current grantkeeper-key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const FIRST_RECORD: &str =
    "ATF95Khp5loFZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp76smXSL9CegMszzSGPmyN9ZLn7POwiY7uO+zW461FVeu2cpgik1W+o+Ag5yQ=";
const FIRST_HASH: &str = "/OM+h/CxIS++YRoWo3X3x+Znvfc/W8zjwM/2fYHQeyM=";

proptest! {
    #[test]
    fn any_bytes_round_trip_under_any_binding(
        plain in prop::collection::vec(any::<u8>(), 0..600),
        owner: u128,
        record: u128,
        generation: u64,
    ) {
        let keyring = keyring();
        let binding = Binding {
            kind: RecordKind::Reply,
            owner: Uuid::from_u128(owner),
            record: Uuid::from_u128(record),
            generation,
        };
        let sealed = keyring.seal(&binding, &plain).unwrap();
        let opened = keyring.open(&binding, &sealed).unwrap();
        prop_assert_eq!(&*opened, &plain);
    }

    /// Arbitrary bytes, and ones that begin as a record of ours does.
    #[test]
    fn opening_any_bytes_is_an_error_and_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        head in 0_usize..10,
    ) {
        let keyring = keyring();
        let mut bytes = bytes;
        let sealed = keyring.seal(&binding(), b"").unwrap();
        let head = head.min(bytes.len());
        bytes[..head].copy_from_slice(&sealed[..head]);
        prop_assert!(keyring.open(&binding(), &bytes).is_err());
        let _ = Keyring::sealed_by(&bytes);
    }
}
