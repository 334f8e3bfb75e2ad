//! `connections import` and `connections export`.

use crate::support::daemon::Daemon;
use crate::support::machine::{Machine, Ran};
use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::{Door, Fault, Habits};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

fn private(file: &Path) -> String {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

fn import(machine: &Machine, arguments: &[&str]) -> Ran {
    machine.run(&[&["connections", "import"], arguments].concat())
}

/// The report of an import of which a part failed.
fn report(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_tried_then_imported_and_then_there_already() {
    let shop = Shop::connected(Habits::default()).await;
    let good = shop.provider.current_refresh_token(0).unwrap();
    let text = format!("name,refresh_token,label:team\nann,{},sales\nben,marked-2,\n", good.expose());
    let file = private(&shop.machine.write("grants.csv", &text));
    let tried = import(&shop.machine, &[&file, "--app", "drive", "--dry-run"]).done();
    assert_eq!(tried, "2 lines: 2 would be adopted\n");
    assert_eq!(shop.machine.run(&["connections", "list", "--json"]).json().as_array().unwrap().len(), 1);
    let ran = import(&shop.machine, &[&file, "--app", "drive"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "2 lines: 2 adopted\n", ""));
    assert_eq!(shop.provider.token_requests("refresh_token"), 0);
    let shown = shop.machine.run(&["connections", "show", "drive/ann", "--json"]).json();
    assert_eq!((&shown["state"], &shown["labels"]["team"]), (&"active".into(), &"sales".into()));
    let json = import(&shop.machine, &[&file, "--app", "drive", "--json"]).json();
    assert_eq!((&json["already"], &json["adopted"], &json["lines"]), (&2.into(), &0.into(), &2.into()));
    let token = shop.machine.run(&["token", "drive/ann"]).done();
    assert_eq!(shop.call(&token).await, 200);
    let again = import(&shop.machine, &[&file, "--app", "drive"]);
    assert!(again.out.contains("line 2, drive/ann: there is a connection of its name already"), "{again:?}");
    assert!(again.out.contains("2 lines: 0 adopted, 1 there already, 1 refused"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_have_their_lines_and_no_token_is_printed() {
    let shop = Shop::new(Habits::default()).await;
    let lines = [
        r#"{"name":"drive/a","refresh_token":"marked-a"}"#,
        r#"{"name":"drive/a","refresh_token":"marked-b"}"#,
        r#"{"name":"marked-c/x","refresh_token":"marked-c2"}"#,
        r#"{"refresh_token":"marked-d"}"#,
        r#"{"name":"drive/e","refresh_token":"marked-e","profile":"nowhere"}"#,
        r#"{"name":"drive/f","refresh_token":"marked-f","expires_at":"marked-time"}"#,
        "marked-g",
    ];
    let ran = shop.machine.run_with(&["connections", "import", "-", "--json", "--format", "jsonl"], &lines.join("\n"));
    let json = report(&ran);
    assert_eq!((&json["adopted"], &json["refused"]), (&1.into(), &6.into()), "{json}");
    let told: Vec<u64> =
        json["problems"].as_array().unwrap().iter().map(|problem| problem["line"].as_u64().unwrap()).collect();
    assert_eq!(
        {
            let mut sorted = told.clone();
            sorted.sort_unstable();
            sorted
        },
        [2, 3, 4, 5, 6, 7]
    );
    assert!(!format!("{ran:?}").contains("marked"), "{ran:?}");
    assert!(ran.err.contains("some_failed"), "{ran:?}");
    let text = shop.machine.run_with(&["connections", "import", "-"], &lines.join("\n"));
    assert!(
        text.out.contains("line 5, drive/e: its application has no profile") && !format!("{text:?}").contains("marked")
    );
    let headless = shop.machine.run_with(&["connections", "import", "-", "--app", "drive"], "ann,marked-h\n");
    let sentence = headless.failed(1);
    assert!(sentence.contains("the header line is not as it should be") && !sentence.contains("marked"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_refreshes_and_tells_what_is_dead() {
    let shop = Shop::connected(Habits::default()).await;
    let good = shop.provider.current_refresh_token(0).unwrap();
    let text = format!("name,refresh_token\nann,{}\nben,marked-2\n", good.expose());
    let file = private(&shop.machine.write("grants.csv", &text));
    let ran = import(&shop.machine, &[&file, "--app", "drive", "--refresh"]);
    assert!(
        ran.code == Some(1) && ran.out.contains("line 3, drive/ben: taken over, and its refresh failed: "),
        "{ran:?}"
    );
    assert!(ran.out.ends_with("2 lines: 1 adopted, 1 adopted and not proven\n"), "{ran:?}");
    assert_eq!(shop.machine.run(&["connections", "show", "drive/ann", "--json"]).json()["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_can_read_is_told_of() {
    let shop = Shop::new(Habits::default()).await;
    let file = shop.machine.write("grants.csv", "name,refresh_token\nann,marked\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = import(&shop.machine, &[&file.display().to_string(), "--app", "drive"]);
    assert!(ran.err.contains("others can read it (mode 0644)") && ran.err.contains("chmod 600"), "{ran:?}");
    ran.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_goes_on_where_it_stopped() {
    let shop = Shop::new(Habits::default()).await;
    let line = |number: u32| if number == 700 { "a b,r\n".to_owned() } else { format!("n{number},r-{number}\n") };
    let head = "name,refresh_token\n";
    let (first, all) = ((0..1100).fold(String::new(), |text, number| text + line(number).as_str()), 1500);
    let mut command = shop.machine.command(&["connections", "import", "-", "--app", "drive"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let input = child.stdin.as_mut().unwrap();
    input.write_all(head.as_bytes()).unwrap();
    input.write_all(first.as_bytes()).unwrap();
    // The second batch is looked at when the first is durable.
    let mut told = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with("line 702: its name is none"), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut text = head.to_owned();
    (0..all).filter(|number| *number != 700).for_each(|number| write!(text, "{}", line(number)).unwrap());
    let again = shop.machine.run_with(&["connections", "import", "-", "--app", "drive", "--json"], &text).json();
    let (already, adopted) = (again["already"].as_u64().unwrap(), again["adopted"].as_u64().unwrap());
    assert!(already >= 512 && already + adopted == u64::from(all) - 1, "{again}");
    assert_eq!(shop.machine.run(&["connections", "list", "--json"]).json().as_array().unwrap().len(), 1499);
}

/// Another machine, whose application is the shop's.
fn other_machine(shop: &Shop) -> Machine {
    let other = Machine::new();
    let toml = shop.machine.run(&["app", "export", "drive"]).done();
    let mut command = other.command(&["app", "apply", "-f", "-"]);
    let toml = toml.lines().filter(|line| !line.starts_with("client_secret")).collect::<Vec<_>>().join("\n");
    let toml = format!("client_secret = {{ env = \"SECRET\" }}\n{toml}\n");
    command.env("SECRET", crate::support::shop::CLIENT_SECRET);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(toml.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap()).done();
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_move_to_another_machine_and_work_there() {
    let shop = Shop::connected(Habits::default()).await;
    let token = shop.machine.run(&["token", NAME]).done();
    let other = other_machine(&shop);
    let (key, file) = (shop.machine.path("transfer.keys"), shop.machine.path("grants.export"));
    let (key, file) = (key.to_str().unwrap(), file.to_str().unwrap());
    let ran = shop.machine.run(&["connections", "export", "--app", "drive", "--new-key", key, "--output", file]);
    assert!(
        ran.code == Some(0) && ran.err.contains("1 connection was exported") && ran.err.contains("two places"),
        "{ran:?}"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let refresh = shop.provider.current_refresh_token(0).unwrap();
    assert!(!text.contains(token.trim()) && !text.contains(refresh.expose()) && !text.contains("reports"));
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    shop.machine.run(&["connections", "export", "--to-key", key, "--output", file]).failed(1);

    assert!(import(&other, &[file]).failed(1).contains("sealed under key"));
    assert_eq!(import(&other, &[file, "--export-key", key, "--dry-run"]).done(), "1 line: 1 would be adopted\n");
    assert_eq!(import(&other, &[file, "--export-key", key]).done(), "1 line: 1 adopted\n");
    assert_eq!(other.run(&["token", NAME]).done(), token, "its access token moved too");
    other.run(&["refresh", NAME]).done();
    assert_eq!(shop.call(&other.run(&["token", NAME]).done()).await, 200);
    let here = shop.machine.run(&["connections", "show", NAME, "--json"]).json();
    let there = other.run(&["connections", "show", NAME, "--json"]).json();
    for same in ["account", "scopes", "labels", "profile", "authorized"] {
        assert_eq!(here[same], there[same], "{same}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_for_the_receiving_homes_own_keys_needs_no_other_key() {
    let shop = Shop::connected(Habits::default()).await;
    let other = other_machine(&shop);
    let line = format!("\"$GRANTKEEPER\" connections export --to-key '{}' > grants.export", other.key_file().display());
    assert_eq!(shop.machine.shell(&line).done(), "");
    let file = shop.machine.path("grants.export").display().to_string();
    import(&other, &[&file]).done();
    other.run(&["token", NAME]).done();
    // The same export, cut off: refused before anything of it is taken over.
    let text = std::fs::read_to_string(&file).unwrap();
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    let third = other_machine(&shop);
    let cut = third.write("cut.export", &cut).display().to_string();
    let sentence = import(&third, &[&cut, "--export-key", other.key_file().to_str().unwrap()]).failed(1);
    assert!(sentence.contains("it was cut off"), "{sentence}");
    assert_eq!(third.run(&["connections", "list", "--json"]).json().as_array().unwrap().len(), 0);
    let own = shop.machine.key_file().display().to_string();
    let refused = shop.machine.run(&["connections", "export", "--to-key", &own, "--output", "x"]).failed(2);
    assert!(refused.contains("this home's own key"), "{refused}");
    assert!(!shop.machine.path("x").exists());
    shop.machine.run(&["connections", "export", "--output", "x"]).failed(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_doubt_is_left_out_and_told() {
    let shop = Shop::connected(Habits::default()).await;
    shop.provider.next(Door::Token, Fault::Drop);
    shop.machine.run(&["refresh", NAME]).failed(5);
    let ran = shop.machine.run(&["connections", "export", "--new-key", "k", "--output", "x", "--json"]);
    let json = report(&ran);
    assert_eq!((&json["exported"], &json["left_out"][0]["name"]), (&0.into(), &NAME.into()), "{json}");
    assert!(ran.err.contains("export them again"), "{ran:?}");
    // An export of nothing is no file, and does not stand in the way of the next one.
    assert!(!shop.machine.path("k").exists() && !shop.machine.path("x").exists());
    let again = shop.machine.run(&["connections", "export", "--new-key", "k", "--output", "x"]);
    assert!(again.code == Some(1) && again.err.contains("no file is left of it"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_through_a_daemon_and_an_export_waits_for_its_end() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let mut text = "name,refresh_token\nb ad,r\n".to_owned();
    (0..1100).for_each(|number| writeln!(text, "n{number},r-{number}").unwrap());
    let file = private(&shop.machine.write("grants.csv", &text));
    let ran = import(&shop.machine, &[&file, "--app", "drive"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.out.starts_with("line 2: its name") && ran.out.ends_with("1101 lines: 1100 adopted, 1 refused\n"),
        "{ran:?}"
    );
    let json: Value = report(&import(&shop.machine, &[&file, "--app", "drive", "--json"]));
    assert_eq!((&json["already"], &json["refused"]), (&1100.into(), &1.into()));
    let refused = shop.machine.run(&["connections", "export", "--new-key", "k", "--output", "x"]).failed(5);
    assert!(refused.contains("a daemon holds it"), "{refused}");
    assert!(!shop.machine.path("k").exists() && !shop.machine.path("x").exists());
    daemon.stopped().done();
    shop.machine.run(&["connections", "export", "--new-key", "k", "--output", "x"]).done();
}
