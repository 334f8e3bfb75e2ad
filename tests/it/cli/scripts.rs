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
