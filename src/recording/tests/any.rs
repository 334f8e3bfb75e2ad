//! Against anything at all: no reply ends the program, and no reply writes code.

use super::*;
use proptest::prelude::*;

fn anything() -> impl Strategy<Value = serde_json::Value> {
    let name = prop_oneof![
        Just("access_token".to_owned()),
        Just("token".to_owned()),
        Just("refreshToken".to_owned()),
        Just("expires_in".to_owned()),
        Just("scope".to_owned()),
        Just("error_code".to_owned()),
        Just("code".to_owned()),
        "\\PC{0,12}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,30}".prop_map(Into::into),
        "[a-z0-9]{16,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200), status in 100_u16..600) {
        let reply = RawReply { status, headers: vec![], body: body.into() };
        let guess = Guess::of(&reply, now());
        let _ = (guess.advice(&reply, now()), script_of(&guess));
    }

    #[test]
    fn no_text_panics(body in "[<{(\\[a&=%\"' -~é]{0,60}") {
        let reply = ok(&body);
        let guess = Guess::of(&reply, now());
        let _ = (guess.advice(&reply, now()), script_of(&guess));
    }

    #[test]
    fn the_script_of_any_json_compiles_and_reads_the_reply(value in anything(), status in prop_oneof![Just(200_u16), Just(400)]) {
        let reply = reply(status, &[], &value.to_string());
        let guess = Guess::of(&reply, now());
        let script = script_of(&guess);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read = runtime.block_on(read_with(&script, &reply));
        prop_assert!(read.is_ok(), "{:?}\n{}\n{}", read, value, script);
        let expected = guess.expected().access_token;
        if let (Some(token), Ok(Reading::Token(params))) = (&expected, &read) {
            prop_assert_eq!(params.text("access_token").map(str::trim), Some(token.expose()), "{}\n{}", value, script);
        }
    }

    #[test]
    fn nothing_of_a_value_gets_into_the_script(secret in "[a-z0-9]{12,30}", field in "[a-z_]{1,12}") {
        let body = serde_json::json!({ "data": { "token": secret, field.as_str(): secret, "msg": secret, "scope": secret } });
        let guess = Guess::of(&ok(&body.to_string()), now());
        prop_assert!(!script_of(&guess).contains(&secret));
        prop_assert!(!guess.notes.join(" ").contains(&secret));
    }
}

#[test]
fn a_name_that_would_end_a_text_stays_out_of_the_script() {
    for name in ["a'); fail('x", "a\n}", "a`${b}`", "to\"ken", "a.token", "x\\"] {
        let body = serde_json::json!({ "data": { name: { "access_token": "mk-1" } } });
        let guess = Guess::of(&ok(&body.to_string()), now());
        assert_eq!(guess.access_token, None, "{name}");
        assert!(!script_of(&guess).contains(name), "{name}");
        assert!(guess.notes.join(" ").contains("unusual characters"), "{name}");
    }
}
