//! Loading: names, problems, changed files, what is shipped.

use super::*;
use std::fs;
use std::path::Path;

fn named(name: &str) -> crate::model::ScriptName {
    name.parse().unwrap()
}

/// Writes a file so that its time is another one for sure.
fn rewrite(folder: &Path, name: &str, source: &str, second: i64) {
    let path = folder.join(format!("{name}.rhai"));
    fs::write(&path, source).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second.unsigned_abs());
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
}

async fn puts(home: &Home, name: &str) -> Option<String> {
    home.get(name).request(&context(), token_request()).await.unwrap().value.params.text("a").map(str::to_owned)
}

#[tokio::test]
async fn a_changed_file_is_taken_and_one_that_does_not_compile_leaves_the_last_good_one() {
    let home = Home::with(&[]);
    let folder = home.folder.path().to_owned();
    let source = |value: &str| format!("fn preprocessAccessToken(m) {{ m.put('a', '{value}'); }}");
    rewrite(&folder, "OAuthX", &source("one"), 1);
    assert_eq!(puts(&home, "OAuthX").await.as_deref(), Some("one"));
    let before = home.get("OAuthX");
    rewrite(&folder, "OAuthX", &source("two"), 2);
    assert_eq!(puts(&home, "OAuthX").await.as_deref(), Some("two"));
    // A call under way keeps the script that it began with.
    let made = before.request(&context(), token_request()).await.unwrap();
    assert_eq!(made.value.params.text("a"), Some("one"));

    rewrite(&folder, "OAuthX", "fn preprocessAccessToken(m) {\n    m.put('a' 'three');\n}", 3);
    assert_eq!(puts(&home, "OAuthX").await.as_deref(), Some("two"));
    let problem = home.scripts.problems().unwrap().pop().unwrap();
    assert_eq!((problem.line, problem.column), (Some(2), Some(15)));
    let shown = problem.to_string();
    let expected = "OAuthX.rhai:2:15: Expecting ',' to separate the arguments to function call 'put'\n    2 |     m.put('a' 'three');\n      |               ^";
    assert!(shown.ends_with(expected), "{shown}");
    assert!(matches!(home.scripts.check(&named("OAuthX")), Err(ScriptError::Problem(_))));

    rewrite(&folder, "OAuthX", &source("four"), 4);
    assert_eq!(puts(&home, "OAuthX").await.as_deref(), Some("four"));
    assert!(home.scripts.problems().unwrap().is_empty());
    fs::remove_file(folder.join("OAuthX.rhai")).unwrap();
    let gone = home.scripts.get(Some(&named("OAuthX"))).unwrap_err().to_string();
    assert!(gone.starts_with("there is no OAuth API script OAuthX; put OAuthX.rhai into the scripts folder"), "{gone}");
}

#[test]
fn other_names_are_refused_and_told() {
    let home =
        Home::with(&[("Evil", ""), ("OAuthUtil", "fn preprocessAccessToken(m) { m.clear(); }"), ("OAuthGood", "")]);
    fs::write(home.folder.path().join("README.md"), "not a script").unwrap();
    let problems: Vec<String> = home.scripts.problems().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("Evil.rhai: \"Evil\" is not an OAuth API script name: it must start with `OAuth`"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("OAuthUtil is the shipped base of all scripts and cannot be replaced"),
        "{problems:?}"
    );
    let base = home.scripts.list().unwrap().into_iter().find(|info| info.name.as_str() == "OAuthUtil").unwrap();
    assert_eq!(base.origin, Origin::Shipped);
}

#[test]
fn the_list_says_where_a_script_is_from_and_which_hooks_it_has() {
    let home = Home::with(&[
        ("OAuthMine", "fn classifyError(r) { () }\nfn preprocessAuthCode(m) { }"),
        ("OAuthBroken", "fn ("),
        ("OAuthGoogleDrive", "fn preprocessAuthCode(m) { }"),
    ]);
    let list = home.scripts.list().unwrap();
    let find = |name: &str| list.iter().find(|info| info.name.as_str() == name).unwrap();
    assert_eq!(find("OAuthMine").hooks, ["preprocessAuthCode", "classifyError"]);
    assert!(find("OAuthBroken").problem.is_some());
    assert!(matches!(&find("OAuthGoogleDrive").origin, Origin::File(_)));
    assert_eq!(find("OAuthSlackV2").origin, Origin::Shipped);
    assert!(home.scripts.get(Some(&named("OAuthBroken"))).is_err());
}

#[test]
fn mistakes_that_would_go_unnoticed_are_problems() {
    for (source, words) in [
        (
            "fn preprocessAccesstoken(m) { }",
            "preprocessAccesstoken would never be called; the hook is spelled preprocessAccessToken",
        ),
        (
            "fn preprocesAuthCode(m) { }",
            "preprocesAuthCode would never be called; the hook is spelled preprocessAuthCode",
        ),
        ("fn preprocessAccessToken() { }", "preprocessAccessToken(requestParamMap) takes exactly this one parameter"),
        ("fn preprocessAccessToken(m) { n.put('a', 1); }", "Undefined variable: n"),
        ("fn parseTokenResponse(r) { let x = JSON.parse(r.getBody()); }", "JSON.parse(x) is parse_json(x) here"),
        ("fn parseTokenResponse(r) { gs.info('x'); }", "gs.info(x) is log(x) here"),
        ("fn parseTokenResponse(r) { Class.create(); }", "there are no classes here"),
        ("fn parseTokenResponse(r) { for (var k in r) { } }", "is `for key in map.keys()` here"),
        ("fn parseTokenResponse(r) { let x = new Packages(); }", "there is no `new` here"),
        ("fn parseTokenResponse(r) { }, fn preprocessAccessToken(m) { }", "there are no commas between functions here"),
        (
            "let x = 1; x += 1;",
            "only functions, imports of other OAuth scripts and constants may stand outside functions",
        ),
        ("requestParamMap.put('a', 'b');", "Undefined variable: requestParamMap"),
        ("import 'OAuth' + 'X' as x;", "only functions, imports"),
        ("const X = now();", "only functions, imports"),
        ("fn preprocessAccessToken(m) { let x = ", "Script is incomplete"),
    ] {
        let home = Home::with(&[("OAuthTest", source)]);
        let problem = home.scripts.get(Some(&named("OAuthTest"))).unwrap_err().to_string();
        assert!(problem.contains(words), "{source}: {problem}");
    }
}

#[test]
fn a_file_that_is_too_long_or_no_text_is_a_problem() {
    let home = Home::with(&[("OAuthLong", &"//x\n".repeat(20_000))]);
    fs::write(home.folder.path().join("OAuthBytes.rhai"), [0xff, 0xfe]).unwrap();
    let problem = |name: &str| home.scripts.get(Some(&named(name))).unwrap_err().to_string();
    assert!(problem("OAuthLong").ends_with("is longer than 65536 bytes; a script may not be"));
    assert!(problem("OAuthBytes").ends_with("is not UTF-8 text"));
}

#[test]
fn a_file_can_be_checked_where_it_is() {
    let home = Home::with(&[]);
    let elsewhere = TempDir::new().unwrap();
    let path = elsewhere.path().join("OAuthNew.rhai");
    fs::write(&path, Scripts::template(&named("OAuthNew"))).unwrap();
    let info = home.scripts.check_file(&path).unwrap();
    assert_eq!(
        info.hooks,
        ["preprocessAuthCode", "postprocessAuthCode", "preprocessAccessToken", "postprocessAccessToken"]
    );
    fs::write(&path, "fn f( {").unwrap();
    assert!(home.scripts.check_file(&path).is_err());
    assert!(home.scripts.check_file(&elsewhere.path().join("other.rhai")).is_err());
}

#[test]
fn the_template_does_nothing_until_a_line_is_uncommented_and_then_compiles() {
    let template = Scripts::template(&named("OAuthNew"));
    let whole: Vec<&str> = template.lines().map(|line| line.strip_prefix("    // ").unwrap_or(line)).collect();
    let home = Home::with(&[("OAuthNew", &whole.join("\n"))]);
    assert!(home.scripts.check(&named("OAuthNew")).is_ok(), "{:?}", home.scripts.check(&named("OAuthNew")));
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let error = Scripts::open(Some(Path::new("/nowhere/scripts")), Settings::default()).unwrap_err().to_string();
    assert!(error.starts_with("the scripts folder /nowhere/scripts cannot be read: "), "{error}");
}

#[test]
fn every_shipped_script_compiles_and_the_base_has_every_hook() {
    let scripts = Scripts::open(None, Settings::default()).unwrap();
    for info in scripts.list().unwrap() {
        assert_eq!(info.problem, None, "{}", info.name);
    }
    assert_eq!(scripts.problems().unwrap(), []);
}
