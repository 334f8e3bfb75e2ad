//! The house of CONTRIBUTING.md, kept: rooms import only from the rooms below them, and no file is two rooms.

use std::path::{Path, PathBuf};

/// From the street to the ground.
const ROOMS: [&str; 22] = [
    "main",
    "lib",
    "cli",
    "demo",
    "recording",
    "replay",
    "server",
    "api",
    "connector",
    "refresh",
    "exchange",
    "webhooks",
    "access",
    "events",
    "vault",
    "script",
    "http",
    "oauth",
    "registry",
    "store",
    "seal",
    "model",
];

/// Past about 500 lines a file is two rooms; this is where the test stops believing in "about".
const LONGEST_FILE: usize = 600;

#[test]
fn rooms_import_only_from_the_rooms_below_them() {
    let sources = sources();
    let mut wrong = Vec::new();
    for file in &sources {
        for import in imports(&std::fs::read_to_string(file).unwrap()) {
            if let Err(why) = judge(&room_of(file), &import) {
                wrong.push(format!("{}: {import}: {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
    // Had nothing been read, nothing would be wrong either.
    assert!(sources.len() > 10 && sources.iter().any(|file| room_of(file) == "model"));
}

#[test]
fn every_file_and_folder_of_the_source_is_a_room() {
    for file in sources() {
        let room = room_of(&file);
        assert!(ROOMS.contains(&room.as_str()), "{} is in no room; name it in ROOMS, in its place", file.display());
    }
}

#[test]
fn no_file_is_two_rooms() {
    for file in sources() {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines; more than {LONGEST_FILE} are two rooms", file.display());
    }
}

#[test]
fn an_import_that_points_up_is_found() {
    for (room, line, good) in [
        ("store", "use crate::model::Clock;", true),
        ("store", "use crate::store::row::Row;", true),
        ("store", "    pub(crate) use crate::seal::Keyring;", true),
        ("store", "use crate::connector::Connector;", false),
        ("store", "let reply = crate::oauth::read(body);", false),
        ("model", "use crate::{model, connector};", false),
        ("model", "use crate::Error;", false),
        ("model", "use grantkeeper::store::Store;", false),
        ("lib", "pub use crate::connector::Connector;", true),
        ("main", "use grantkeeper::cli;", true),
        ("model", "// as crate::connector does", true),
    ] {
        let judged = imports(line).iter().all(|import| judge(room, import).is_ok());
        assert_eq!(judged, good, "{room}: {line}");
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![src()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The folder under `src/`, or the name of a file that stands there alone.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix(src()).unwrap();
    inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Every path that starts at the crate's root, in `use` lines and in the midst of code; comments may point anywhere.
fn imports(source: &str) -> Vec<String> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(|line| {
        ["crate::", "grantkeeper::"].into_iter().flat_map(move |root| {
            // A quoted name is a text, such as a log target.
            let quoted = move |at: usize| line[..at].matches('"').count() % 2 == 1;
            line.match_indices(root).filter(move |(at, _)| !quoted(*at)).map(move |(at, _)| {
                let rest = &line[at + root.len()..];
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '{')).unwrap_or(rest.len());
                format!("{root}{}", &rest[..end])
            })
        })
    })
    .collect()
}

fn judge(room: &str, import: &str) -> Result<(), &'static str> {
    let (root, name) = import.split_once("::").unwrap();
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    match (root, place(room), place(name)) {
        ("grantkeeper", Some(from), _) if from > 0 => Err("only main.rs sees the crate from outside"),
        ("grantkeeper", _, _) => Ok(()),
        (_, Some(from), Some(to)) if to >= from => Ok(()),
        (_, Some(_), Some(_)) => Err("that room is above this one"),
        _ => Err("write it as crate::room::…, with a room that is in the house"),
    }
}
