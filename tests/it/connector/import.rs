//! Grants that move: in from a file, and from one home to another.

use crate::support::desk::Desk;
use grantkeeper::connector::{
    Defaults, ExportError, ExportReader, ExportWriter, FileFormat, Grant, GrantReader, HeldToken, ImportOptions, Line,
    Outcome, Tokens,
};
use grantkeeper::demo::{Door, Fault, Gate, Habits};
use grantkeeper::model::{Account, Clock, ConnectionState, Expiry, ExpirySource, Secret, Subject, Timestamp};
use grantkeeper::refresh::RefreshError;
use grantkeeper::seal::Keyring;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn grant(name: &str, refresh: &str) -> Grant {
    let refresh = Some(HeldToken::new(Secret::new(refresh)));
    Grant::new(name.parse().unwrap(), Tokens { refresh, ..Tokens::default() })
}

fn access(token: &str, end: Option<Timestamp>) -> HeldToken {
    let expires = end.map(|at| Expiry { at, source: ExpirySource::Stated });
    HeldToken { expires, ..HeldToken::new(Secret::new(token)) }
}

async fn import(desk: &Desk, grants: Vec<Grant>, options: &ImportOptions) -> Vec<Outcome> {
    desk.connector.import(grants, options).await.unwrap()
}

async fn one(desk: &Desk, grant: Grant, options: &ImportOptions) -> Outcome {
    import(desk, vec![grant], options).await.remove(0)
}

fn plain() -> ImportOptions {
    ImportOptions::default()
}

/// The refresh token that alice's consent brought, for a keeper that is not this one.
async fn strangers_token(desk: &Desk) -> String {
    desk.consent().await.unwrap();
    desk.provider.current_refresh_token(0).unwrap().expose().to_owned()
}

#[tokio::test]
async fn an_adopted_grant_works_and_asked_nobody_before_it_was_used() {
    let desk = Desk::new(Habits::default()).await;
    let refresh = strangers_token(&desk).await;
    let moved = Grant { labels: [("team".to_owned(), "sales".to_owned())].into(), ..grant("drive/moved", &refresh) };
    assert_eq!(one(&desk, moved, &plain()).await, Outcome::Adopted);
    let name = "drive/moved".parse().unwrap();
    let connection = desk.connector.connection(&name).await.unwrap();
    assert_eq!((connection.state, connection.labels["team"].as_str()), (ConnectionState::Active, "sales"));
    assert_eq!(desk.refreshes(), 0);
    let token = desk.connector.token(&name).await.unwrap();
    assert_eq!((desk.call(token.secret()).await, desk.refreshes()), (200, 1));
    let events = desk.connector.events(0, 100).await.unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.event.connection.as_ref() == Some(&name) && event.event.kind.as_str() == "authorized")
    );
}

#[tokio::test]
async fn an_access_token_is_taken_over_where_its_end_is_known_or_nothing_else_is_there() {
    let desk = Desk::new(Habits::default()).await;
    let in_an_hour = desk.clock.now().checked_add(jiff::SignedDuration::from_secs(3600)).unwrap();
    let past = desk.clock.now().checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
    let with = |name: &str, held| Grant {
        tokens: Tokens { access: Some(held), ..grant("drive/x", "r").tokens },
        ..grant(name, "r")
    };
    let alone =
        |name: &str, held| Grant::new(name.parse().unwrap(), Tokens { access: Some(held), ..Tokens::default() });
    let outcomes = import(
        &desk,
        vec![
            with("drive/good", access("a-1", Some(in_an_hour))),
            with("drive/ended", access("a-2", Some(past))),
            alone("drive/alone", access("a-3", None)),
            alone("drive/dead", access("a-4", Some(past))),
        ],
        &plain(),
    )
    .await;
    assert_eq!(outcomes[..3], [Outcome::Adopted, Outcome::Adopted, Outcome::Adopted]);
    assert!(outcomes[3].reason().unwrap().contains("has ended, and it has no refresh token"));
    for (name, token, generation) in [("drive/good", "a-1", 1), ("drive/alone", "a-3", 1)] {
        let got = desk.connector.token(&name.parse().unwrap()).await.unwrap();
        assert_eq!((got.secret().expose(), got.generation()), (token, generation));
    }
    assert_eq!(desk.refreshes(), 0);
    let due = desk.connector.connection(&"drive/good".parse().unwrap()).await.unwrap().due.unwrap();
    assert!(due < in_an_hour && due > desk.clock.now(), "as for any token of an hour: {due}");
    assert!(
        desk.connector.token(&"drive/ended".parse().unwrap()).await.is_err(),
        "it was refreshed, with a wrong token"
    );
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test]
async fn what_is_here_already_is_passed_over_and_another_token_is_taken_on_demand_alone() {
    let desk = Desk::new(Habits::default()).await;
    let all = || vec![grant("drive/a", "r-1"), grant("drive/b", "r-2")];
    assert_eq!(import(&desk, all(), &plain()).await, [Outcome::Adopted, Outcome::Adopted]);
    let before = desk.connector.connection(&"drive/a".parse().unwrap()).await.unwrap();
    assert_eq!(import(&desk, all(), &plain()).await, [Outcome::Already, Outcome::Already]);
    let refused = one(&desk, grant("drive/a", "r-3"), &plain()).await;
    assert!(
        refused.reason().unwrap().contains("with another token") && refused.reason().unwrap().contains("--replace")
    );
    assert_eq!(desk.connector.connection(&before.name).await.unwrap(), before, "neither changed anything");
    let replace = ImportOptions { replace: true, ..plain() };
    assert_eq!(one(&desk, grant("drive/a", "r-3"), &replace).await, Outcome::Replaced);
    assert_eq!(one(&desk, grant("drive/a", "r-3"), &replace).await, Outcome::Already);
    let after = desk.connector.connection(&before.name).await.unwrap();
    assert_eq!((after.id, after.generation), (before.id, before.generation + 1));
    assert_eq!(desk.connector.credentials(None, Some(&before.name)).await.unwrap().len(), 1, "the old token is gone");
}

#[tokio::test]
async fn a_grant_that_cannot_be_is_refused_with_its_reason() {
    let desk = Desk::new(Habits::default()).await;
    let past = Expiry { at: desk.clock.now(), source: ExpirySource::Stated };
    let mut ended = grant("drive/ended", "r");
    ended.tokens.refresh.as_mut().unwrap().expires = Some(past);
    let profile = Grant { profile: Some("other".parse().unwrap()), ..grant("drive/profile", "r") };
    let nothing = Grant::new("drive/nothing".parse().unwrap(), Tokens::default());
    let account = |id: &str| Some(Account { id: id.to_owned(), name: None, subject: None });
    let ann = Grant { account: account("ann"), ..grant("drive/ann", "r") };
    let ben = Grant { account: account("ben"), ..grant("drive/ann", "s") };
    assert_eq!(one(&desk, ann, &plain()).await, Outcome::Adopted);
    for (grant, expected) in [
        (grant("nobody/x", "r"), "no application of that name"),
        (ended, "its refresh token ended at"),
        (profile, "no profile of that name"),
        (nothing, "it has no token"),
        (ben, "of another account"),
    ] {
        let outcome = one(&desk, grant, &ImportOptions { replace: true, ..plain() }).await;
        assert!(outcome.reason().is_some_and(|reason| reason.contains(expected)), "{expected}: {outcome:?}");
    }
    assert_eq!(desk.connector.connections(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let desk = Desk::new(Habits::default()).await;
    import(&desk, vec![grant("drive/a", "r-1"), grant("drive/b", "r-2")], &plain()).await;
    let all = || vec![grant("drive/a", "r-1"), grant("drive/b", "new"), grant("drive/c", "r"), grant("no/d", "r")];
    let options = |dry_run| ImportOptions { replace: true, dry_run, ..plain() };
    let before = desk.connector.connections(None).await.unwrap();
    let said = import(&desk, all(), &options(true)).await;
    assert_eq!(desk.connector.connections(None).await.unwrap(), before);
    assert_eq!(said, import(&desk, all(), &options(false)).await);
    assert_eq!(said, [Outcome::Already, Outcome::Replaced, Outcome::Adopted, Outcome::NoApplication]);
}

#[tokio::test]
async fn first_refreshes_are_spread_and_never_later_than_the_refresh_token_lives() {
    let desk = Desk::new(Habits::default()).await;
    let mut grants: Vec<Grant> = (0..1000).map(|number| grant(&format!("drive/n{number:04}"), "r")).collect();
    let end = desk.clock.now().checked_add(jiff::SignedDuration::from_secs(600)).unwrap();
    let mut soon = grant("drive/soon", "r");
    soon.tokens.refresh.as_mut().unwrap().expires = Some(Expiry { at: end, source: ExpirySource::Stated });
    grants.push(soon);
    let outcomes = import(&desk, grants, &plain()).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Adopted));
    let now = desk.clock.now();
    let all = desk.connector.connections(None).await.unwrap();
    assert!(all.last().unwrap().due.unwrap().duration_since(now).as_secs() <= 450);
    // A day in 24 hours: each has its share.
    let mut hours = [0; 25];
    for connection in &all[..1000] {
        hours[usize::try_from(connection.due.unwrap().duration_since(now).as_hours()).unwrap()] += 1;
    }
    assert!(hours[..24].iter().all(|count| (10..=90).contains(count)), "{hours:?}");
    assert_eq!(desk.refreshes(), 0);
}

#[tokio::test]
async fn a_proof_refreshes_each_grant_once_and_tells_which_are_dead() {
    let desk = Desk::new(Habits::default()).await;
    let good = strangers_token(&desk).await;
    let prove = ImportOptions { refresh: true, ..plain() };
    let all = || vec![grant("drive/good", &good), grant("drive/bad", "nonsense-marked")];
    let outcomes = import(&desk, all(), &prove).await;
    assert_eq!(outcomes[0], Outcome::Adopted);
    assert!(
        matches!(&outcomes[1], Outcome::Unproven(why) if why.contains("consent again") && !why.contains("marked")),
        "{outcomes:?}"
    );
    assert_eq!(desk.refreshes(), 2);
    assert_eq!(desk.connector.connection(&"drive/good".parse().unwrap()).await.unwrap().generation, 2);
    // One that was adopted and not yet proven is proven by the next run.
    assert_eq!(one(&desk, grant("drive/later", "also-nonsense"), &plain()).await, Outcome::Adopted);
    assert!(matches!(one(&desk, grant("drive/later", "also-nonsense"), &prove).await, Outcome::Unproven(_)));
}

#[tokio::test]
async fn a_refresh_under_way_does_not_bring_back_what_was_replaced() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.pass_an_hour();
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let caller = {
        let (connector, name) = (desk.connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.token(&name).await })
    };
    gate.reached_by(1).await;
    let replace = ImportOptions { replace: true, ..plain() };
    let end = desk.clock.now().checked_add(jiff::SignedDuration::from_secs(3600)).unwrap();
    let mut new = grant("drive/reports", "r-new");
    new.tokens.access = Some(access("a-new", Some(end)));
    assert_eq!(one(&desk, new, &replace).await, Outcome::Replaced);
    gate.open();
    // Whoever waited gets the grant that is here now.
    assert_eq!(caller.await.unwrap().unwrap().secret().expose(), "a-new");
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().secret().expose(), "a-new");
    let held = desk.connector.export(None, None).await.unwrap().grants.remove(0).tokens;
    assert_eq!(held.refresh.unwrap().token.expose(), "r-new", "and no flight is left in doubt");
}

#[tokio::test]
async fn of_two_grants_of_one_name_in_one_call_the_first_is_taken() {
    let desk = Desk::new(Habits::default()).await;
    let outcomes =
        import(&desk, vec![grant("drive/a", "r-1"), grant("drive/b", "r"), grant("drive/a", "r-2")], &plain()).await;
    assert_eq!(outcomes[..2], [Outcome::Adopted, Outcome::Adopted]);
    assert!(outcomes[2].reason().unwrap().contains("with another token"), "{outcomes:?}");
}

/// A grant of which everything is known.
fn whole(now: Timestamp) -> Grant {
    let at = |seconds| now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    let held = |token: &str, seconds, source| HeldToken {
        expires: Some(Expiry { at: at(seconds), source }),
        issued: Some(at(-100)),
        ..HeldToken::new(Secret::new(token))
    };
    let tokens = |name: &str| Tokens {
        refresh: Some(held(&format!("refresh-marked-{name}"), 86_400, ExpirySource::Edited)),
        access: Some(held(&format!("access-marked-{name}"), 3000, ExpirySource::Stated)),
        scopes: Some(vec!["a".to_owned(), "b".to_owned()]),
        token_type: Some("MAC".to_owned()),
    };
    Grant {
        profile: Some("default".parse().unwrap()),
        further: [("user".to_owned(), tokens("user"))].into(),
        labels: [("team".to_owned(), "sales".to_owned())].into(),
        fields: serde_json::from_str(r#"{"shop":"x.example","deep":{"n":[1,2]}}"#).unwrap(),
        account: Some(Account {
            id: "42".to_owned(),
            name: Some("ann".to_owned()),
            subject: Some(Subject { issuer: "https://i.example".to_owned(), sub: "s".to_owned() }),
        }),
        requested: Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]),
        authorized: Some(at(-5000)),
        generation: 7,
        ..Grant::new("drive/whole".parse().unwrap(), tokens("main"))
    }
}

#[tokio::test]
async fn a_grant_comes_out_of_another_home_as_it_went_in() {
    let (here, there) = (Desk::new(Habits::default()).await, Desk::new(Habits::default()).await);
    let grant = whole(here.clock.now());
    assert_eq!(one(&here, grant.clone(), &plain()).await, Outcome::Adopted);
    let page = here.connector.export(None, None).await.unwrap();
    assert!(page.next.is_none() && page.left_out.is_empty(), "{page:?}");
    assert!(page.grants[0] == grant, "{:?}", page.grants);
    let keys = Keyring::generate(here.clock.now()).unwrap();
    let mut writer = ExportWriter::begin(Vec::new(), &keys).unwrap();
    page.grants.into_iter().for_each(|grant| writer.put(grant).unwrap());
    let file = writer.end().unwrap();
    assert!(!String::from_utf8(file.clone()).unwrap().contains("marked"));
    let read: Vec<Grant> = ExportReader::begin(file.as_slice(), &keys).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(import(&there, read, &plain()).await, [Outcome::Adopted]);
    let again = there.connector.export(None, None).await.unwrap();
    assert!(again.grants == [grant], "{again:?}");
    let connection = there.connector.connection(&"drive/whole".parse().unwrap()).await.unwrap();
    assert_eq!((connection.generation, connection.scopes.missing), (7, vec!["c".to_owned()]));
    let user = there.connector.token(&"drive/whole~user".parse().unwrap()).await.unwrap();
    assert_eq!((user.secret().expose(), user.token_type()), ("access-marked-user", "MAC"));
}

#[tokio::test]
async fn what_holds_no_grant_or_may_have_rotated_is_left_out_of_an_export_by_name() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.consent_to(&"drive/pending".parse().unwrap()).await.unwrap();
    assert_eq!(one(&desk, grant("drive/revoked", "r"), &plain()).await, Outcome::Adopted);
    desk.connector.revoke(&"drive/revoked".parse().unwrap()).await.unwrap();
    let page = desk.connector.export(None, None).await.unwrap();
    assert_eq!(page.grants.len(), 1);
    let left: Vec<_> =
        page.left_out.iter().map(|left| (left.name.to_string(), left.reason.as_str(), left.later)).collect();
    assert_eq!(
        left,
        [("drive/pending".to_owned(), "it is pending", false), ("drive/revoked".to_owned(), "it is revoked", false)]
    );
    desk.pass_an_hour();
    desk.provider.next(Door::Token, Fault::Drop);
    let lost = desk.connector.token(&desk.name).await.unwrap_err();
    assert!(matches!(lost, grantkeeper::Error::Refresh(RefreshError::Failing { .. })));
    let page = desk.connector.export(Some(desk.name.application()), None).await.unwrap();
    assert!(
        page.grants.is_empty() && page.left_out.iter().any(|left| left.later && left.reason.contains("in doubt")),
        "{page:?}"
    );
}

#[tokio::test]
async fn an_export_goes_through_every_page() {
    let desk = Desk::new(Habits::default()).await;
    let grants: Vec<Grant> = (0..450).map(|number| grant(&format!("drive/n{number:03}"), "r")).collect();
    import(&desk, grants, &plain()).await;
    let (mut names, mut after) = (BTreeSet::new(), None);
    loop {
        let page = desk.connector.export(None, after.as_ref()).await.unwrap();
        names.extend(page.grants.iter().map(|grant| grant.name.clone()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 450);
}

fn exported(keys: &Keyring, names: &[&str]) -> Vec<String> {
    let mut writer = ExportWriter::begin(Vec::new(), keys).unwrap();
    names.iter().for_each(|name| writer.put(grant(name, "refresh-marked")).unwrap());
    String::from_utf8(writer.end().unwrap()).unwrap().lines().map(str::to_owned).collect()
}

fn read(keys: &Keyring, lines: &[String]) -> Result<Vec<Grant>, ExportError> {
    let file = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    ExportReader::begin(file.as_bytes(), keys)?.collect()
}

#[test]
fn an_export_that_was_cut_off_reordered_spliced_or_changed_is_noticed() {
    let keys = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
    let (one, other) = (exported(&keys, &["a/1", "a/2", "a/3"]), exported(&keys, &["a/4", "a/5", "a/6"]));
    assert_eq!(read(&keys, &one).unwrap().len(), 3);
    for length in 1..one.len() {
        assert!(matches!(read(&keys, &one[..length]), Err(ExportError::CutOff(_))), "{length}");
    }
    let mut half = one.clone();
    half[4].truncate(20);
    assert!(read(&keys, &half).is_err());
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = one.clone();
        change(&mut lines);
        read(&keys, &lines).err().map(|error| error.to_string())
    };
    assert!(with(&|lines| lines.swap(1, 2)).unwrap().contains("does not open"));
    assert!(with(&|lines| drop(lines.remove(2))).unwrap().contains("does not open"));
    assert!(with(&|lines| lines[2] = lines[1].clone()).unwrap().contains("does not open"));
    assert!(with(&|lines| lines[2] = other[2].clone()).unwrap().contains("does not open"), "another export's record");
    assert!(with(&|lines| lines[0] = other[0].clone()).unwrap().contains("does not open"));
    assert!(with(&|lines| lines.push(other[1].clone())).unwrap().contains("goes on after its end"));
    assert!(with(&|lines| lines[1].insert(0, '!')).unwrap().contains("is no record"));
    assert!(
        with(&|lines| lines[0] = lines[0].replace(":1,", ":2,")).unwrap().contains("no export that this version reads")
    );
    for line in 1..one.len() {
        for at in [0, 20, one[line].len() / 2, one[line].len() - 4] {
            let mut lines = one.clone();
            let new = if lines[line].as_bytes()[at] == b'A' { "B" } else { "A" };
            lines[line].replace_range(at..=at, new);
            assert!(read(&keys, &lines).is_err(), "line {line}, byte {at}");
        }
    }
    let strange = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
    assert!(read(&strange, &one).unwrap_err().to_string().contains("sealed under key"));
}

fn lines_of(text: &[u8], defaults: &Defaults) -> Result<Vec<Line>, String> {
    let read = |reader: GrantReader<&[u8]>| reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string());
    match FileFormat::of(text) {
        FileFormat::JsonLines => read(GrantReader::json_lines(text, defaults.clone())),
        _ => read(GrantReader::csv(text, defaults.clone()).map_err(|error| error.to_string())?),
    }
}

fn drive() -> Defaults {
    Defaults { application: Some("drive".parse().unwrap()), profile: None }
}

#[test]
fn csv_and_json_lines_say_the_same() {
    let csv = "\u{feff}name,refresh_token,access_token,expires_at,refresh_expires_at,scopes,account,account_name,label:team,field:realmId\r\n\
        ann,\"1//0g,\"\"x\"\"\",ya29,2030-01-31T12:00:00Z,1900000000,a  b,42,Ann,\"sales, west\",1234\r\n\
        \r\n\
        drive/ben,r,,,,,,,,\n";
    let json = "\u{feff}{\"name\":\"ann\",\"refresh_token\":\"1//0g,\\\"x\\\"\",\"access_token\":\"ya29\",\"expires_at\":\"2030-01-31T12:00:00Z\",\"refresh_expires_at\":1900000000,\"scopes\":[\"a\",\"b\"],\"account\":42,\"account_name\":\"Ann\",\"labels\":{\"team\":\"sales, west\"},\"fields\":{\"realmId\":\"1234\"}}\n\
        \n\n\
        {\"name\":\"drive/ben\",\"refresh_token\":\"r\",\"access_token\":null,\"scopes\":\"\"}";
    let (csv, json) = (lines_of(csv.as_bytes(), &drive()).unwrap(), lines_of(json.as_bytes(), &drive()).unwrap());
    let grants = |lines: &[Line]| lines.iter().map(|line| line.grant.clone().unwrap()).collect::<Vec<_>>();
    assert!(grants(&csv) == grants(&json), "{csv:?}\n{json:?}");
    assert_eq!((csv[1].number, json[1].number), (4, 4));
    let ann = &grants(&csv)[0];
    assert_eq!(ann.tokens.refresh.as_ref().unwrap().token.expose(), "1//0g,\"x\"");
    assert_eq!(ann.tokens.refresh.as_ref().unwrap().expires.unwrap().at.as_second(), 1_900_000_000);
    assert_eq!((ann.fields["realmId"].as_str(), ann.labels["team"].as_str()), (Some("1234"), "sales, west"));
    assert!(grants(&csv)[1].tokens.access.is_none());
}

#[test]
fn each_mistake_of_a_line_is_told_by_its_number_and_the_others_are_read() {
    let csv = "name,refresh_token,access_token,expires_at,field:x\n\
        ok,marked-1,,,\n\
        ok,marked-2,,,\n\
        no name!,marked-3,,,\n\
        short,marked-4\n\
        none,,,,\n\
        late,marked-5,a,sometime,\n\
        other/x,marked-6,,,\n\
        further~user,marked-7,,,\n\
        shown,marked-8,,,see marked-8\n\
        marked-9,marked-9,,,\n\
        \"odd\",\"mark\ned\",,,\n\
        fine,marked-1,,,\n";
    let lines = lines_of(csv.as_bytes(), &drive()).unwrap();
    let said: Vec<(u64, &str)> =
        lines.iter().filter_map(|line| Some((line.number, line.grant.as_ref().err()?.as_str()))).collect();
    let expected = [
        (3, "stands in line 2 already"),
        (4, "none that a connection can have"),
        (5, "it has 2 cells, and the header has 5"),
        (6, "neither a refresh_token nor"),
        (7, "expires_at is no time"),
        (8, "another application than --app says"),
        (9, "that of a further token"),
        (10, "stands in another cell too"),
        (11, "stands in another cell too"),
        (12, "refresh_token holds a control character"),
    ];
    for ((number, said), (line, words)) in said.iter().zip(expected) {
        assert!(*number == line && said.contains(words), "{number}: {said}; wanted {line}: {words}");
        assert!(!said.contains("marked"), "{said}");
    }
    assert_eq!(said.len(), expected.len());
    assert!(lines.first().unwrap().grant.is_ok() && lines.last().unwrap().grant.is_ok());
    for (json, words) in [
        (r#"{"name":"a","refresh_token":"marked","other":1}"#, "is none that is known"),
        (r#"{"name":"a","refresh_token":"marked","refresh_tokn":1}"#, "did you mean refresh_token?"),
        (r#"{"name":"a","refresh_token":"marked","refresh_token":"marked"}"#, "twice"),
        (r#"{"name":"a","refresh_token":["marked"]}"#, "wrong kind"),
        (r#"{"name":["marked"],"refresh_token":"r"}"#, "wrong kind"),
        (r#"{"name":"a","refresh_token":"marked""#, "no JSON object on one line"),
        (r#"{"name":"a","refresh_token":"marked"} marked"#, "no JSON object on one line"),
        (r#"{"name":"a","refresh_token":"ma\"rked","labels":{"x":"ma\"rked"}}"#, "another cell"),
    ] {
        let line = lines_of(json.as_bytes(), &drive()).unwrap().remove(0);
        let said = line.grant.unwrap_err();
        assert!(said.contains(words) && !said.contains("marked"), "{said}; wanted {words}");
    }
}

#[test]
fn a_header_that_is_none_is_refused_and_never_repeated() {
    for (csv, words) in [
        ("ann,1//0g-marked\nben,x\n", "column 1 is none that is known"),
        ("name,refreshtoken\n", "column 2 is none that is known; did you mean refresh_token?"),
        ("name,name\n", "name of an earlier one"),
        ("refresh_token\n", "no column `name`"),
        ("name,scopes\n", "no column `refresh_token`"),
        ("", "no column `name`"),
        ("[{\"name\":\"a\",\"refresh_token\":\"marked\"}]", "is none that is known"),
    ] {
        let said = lines_of(csv.as_bytes(), &drive()).unwrap_err();
        assert!(said.contains(words) && !said.contains("marked"), "{said}; wanted {words}");
    }
}

#[test]
fn a_line_without_end_is_not_taken_into_memory() {
    let csv = format!("name,refresh_token\nok,r\nbad,\"{}", "x".repeat(3_000_000));
    let said = lines_of(csv.as_bytes(), &drive()).unwrap_err();
    assert!(said.contains("line 3 is longer than 262144 bytes"), "{said}");
    let json = format!(
        "{{\"name\":\"a\",\"refresh_token\":\"{}\"}}\n{{\"name\":\"b\",\"refresh_token\":\"r\"}}\n",
        "x".repeat(3_000_000)
    );
    let lines = lines_of(json.as_bytes(), &drive()).unwrap();
    assert!(lines[0].grant.as_ref().unwrap_err().contains("longer than"), "{lines:?}");
    assert!(lines[1].number == 2 && lines[1].grant.is_ok(), "the next line is read");
}

const MARKED: &str = "tok-MARKED-en";

proptest! {
    /// Whatever stands in a file, each line is a grant or has a reason, and no reason tells the token.
    #[test]
    fn any_line_yields_a_grant_or_a_reason_that_holds_no_token(
        cells in proptest::collection::vec("\\PC{0,12}|[a-z/~,\"]{0,6}|2030-01-31|tok-MARKED-en", 0..7),
        separator in "[,;\t]",
        json in any::<bool>(),
        whole in "[ -~\n\"{}]{0,80}",
    ) {
        let names = ["name", "refresh_token", "access_token", "expires_at", "scopes", "label:a", "profile"];
        let text = if json {
            let members = names.iter().zip(&cells).map(|(name, cell)| format!("{name:?}:{}", serde_json::json!(cell)));
            let mut text = format!("{{{}}}\n", members.collect::<Vec<_>>().join(","));
            text.push_str(&format!("{{\"name\":\"x\",\"refresh_token\":\"{MARKED}\"{whole}\n{{\"{MARKED}\":1}}\n"));
            text
        } else {
            format!("{}\n{}\nx,{MARKED},{whole}\n{MARKED}/x,{MARKED},,,,,\n", names.join(","), cells.join(&separator))
        };
        for application in [None, Some("drive".parse().unwrap())] {
            match lines_of(text.as_bytes(), &Defaults { application, profile: None }) {
                Ok(lines) => for line in lines {
                    let shown = match &line.grant {
                        Ok(grant) => format!("{:?}", grant.tokens),
                        Err(reason) => reason.clone(),
                    };
                    prop_assert!(!shown.contains("MARKED"), "{}", shown);
                },
                Err(error) => prop_assert!(!error.contains("MARKED"), "{}", error),
            }
        }
    }

    /// The same for files that are anything at all.
    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = lines_of(&bytes, &drive());
        let _ = lines_of(&[b"name,refresh_token\n".as_slice(), &bytes].concat(), &drive());
        let _ = lines_of(&[b"{".as_slice(), &bytes].concat(), &drive());
        let keys = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        prop_assert!(ExportReader::begin(bytes.as_slice(), &keys).is_err());
    }
}
