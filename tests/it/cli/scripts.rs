//! Scripts at the command line.

use crate::support::machine::Machine;

#[test]
fn a_new_script_compiles_and_is_not_written_over_by_accident() {
    let machine = Machine::new();
    machine.run(&["script", "new", "OAuthAcme"]).done();
    let file = machine.home().join("scripts/OAuthAcme.rhai");
    assert!(machine.run(&["script", "check", "OAuthAcme"]).done().contains("compiles"));
    std::fs::write(&file, "// mine\n").unwrap();
    machine.run(&["script", "new", "OAuthAcme"]).failed(1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "// mine\n");
    machine.run(&["script", "new", "OAuthAcme", "--force"]).done();
    assert_ne!(std::fs::read_to_string(&file).unwrap(), "// mine\n");
    machine.run(&["script", "new", "Acme"]).failed(2);
    machine.run(&["script", "new", "OAuthUtil"]).failed(1);
}

#[test]
fn a_script_that_does_not_compile_is_told_with_line_and_column() {
    let machine = Machine::new();
    let file = machine.home().join("scripts/OAuthBad.rhai");
    std::fs::write(&file, "fn preprocessAuthCode(requestParamMap) {\n    let x = ;\n}\n").unwrap();
    for arguments in [&["script", "check", "OAuthBad"][..], &["script", "check", file.to_str().unwrap()]] {
        let sentence = machine.run(arguments).failed(1);
        assert!(sentence.contains("OAuthBad.rhai:2:"), "{sentence}");
    }
    let all = machine.run(&["script", "check", "--json"]);
    assert_eq!(all.code, Some(1), "{all:?}");
    let all: serde_json::Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!(all["problems"][0]["line"], 2, "{all}");
}

#[test]
fn a_file_with_another_name_is_no_script() {
    let machine = Machine::new();
    let file = machine.home().join("scripts/Evil.rhai");
    std::fs::write(&file, "fn preprocessAuthCode(requestParamMap) {}\n").unwrap();
    assert!(machine.run(&["script", "check", file.to_str().unwrap()]).failed(1).contains("OAuth"));
    assert!(!machine.run(&["script", "list"]).done().contains("Evil"));
    assert_eq!(machine.run(&["script", "check"]).code, Some(1), "the folder has a file that will never run");
}

#[test]
fn the_shipped_scripts_are_listed() {
    let machine = Machine::new();
    let all = machine.run(&["script", "list", "--json"]).json();
    let names: Vec<&str> = all.as_array().unwrap().iter().filter_map(|script| script["name"].as_str()).collect();
    assert!(names.contains(&"OAuthUtil") && names.contains(&"OAuthGoogleDrive"), "{names:?}");
}

const REPLY: &str = concat!(
    "HTTP/2 200\r\ncontent-type: application/json\r\nset-cookie: sid=real-session-of-ana-1234567\r\n\r\n",
    r#"{"code":0,"data":{"accessToken":"realQx7Lp2Vn8Rt5Wy1Zk4","expiresIn":86400000,"refreshToken":"realHc3Mf6Jd9Sb2Gg7Tt0","#,
    r#""scopes":"read,write","email":"ana@real.example","userName":"Ana Real","userId":987654321}}"#
);

#[test]
fn a_script_started_from_a_reply_reads_it_and_its_fixture_passes_and_holds_nothing_of_it() {
    let machine = Machine::new();
    let reply = machine.write("reply.txt", REPLY);
    let ran = machine.run(&["script", "new", "OAuthAcme", "--reply", reply.to_str().unwrap()]).done();
    assert!(ran.contains("root = \"data\"") && ran.contains("expires_unit = \"milliseconds\""), "{ran}");
    let fixture = machine.home().join("fixtures/acme/reply.toml");
    let script = machine.home().join("scripts/OAuthAcme.rhai");
    let both = [&fixture, &script].map(|file| std::fs::read_to_string(file).unwrap()).concat() + ran.as_str();
    for real in ["realQx", "realHc", "ana@", "Ana", "987654321", "session"] {
        assert!(!both.contains(real), "{real}: {both}");
    }
    machine.run(&["script", "check", "OAuthAcme"]).done();
    let tested = machine.run(&["script", "test", fixture.to_str().unwrap()]).done();
    assert!(tested.contains("1 passed, 0 failed"), "{tested}");

    let tried = machine.run_with(&["script", "try", "OAuthAcme", "--reply", "-", "--json"], REPLY).json();
    let token = &tried["outcome"]["token"];
    assert_eq!((&token["expires_in"], &token["scopes"]), (&86_400.into(), &serde_json::json!(["read", "write"])));
    assert_eq!(token["access_token"], "real… (22 characters)");
    assert!(!tried.to_string().contains("realQx"), "{tried}");
}

#[test]
fn neither_a_script_nor_a_fixture_is_written_over_by_accident_and_a_dry_run_writes_nothing() {
    let machine = Machine::new();
    let new =
        |more: &[&str]| machine.run_with(&[&["script", "new", "OAuthAcme", "--reply", "-"], more].concat(), REPLY);
    let script = machine.home().join("scripts/OAuthAcme.rhai");
    let fixture = machine.path("mine.toml");
    std::fs::write(&fixture, "# mine").unwrap();
    let sentence = new(&["--fixture", fixture.to_str().unwrap()]).failed(1);
    assert!(sentence.contains("mine.toml is there already"), "{sentence}");
    assert!(!script.exists(), "half of it would be in the way");
    let dry = new(&["--dry-run", "--json"]).json();
    assert_eq!((&dry["needs"], &dry["written"]), (&"keys".into(), &false.into()));
    assert!(dry["script"].as_str().unwrap().contains("path(paramMap, 'data.accessToken')"), "{dry}");
    assert!(!script.exists() && !machine.home().join("fixtures").exists());
    new(&["--fixture", fixture.to_str().unwrap(), "--force"]).done();
    assert!(script.exists() && std::fs::read_to_string(&fixture).unwrap().starts_with("about"));
    new(&[]).failed(1);
}

#[test]
fn a_reply_that_needs_no_script_is_told_so_and_what_is_missing_has_a_sentence() {
    let machine = Machine::new();
    let new = |name: &str, reply: &str| machine.run_with(&["script", "new", name, "--reply", "-"], reply).done();
    let standard = new("OAuthOne", r#"{"access_token":"at-1","expires_in":3600,"refresh_token":"rt-1"}"#);
    assert!(standard.contains("No script is needed: such replies are read without one"), "{standard}");
    let short = new("OAuthTwo", r#"{"jwt":"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDM2MDB9.bWFkZXVw"}"#);
    assert!(short.contains("No refresh token was found") && !short.contains("No script is needed"), "{short}");
    let script = std::fs::read_to_string(machine.home().join("scripts/OAuthTwo.rhai")).unwrap();
    assert!(
        script.contains("jwt_payload(token).exp") && script.contains("// paramMap.put('refresh_token'"),
        "{script}"
    );
    let all = machine.run(&["script", "test", machine.home().join("fixtures").to_str().unwrap()]).done();
    assert!(all.contains("2 passed, 0 failed"), "{all}");
}

#[test]
fn a_reply_is_tried_without_a_home_and_an_error_says_its_kind() {
    let machine = Machine::bare();
    let script = machine.write(
        "OAuthMine.rhai",
        "fn postprocessAccessToken(r) {\n    if path(r.getparameters(), 'code') == 7 { fail('client_rejected', 7, 'no'); }\n}\n",
    );
    let try_it = |what: &str, more: &[&str], reply: &str| {
        machine.run_with(&[&["script", "try", what, "--reply", "-"], more].concat(), reply)
    };
    let file = script.to_str().unwrap();
    let failed = try_it(file, &["--json"], r#"{"code":7}"#).json();
    assert_eq!(failed["outcome"]["failure"]["kind"], "client_rejected");
    assert_eq!(failed["outcome"]["failure"]["code"], "7");
    assert_eq!(failed["hooks"][1], serde_json::json!({"hook": "postprocessAccessToken", "own": true}));
    let refused =
        try_it("OAuthSlackV2", &["--status", "400", "--grant", "refresh_token"], r#"{"error":"invalid_grant"}"#);
    let refused = refused.done();
    assert!(refused.contains("reauthorization_required") && refused.contains("classifyError"), "{refused}");
    let broken = machine.write("OAuthBroken.rhai", "fn postprocessAccessToken(r) {\n    r.nothing();\n}\n");
    let ran = try_it(broken.to_str().unwrap(), &[], r#"{"access_token":"at"}"#);
    assert!(ran.code == Some(1) && ran.err.contains("line 2"), "{ran:?}");
    try_it("OAuthNone", &[], "{}").failed(3);
    try_it("OAuthSlackV2", &["--grant", "implicit"], "{}").failed(2);
}

#[test]
fn a_reply_is_tried_with_what_an_application_declares() {
    let machine = Machine::new();
    let file = "name = \"acme\"\nclient_id = \"c\"\nclient_authentication = \"none\"\nendpoints.token = \"https://acme.example/token\"\n\
                lifespans.access_token = 900\n[reply]\nroot = \"data\"\naccess_token = \"key\"\nsuccess = { status = 0 }\n\
                [reply.errors]\n\"7\" = \"rate_limited\"\n[profiles.default]\ngrant = \"client_credentials\"\n";
    machine.run_with(&["app", "apply", "-f", "-"], file).done();
    let try_it = |more: &[&str], reply: &str| {
        let arguments = [&["script", "try", "OAuthUtil", "--reply", "-", "--json"], more].concat();
        machine.run_with(&arguments, reply).json()
    };
    let reply = r#"{"status":0,"data":{"key":"the-key-of-ana-12345"}}"#;
    let with = try_it(&["--application", "acme"], reply);
    assert_eq!(with["outcome"]["token"]["access_token"], "the-… (20 characters)");
    assert_eq!(with["outcome"]["token"]["expires_source"], "setting");
    assert_eq!(try_it(&[], reply)["outcome"]["failure"]["code"], "no_access_token");
}
