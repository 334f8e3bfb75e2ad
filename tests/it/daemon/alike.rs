//! Every command gives the same with a daemon and without.

use crate::support::daemon::Daemon;
use crate::support::machine::{Machine, Ran};
use crate::support::shop::{CLIENT_SECRET, Consenting, NAME, Shop, alice};
use grantkeeper::demo::{Habits, PASSWORD};
use serde_json::Value;

/// What came of a command, with all that differs from run to run masked.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    code: Option<i32>,
    out: String,
    err: String,
}

fn came(shop: &Shop, ran: &Ran) -> Came {
    let issuer = shop.provider.issuer();
    let masked = |text: &str| mask(&without_requests(&text.replace(issuer, "ISSUER")));
    Came { code: ran.code, out: masked(&ran.out), err: masked(&ran.err) }
}

/// The audit log without the ids of requests: they are what a daemon adds, and nothing else.
fn without_requests(text: &str) -> String {
    let (mut text, mut kept) = (text, String::new());
    while let Some(at) = text.find("request=") {
        kept.push_str(text[..at].trim_end_matches(' '));
        text = text[at..].trim_start_matches(|c: char| !c.is_whitespace());
    }
    kept.push_str(text);
    let lines: Vec<&str> = kept.lines().filter(|line| !line.trim_start().starts_with("\"request\":")).collect();
    let text = lines.join("\n");
    // What came before the line that was left out ends its object now.
    let mut clean = String::with_capacity(text.len());
    for line in text.lines() {
        if line.trim_start().starts_with('}') && clean.ends_with(",\n") {
            clean.truncate(clean.len() - 2);
            clean.push('\n');
        }
        clean.push_str(line);
        clean.push('\n');
    }
    clean
}

/// Words with digits (times, ids, tokens) become one letter, and how far a time is (`now`, `3 s ago`, `in 59 min`) nothing, so that the
/// shape of a text is left.
fn mask(text: &str) -> String {
    let apart = |c: char| " \n\",=#&()".contains(c);
    let mut masked: Vec<String> = Vec::new();
    for word in text.split_inclusive(apart) {
        let inner = word.trim_end_matches(apart);
        let end = word[inner.len()..].trim();
        match inner {
            "" | "in" | "ago" | "s" | "min" | "h" => masked.push(end.to_owned()),
            // As "3 s ago)" is, whose end is left out.
            "now" => masked.push(format!("X{}", end.trim_start_matches(')'))),
            _ if inner.chars().any(|c| c.is_ascii_digit()) => masked.push(format!("X{end}")),
            _ => masked.push(format!("{inner}{end}")),
        }
    }
    masked.retain(|word| !word.is_empty() && word != ")");
    masked.dedup_by(|a, b| a == "X" && b == "X");
    masked.join(" ")
}

/// A line of the table: the arguments, and what stands on standard input.
type Step = (Vec<String>, String);

fn step(line: &str) -> Step {
    (line.split(' ').map(str::to_owned).collect(), String::new())
}

fn with_input(line: &str, input: &str) -> Step {
    (step(line).0, input.to_owned())
}

/// Commands that tell, that change, that are refused and that fail at the provider, in an order in which each finds what it needs.
fn table() -> Vec<Step> {
    let acme = format!(
        "name = \"acme\"\nclient_id = \"id\"\nclient_secret = \"{CLIENT_SECRET}\"\nhosts = [\"a.example\"]\n[secrets]\nkey = \"k\"\n[endpoints]\nauthorization = \"https://a.example/a\"\ntoken = \"https://a.example/t\"\n"
    );
    vec![
        step("app list"),
        step("app list --json"),
        step("app show drive"),
        step("app show drive --json"),
        step("app show none"),
        step("app show none --json"),
        step("app export drive"),
        step("app export drive --json"),
        with_input("app apply -f - --secrets-in-file --json", &acme),
        with_input("app apply -f - --secrets-in-file --json", &acme),
        with_input("app apply -f - --secrets-in-file", &acme.replace("\"id\"", "\"id-2\"")),
        with_input(
            "app apply -f - --secrets-in-file",
            &acme.replace("script", "x").replace("https://a.example/t", "ftp://x"),
        ),
        with_input("app apply -f - --secrets-in-file", &format!("script = \"OAuthNone\"\n{acme}")),
        with_input("app apply -f -", &acme),
        with_input(
            "app add g --provider google-drive --client-id x --client-secret-stdin --scope a --scope b",
            "s3cret\n",
        ),
        with_input("app add g --provider google-drive --client-id x --client-secret-stdin", "s3cret\n"),
        step("app add h --provider google-drive --client-id x"),
        step("app add h --provider google-drive --client-id x --client-secret-env NOT_SET"),
        step("app add z --provider zendesk --client-id x --public --set subdomain=acme --json"),
        step("app show g --json"),
        step("app show acme --json"),
        step("profile add drive batch --grant client_credentials --scope drive.readonly --json"),
        step("profile add drive batch --grant client_credentials"),
        step("profile add drive old --grant password --username alice --scope drive.readonly"),
        step("profile list drive"),
        step("profile list drive --json"),
        step("profile remove acme default"),
        step("profile remove drive none"),
        step("connections list"),
        step("connections list --app drive --json"),
        step("connections list --app none"),
        step("connections label drive/reports team=finance owner=ann"),
        step("connections label drive/reports --remove owner --json"),
        step("connections label drive/reports --remove owner"),
        step("connections label drive/reports"),
        step("connections label drive/none team=finance"),
        step("connections list --label team=finance"),
        step("connections show drive/reports"),
        step("connections show drive/reports --json"),
        step("connections show drive/none --json"),
        step("token drive/reports"),
        step("token drive/reports --header"),
        step("token drive/reports --json"),
        step("token drive/reports --min-ttl 10m --json"),
        step("token drive/reports --rejected=1 --json"),
        step("token drive/reports --rejected=1"),
        with_input("token drive/reports --rejected=-", "not-held\n"),
        step("token drive/reports --rejected=99"),
        step("token drive/none"),
        step("exec drive/reports -- printenv ACCESS_TOKEN"),
        step("exec drive/none -- true"),
        step("tokens"),
        step("tokens --json"),
        step("tokens list --app drive"),
        step("tokens list --app none"),
        step("tokens --connection drive/none"),
        step("tokens show ffffffff"),
        step("tokens show 01900000-0000-7000-8000-000000000001 --json"),
        step("refresh drive/reports"),
        step("refresh drive/reports --json"),
        step("refresh drive/none"),
        step("refresh --due"),
        step("refresh --due --json"),
        step("connect drive/batch --profile batch"),
        step("connect drive/batch --profile batch --json --label a=b"),
        step("connect drive/batch --paste"),
        step("connect drive/x --profile none"),
        step("connect none/x"),
        with_input("connect drive/old --profile old --password-stdin", &format!("{PASSWORD}\n")),
        with_input("connect drive/old --profile old --password-stdin --json", "wrong\n"),
        with_input("connect drive/moved --refresh-token-stdin", "not-a-token\n"),
        with_input("connect drive/pasted --paste", "http://127.0.0.1:8765/oauth/callback/drive?state=x\n"),
        step("profile remove drive batch"),
        step("app remove drive"),
        step("events"),
        step("events --json"),
        step("events --after 1 --limit 2 --json"),
        step("events --connection drive/reports --kind authorized"),
        step("events --after 999"),
        step("api-key create reporting --may token:drive/* --expires 90d"),
        step("api-key create ops --may manage:* --may token:slack/team --json"),
        step("api-key create ops --may administer"),
        step("api-key list"),
        step("api-key list --json"),
        step("api-key revoke ops"),
        step("api-key revoke reporting --json"),
        step("api-key revoke none"),
        step("webhook list"),
        step("webhook add ops http://127.0.0.1:9/h --kind rotation_lost --for drive/*"),
        step("webhook add other https://192.0.2.1/h --kind rotation_lost --json"),
        step("webhook add ops http://127.0.0.1:9/h"),
        step("webhook add bad http://192.0.2.1/h"),
        step("webhook show ops"),
        step("webhook show ops --json"),
        step("webhook show none --json"),
        step("webhook list"),
        step("webhook list --json"),
        step("webhook edit ops --for drive/reports --json"),
        step("webhook edit other --kind account_changed"),
        step("webhook edit none --all-kinds"),
        step("webhook rotate-secret ops"),
        step("webhook rotate-secret ops --at-once --json"),
        step("webhook test ops"),
        step("webhook test ops --json"),
        step("webhook disable ops"),
        step("webhook enable ops --from-now --json"),
        step("webhook remove ops"),
        step("webhook remove ops --json"),
        with_input("admin-password", "correct horse battery\n"),
        with_input("admin-password --json", "short\n"),
        step("audit"),
        step("audit --json --action key.revoke"),
        step("audit --limit 7 --connection drive/reports --json"),
        step("audit --key none"),
        step("audit --verify"),
        step("revoke drive/batch"),
        step("revoke drive/reports --json"),
        step("revoke drive/none"),
        step("token drive/reports"),
        step("token drive/reports --json"),
        step("connections list"),
        step("connections remove drive/batch --json"),
        step("connections remove drive/reports"),
        step("profile remove drive batch"),
        step("app remove acme"),
        step("app remove acme --json"),
        step("key list --json"),
        step("app list"),
    ]
}

/// Runs the table, and what needs the ids that this run has.
fn run(shop: &Shop) -> Vec<(String, Came)> {
    let mut all = Vec::new();
    for (arguments, input) in table() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if arguments == ["revoke", "drive/batch"] {
            all.extend(by_id(shop));
        }
        let ran = shop.machine.run_with(&arguments, &input);
        all.push((arguments.join(" "), came(shop, &ran)));
    }
    all
}

fn by_id(shop: &Shop) -> Vec<(String, Came)> {
    let (access, refresh) = (shop.credential("access_token"), shop.credential("refresh_token"));
    let mut all = Vec::new();
    for (id, line) in [
        (&access, "tokens show ID"),
        (&refresh, "tokens show ID --json"),
        (&access, "tokens introspect ID"),
        (&refresh, "tokens introspect ID --json"),
        (&access, "tokens expire ID --at 2030-01-31T12:00:00Z --json"),
        (&access, "tokens expire ID --at soon"),
        (&access, "tokens revoke ID"),
        (&access, "tokens revoke ID --json"),
    ] {
        let arguments: Vec<String> = step(&line.replace("ID", id)).0;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        all.push((line.to_owned(), came(shop, &shop.machine.run(&arguments))));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_gives_the_same_with_a_daemon_and_without() {
    let (alone, served) = tokio::join!(Shop::connected(Habits::default()), Shop::connected(Habits::default()));
    let daemon = Daemon::start(&served.machine);
    let without = tokio::task::spawn_blocking(move || run(&alone));
    let with = tokio::task::spawn_blocking(move || {
        let came = run(&served);
        // Had one of them opened the store itself, it would have waited for the daemon and failed.
        assert!(daemon.stopped().code == Some(0));
        came
    });
    let (without, with) = (without.await.unwrap(), with.await.unwrap());
    assert_eq!(without.len(), with.len());
    let pairs = without.into_iter().zip(with);
    let other: Vec<_> = pairs.filter(|((_, without), (_, with))| without != with).collect();
    assert!(other.is_empty(), "without and with a daemon:\n{other:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consents_go_through_the_daemon() {
    let shop = Shop::new(Habits { device_interval_seconds: 1, ..Habits::default() }).await;
    let daemon = Daemon::start(&shop.machine);
    let consenting = Consenting::start(&shop.machine, &["connect", NAME, "--no-browser", "--port", "0"]);
    let callback = alice().consent(&consenting.url).await.unwrap();
    alice().open(&callback).await.unwrap();
    assert!(consenting.ended().done().contains("is connected"));
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200);

    let mut pasting = Consenting::start(&shop.machine, &["connect", "drive/pasted", "--paste"]);
    let callback = alice().consent(&pasting.url).await.unwrap();
    pasting.paste(callback.as_str());
    assert!(pasting.ended().done().contains("drive/pasted is connected"));

    let (line, child, mut out) = Consenting::first_line(&shop.machine, &["connect", "drive/tv", "--device"]);
    assert!(line.contains("type this code"), "{line}");
    let mut page = String::new();
    std::io::BufRead::read_line(&mut out, &mut page).unwrap();
    alice().allow_device(&page.rsplit(' ').next().unwrap().trim().parse().unwrap(), None).await.unwrap();
    crate::support::shop::ended(child, out).done();

    // Somebody who gives up leaves nothing half done.
    let waiting = Consenting::start(&shop.machine, &["connect", "drive/none", "--no-browser", "--port", "0"]);
    assert_eq!(state(&shop.machine, "drive/none"), "pending");
    assert_eq!(waiting.interrupted("INT").code, Some(130));
    assert_eq!(state(&shop.machine, "drive/none"), "unauthorized");
    daemon.stopped().done();
}

fn state(machine: &Machine, name: &str) -> Value {
    machine.run(&["connections", "show", name, "--json"]).json()["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_refused_while_a_daemon_holds_the_store() {
    let shop = Shop::connected(Habits::default()).await;
    let daemon = Daemon::start(&shop.machine);
    let sentence = shop.machine.run(&["refresh", NAME, "--record", "x.toml"]).failed(5);
    assert!(sentence.contains("--record") && sentence.contains("stop `grantkeeper serve`"), "{sentence}");
    assert_eq!(shop.provider.token_requests("refresh_token"), 0);
    assert!(!shop.machine.path("x.toml").exists());
    daemon.stopped().done();
    shop.machine.run(&["refresh", NAME, "--record", "x.toml"]).done();
}
