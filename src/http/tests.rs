//! Against tiny servers on this machine that misbehave on purpose.

use super::*;
use crate::model::FailureKind;
use crate::oauth::{RawReply, read_reply};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

/// A server that reads each request and hands the connection to `answer`; the requests that came are in the list.
async fn server<F, Fut>(answer: F) -> (SocketAddr, Arc<Mutex<Vec<String>>>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_request(&mut stream).await;
            list.lock().unwrap().push(request);
            tokio::spawn(answer(stream));
        }
    });
    (address, seen)
}

/// A server that sends the same bytes to everybody.
async fn serving(reply: impl Into<Vec<u8>>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let reply: Arc<[u8]> = reply.into().into();
    server(move |mut stream| {
        let reply = reply.clone();
        async move {
            // Fails where the client has read enough and hangs up: what some of the tests are about.
            let _ = stream.write_all(&reply).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

fn settings() -> Settings {
    Settings { timeout: NonZeroU64::new(5).unwrap(), ..Settings::default() }
}

fn post(url: &str) -> http::Request<Zeroizing<Vec<u8>>> {
    http::Request::post(url).body(Zeroizing::new(b"refresh_token=hunter2-body".to_vec())).unwrap()
}

async fn send_with(settings: &Settings, url: &str) -> Result<RawReply, HttpError> {
    HttpClient::new(settings).unwrap().send(post(url), |_| true).await
}

async fn send(address: SocketAddr) -> Result<RawReply, HttpError> {
    send_with(&settings(), &format!("http://{address}/token?secret=hunter2-query")).await
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend_from_slice(body);
    reply
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn assert_says_nothing_secret(error: &HttpError) {
    let shown = format!("{error} {error:?} {:?}", error.failure());
    assert!(!shown.contains("hunter2") && !shown.contains("/token"), "{shown}");
}

#[tokio::test]
async fn a_reply_comes_whole_with_its_headers_whatever_its_status() {
    let (address, seen) =
        serving(*b"HTTP/1.1 418 Odd\r\nX-One: \xe9\r\nx-one: 2\r\ncontent-length: 3\r\n\r\n{}\n").await;
    let reply = send(address).await.unwrap();
    assert_eq!((reply.status, reply.header("X-ONE"), &**reply.body), (418, Some("\u{fffd}"), &b"{}\n"[..]));
    assert_eq!(reply.headers.len(), 3);
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("POST /token?secret=hunter2-query HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[0].ends_with("\r\n\r\nrefresh_token=hunter2-body"), "{seen:?}");
    assert!(seen[0].contains("user-agent: grantkeeper/"), "{seen:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, followed) = serving(ok("", b"{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let reply = format!("HTTP/1.1 {status} Moved\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
        let (address, _) = serving(reply).await;
        assert_eq!(send(address).await.unwrap().status, status);
    }
    assert!(followed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let (address, seen) = serving(ok("set-cookie: sid=hunter2; path=/\r\n", b"{}")).await;
    let client = HttpClient::new(&settings()).unwrap();
    for _ in 0..2 {
        client.send(post(&format!("http://{address}/")), |_| true).await.unwrap();
    }
    assert!(seen.lock().unwrap().iter().all(|request| !request.contains("cookie")));
}

#[tokio::test]
async fn a_compressed_reply_is_read() {
    let body = gzip(br#"{"access_token":"t-1","expires_in":60}"#);
    let (address, _) = serving(ok("content-type: application/json\r\ncontent-encoding: gzip\r\n", &body)).await;
    let params = read_reply(&send(address).await.unwrap()).unwrap();
    assert_eq!(params.text("access_token"), Some("t-1"));
}

#[tokio::test]
async fn a_reply_of_10_mib_is_cut_whether_it_states_its_length_or_not() {
    let large = vec![b'x'; 10 * 1024 * 1024];
    let (stated, _) = serving(ok("", &large)).await;
    let mut unstated = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    unstated.extend_from_slice(&large);
    let (unstated, _) = serving(unstated).await;
    for address in [stated, unstated] {
        let error = send(address).await.unwrap_err();
        assert_eq!(
            error,
            HttpError::TooLarge { host: address.to_string(), status: 200, limit: "1048576 bytes".into() }
        );
        assert_eq!((error.failure().kind, error.may_have_taken_effect()), (FailureKind::BadResponse, true));
        assert_says_nothing_secret(&error);
    }
}

#[tokio::test]
async fn a_reply_of_exactly_the_limit_is_read() {
    let (address, _) = serving(ok("", &vec![b'x'; 1024 * 1024])).await;
    assert_eq!(send(address).await.unwrap().body.len(), 1024 * 1024);
}

#[tokio::test]
async fn a_compression_bomb_is_cut() {
    let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 128 * 1024);
    let (address, _) = serving(ok("content-encoding: gzip\r\n", &bomb)).await;
    assert!(matches!(send(address).await, Err(HttpError::TooLarge { status: 200, .. })));
}

#[tokio::test]
async fn headers_without_end_are_cut() {
    let many = "x-a: b\r\n".repeat(5_000);
    let long = format!("x-a: {}\r\n", "b".repeat(100_000));
    for headers in [many, long] {
        let (address, _) = serving(ok(&headers, b"{}")).await;
        let error = send(address).await.unwrap_err();
        assert!(error.may_have_taken_effect(), "{error}");
        assert_says_nothing_secret(&error);
    }
}

#[tokio::test]
async fn a_connection_that_drops_after_the_request_leaves_it_in_doubt() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"access_token\":\"hunter2";
    for reply in
        ["", "HTTP/1.1 200", half, "no http at all hunter2\r\n\r\n", "HTTP/1.1 200 OK\r\nx\0y: hunter2\r\n\r\n"]
    {
        let (address, seen) = serving(reply).await;
        let error = send(address).await.unwrap_err();
        assert!(matches!(error, HttpError::NoReply { .. }), "{reply}: {error}");
        assert_eq!((error.failure().kind, error.may_have_taken_effect()), (FailureKind::Ambiguous, true));
        assert_eq!(seen.lock().unwrap().len(), 1, "asked once and not again");
        assert_says_nothing_secret(&error);
    }
    let (address, _) = serving(ok("content-encoding: gzip\r\n", b"not gzip")).await;
    assert!(matches!(send(address).await, Err(HttpError::NoReply { .. })));
}

#[tokio::test]
async fn a_server_that_says_nothing_leaves_the_request_in_doubt() {
    let silent = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let dripping = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        // One byte at a time keeps a timeout for each read quiet; the total one must strike.
        while stream.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
            let (_reader, mut writer) = stream.split();
            if writer.flush().await.is_err() {
                return;
            }
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), std::future::pending::<()>()).await;
        }
    });
    let settings = Settings { timeout: NonZeroU64::MIN, ..Settings::default() };
    for address in [silent.await.0, dripping.await.0] {
        let error = send_with(&settings, &format!("http://{address}/token")).await.unwrap_err();
        assert_eq!(error, HttpError::NoReply { host: address.to_string(), why: "it took too long".into() });
    }
}

#[tokio::test]
async fn what_was_not_sent_is_known_for_certain() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            answer(&mut stream, b"HTTP/1.1 400 Speak plainly\r\n\r\n").await;
        }
    });
    for url in [
        format!("http://{closed}/token?secret=hunter2"),
        "https://no-such-host.invalid/token?secret=hunter2".to_owned(),
        // A server that does not speak TLS.
        format!("https://{plain_address}/token?secret=hunter2"),
    ] {
        let error = send_with(&settings(), &url).await.unwrap_err();
        assert!(matches!(error, HttpError::NotSent { .. }), "{url}: {error:?}");
        assert_eq!((error.failure().kind, error.may_have_taken_effect()), (FailureKind::Transient, false));
        assert_says_nothing_secret(&error);
    }
}

#[tokio::test]
async fn a_server_that_does_not_finish_the_handshake_was_sent_nothing() {
    // `timeout` is the shorter setting here, and must not turn "never sent" into doubt.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap());
    let settings = Settings { timeout: NonZeroU64::MIN, ..Settings::default() };
    let error = send_with(&settings, &url).await.unwrap_err();
    assert!(matches!(error, HttpError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_secret_goes_only_where_it_may() {
    let (address, seen) = serving(ok("", b"{}")).await;
    let client = HttpClient::new(&settings()).unwrap();
    let error = client.send(post(&format!("http://{address}/token")), |url| url.host_str() == Some("a.example")).await;
    assert_eq!(error.unwrap_err(), HttpError::HostNotAllowed(address.to_string()));
    for url in ["http://a.example/token?secret=hunter2", "http://10.0.0.1/token"] {
        let error = client.send(post(url), |_| true).await.unwrap_err();
        assert!(matches!(error, HttpError::NotHttps(_)), "{url}");
        assert_eq!(error.failure().kind, FailureKind::RequestRejected);
        assert_says_nothing_secret(&error);
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn localhost_is_this_machine() {
    let (address, _) = serving(ok("", b"{}")).await;
    assert_eq!(send_with(&settings(), &format!("http://localhost:{}/", address.port())).await.unwrap().status, 200);
}

/// A TLS server with a certificate that the authority in `testdata/ca.pem` signed; it is made for these tests alone.
async fn tls_server(reply: Vec<u8>) -> SocketAddr {
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server.key.pem")).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_request(&mut stream).await;
            answer(&mut stream, &reply).await;
        }
    });
    address
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), reply: &[u8]) {
    let _ = stream.write_all(reply).await;
    let _ = stream.shutdown().await;
}

fn trusting(file: &Path) -> Settings {
    Settings { ca_file: Some(file.to_owned()), ..settings() }
}

fn test_authority() -> Settings {
    trusting(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/testdata/ca.pem"))
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent() {
    let address = tls_server(ok("", b"{}")).await;
    let error = send_with(&settings(), &format!("https://{address}/token?secret=hunter2")).await.unwrap_err();
    assert!(matches!(error, HttpError::NotSent { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_says_nothing_secret(&error);
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let address = tls_server(ok("", b"{}")).await;
    assert_eq!(send_with(&test_authority(), &format!("https://{address}/token")).await.unwrap().status, 200);
}

#[test]
fn a_setting_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (settings, name) in [
        (trusting(&empty), "ca_file"),
        (trusting(Path::new("/nonexistent/ca.pem")), "ca_file"),
        (Settings { user_agent: "a\r\nb: c".into(), ..settings() }, "user_agent"),
        (Settings { proxy: Some("http://u:hunter2@proxy.example".parse().unwrap()), ..settings() }, "proxy"),
    ] {
        let error = HttpClient::new(&settings).unwrap_err();
        assert!(matches!(&error, HttpError::BadSetting { name: told, .. } if *told == name), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_proxy_is_used_when_it_is_named_and_not_for_this_machine() {
    let (proxy, seen) = serving("HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n").await;
    let settings = Settings { proxy: Some(format!("http://{proxy}").parse().unwrap()), ..test_authority() };
    let error = send_with(&settings, "https://a.example/token").await.unwrap_err();
    assert!(matches!(error, HttpError::NotSent { .. }), "{error:?}");
    assert!(seen.lock().unwrap()[0].starts_with("CONNECT a.example:443 "));
    let address = tls_server(ok("", b"{}")).await;
    assert_eq!(send_with(&settings, &format!("https://{address}/token")).await.unwrap().status, 200);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

/// Runs one of these tests again in a process of its own with other variables.
fn again(test: &str, variables: &[(&str, &str)]) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("http::tests::{test}")])
        .envs(variables.iter().copied())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_proxy_that_only_the_environment_names_sees_nothing() {
    let nowhere = "http://127.0.0.1:9";
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let variables = names.map(|name| (name, nowhere));
    again("a_reply_comes_whole_with_its_headers_whatever_its_status", &variables);
    again("an_authority_of_ones_own_is_trusted_when_it_is_named", &variables);
}

#[test]
fn a_machine_without_certificate_authorities_still_checks_certificates() {
    let none = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    again("a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent", &none);
    again("an_authority_of_ones_own_is_trusted_when_it_is_named", &none);
    again("a_reply_comes_whole_with_its_headers_whatever_its_status", &none);
}

/// Everything that is logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells a process of its own from the one with all the tests.
const ALONE: &str = "GRANTKEEPER_TEST_ALONE";

#[test]
fn no_dependency_logs_a_header_or_a_body_at_trace_level() {
    // A logger is for a whole process, and sled, in other tests, logs while its threads are being taken down.
    again("the_log_of_dependencies_when_alone", &[(ALONE, "1")]);
}

#[tokio::test]
async fn the_log_of_dependencies_when_alone() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    use tracing_subscriber::util::SubscriberInitExt;
    let log = Log::default();
    let writer = log.clone();
    let _guard = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish()
        .set_default();
    let client = HttpClient::new(&test_authority()).unwrap();
    let reply =
        ok("set-cookie: sid=hunter2-cookie\r\nx-reply: hunter2-reply\r\n", b"{\"access_token\":\"hunter2-token\"}");
    let (plain, _) = serving(reply.clone()).await;
    let broken =
        serving("HTTP/1.1 200 OK\r\nx-reply: hunter2-reply\r\ncontent-length: 99\r\n\r\nhunter2-token").await.0;
    let garbage = serving("HTTP/1.1 hunter2-reply\r\n\r\n").await.0;
    let tls = tls_server(reply).await;
    for base in
        [format!("http://{plain}"), format!("http://{broken}"), format!("http://{garbage}"), format!("https://{tls}")]
    {
        let mut request = post(&format!("{base}/token/hunter2-path?secret=hunter2-query"));
        let mut value = http::HeaderValue::from_static("Basic hunter2-header");
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
        let _ = client.send(request, |_| true).await;
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // What proves that the subscriber heard the dependencies, those that use `log` too.
    for target in ["hyper_util::client", "reqwest::connect", "a provider answered"] {
        assert!(log.contains(target), "{target} in {log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[cfg(feature = "demo")]
#[tokio::test]
async fn a_detour_keeps_the_list_of_hosts_and_tells_the_url_that_was_meant() {
    let (address, seen) = serving(ok("", b"{}")).await;
    let client = HttpClient::new(&settings()).unwrap().with_detour(address).unwrap();
    let only = |url: &url::Url| url.host_str() == Some("good.example");
    client.send(post("https://good.example/a%20b/token?x=1&y"), only).await.unwrap();
    let request = seen.lock().unwrap().pop().unwrap();
    assert!(request.starts_with("POST /a%20b/token?x=1&y HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nx-grantkeeper-meant-url: https://good.example/a%20b/token?x=1&y\r\n"), "{request}");
    let error = client.send(post("https://evil.example/token"), only).await.unwrap_err();
    assert_eq!(error, HttpError::HostNotAllowed("evil.example".to_owned()));
    let error = client.send(post("http://good.example/token"), only).await.unwrap_err();
    assert_eq!(error, HttpError::NotHttps("good.example".to_owned()));
    assert!(seen.lock().unwrap().is_empty());
    let elsewhere = HttpClient::new(&settings()).unwrap().with_detour("192.0.2.1:80".parse().unwrap());
    assert!(elsewhere.is_err());
}
