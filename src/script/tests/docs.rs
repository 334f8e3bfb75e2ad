//! What docs/scripts.md and docs/servicenow.md show is true: every `rhai` block compiles and runs, and gives what its comments
//! say.

use super::*;

const PAGE: &str = include_str!("../../../docs/scripts.md");
const SERVICENOW: &str = include_str!("../../../docs/servicenow.md");

/// The `rhai` blocks of the pages.
fn blocks() -> Vec<&'static str> {
    let pages = [PAGE, SERVICENOW].into_iter().flat_map(|page| page.split("```rhai\n").skip(1));
    pages.map(|rest| rest.split_once("\n```").expect("an end of the block").0).collect()
}

fn is_script(block: &str) -> bool {
    block.lines().any(|line| line.starts_with("fn "))
}

#[tokio::test]
async fn scripts_of_the_page_run_and_call_nothing_that_is_not_there() {
    let bodies = [
        r#"{"access_token":"at","expires_in":60}"#,
        r#"{"data":{"access_token":"at","error_code":0}}"#,
        r#"{"data":{"error_code":10007,"description":"d"}}"#,
        "<oauth><access_token>at</access_token><expires_in>60</expires_in></oauth>",
    ];
    let calls: ExtraCalls =
        Arc::new(|_| Box::pin(async { Ok(json(r#"{"access_token":"longer","expires_in":5184000}"#)) }));
    let context = Context { calls: Some(calls), ..context() };
    let scripts: Vec<&str> = blocks().into_iter().filter(|block| is_script(block)).collect();
    assert!(scripts.len() >= 10);
    for source in scripts {
        let script = script(source);
        let run = async {
            script.authorization(&context, Params::new()).await?;
            script.callback(&context, [("realmId", "r")].into_iter().collect()).await?;
            script.request(&context, token_request()).await?;
            script.revocation(&context, token_request()).await?;
            for body in bodies {
                script.reply(&context, &json(body)).await?;
            }
            script.reply(&context, &reply(420, "", "{}")).await.map(drop)
        };
        run.await.unwrap_or_else(|error: ScriptError| panic!("{error}\n{source}"));
    }
}

#[tokio::test]
async fn lines_of_the_page_give_what_they_say() {
    let mut lines = 0;
    for block in blocks().into_iter().filter(|block| !is_script(block)) {
        let mut expected = Vec::new();
        let body: Vec<String> = block
            .lines()
            .map(|line| match line.split_once(" // = ") {
                Some((code, value)) => {
                    expected.push(serde_json::from_str::<Value>(value).unwrap());
                    format!("results.push({});", code.trim().trim_end_matches(';'))
                }
                None => line.to_owned(),
            })
            .collect();
        lines += expected.len();
        let made = out(&format!("let results = [];\n{}\nrequestParamMap.put('out', results);", body.join("\n"))).await;
        assert_eq!(made, Value::Array(expected), "{block}");
    }
    assert!(lines > 25);
}

/// A word of ServiceNow's that is said to work must.
#[test]
fn every_hook_is_on_servicenows_page() {
    for hook in compile::Hook::ALL {
        assert!(SERVICENOW.contains(&format!("`fn {}({})`", hook.as_str(), hook.parameter())), "{hook:?}");
    }
}

#[test]
fn every_hook_setting_and_kind_is_on_the_page() {
    let Ok(toml::Value::Table(settings)) = toml::Value::try_from(Settings::default()) else { panic!("a table") };
    for (name, value) in &settings {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
        assert!(PAGE.contains(&value.to_string()), "{name} = {value}");
    }
    let hooks = compile::Hook::ALL.map(|hook| format!("`{}({})`", hook.as_str(), hook.parameter()));
    for word in hooks.into_iter().chain(super::super::helpers::KINDS.split(", ").map(|kind| format!("`{kind}`"))) {
        assert!(PAGE.contains(&word), "{word}");
    }
}
