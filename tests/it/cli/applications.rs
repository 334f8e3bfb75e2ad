//! Applications and profiles.

use crate::support::machine::Machine;

const SECRET: &str = "marked-client-secret";

fn with_drive() -> Machine {
    let machine = Machine::new();
    let add = ["app", "add", "drive", "--provider", "google-drive", "--client-id", "id-1", "--client-secret-stdin"];
    machine.run_with(&add, &format!("{SECRET}\n")).done();
    machine
}

#[test]
fn adding_an_application_tells_what_to_register() {
    let machine = Machine::new();
    let out = machine
        .run_with(
            &["app", "add", "drive", "--provider", "google-drive", "--client-id", "id-1", "--client-secret-stdin"],
            SECRET,
        )
        .done();
    assert!(out.contains("http://127.0.0.1:8765/oauth/callback/drive"), "the redirect URL: {out}");
    assert!(out.contains("Google Cloud console"), "the provider's setup: {out}");
    assert!(out.contains("grantkeeper connect drive/"), "the next step: {out}");
}

#[test]
fn what_is_shown_of_an_application_never_holds_its_secret() {
    let machine = with_drive();
    for arguments in [&["app", "show", "drive"][..], &["app", "list"], &["app", "export", "drive"]] {
        let text = machine.run(arguments).done();
        assert!(text.contains("drive") && !text.contains(SECRET), "{text}");
        let json = machine.run(&[arguments, &["--json", "-vvv"]].concat()).json().to_string();
        assert!(json.contains("drive") && !json.contains(SECRET), "{json}");
    }
    let application = machine.run(&["app", "show", "drive", "--json"]).json();
    assert_eq!(application["has_client_secret"], true);
    assert_eq!(application["script"], "OAuthGoogleDrive");
    assert_eq!(application["profiles"]["default"]["grant"], "authorization_code");
}

#[test]
fn an_exported_application_can_be_applied_elsewhere() {
    let machine = with_drive();
    let toml = machine.run(&["app", "export", "drive"]).done();
    let other = Machine::new();
    other.write("drive.toml", &toml);
    let mut command = other.command(&["app", "apply", "-f", "drive.toml", "--json"]);
    let output = command.env("DRIVE_CLIENT_SECRET", SECRET).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(other.run(&["app", "export", "drive"]).done(), toml);
}

#[test]
fn adding_what_is_there_changes_nothing() {
    let machine = with_drive();
    let add = ["app", "add", "drive", "--provider", "slack", "--client-id", "id-2", "--client-secret-stdin"];
    assert!(machine.run_with(&add, "x").failed(1).contains("already"));
    assert_eq!(machine.run(&["app", "show", "drive", "--json"]).json()["client_id"], "id-1");
}

#[test]
fn an_unknown_provider_is_told_with_the_nearest() {
    let machine = Machine::new();
    let sentence =
        machine.run(&["app", "add", "drive", "--provider", "gogle-drive", "--client-id", "x", "--public"]).failed(3);
    assert!(sentence.contains("gogle-drive") && sentence.contains("did you mean `google-drive`"), "{sentence}");
    assert_eq!(machine.run(&["app", "list", "--json"]).json(), serde_json::json!([]));
}

#[test]
fn a_bad_file_is_told_with_line_and_column_and_changes_nothing() {
    let machine = Machine::new();
    let endpoints = "[endpoints]\nauthorization = \"https://a.example/a\"\ntoken = \"https://a.example/t\"\n";
    for (text, place, what) in [
        (format!("name = \"a\"\nclient_id = \"x\"\nclient_secrt = 1\n{endpoints}"), "bad.toml:3:1", "client_secrt"),
        (
            "name = \"a\"\nclient_id = \"x\"\n[endpoints]\ntoken = \"http://a.example/t\"\n".to_owned(),
            "bad.toml:4:9",
            "https",
        ),
        (format!("name = \"a\"\nclient_id = \"x\"\nscript = \"Evil\"\n{endpoints}"), "bad.toml:3:10", "OAuth"),
        (
            format!("name = \"a\"\nclient_id = \"x\"\nclient_secret = \"plain\"\n{endpoints}"),
            "bad.toml:3:17",
            "in clear",
        ),
        ("name = \"a\"\nclient_id = \n".to_owned(), "bad.toml:2:", "TOML"),
    ] {
        machine.write("bad.toml", &text);
        let sentence = machine.run(&["app", "apply", "-f", "bad.toml"]).failed(1);
        assert!(sentence.contains(place) && sentence.contains(what), "{sentence}");
        assert!(!sentence.contains("plain\""), "{sentence}");
    }
    assert_eq!(machine.run(&["app", "list", "--json"]).json(), serde_json::json!([]));
}

#[test]
fn secrets_come_from_a_variable_a_file_or_standard_input() {
    let machine = Machine::new();
    machine.write("secret", &format!("{SECRET}\n"));
    let add = |name, option: &[&str]| {
        machine.run_with(
            &[&["app", "add", name, "--provider", "google-drive", "--client-id", "x"], option].concat(),
            SECRET,
        )
    };
    add("a", &["--client-secret-file", "secret"]).done();
    add("b", &["--client-secret-stdin"]).done();
    let sentence = add("c", &["--client-secret-env", "NOT_SET"]).failed(1);
    assert!(sentence.contains("NOT_SET") && sentence.contains("not set"), "{sentence}");
    let sentence = add("d", &["--client-secret-file", "missing"]).failed(1);
    assert!(sentence.contains("missing"), "{sentence}");
    let sentence = add("e", &[]).failed(1);
    assert!(sentence.contains("client_secret"), "{sentence}");
    add("f", &["--client-secret-env", "A", "--client-secret-stdin"]).failed(2);
    let names = machine.run(&["app", "list", "--json"]).json();
    assert_eq!(names.as_array().unwrap().len(), 2, "{names}");
}

#[test]
fn a_file_named_by_a_file_starts_from_where_that_lies() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("apps")).unwrap();
    machine.write("apps/secret", SECRET);
    machine.write(
        "apps/a.toml",
        "name = \"a\"\nprovider = \"google-drive\"\nclient_id = \"x\"\nclient_secret = { file = \"secret\" }\n",
    );
    machine.run(&["app", "apply", "-f", "apps/a.toml"]).done();
}

#[test]
fn standard_input_is_the_file_or_the_secret_and_not_both() {
    let machine = Machine::new();
    let file = "name = \"a\"\nprovider = \"google-drive\"\nclient_id = \"x\"\nclient_secret = { stdin = true }\n";
    machine.run_with(&["app", "apply", "-f", "-"], file).failed(2);
    let file = "name = \"a\"\nprovider = \"google-drive\"\nclient_id = \"x\"\nclient_secret = \"s\"\n";
    machine.run_with(&["app", "apply", "-f", "-"], file).failed(1);
    machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file"], file).done();
    let again = machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file", "--json"], file).json();
    assert_eq!(again["applied"], "unchanged");
}

#[test]
fn a_script_must_have_its_name_and_be_there() {
    let machine = Machine::new();
    let add = |script| {
        machine.run(&[
            "app",
            "add",
            "a",
            "--provider",
            "google-drive",
            "--client-id",
            "x",
            "--public",
            "--script",
            script,
        ])
    };
    assert!(add("Evil").failed(2).contains("OAuth"));
    assert!(add("OAuth../../x").failed(2).contains("OAuth"));
    assert!(add("OAuthMissing").failed(3).contains("OAuthMissing"));
    add("OAuthUtil").done();
}

#[test]
fn profiles_are_added_listed_and_removed() {
    let machine = with_drive();
    let add = ["profile", "add", "drive", "batch", "--grant", "client_credentials", "--scope", "a", "--scope", "b"];
    machine.run(&add).done();
    machine.run(&add).failed(1);
    machine.run(&[&add[..], &["--replace", "--audience", "x"]].concat()).done();
    let profiles = machine.run(&["profile", "list", "drive", "--json"]).json();
    assert_eq!(profiles["batch"]["scopes"], serde_json::json!(["a", "b"]));
    assert_eq!(profiles["batch"]["audience"], "x");
    machine.run(&["profile", "remove", "drive", "batch"]).done();
    machine.run(&["profile", "remove", "drive", "batch"]).failed(3);
    machine.run(&["profile", "remove", "drive", "default"]).failed(1);
    machine.run(&["profile", "list", "nothing"]).failed(3);
}

#[test]
fn an_application_is_removed() {
    let machine = with_drive();
    machine.run(&["app", "remove", "drive"]).done();
    machine.run(&["app", "remove", "drive"]).failed(3);
    machine.run(&["app", "show", "drive"]).failed(3);
}

#[test]
fn a_text_of_a_file_cannot_drive_the_terminal() {
    let machine = Machine::new();
    let file = "name = \"a\"\nprovider = \"google-drive\"\nclient_id = \"x\\u001b]0;evil\\u0007\\u009b2J\"\nclient_secret = \"s\"\n";
    machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file"], file).done();
    for arguments in
        [&["app", "show", "a"][..], &["app", "list"], &["app", "show", "a", "--json"], &["app", "export", "a"]]
    {
        let out = machine.run(arguments).done();
        assert!(!out.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{arguments:?}: {out:?}");
    }
    let id = machine.run(&["app", "show", "a", "--json"]).json()["client_id"].clone();
    assert_eq!(id, "x\u{1b}]0;evil\u{7}\u{9b}2J", "JSON keeps the value");
}
