//! The key file: text that a person can read and copy, one key a line.

use super::SealError;
use super::key::{Key, KeyId, Root};
use super::keyring::Keyring;
use crate::model::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Written above the keys, for whoever finds the file.
const HEAD: &str = "\
# The keys that Grantkeeper's store is sealed with. Whoever has this file and the store can read every token in it;
# without this file nobody can. Keep a copy in a safe place, never beside a copy of the store, and never edit a line.
#
# name           made                  use      key
";
/// Stands before each key, so that a scanner for leaked secrets knows one when it sees one.
const KEY_PREFIX: &str = "grantkeeper-key-1:";
/// Largest key file that is read, in bytes: room for hundreds of keys.
const MOST_BYTES: u64 = 64 * 1024;

/// The keyring's text. It is parsed by hand and not as TOML, because a TOML parser keeps copies that are not wiped and
/// repeats the offending line in its messages.
pub(super) fn format(keyring: &Keyring) -> Zeroizing<String> {
    // Reserved whole: growing would leave copies of the keys behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + 160 * keyring.keys.len()));
    text.push_str(HEAD);
    for (index, key) in keyring.keys.iter().enumerate() {
        let role = if index == keyring.current { "current" } else { "old" };
        text.push_str(&format!("{} {} {role:<8} {KEY_PREFIX}", key.id, key.created));
        let mut encoded = Zeroizing::new([0; 44]);
        // Cannot fail: 32 bytes are 44 characters of base64.
        let length = STANDARD.encode_slice(key.root(), &mut encoded[..]).unwrap_or_default();
        text.extend(encoded[..length].iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text
}

pub(super) fn parse(text: &str, origin: &str) -> Result<Keyring, SealError> {
    let wrong = |reason: String| SealError::NotAKeyring { origin: origin.to_owned(), reason };
    let mut keys: Vec<Key> = Vec::new();
    let mut current = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, is_current) = parse_line(line).map_err(|reason| wrong(format!("line {number} {reason}")))?;
        if keys.iter().any(|known| known.id == key.id) {
            return Err(wrong(format!("line {number} repeats the key {}", key.id)));
        }
        if is_current && current.replace(keys.len()).is_some() {
            return Err(wrong(format!(
                "line {number} names a second current key; one is `current`, the others are `old`"
            )));
        }
        keys.push(key);
    }
    match current {
        Some(current) => Ok(Keyring { keys, current, origin: origin.to_owned() }),
        None if keys.is_empty() => Err(wrong("it holds no key; restore it from your copy".to_owned())),
        None => Err(wrong("none of its keys is `current`".to_owned())),
    }
}

/// One line: name, time, `current` or `old`, key. A message says what is wrong with it and never repeats it.
fn parse_line(line: &str) -> Result<(Key, bool), String> {
    let mut words = line.split_whitespace();
    let (Some(id), Some(created), Some(role), Some(key), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err("must have four words: name, time, `current` or `old`, key".to_owned());
    };
    let id: KeyId = id.parse().map_err(|_| "does not begin with a key's name (16 hexadecimal digits)".to_owned())?;
    let created: Timestamp =
        created.parse().map_err(|_| "has no time such as 2026-11-23T12:00:00Z in its second place".to_owned())?;
    let is_current = match role {
        "current" => true,
        "old" => false,
        _ => return Err("says neither `current` nor `old` in its third place".to_owned()),
    };
    let mut root = Root::default();
    let encoded = key.strip_prefix(KEY_PREFIX).unwrap_or_default();
    let length = decode(encoded, &mut root[..]);
    if length != Some(root.len()) {
        return Err(format!("has no key in its fourth place: {KEY_PREFIX} and 44 characters of base64"));
    }
    let key = Key::from_root(root, created);
    if key.id != id {
        return Err(format!(
            "names the key {id}, and its key is another one; it was damaged: restore it from your copy"
        ));
    }
    Ok((key, is_current))
}

/// Decodes into `bytes`; the decoder wants room for whole groups, so it goes through a buffer that is wiped.
fn decode(encoded: &str, bytes: &mut [u8]) -> Option<usize> {
    let mut buffer = Zeroizing::new([0; 48]);
    let length = STANDARD.decode_slice(encoded, &mut buffer[..]).ok()?;
    bytes.get_mut(..length)?.copy_from_slice(&buffer[..length]);
    Some(length)
}

/// Writes a new file that only its owner can read, and returns when it has reached the disk.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), SealError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => SealError::Exists(path.display().to_string()),
        _ => not_done(path, "written", &error),
    };
    let folder = folder_of(path);
    let made = make_private(&folder).map_err(failed)?;
    create_private(path, text).map_err(failed)?;
    // The names have to reach the disk as well: the file's, and those of the folders that were made for it.
    made.iter().map(PathBuf::as_path).chain([folder.as_path()]).try_for_each(sync_folder).map_err(failed)
}

/// Replaces a file by one that only its owner can read, and returns when that has reached the disk. At each moment the name
/// leads to the old text or to the new one, whole.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), SealError> {
    let failed = |error: io::Error| not_done(path, "written", &error);
    let place = fs::canonicalize(path).map_err(failed)?;
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = place.with_file_name(name);
    // Of an attempt that a crash cut short. It is removed and not overwritten: it may be a link that somebody left there.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    create_private(&beside, text)
        .and_then(|()| fs::rename(&beside, &place))
        .and_then(|()| sync_folder(&folder_of(&place)))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .map_err(failed)
}

/// Writes a file that is not there yet, and its content to the disk; its name may still be lost.
fn create_private(path: &Path, text: &str) -> io::Result<()> {
    // `create_new` is O_EXCL: it neither overwrites a file nor follows a symbolic link that somebody left there.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // Half a key file would stand in the way of the next attempt.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Reads a file that only its owner can read or replace.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, SealError> {
    let failed = |error: io::Error| not_done(path, "read", &error);
    // Before it is opened: opening a named pipe would wait for ever.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a plain file")));
    }
    let file = File::open(path).map_err(failed)?;
    // Of the file that was opened, whatever the name leads to by now.
    let about = file.metadata().map_err(failed)?;
    refuse_if_open_to_others(path, &about)?;
    if about.len() > MOST_BYTES {
        return Err(failed(io::Error::other("it is larger than any key file")));
    }
    // Reserved whole, and one byte more so that the end is seen without growing, which would leave copies of the keys
    // behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 1));
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(failed(io::Error::other("it is not text"))),
    }
}

#[cfg(unix)]
fn refuse_if_open_to_others(path: &Path, about: &fs::Metadata) -> Result<(), SealError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SealError::OpenToOthers { path: path.display().to_string(), mode });
    }
    // Who may write to the folder may put a key of his own there, and read what is sealed under it from then on; the
    // sticky bit keeps others from replacing a file that is ours.
    let failed = |error: io::Error| not_done(path, "read", &error);
    let folder = folder_of(&fs::canonicalize(path).map_err(failed)?);
    let mode = fs::metadata(&folder).map_err(failed)?.mode() & 0o7777;
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let (path, folder) = (path.display().to_string(), folder.display().to_string());
        return Err(SealError::FolderOpenToOthers { path, folder, mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_if_open_to_others(_: &Path, _: &fs::Metadata) -> Result<(), SealError> {
    Ok(())
}

/// Makes a folder and what is missing above it, open to nobody else, and returns the folders in which others were made.
fn make_private(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let made = folder.ancestors().take_while(|path| !path.exists()).map(folder_of).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    Ok(made)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(()) // A folder cannot be opened as a file there.
}

fn not_done(path: &Path, action: &'static str, error: &io::Error) -> SealError {
    SealError::Io { path: path.display().to_string(), action, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::constant(1_795_435_200, 999);

    /// A keyring of two keys, and its text.
    fn two_keys() -> (Keyring, String) {
        let mut keyring = Keyring::generate(NOW).unwrap();
        keyring.add_key(NOW).unwrap();
        let text = keyring.to_text().to_string();
        (keyring, text)
    }

    fn refused(text: &str) -> String {
        Keyring::from_text(text, "the test").unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back_with_every_key_and_the_current_one() {
        let (mut keyring, _) = two_keys();
        let second = keyring.keys()[1].id;
        keyring.make_current(second).unwrap();
        let text = keyring.to_text();
        let back = Keyring::from_text(&text, "the test").unwrap();
        assert_eq!(back.keys(), keyring.keys());
        assert!(back.keys()[1].current);
        assert_eq!(*back.to_text(), *text);
    }

    #[test]
    fn the_text_fits_the_room_that_is_reserved_for_it() {
        let (keyring, text) = two_keys();
        assert!(text.len() <= HEAD.len() + 160 * 2);
        assert_eq!(keyring.to_text().capacity(), HEAD.len() + 160 * 2);
    }

    #[test]
    fn a_line_alone_is_a_keyring_so_that_it_fits_an_environment_variable() {
        let (keyring, text) = two_keys();
        let line = text.lines().find(|line| line.contains(" current ")).unwrap();
        assert_eq!(Keyring::from_text(line, "the test").unwrap().keys()[0], keyring.keys()[0]);
    }

    #[test]
    fn a_key_that_does_not_fit_its_name_is_refused() {
        let (keyring, text) = two_keys();
        let id = keyring.keys()[0].id.to_string();
        let message = refused(&text.replace(&id, "0123456789abcdef"));
        assert!(message.contains("0123456789abcdef") && message.contains("damaged"), "{message}");
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        let (_, text) = two_keys();
        let line = text.lines().find(|line| line.contains(" current ")).unwrap();
        for (wrong, expected) in [
            (String::new(), "holds no key"),
            (text.replace(" current ", " old "), "none of its keys is `current`"),
            (text.replace(" old ", " current "), "line 6 names a second current key"),
            (format!("{text}{line}"), "line 7 repeats the key"),
            (line.replace(" current ", " newest "), "line 1 says neither"),
            (line.replace("current", ""), "line 1 must have four words"),
            (line.replace("2026-", "year "), "line 1 must have four words"),
            (line.replace("2026-", "2026/"), "line 1 has no time"),
            (line.replace(KEY_PREFIX, ""), "line 1 has no key"),
            (line[..line.len() - 4].to_owned(), "line 1 has no key"),
            (format!("{line}AAAA"), "line 1 has no key"),
            (format!("x{line}"), "line 1 does not begin with a key's name"),
        ] {
            let message = refused(&wrong);
            assert!(message.starts_with("the test is not a keyring: "), "{message}");
            assert!(message.contains(expected), "{message:?} should say {expected:?}");
        }
    }

    proptest! {
        /// A mistyped key file ends up in terminals and tickets.
        #[test]
        fn no_message_repeats_the_key(cut in 0_usize..44, with in "[ -~]{1,3}") {
            let (_, text) = two_keys();
            let key = text.split(KEY_PREFIX).nth(1).unwrap()[..44].to_owned();
            let broken = text.replace(&key, &format!("{}{with}{}", &key[..cut], &key[cut..]));
            let Err(error) = Keyring::from_text(&broken, "the test") else { return Ok(()) };
            let shown = format!("{error} {error:?}");
            for part in key.as_bytes().windows(8) {
                prop_assert!(!shown.contains(std::str::from_utf8(part).unwrap()), "{}", shown);
            }
        }

        #[test]
        fn any_text_is_refused_or_read_and_never_panics(text in "\\PC{0,200}") {
            let _ = Keyring::from_text(&text, "the test");
        }
    }

    #[test]
    fn a_new_file_is_read_back_and_lies_in_folders_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/key");
        let made = Keyring::create_file(&path, NOW).unwrap();
        assert_eq!(Keyring::from_file(&path).unwrap().keys(), made.keys());
    }

    #[test]
    fn a_file_that_is_there_is_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key");
        fs::write(&path, "precious").unwrap();
        let error = Keyring::create_file(&path, NOW).unwrap_err();
        assert_eq!(error, SealError::Exists(path.display().to_string()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let message = Keyring::from_file(&root.path().join("key")).unwrap_err().to_string();
        assert!(message.contains("/key cannot be read: No such file"), "{message}");
        let message = Keyring::from_file(root.path()).unwrap_err().to_string();
        assert!(message.contains("not a plain file"), "{message}");
    }

    #[test]
    fn a_file_larger_than_any_keyring_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key");
        Keyring::create_file(&path, NOW).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[b'\n'; 70_000]).unwrap();
        let message = Keyring::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("larger than any key file"), "{message}");
    }

    #[cfg(unix)]
    mod unix {
        use super::*;
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        fn mode_of(path: &Path) -> u32 {
            fs::metadata(path).unwrap().permissions().mode() & 0o7777
        }

        fn set_mode(path: &Path, mode: u32) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }

        #[test]
        fn file_and_folders_are_open_to_their_owner_alone() {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("a/b/key");
            Keyring::create_file(&path, NOW).unwrap();
            assert_eq!(mode_of(&path), 0o600);
            assert_eq!(mode_of(&root.path().join("a/b")), 0o700);
            assert_eq!(mode_of(&root.path().join("a")), 0o700);
        }

        #[test]
        fn a_file_that_others_can_read_or_write_is_refused_with_the_command_that_mends_it() {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("key");
            Keyring::create_file(&path, NOW).unwrap();
            for mode in [0o640, 0o604, 0o620, 0o610, 0o644] {
                set_mode(&path, mode);
                let message = Keyring::from_file(&path).unwrap_err().to_string();
                assert!(message.contains(&format!("mode {mode:04o}")), "{message}");
                assert!(message.ends_with(&format!("chmod 600 {}", path.display())), "{message}");
            }
            set_mode(&path, 0o400);
            assert!(Keyring::from_file(&path).is_ok());
        }

        #[test]
        fn a_folder_that_others_can_write_to_is_refused_unless_it_is_sticky() {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("a/key");
            Keyring::create_file(&path, NOW).unwrap();
            set_mode(&root.path().join("a"), 0o775);
            let message = Keyring::from_file(&path).unwrap_err().to_string();
            assert!(message.contains("mode 0775") && message.contains("chmod go-w"), "{message}");
            set_mode(&root.path().join("a"), 0o1777);
            assert!(Keyring::from_file(&path).is_ok());
        }

        #[test]
        fn a_link_is_followed_and_what_it_leads_to_is_checked() {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("a/key");
            let link = root.path().join("link");
            Keyring::create_file(&path, NOW).unwrap();
            symlink(&path, &link).unwrap();
            assert!(Keyring::from_file(&link).is_ok());
            set_mode(&root.path().join("a"), 0o777);
            assert!(matches!(Keyring::from_file(&link), Err(SealError::FolderOpenToOthers { .. })));
            set_mode(&root.path().join("a"), 0o700);
            set_mode(&path, 0o644);
            assert!(matches!(Keyring::from_file(&link), Err(SealError::OpenToOthers { .. })));
        }

        #[test]
        fn a_link_that_waits_for_the_key_is_not_written_through() {
            let root = tempfile::tempdir().unwrap();
            let elsewhere = root.path().join("elsewhere");
            symlink(&elsewhere, root.path().join("key")).unwrap();
            let error = Keyring::create_file(&root.path().join("key"), NOW).unwrap_err();
            assert!(matches!(error, SealError::Exists(_)), "{error}");
            assert!(!elsewhere.exists());
        }
    }
}
