//! `--record`: an exchange as a fixture that passes when the exchange did, with no secret in it.

use crate::support::machine::Machine;
use crate::support::shop::{CLIENT_SECRET, Consenting, NAME, Shop, alice, ended};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantkeeper::demo::{Habits, PASSWORD, ReplyStyle};
use std::os::unix::fs::PermissionsExt as _;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const LISTEN: [&str; 5] = ["connect", NAME, "--no-browser", "--port", "0"];

fn read(machine: &Machine, file: &str) -> String {
    std::fs::read_to_string(machine.path(file)).unwrap()
}

#[track_caller]
fn passes(machine: &Machine, file: &str) {
    let ran = machine.run(&["script", "test", machine.path(file).to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:?}\n{}", read(machine, file));
}

/// The secrets of the shop that a file must not hold, in any writing.
#[track_caller]
fn holds_none(text: &str, secrets: &[&str]) {
    for secret in secrets {
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        let encoded = STANDARD.encode(secret);
        for writing in
            [(*secret).to_owned(), secret.chars().rev().collect(), hex, encoded[..encoded.len() - 4].to_owned()]
        {
            assert!(!text.contains(&writing), "{writing} of {secret} in\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_consent_and_a_recorded_refresh_pass_and_hold_no_secret() {
    for style in [ReplyStyle::Json, ReplyStyle::Form, ReplyStyle::JsonAsHtml] {
        let shop = Shop::new(Habits { reply_style: style, ..Habits::default() }).await;
        let consenting = Consenting::start(&shop.machine, &[&LISTEN[..], &["--record", "consent.toml"]].concat());
        let url = consenting.url.clone();
        let callback = alice().consent(&url).await.unwrap();
        alice().open(&callback).await.unwrap();
        let ran = consenting.ended();
        assert!(
            ran.err.contains("recorded in consent.toml") && !ran.err.contains("does not come out alike"),
            "{ran:?}"
        );
        ran.done();
        let access = shop.machine.run(&["token", NAME]).done();
        let refresh = shop.provider.current_refresh_token(0).unwrap();
        let parameter = |url: &url::Url, name: &str| url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
        let (code, state) = (parameter(&callback, "code"), parameter(&url, "state"));
        let challenge = parameter(&url, "code_challenge");
        let text = read(&shop.machine, "consent.toml");
        holds_none(&text, &[CLIENT_SECRET, access.trim(), refresh.expose(), &code, &state, &challenge, "drive-client"]);
        assert!(text.contains("code = \"code-1\"") && text.contains("access_token = \"at\""), "{text}");
        passes(&shop.machine, "consent.toml");
        let mode = shop.machine.path("consent.toml").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        shop.machine.run(&["refresh", NAME, "--record", "refresh.toml"]).done();
        let text = read(&shop.machine, "refresh.toml");
        let newer = shop.provider.current_refresh_token(0).unwrap();
        holds_none(&text, &[CLIENT_SECRET, access.trim(), refresh.expose(), newer.expose()]);
        assert!(text.contains("refresh_token = \"rt-old\"") && text.contains("refresh_token = \"rt\""), "{text}");
        passes(&shop.machine, "refresh.toml");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_with_a_script_or_with_declared_habits_pass_when_recorded() {
    let nested = "[reply]\nroot = \"authed_user\"\nsuccess = { ok = true }\n[token.parameters]\naudience = \"files\"\n[token.headers]\n\
                  X-Request = \"{uuid}\"\nX-Client = \"{client_id}\"\n[authorization.parameters]\nlogin_hint = \"ana@real.example\"\naccess_type = \"offline\"\nprompt = \"consent\"";
    let offline = "[authorization.parameters]\naccess_type = \"offline\"\nprompt = \"consent\"";
    for (style, head, end) in
        [(ReplyStyle::Xml, "script = \"OAuthXmlReply\"", offline), (ReplyStyle::Nested, "", nested)]
    {
        let shop = Shop::new(Habits { reply_style: style, ..Habits::default() }).await;
        shop.apply(head, end).done();
        let consenting = Consenting::start(&shop.machine, &[&LISTEN[..], &["--record", "consent.toml"]].concat());
        alice().open(&alice().consent(&consenting.url).await.unwrap()).await.unwrap();
        let ran = consenting.ended();
        assert!(!ran.err.contains("does not come out alike"), "{ran:?}\n{}", read(&shop.machine, "consent.toml"));
        ran.done();
        shop.machine.run(&["refresh", NAME, "--record", "refresh.toml"]).done();
        let access = shop.machine.run(&["token", NAME]).done();
        for file in ["consent.toml", "refresh.toml"] {
            holds_none(&read(&shop.machine, file), &[CLIENT_SECRET, access.trim(), "ana@real", "drive-client"]);
            passes(&shop.machine, file);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn further_tokens_have_stand_ins_of_their_own() {
    let provider = MockServer::start().await;
    let reply = serde_json::json!({
        "ok": true, "access_token": "bot-Zx81kQ27", "scope": "chat:write", "token_type": "bot", "expires_in": 3600,
        "team": {"id": "T0123ABCD", "name": "Ana's team"},
        "authed_user": {"id": "U0456EFGH", "access_token": "user-Lm39vT55", "refresh_token": "user-Pq62wR88", "scope": "search:read"},
    });
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_json(reply)).mount(&provider).await;
    let machine = Machine::new();
    let file = format!(
        "name = \"drive\"\nclient_id = \"c-1234567\"\nclient_secret = \"s-Kk29dj3h\"\nauthorization_scheme = \"Bearer\"\n\
         endpoints.token = \"{0}/token\"\nendpoints.authorization = \"{0}/authorize\"\n\
         [reply]\nsuccess = {{ ok = true }}\n[tokens.user]\nroot = \"authed_user\"\n",
        provider.uri()
    );
    machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file"], &file).done();
    let mut consenting = Consenting::start(&machine, &["connect", NAME, "--paste", "--record", "two.toml"]);
    let parameter = |name: &str| consenting.url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
    let callback = format!("{}?code=c-Yt71mQ88&state={}", parameter("redirect_uri"), parameter("state"));
    consenting.paste(&callback);
    let ran = consenting.ended();
    assert!(!ran.err.contains("does not come out alike"), "{ran:?}\n{}", read(&machine, "two.toml"));
    ran.done();
    let text = read(&machine, "two.toml");
    holds_none(
        &text,
        &[
            "bot-Zx81kQ27",
            "user-Lm39vT55",
            "user-Pq62wR88",
            "s-Kk29dj3h",
            "c-Yt71mQ88",
            "T0123ABCD",
            "U0456EFGH",
            "Ana's team",
        ],
    );
    assert!(text.contains("[expect.tokens.user]") && text.contains("access_token = \"at-2\""), "{text}");
    passes(&machine, "two.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_grants_pass_when_recorded() {
    let shop = Shop::new(Habits { device_interval_seconds: 1, ..Habits::default() }).await;
    let machine = &shop.machine;
    for (name, grant, more) in [("batch", "client_credentials", &[][..]), ("old", "password", &["--username", "alice"])]
    {
        let add = ["profile", "add", "drive", name, "--grant", grant, "--scope", "drive.readonly"];
        machine.run(&[&add[..], more].concat()).done();
    }
    machine.run(&["connect", "drive/batch", "--profile", "batch", "--record", "batch.toml"]).done();
    passes(machine, "batch.toml");
    machine.run(&["refresh", "drive/batch", "--record", "again.toml"]).done();
    passes(machine, "again.toml");
    let password = ["connect", "drive/old", "--profile", "old", "--password-stdin", "--record", "old.toml"];
    machine.run_with(&password, &format!("{PASSWORD}\n")).done();
    holds_none(&read(machine, "old.toml"), &[CLIENT_SECRET, PASSWORD, "alice"]);
    passes(machine, "old.toml");

    let device = ["connect", NAME, "--device", "--record", "device.toml"];
    let (_, child, mut out) = Consenting::first_line(machine, &device);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    alice().allow_device(&line.rsplit(' ').next().unwrap().trim().parse().unwrap(), None).await.unwrap();
    ended(child, out).done();
    passes(machine, "device.toml");

    let token = (0..8).find_map(|grant| shop.provider.current_refresh_token(grant)).unwrap();
    let moved = ["connect", "drive/moved", "--refresh-token-stdin", "--record", "moved.toml"];
    machine.run_with(&moved, token.expose()).done();
    holds_none(&read(machine, "moved.toml"), &[token.expose()]);
    passes(machine, "moved.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_recorded_and_comes_out_alike_and_no_file_is_written_over() {
    let shop = Shop::new(Habits { refuses: Some("invalid_grant".to_owned()), ..Habits::default() }).await;
    let consenting = Consenting::start(&shop.machine, &[&LISTEN[..], &["--record", "failed.toml"]].concat());
    let callback = alice().consent(&consenting.url).await.unwrap();
    alice().open(&callback).await.unwrap();
    consenting.ended().failed(4);
    let text = read(&shop.machine, "failed.toml");
    assert!(text.contains("[expect.error]") && text.contains("code = \"invalid_grant\""), "{text}");
    holds_none(&text, &[CLIENT_SECRET]);
    passes(&shop.machine, "failed.toml");

    let again = [&LISTEN[..], &["--record", "failed.toml"]].concat();
    let sentence = shop.machine.run(&again).failed(1);
    assert!(sentence.contains("failed.toml is there already"), "{sentence}");
    assert_eq!(read(&shop.machine, "failed.toml"), text);
    shop.machine.run(&["refresh", "--due", "--record", "due.toml"]).failed(2);
}

/// A provider that puts what it was sent everywhere: as it is, encoded, split, backwards, in names, headers and words.
fn hostile(request: &Request) -> ResponseTemplate {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let sent: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let of = |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let secret = of("client_secret").unwrap_or_default();
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let percent: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
    let entities: String = secret.bytes().map(|b| format!("&#{b};")).collect();
    let escaped: String = secret.bytes().map(|b| format!("\\u00{b:02x}")).collect();
    let spaced: String = secret.chars().flat_map(|c| [c, ' ']).collect();
    let (one, two) = secret.split_at(secret.len() / 2);
    let reply = serde_json::json!({
        "access_token": format!("hostile-token-{}", STANDARD.encode(&secret)),
        "token_type": format!("Bearer{secret}"),
        "expires_in": 3600,
        "scope": format!("read {secret} {one} {two}"),
        "message": format!("it was {secret}"),
        "error_detail": percent,
        "status": STANDARD.encode(format!("drive-client:{secret}")),
        "statusText": URL_SAFE_NO_PAD.encode(format!("x{secret}")),
        "reason": spaced,
        "title": secret.chars().rev().collect::<String>(),
        "detail": hex,
        "description": entities,
        "info": escaped,
        "msg": one,
        "result": two,
        "code": secret.bytes().map(u32::from).collect::<Vec<_>>(),
        "sentence": STANDARD.encode(STANDARD.encode(&secret)),
        secret.as_str(): 1,
        STANDARD.encode(&secret): { "type": secret },
        "owner": { "name": "Ana Real", "mail": "ana@real.example", "page": format!("https://real.example/{secret}?s={secret}") },
        "inner": format!("{{\"type\":\"{secret}\"}}"),
    });
    ResponseTemplate::new(200)
        .set_body_raw(reply.to_string(), &format!("application/json; x={secret}"))
        .insert_header("retry-after", secret.as_str())
        .insert_header(format!("x-{}", &hex[..16]).as_str(), secret.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_repeats_a_secret_in_any_writing_gets_it_into_no_recording() {
    const SECRET: &str = "q7Vz2LmXw9Rt4Kp8";
    let provider = MockServer::start().await;
    Mock::given(method("POST")).respond_with(hostile).mount(&provider).await;
    let machine = Machine::new();
    let file = format!(
        "name = \"drive\"\nclient_id = \"drive-client\"\nclient_secret = \"{SECRET}\"\nclient_authentication = \"post\"\n\
         endpoints.token = \"{}/token\"\n[profiles.default]\ngrant = \"client_credentials\"\n",
        provider.uri()
    );
    machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file"], &file).done();
    let ran = machine.run(&["connect", NAME, "--record", "hostile.toml"]);
    let text = read(&machine, "hostile.toml");
    let squashed: String = text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = SECRET.to_lowercase();
    let back: String = plain.chars().rev().collect();
    for start in 0..=plain.len() - 8 {
        for part in [&plain[start..start + 8], &back[start..start + 8]] {
            assert!(!squashed.contains(part), "{part} in\n{text}");
        }
    }
    let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
    let numbers = SECRET.bytes().map(|b| b.to_string()).collect::<Vec<_>>();
    for writing in [hex.as_str(), &numbers.join(","), "%71", "&#113;", "u0071", "ana@real", "Ana Real", "real.example"]
    {
        assert!(!text.contains(writing), "{writing} in\n{text}");
    }
    for before in ["", "x", "xx"] {
        for encoded in [
            STANDARD.encode(format!("{before}{SECRET}")),
            STANDARD.encode(STANDARD.encode(format!("{before}{SECRET}"))),
        ] {
            assert!(!text.contains(&encoded[4..16]), "{encoded} in\n{text}");
        }
    }
    assert!(!ran.err.contains(SECRET), "{ran:?}");
}
