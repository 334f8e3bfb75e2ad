//! Event streams: server-sent events, and many of them.

use crate::support::outside::Outside;
use crate::support::shop::{NAME, Shop};
use grantkeeper::demo::Habits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Barrier;

/// Reads on until a text has come.
#[track_caller]
fn until(stream: &mut TcpStream, wanted: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains(wanted) {
        let length = stream.read(&mut bytes).unwrap();
        assert_ne!(length, 0, "the stream ended: {text}");
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    text
}

fn open(outside: &Outside, key: &str, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(outside.address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\naccept: text/event-stream\r\n{headers}\r\n"
    )
    .unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_are_taken_up_where_they_were_cut_off() {
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "watcher", &["manage:drive/*"]);
    let mut stream = open(&outside, &key, "/v1/events/stream?after=0", "");
    let text = until(&mut stream, "\n\n\r\n");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    let text = if text.contains("event: authorized") { text } else { until(&mut stream, "event: authorized") };
    let id: u64 = text
        .split_once("\nid: ")
        .map_or_else(|| text.split_once("id: "), Some)
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    drop(stream);
    shop.machine.run(&["refresh", NAME]).done();
    // A browser says by itself what it has seen, whatever the address asked for at first.
    let seen = format!("last-event-id: {id}\r\n");
    let mut stream = open(&outside, &key, "/v1/events/stream?after=0&kind=refreshed", &seen);
    let text = until(&mut stream, "\"generation\":2");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!((&event["kind"], &event["connection"]), (&"refreshed".into(), &NAME.into()));
    assert!(text.contains("event: refreshed") && !text.contains("event: authorized"), "{text}");
    // What has not come yet is not waited for, and what is no sequence is no place.
    let mut stream = open(&outside, &key, "/v1/events/stream", "last-event-id: 999999\r\n");
    until(&mut stream, "nothing yet");
    shop.machine.run(&["refresh", NAME]).done();
    until(&mut stream, "\"generation\":3");
    let mut refused = open(&outside, &key, "/v1/events/stream", "last-event-id: abc\r\n");
    until(&mut refused, "Last-Event-ID is no sequence");
    // The audit log too, for who may see it.
    let admin = outside.key(&shop.machine, "admin", &["administer"]);
    let mut stream = open(&outside, &admin, "/v1/audit/stream?after=0", "");
    until(&mut stream, "event: key.create");
    let mut refused = open(&outside, &key, "/v1/audit/stream", "");
    until(&mut refused, "not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_are_told_of_every_event() {
    const STREAMS: usize = 1000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let shop = Shop::connected(Habits::default()).await;
    let outside = Outside::start(&shop.machine, "");
    let key = outside.key(&shop.machine, "watcher", &["manage:drive/*"]);
    let begun = Arc::new(Barrier::new(STREAMS + 1));
    let address = outside.address;
    let readers: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (key, begun) = (key.clone(), Arc::clone(&begun));
            tokio::spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                let request = format!(
                    "GET /v1/events/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\naccept: text/event-stream\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let (mut text, mut bytes) = (String::new(), [0; 4096]);
                let mut has_begun = false;
                for wanted in ["nothing yet", "\"generation\":2", "\"generation\":3"] {
                    while !text.contains(wanted) {
                        let length = stream.read(&mut bytes).await.unwrap();
                        assert_ne!(length, 0, "a stream ended: {text}");
                        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
                    }
                    if !has_begun {
                        has_begun = true;
                        begun.wait().await;
                    }
                }
                text.matches("event: refreshed").count()
            })
        })
        .collect();
    begun.wait().await;
    // Whoever else asks is answered meanwhile.
    for _ in 0..2 {
        shop.machine.run(&["refresh", NAME]).done();
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 2, "each event is told once");
    }
    // A stop ends them, and waits for none.
    let stopped = outside.daemon.stopped();
    assert!(stopped.out.contains("what was under way is finished"), "{stopped:?}");
}
