use super::*;
use crate::model::FailureKind;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// A server that reads one request and answers with the given bytes, then closes.
fn serve(answer: impl FnOnce(&mut std::net::TcpStream) + Send + 'static) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let handle = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).unwrap();
        request.truncate(read);
        answer(&mut stream);
        request
    });
    (url, handle)
}

fn reply(text: &'static str) -> impl FnOnce(&mut std::net::TcpStream) + Send {
    move |stream| stream.write_all(text.as_bytes()).unwrap()
}

async fn send(url: &str, settings: &Settings) -> Result<crate::oauth::RawReply, HttpError> {
    let request = http::Request::post(url).body(b"token=marked-secret".to_vec()).unwrap();
    HttpClient::new(settings).unwrap().send(request, |_| true).await
}

#[tokio::test]
async fn a_reply_comes_as_it_is_whatever_its_status() {
    let (url, _) = serve(reply("HTTP/1.1 400 Bad Request\r\nX-Odd: Yes\r\nContent-Length: 2\r\n\r\nno"));
    let reply = send(&url, &Settings::default()).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice(), reply.header("x-odd")), (400, b"no".as_slice(), Some("Yes")));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = elsewhere.local_addr().unwrap();
    let (url, _) = serve(move |stream| {
        write!(stream, "HTTP/1.1 307 Away\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    assert_eq!(send(&url, &Settings::default()).await.unwrap().status, 307);
    assert!(elsewhere.accept().is_err(), "the secret went on to where the redirect points");
}

#[tokio::test]
async fn ten_mebibytes_are_cut_off() {
    let (url, _) = serve(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; 10 << 20]);
    });
    let error = send(&url, &Settings::default()).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { status: 200, .. }), "{error}");
    assert_eq!(error.failure().kind, FailureKind::BadResponse);
}

#[tokio::test]
async fn a_connection_cut_after_the_request_leaves_its_fate_unknown() {
    for partial in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":"] {
        let (url, _) = serve(reply(partial));
        let error = send(&url, &Settings::default()).await.unwrap_err();
        assert!(matches!(error, HttpError::NoReply { .. }), "{error}");
        assert_eq!(error.failure().kind, FailureKind::Ambiguous);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let (url, _) = serve(move |_| drop(finished.recv()));
    let settings = Settings { timeout: 1, ..Settings::default() };
    let error = send(&url, &settings).await.unwrap_err();
    assert!(matches!(&error, HttpError::NoReply { reason, .. } if reason == "it took too long"), "{error}");
    drop(finish);
}

#[tokio::test]
async fn a_closed_port_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token?secret=marked-secret", listener.local_addr().unwrap());
    drop(listener);
    let error = send(&url, &Settings::default()).await.unwrap_err();
    assert!(matches!(error, HttpError::NotSent { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("marked-"), "{error:?}");
}

#[tokio::test]
async fn nothing_goes_to_a_host_that_is_not_named_or_in_clear_to_another_machine() {
    let client = HttpClient::new(&Settings::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let request = http::Request::get(&url).body(Vec::new()).unwrap();
    let refused = client.send(request, |_| false).await;
    assert!(matches!(refused, Err(HttpError::HostNotAllowed { .. })));
    let plain = http::Request::get("http://provider.example/").body(Vec::new()).unwrap();
    let refused = client.send(plain, |_| true).await;
    assert!(matches!(refused, Err(HttpError::HostNotAllowed { .. })));
    assert!(listener.accept().is_err());
}

#[tokio::test]
async fn a_compressed_bomb_is_cut_off_by_what_it_unpacks_to() {
    // 4 MiB of zeros as gzip, made with Python's gzip module at level 9 and kept beside this file.
    let bomb = include_bytes!("testdata/zeros.gz");
    let (url, _) = serve(move |stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(bomb);
    });
    let error = send(&url, &Settings::default()).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
}
