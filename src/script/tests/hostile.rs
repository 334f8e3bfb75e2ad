//! Scripts that mean harm and replies that mean harm: each is stopped quickly, with a sentence, and the process goes on.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Runs a body that must break, and quickly; what it broke on.
async fn stopped(body: &str) -> String {
    stopped_script(&request_script(body)).await
}

#[allow(clippy::disallowed_methods)] // how long a limit takes is what is measured
async fn stopped_script(script: &Script) -> String {
    let began = Instant::now();
    let broke = broke(script).await;
    assert!(began.elapsed() < Duration::from_secs(7), "took {:?}: {broke}", began.elapsed());
    broke.to_string()
}

#[tokio::test]
async fn loops_end_at_the_limit_and_the_message_names_the_line() {
    for body in [
        "loop { }",
        "while true { }",
        "let i = 0;\nwhile true { i += 1; }",
        "for i in 0..9223372036854775807 { }",
        "do { } until false;",
        "let i = [0]; loop { i[0] += 1; }",
    ] {
        let said = stopped(body).await;
        assert!(said.contains("more than 500000 operations"), "{body}: {said}");
        assert!(said.contains("failed at line "), "{body}: {said}");
    }
    assert!(stopped("\n\nloop { }").await.starts_with("OAuthTest: preprocessAccessToken failed at line 4: it took"));
}

#[tokio::test]
async fn recursion_ends_at_the_limit_whatever_way_it_goes() {
    let said = stopped_script(&script("fn f() { f() }\nfn preprocessAccessToken(requestParamMap) {\nf();\n}")).await;
    assert!(said.contains("failed at line 3: its functions call each other more than 32 deep"), "{said}");
    for source in [
        "fn preprocessAccessToken(m) { this.preprocessAccessToken(m); }",
        "fn preprocessAccessToken(m) { preprocessAccessToken(m); }",
        // The base's hook calls this one again.
        "fn preprocessAccessToken(m) { this.base('interceptRequestParameters', m); }",
        "fn f(m) { this.base('interceptRequestParameters', m); } fn preprocessAccessToken(m) { f(m); }",
        "fn f(n) { [1].map(|x| f(x)); } fn preprocessAccessToken(m) { f(1); }",
        "fn f(n) { n.filter(|x| f([x])); } fn preprocessAccessToken(m) { f([1]); }",
        "fn f(n) { Fn('f').call(n); } fn preprocessAccessToken(m) { f(1); }",
        "fn f(n) { #{ f: Fn('f') }.f(n) } fn preprocessAccessToken(m) { f(1); }",
    ] {
        let said = stopped_script(&script(source)).await;
        assert!(said.contains("call each other more than 32 deep"), "{source}: {said}");
    }
}

#[tokio::test]
async fn the_deepest_recursion_that_settings_allow_fits_the_stack() {
    // Every level nests blocks and arrays as deep as compiles, and goes through a native callback or the base.
    let source = |blocks: usize, arrays: usize| {
        let nested = |inner: &str| {
            let (open, close) = ("if true { ".repeat(blocks), " }".repeat(blocks));
            format!("{open}{}{inner}{}{close}", "[".repeat(arrays), "]".repeat(arrays))
        };
        let f = nested("[m].map(|x| g(x))");
        let g = nested("`${this.base('interceptRequestParameters', m)}`");
        let hook = nested("f(m)");
        format!("fn f(m) {{ {f} }} fn g(m) {{ {g} }} fn preprocessAccessToken(m) {{ {hook} }}")
    };
    let limits = Settings { call_depth: 64, ..Settings::default() };
    for (blocks, arrays) in [(1, 0), (0, 1)] {
        let deepest = (1..60).rev().find_map(|depth| {
            let home = Home::limited(&[("OAuthDeep", &source(depth * blocks, depth * arrays))], limits);
            home.scripts.get(Some(&"OAuthDeep".parse().unwrap())).ok()
        });
        let said = stopped_script(&deepest.unwrap()).await;
        assert!(said.contains("more than 64 deep"), "{said}");
    }
}

#[tokio::test]
async fn texts_arrays_and_maps_cannot_grow_without_end() {
    for body in [
        "let s = 'x'; loop { s += s; }",
        "let s = 'x'; loop { s = s + s; }",
        "let s = 'x'; loop { s = `${s}${s}${s}`; }",
        "let s = 'x'; loop { s.append(s); }",
        "let s = 'x'; loop { s = '' + [s, s]; }",
        "let a = [0]; loop { a += a; }",
        "let a = [0]; loop { a.append(a); }",
        "let a = [0]; loop { a = [a, a]; }",
        "let a = [0]; loop { a.push(a); }",
        "let a = [0]; loop { a.splice(0..0, a); }",
        "let a = []; loop { a.push(1); }",
        "let m = #{}; let i = 0; loop { m[`k${i}`] = m; i += 1; }",
        "let m = #{}; let i = 0; loop { m[`k${i}`] = 1; i += 1; }",
        "let m = #{}; loop { m = #{ a: m, b: m }; }",
        "loop { requestParamMap.put(uuid(), 1); }",
        "let s = 'x'; loop { s += s; requestParamMap.put('a', s); }",
    ] {
        let said = stopped(body).await;
        // On a busy machine a debug build may meet the deadline first.
        assert!(said.contains("more than") || said.contains("longer than"), "{body}: {said}");
    }
}

#[tokio::test]
async fn many_values_within_the_limits_of_each_are_still_bounded_together() {
    // Each value is small enough; Rhai alone would hold them all: keys of maps are not counted by it at all.
    let keys = "let m = #{}; let s = 'x'; while s.len() < 100000 { s += s; } let i = 0; loop { m[s + i] = 1; i += 1; }";
    assert!(stopped(keys).await.contains("bytes of memory"));
    let copies = "fn fill(n) { let s = 'x'; while s.len() < 400000 { s += s; } let a = []; while a.len() < 100 { a.push(1) } let b = s + n; let c = s + b.len(); let d = s + c.len(); fill(n + 1); a.push(b); a.push(c); a.push(d); } fn preprocessAccessToken(m) { loop { try { fill(0); } catch { } } }";
    assert!(stopped_script(&script(copies)).await.contains("more than"));
}

#[tokio::test]
async fn values_cannot_be_nested_deeper_than_the_stack() {
    for body in [
        "let a = []; loop { a = [a]; }",
        "let m = #{}; loop { m = #{ a: m }; }",
        "let a = []; loop { a = [#{ a: a }]; }",
    ] {
        let said = stopped(body).await;
        assert!(said.contains("nested arrays and maps more than 64 deep"), "{body}: {said}");
    }
}

#[tokio::test]
async fn builtins_that_grow_a_value_look_first() {
    let long = "let s = 'x'; while s.len() < 500000 { s += s; } ";
    for body in [
        "let s = 'a'; s.pad(100000000, 'b');",
        "let s = 'a'; s.pad(9223372036854775807, 'bcd');",
        "let s = 'a'; let c = 'x'[0]; s.pad(100000000, c);",
        "let a = [1]; a.pad(100000000, 0);",
        "let a = [1]; let m = [2]; a.pad(4000, m); a.pad(4001, a);",
        &format!("{long} s.replace('x', s);"),
        &format!("{long} s.replace('', s);"),
        &format!("{long} let x = s[0]; s.replace(x, s);"),
        &format!("{long} s.split('');"),
        &format!("{long} s.split('x');"),
        &format!("{long} s.to_chars();"),
        &format!("{long} [s, s, s].join(s);"),
        "let a = []; a.pad(4096, 'y'); let s = a.join('x'); loop { s.replace('x', 'xxxxxxxx'); }",
    ] {
        let said = stopped(body).await;
        assert!(said.contains("more than"), "{body}: {said}");
    }
}

#[tokio::test]
async fn padding_pays_for_what_it_makes() {
    // Rhai would look at neither the sum of many nor the key of the item.
    let key = "let s = 'x'; while s.len() < 500000 { s += s; } let m = #{}; m[s] = 1; let a = []; a.pad(4000, m);";
    // What is paid is counted, however slow the machine is.
    let patient = Settings { deadline_ms: 60_000, ..Settings::default() };
    for body in ["loop { let s = 'a'; s.pad(200000, 'b'); }", key] {
        let source = format!("fn preprocessAccessToken(requestParamMap) {{\n{body}\n}}");
        let home = Home::limited(&[("OAuthTest", &source)], patient);
        let said = broke(&home.get("OAuthTest")).await.to_string();
        assert!(said.contains("bytes of memory"), "{body}: {said}");
    }
}

#[tokio::test]
async fn operations_are_counted_over_all_hooks_of_a_chain() {
    let half = "let i = 0; while i < 60000 { i += 1; }";
    let source = format!(
        "fn interceptRequestParameters(m) {{ {half} this.preprocessAccessToken(m); this.base('preprocessAccessToken', m); }}
         fn preprocessAccessToken(m) {{ {half} }}"
    );
    let said = stopped_script(&script(&source)).await;
    assert!(said.contains("more than 500000 operations"), "{said}");
}

#[tokio::test]
async fn what_is_not_for_scripts_is_absent() {
    for (body, words) in [
        ("sleep(10);", "scripts have no sleep"),
        ("sleep(10.0);", "scripts have no sleep"),
        ("let t = timestamp();", "scripts have no timestamp"),
        ("import '/etc/passwd' as x;", "there is no OAuth script /etc/passwd"),
        ("import '../OAuthTest' as x;", "only other OAuth scripts can be imported"),
        ("import 'OAuthNone' as x;", "there is no OAuth script OAuthNone"),
        ("import 'util' as x;", "there is no OAuth script util"),
        ("exit(1);", "there is no function exit"),
        ("open_file('x');", "there is no function open_file"),
        ("this = 1;", "constant"),
        ("'abc'.to_blob();", "there are no blobs of text"),
    ] {
        let said = stopped(body).await;
        assert!(said.contains(words), "{body}: {said}");
    }
    for body in ["eval('1');", "let f = Fn('x'); f.curry(1);", "curry(Fn('x'), 1);"] {
        let home = Home::with(&[("OAuthTest", &format!("fn preprocessAccessToken(m) {{ {body} }}"))]);
        let problem = home.scripts.get(Some(&"OAuthTest".parse().unwrap())).unwrap_err().to_string();
        assert!(problem.contains("OAuthTest.rhai:1:") && problem.contains('^'), "{body}: {problem}");
    }
}

#[tokio::test]
async fn rhai_in_a_reply_is_not_run() {
    let reader = script("fn parseTokenResponse(r) { r.getparameters().put('x', parse_json(r.getBody())); }");
    for body in ["#{ access_token: \"a\" }", "loop { }", "{ \"a\": 1 + 1 }", "{ \"a\": `x` }", "[1, 2"] {
        let error = reader.reply(&context(), &reply(200, "application/json", body)).await.unwrap_err().to_string();
        assert!(error.contains("that is not JSON"), "{body}: {error}");
    }
}

#[tokio::test]
async fn deep_and_wide_replies_are_refused_in_time() {
    let parse = |function: &str| {
        script(&format!("fn parseTokenResponse(r) {{ r.getparameters().put('x', {function}(r.getBody())); }}"))
    };
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    for (function, body, words) in [
        ("parse_json", deep("[", "]", 10_000), "recursion limit"),
        ("parse_json", deep("{\"a\":", "}", 10_000), "recursion limit"),
        ("parse_json", deep("[", "]", 100), "more than 64 deep"),
        ("parse_json", format!("[{}0]", "0,".repeat(500_000)), "array of more than 4096"),
        ("parse_json", format!("{{\"a\":[{}{{}}]}}", "{\"b\":0},".repeat(100_000)), "more than 4096"),
        (
            "parse_json",
            format!("{{{}\"z\":0}}", (0..5_000).map(|n| format!("\"k{n}\":0,")).collect::<String>()),
            "map of more than 4096",
        ),
        ("parse_xml", deep("<a>", "</a>", 10_000), "nests more than 48 deep"),
        ("parse_xml", format!("<a>{}</a>", "<b/>".repeat(200_000)), "not XML that scripts may read"),
        ("parse_xml", format!("<a>{}</a>", "<b>1</b>".repeat(5_000)), "array of more than 4096"),
        ("parse_xml", "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>".to_owned(), "not XML"),
        ("parse_form", "a=1&".repeat(200_000), "array of more than 4096"),
        ("jwt_payload", format!("a.{}.c", "A".repeat(900_000)), "not JSON"),
    ] {
        let error = parse(function).reply(&context(), &reply(200, "", &body)).await.unwrap_err().to_string();
        assert!(error.contains(words), "{function}: {error}");
        assert!(error.len() < 600, "{} characters", error.len());
    }
    let huge = script("fn parseTokenResponse(r) { r.getparameters().put('n', r.getBody().len()); }");
    assert_eq!(token(&huge, &reply(200, "", &"é".repeat(1 << 19))).await.get("n"), Some(&Value::from(1 << 19)));
    let error = huge.reply(&context(), &reply(200, "", &"x".repeat(2 << 20))).await.unwrap_err().to_string();
    assert!(error.contains("a text of more than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn catching_errors_does_not_outlive_a_limit() {
    for body in [
        "loop { try { loop { } } catch { } }",
        "loop { try { let s = 'x'; loop { s += s; } } catch (e) { } }",
        "loop { try { let a = []; loop { a = [a]; } } catch { } }",
        "loop { try { http_get('https://stranger.example/'); } catch { } }",
        "loop { try { fail('transient', 'x'); } catch { loop { } } }",
        "loop { try { sleep(1); } catch { } }",
    ] {
        let error = request(&request_script(body)).await.unwrap_err().to_string();
        assert!(error.contains("more than") || error.contains("ended with transient"), "{body}: {error}");
    }
}

#[tokio::test]
async fn the_deadline_ends_what_the_count_of_operations_does_not() {
    let settings = Settings { deadline_ms: 200, operations: 100_000_000, memory: 1 << 30, ..Settings::default() };
    let slow =
        "fn preprocessAccessToken(m) { let s = 'x'; while s.len() < 1000 { s += s; } loop { s.index_of('y'); } }";
    let said = stopped_script(&Home::limited(&[("OAuthSlow", slow)], settings).get("OAuthSlow")).await;
    assert!(said.contains("it took longer than 200 ms"), "{said}");
}

#[tokio::test]
async fn scripts_that_loop_do_not_keep_others_from_running() {
    let settings = Settings { deadline_ms: 3_000, operations: 100_000_000, threads: 2, ..Settings::default() };
    let endless = "fn preprocessAccessToken(m) { loop { } }";
    let home = Home::limited(&[("OAuthEndless", endless), ("OAuthGood", "")], settings);
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let script = home.get("OAuthEndless");
            tokio::spawn(async move { request(&script).await.unwrap_err().to_string() })
        })
        .collect();
    tokio::time::timeout(Duration::from_secs(2), async {
        for _ in 0..100 {
            request(&home.get("OAuthGood")).await.unwrap();
        }
    })
    .await
    .expect("the good script ran beside the endless one");
    for call in slow {
        let said = call.await.unwrap();
        // Whichever limit it meets first: a quick machine counts to that of operations before the time is over.
        let limits = ["longer than 3000 ms", "waited 3000 ms", "more than 100000000 operations"];
        assert!(limits.iter().any(|limit| said.contains(limit)), "{said}");
    }
}

#[tokio::test]
async fn a_sort_that_lies_about_order_fails_no_other_call() {
    let lying = "let a = []; let i = 0; while i < 200 { a.push(i * 7919 % 200); i += 1; } a.sort(|x, y| if x * y % 3 == 0 { 1 } else { -1 });";
    // Whether the sort notices is up to it; what matters is that the next call works.
    let script = request_script(lying);
    let _ = request(&script).await;
    assert!(request(&request_script("")).await.is_ok());
}

#[tokio::test]
async fn what_a_sort_swallows_still_ends_the_hook() {
    // Rhai's sort goes on when its comparison fails.
    for (compare, words) in
        [("loop { }", "more than 500000 operations"), ("fail('transient', 'x')", "ended with transient")]
    {
        let script = request_script(&format!("[3, 2, 1].sort(|x, y| {{ {compare} }});"));
        let error = request(&script).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let deep = script("fn f(a, b) { [2, 1].sort(|x, y| f(x, y)); 0 } fn preprocessAccessToken(m) { f(1, 2); }");
    let _ = request(&deep).await;
}

#[tokio::test]
async fn headers_cannot_be_injected() {
    for (set, words) in [
        ("setHeader('X-A', 'b\\r\\nEvil: 1')", "no line ends"),
        ("setHeader('X-A', \"b\\nEvil: 1\")", "no line ends"),
        ("setHeader('X-A', 'b\\u0000')", "visible ASCII"),
        ("setHeader('X-A\\r\\nEvil', 'b')", "not a header's name"),
        ("setHeader('X A', 'b')", "not a header's name"),
        ("setHeader('', 'b')", "not a header's name"),
        ("setHeader('Host', 'evil.example')", "written by the client"),
        ("setHeader('Content-Length', '0')", "written by the client"),
        ("setHeader('transfer-ENCODING', 'chunked')", "written by the client"),
        ("setHeader('Content-Type', 'text/plain')", "use setBodyFormat"),
        ("setHeader('X-A', 'b'.to_upper() + requestParamMap.get('long'))", "longer than 8192 bytes"),
        ("setHeader('Authorization', 'Bearer x')", "setClientAuthentication"),
        ("setMethod('DELETE')", "\"GET\" or \"POST\""),
        ("setBodyFormat('xml')", "\"form\", \"json\", \"query\""),
        ("setClientAuthentication('magic')", "one of basic, basic_raw, post, none"),
    ] {
        let long = "let s = 'x'; while s.len() < 9000 { s += s; } requestParamMap.put('long', s);";
        let said = stopped(&format!("{long} this.oauthContext.{set};")).await;
        assert!(said.contains(words), "{set}: {said}");
    }
    let own = "this.oauthContext.setClientAuthentication('none'); this.oauthContext.setHeader('Authorization', ['Bearer ', secret('api')]);";
    let made = request(&request_script(own)).await.unwrap().value;
    assert_eq!(made.headers, [("authorization".to_owned(), "Bearer key-of-the-api".to_owned())]);
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    for url in [
        "https://stranger.example/token",
        "https://provider.example.evil/token",
        "https://user:pass@provider.example/",
        "http://provider.example/token",
        "https://provider.example/#f",
        "file:///etc/passwd",
        "//provider.example",
        "provider.example",
    ] {
        for call in ["this.oauthContext.setEndpoint", "http_get", "http_post"] {
            let more = if call == "http_post" { ", #{}" } else { "" };
            let said = stopped(&format!("{call}('{url}'{more});")).await;
            assert!(said.contains("failed at line 2: "), "{call} {url}: {said}");
        }
    }
    let said = stopped("this.oauthContext.setEndpoint('https://stranger.example:8443/token');").await;
    assert!(
        said.contains("stranger.example:8443 is not a host of the application; if it is the provider's, add stranger.example:8443 to hosts of drive"),
        "{said}"
    );
}

/// A context whose extra calls are answered here and counted.
fn calling(count: &Arc<AtomicUsize>) -> Context {
    let count = Arc::clone(count);
    let calls: ExtraCalls = Arc::new(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if request.uri().path() == "/hang" {
                std::future::pending::<()>().await;
            }
            let seen = serde_json::json!({
                "method": request.method().as_str(),
                "uri": request.uri().to_string(),
                "type": request.headers().get("content-type").map(|value| value.to_str().unwrap()),
                "key": request.headers().get("x-key").map(|value| value.to_str().unwrap()),
                "body": String::from_utf8_lossy(request.body()),
            });
            Ok(json(&seen.to_string()))
        })
    });
    Context { calls: Some(calls), ..context() }
}

#[tokio::test]
async fn extra_calls_are_two_at_most_and_may_carry_secrets() {
    let count = Arc::new(AtomicUsize::new(0));
    let two = request_script(
        "let a = http_get('https://api.provider.example/me?x=1', #{ client_secret: secret('client_secret'), n: 1 }, #{ 'X-Key': ['k ', secret('api')] });
         let b = http_post('https://api.provider.example/t', #{ s: secret('api'), t: 'a b' });
         requestParamMap.put('out', [a.getparameters().get('uri'), a.getStatusCode(), parse_json(a.getBody()).key, b.getparameters().get('body'), b.getparameters().get('type')]);",
    );
    let made = two.request(&calling(&count), token_request()).await.unwrap_or_else(|error| panic!("{error}")).value;
    let expected = serde_json::json!([
        "https://api.provider.example/me?x=1&client_secret=the-client-secret-1&n=1",
        200,
        "k key-of-the-api",
        "s=key-of-the-api&t=a+b",
        "application/x-www-form-urlencoded"
    ]);
    assert_eq!(made.params.get("out"), Some(&expected));
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let three = request_script("loop { try { http_get('https://api.provider.example/'); } catch { } }");
    let error = three.request(&calling(&count), token_request()).await.unwrap_err().to_string();
    assert!(error.contains("more than 2 extra calls"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 4);
    let as_json = request_script(
        "let b = http_post('https://api.provider.example/t', #{ s: secret('api'), n: 1 }, #{ 'Content-Type': 'application/json' });
         requestParamMap.put('out', b.getparameters().get('body'));",
    );
    let made = as_json.request(&calling(&count), token_request()).await.unwrap().value;
    assert_eq!(made.params.text("out"), Some(r#"{"n":1,"s":"key-of-the-api"}"#));
}

#[tokio::test]
async fn an_extra_call_that_hangs_ends_with_the_hook() {
    let settings = Settings { deadline_ms: 200, ..Settings::default() };
    let source = "fn preprocessAccessToken(m) { http_get('https://api.provider.example/hang'); }";
    let home = Home::limited(&[("OAuthHang", source)], settings);
    let count = Arc::new(AtomicUsize::new(0));
    let error = home.get("OAuthHang").request(&calling(&count), token_request()).await.unwrap_err().to_string();
    assert!(error.contains("took longer than the hook may"), "{error}");
}

#[tokio::test]
async fn what_a_script_hands_back_is_bounded() {
    let long = "let s = 'x'; while s.len() < 500000 { s += s; }";
    let said = stopped(&format!("{long} for n in 0..3 {{ requestParamMap.put('p' + n, s); }}")).await;
    assert!(said.contains("a text of more than 1048576 bytes"), "{said}");
    let said = stopped(&format!("{long} this.oauthContext.getConnection().put('p', s);")).await;
    assert!(said.contains("at most 16384 bytes of fields"), "{said}");
    let said = stopped("for n in 0..100 { this.oauthContext.setQueryParameter('p' + n, 'x'); }").await;
    assert!(said.contains("at most 32"), "{said}");
}

#[tokio::test]
async fn imports_that_import_each_other_end() {
    let a = "import 'OAuthB' as b; fn f() { b::f() } fn preprocessAccessToken(m) { f(); }";
    let b = "import 'OAuthA' as a; fn f() { a::f() }";
    let home = Home::with(&[("OAuthA", a), ("OAuthB", b)]);
    let said = broke(&home.get("OAuthA")).await.to_string();
    assert!(said.contains("imports import each other"), "{said}");
}

#[tokio::test]
async fn a_map_put_into_itself_is_a_copy_and_locks_nothing_up() {
    let made = out("requestParamMap.put('out', requestParamMap);").await;
    assert_eq!(made["grant_type"], "authorization_code");
    assert_eq!(made.get("out"), None);
}

#[test]
fn no_log_line_or_message_shows_a_secret() {
    // A subscriber that script threads share is for a whole process, and other tests have another wish.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "script::tests::hostile::the_log_of_a_script_when_alone"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Tells a process of its own from the one with all the tests.
const ALONE: &str = "GRANTKEEPER_TEST_ALONE";

#[tokio::test]
async fn the_log_of_a_script_when_alone() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    // One for the whole process: script threads have no subscriber of their own.
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
    let script = script(
        "fn parseTokenResponse(r) {
            log('marker-line ' + r.getBody());
            log(r.getparameters());
            log(parse_json(r.getBody()).inner);
            log('derived ' + parse_json(r.getBody()).inner.session_key + '.');
            print('printed ' + r.getparameters().get('access_token'));
            debug(r.getparameters().get('access_token'));
            for n in 0..1000 { log('many'); }
            throw 'thrown ' + r.getparameters().get('refresh_token');
         }",
    );
    let body = r#"{"access_token":"at-planted-1","refresh_token":"rt-planted-2","scope":"read","inner":{"session_key":"sk-planted-3"}}"#;
    let error = script.reply(&context(), &json(body)).await.unwrap_err();
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("marker-line") && logged.contains("printed [redacted]"), "{logged}");
    assert!(logged.matches("many").count() < 100);
    let all = format!("{logged} {error} {error:?}");
    for planted in ["at-planted", "rt-planted", "sk-planted", "the-client-secret", "key-of-the-api"] {
        assert!(!all.contains(planted), "{planted}");
    }
    assert!(all.contains("scope"), "names may be shown");
}
