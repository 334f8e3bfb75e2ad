//! Scripts and the catalog over the API.

use crate::support::machine::Machine;
use crate::support::outside::Outside;
use serde_json::json;

const REPLY: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\ntoken=ya29.secret-secret-secret|life=1200";

/// Reads `token=…|life=…`.
const SCRIPT: &str = "fn postprocessAccessToken(accessTokenResponse) {
    let map = accessTokenResponse.getparameters();
    let parts = accessTokenResponse.getBody().split('|');
    map.put('access_token', parts[0].sub_string(6));
    map.put('expires_in', parts[1].sub_string(5));
}
";

#[test]
fn a_script_is_checked_and_tried_before_it_is_saved_and_after() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let key = outside.key(&machine, "admin", &["administer"]);
    let ask = |method: &str, path: &str, body: Option<&serde_json::Value>| {
        outside.ask(Some(&key), method, path, body.map(ToString::to_string).as_deref())
    };
    let listed = ask("GET", "/v1/scripts", None).json(200);
    assert!(listed.as_array().unwrap().iter().any(|one| one["name"] == "OAuthUtil" && one["origin"] == "shipped"));
    assert_eq!(ask("GET", "/v1/scripts/OAuthPipe", None).problem(404)["code"], "script");
    assert_eq!(ask("GET", "/v1/scripts/evil", None).problem(400)["code"], "bad_request");
    let text = ask("GET", "/v1/scripts/OAuthGoogleDrive", None).json(200);
    assert!(text["text"].as_str().unwrap().contains("access_type"), "{text}");

    let broken = json!({ "text": "fn postprocessAccessToken(r) {\n  let = 1;\n}" });
    let checked = ask("POST", "/v1/scripts/OAuthPipe/check", Some(&broken)).json(200);
    assert_eq!((&checked["problem"]["line"], &checked["problem"]["source_line"]), (&json!(2), &json!("  let = 1;")));
    let checked = ask("POST", "/v1/scripts/OAuthPipe/check", Some(&json!({ "text": SCRIPT }))).json(200);
    assert_eq!((&checked["problem"], &checked["hooks"]), (&json!(null), &json!(["postprocessAccessToken"])));

    let tried = ask("POST", "/v1/scripts/OAuthPipe/try", Some(&json!({ "text": SCRIPT, "reply": REPLY }))).json(200);
    let token = &tried["outcome"]["token"];
    assert_eq!(
        (&token["access_token"], &token["expires_in"]),
        (&json!("ya29… (25 characters)"), &json!(1200)),
        "{tried}"
    );
    assert!(tried["operations"].as_u64().unwrap() > 0, "{tried}");
    // Nothing was kept.
    assert_eq!(ask("POST", "/v1/scripts/OAuthPipe/try", Some(&json!({ "reply": REPLY }))).status, 404);

    std::fs::create_dir_all(machine.home().join("scripts")).unwrap();
    std::fs::write(machine.home().join("scripts/OAuthPipe.rhai"), SCRIPT).unwrap();
    std::fs::write(machine.home().join("scripts/Pipe.rhai"), SCRIPT).unwrap();
    let saved = ask("POST", "/v1/scripts/OAuthPipe/try", Some(&json!({ "reply": REPLY, "status": 500 }))).json(200);
    assert!(saved["outcome"]["failure"]["kind"].is_string(), "{saved}");
    let all = ask("POST", "/v1/scripts/check", None).json(200);
    assert!(all["scripts"].as_array().unwrap().iter().any(|one| one["name"] == "OAuthPipe" && one["origin"] == "file"));
    assert!(all["problems"][0]["file"].as_str().unwrap().ends_with("Pipe.rhai"), "{all}");

    let endless = json!({ "text": "fn postprocessAccessToken(r) { loop {} }", "reply": "{}" });
    let broke = ask("POST", "/v1/scripts/OAuthPipe/try", Some(&endless)).json(200);
    assert!(broke["outcome"]["broke"].as_str().unwrap().contains("OAuthPipe"), "{broke}");
    let audit = machine.run(&["audit", "--json", "--action", "script.try"]).done();
    assert!(audit.contains("\"OAuthPipe\"") && !audit.contains("secret-secret"), "{audit}");
    let manager = outside.key(&machine, "manager", &["manage:*"]);
    assert_eq!(outside.ask(Some(&manager), "GET", "/v1/scripts", None).status, 403);
}

#[test]
fn the_catalog_is_told_to_every_key() {
    let machine = Machine::new();
    let outside = Outside::start(&machine, "");
    let key = outside.key(&machine, "reader", &["token:*"]);
    let all = outside.ask(Some(&key), "GET", "/v1/providers", None).json(200);
    let google = all.as_array().unwrap().iter().find(|one| one["name"] == "google").unwrap();
    let one = outside.ask(Some(&key), "GET", "/v1/providers/google", None).json(200);
    assert_eq!((google, &one), (&one, &machine.run(&["provider", "show", "google", "--json"]).json()));
    let missing = outside.ask(Some(&key), "GET", "/v1/providers/gogle", None).problem(404);
    assert!(missing["detail"].as_str().unwrap().contains("google"), "{missing}");
}
