//! The client for the caller's own requests: whose hosts, which token, and what a 401 comes to.

use crate::support::desk::Desk;
use grantkeeper::connector::{Client, Error};
use grantkeeper::demo::{Door, Fault, Habits};
use grantkeeper::http::HttpError;
use grantkeeper::reqwest::{Body, Response};
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use wiremock::matchers::{any, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// A desk with alice's grant, whose application names a further host.
async fn at_the_desk(hosts: &[&MockServer], lines: &str) -> (Desk, Client) {
    let hosts: Vec<String> = hosts.iter().map(|server| format!("\"{}\"", server.address())).collect();
    let lines = format!("script = \"OAuthGoogleDrive\"\nhosts = [{}]\n{lines}", hosts.join(", "));
    let desk = Box::pin(Desk::with(Habits::default(), Arc::new(MemoryStore::new()), None, &lines)).await;
    Box::pin(desk.consent()).await.unwrap();
    let client = desk.connector.client(&desk.name);
    (desk, client)
}

/// A server that answers everything in one way.
async fn answering(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string("as it said")).mount(&server).await;
    server
}

async fn seen(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

async fn text(reply: Result<Response, Error>) -> (u16, String) {
    let reply = reply.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_made_and_with_the_token() {
    let api = answering(201).await;
    let (desk, client) = at_the_desk(&[&api], "").await;
    let token = desk.connector.token(&desk.name).await.unwrap();
    let request = client
        .post(format!("{}/items?a=1#part", api.uri()))
        .query(&[("b", "2 3")])
        .header("x-request-id", "7")
        .json(&serde_json::json!({ "name": "x" }));
    assert_eq!(text(request.send().await).await, (201, "as it said".to_owned()));
    let form = client.put(api.uri()).header("content-type", "text/x-own").form(&[("c", "ä")]).send().await;
    assert_eq!(form.unwrap().status(), 201);
    let seen = seen(&api).await;
    assert_eq!((seen[0].url.path(), seen[0].url.query()), ("/items", Some("a=1&b=2+3")));
    assert_eq!(seen[0].headers["authorization"], token.authorization().expose());
    assert_eq!(
        (&seen[0].headers["x-request-id"], &seen[0].headers["content-type"]),
        (&"7".parse().unwrap(), &"application/json".parse().unwrap())
    );
    assert_eq!(seen[0].body, br#"{"name":"x"}"#);
    assert_eq!(
        (&seen[1].headers["content-type"], seen[1].body.as_slice()),
        (&"text/x-own".parse().unwrap(), b"c=%C3%A4".as_slice())
    );
    assert_eq!(desk.refreshes(), 0);
}

#[tokio::test]
async fn a_token_that_the_api_refuses_is_replaced_once() {
    let (desk, client) = at_the_desk(&[], "").await;
    desk.clock.advance(Duration::from_secs(600));
    desk.provider.expire_access_tokens();
    let old = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(old.secret()).await, 401, "by our clock it is good, by the provider's it is not");
    let (status, body) = text(client.get(desk.provider.files_url()).send().await).await;
    assert!(status == 200 && body.contains("Quarterly report"), "{status} {body}");
    assert_eq!(client.get(desk.provider.files_url()).send().await.unwrap().status(), 200);
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_with_the_same_refused_token_share_one_refresh() {
    let (desk, client) = at_the_desk(&[], "").await;
    desk.clock.advance(Duration::from_secs(600));
    desk.provider.expire_access_tokens();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (client, url) = (client.clone(), desk.provider.files_url());
            tokio::spawn(async move { client.get(url).send().await.unwrap().status() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(desk.refreshes(), 1);
}

#[tokio::test]
async fn a_401_that_stays_is_returned_as_it_came_after_one_refresh() {
    let api = answering(401).await;
    let (desk, client) = at_the_desk(&[&api], "").await;
    desk.clock.advance(Duration::from_secs(600));
    assert_eq!(text(client.get(api.uri()).send().await).await, (401, "as it said".to_owned()));
    let seen = seen(&api).await;
    assert_eq!((seen.len(), desk.refreshes()), (2, 1));
    assert_ne!(seen[0].headers["authorization"], seen[1].headers["authorization"], "the second try has the new token");
}

#[tokio::test]
async fn an_api_that_refuses_every_token_does_not_wear_out_the_refresh_token() {
    let api = answering(401).await;
    let (desk, client) = at_the_desk(&[&api], "").await;
    desk.clock.advance(Duration::from_secs(600));
    for _ in 0..10 {
        assert_eq!(client.get(api.uri()).send().await.unwrap().status(), 401);
        desk.clock.advance(Duration::from_secs(5));
    }
    assert_eq!((desk.refreshes(), seen(&api).await.len()), (1, 11));
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!(desk.connector.client(&desk.name).get(api.uri()).send().await.unwrap().status(), 401);
    assert_eq!(desk.refreshes(), 2, "after a while it is tried again");
}

#[tokio::test]
async fn nor_does_one_that_is_sent_streams() {
    let api = answering(401).await;
    let (desk, client) = at_the_desk(&[&api], "").await;
    desk.clock.advance(Duration::from_secs(600));
    for _ in 0..10 {
        let streamed = client.post(api.uri()).body(Body::wrap("streamed".to_owned())).send().await.unwrap();
        assert_eq!(streamed.status(), 401);
        desk.clock.advance(Duration::from_secs(5));
    }
    assert_eq!((desk.refreshes(), seen(&api).await.len()), (1, 10));
}

#[tokio::test]
async fn another_status_than_401_refreshes_nothing() {
    let api = answering(403).await;
    let (desk, client) = at_the_desk(&[&api], "").await;
    assert_eq!(text(client.get(api.uri()).send().await).await.0, 403);
    assert_eq!((seen(&api).await.len(), desk.refreshes()), (1, 0));
}

#[tokio::test]
async fn a_body_of_bytes_is_sent_again_and_a_stream_is_not() {
    let (desk, client) = at_the_desk(&[], "").await;
    let api = MockServer::start().await;
    let lines = format!("script = \"OAuthGoogleDrive\"\nhosts = [\"{}\"]", api.address());
    desk.apply(&lines, "").await;
    let first = desk.connector.token(&desk.name).await.unwrap();
    Mock::given(header("authorization", first.authorization().expose()))
        .respond_with(ResponseTemplate::new(401))
        .mount(&api)
        .await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).with_priority(9).mount(&api).await;
    desk.clock.advance(Duration::from_secs(600));
    let streamed = client.post(api.uri()).body(Body::wrap("streamed".to_owned())).send().await.unwrap();
    assert_eq!((streamed.status().as_u16(), seen(&api).await.len()), (401, 1), "there is nothing left to send");
    assert_eq!(desk.refreshes(), 1, "the next request has the new token");
    let streamed = client.post(api.uri()).body(Body::wrap("streamed".to_owned())).send().await.unwrap();
    assert_eq!((streamed.status().as_u16(), desk.refreshes()), (200, 1));
    let second = desk.connector.token(&desk.name).await.unwrap();
    Mock::given(header("authorization", second.authorization().expose()))
        .respond_with(ResponseTemplate::new(401))
        .mount(&api)
        .await;
    desk.clock.advance(Duration::from_secs(600));
    assert_eq!(client.post(api.uri()).body("in one piece").send().await.unwrap().status(), 200);
    let bodies: Vec<_> = seen(&api).await.iter().map(|request| request.body.clone()).collect();
    assert_eq!(bodies[2..], [b"in one piece".to_vec(), b"in one piece".to_vec()]);
}

#[tokio::test]
async fn a_host_that_the_application_does_not_name_gets_nothing() {
    let stranger = answering(200).await;
    let (desk, client) = at_the_desk(&[], "").await;
    desk.pass_an_hour();
    let authority = stranger.address().to_string();
    let refused = client.get(stranger.uri()).send().await.unwrap_err();
    assert!(matches!(&refused, Error::Http(HttpError::HostNotAllowed(host)) if *host == authority), "{refused:?}");
    assert!(refused.to_string().contains("add it to `hosts`"), "{refused}");
    let refused = client.get("http://api.example/files").send().await.unwrap_err();
    assert!(matches!(refused, Error::Http(HttpError::NotHttps(_))), "{refused:?}");
    // The application's host, as the user name of another one.
    let issuer = desk.provider.issuer().trim_start_matches("http://").to_owned();
    let refused = client.get(format!("http://{issuer}@{authority}/")).send().await.unwrap_err();
    assert!(matches!(refused, Error::Http(HttpError::BadRequest)), "{refused:?}");
    assert_eq!(client.get("no url").send().await.unwrap_err().code(), "bad_request");
    assert_eq!(client.get(stranger.uri()).header("a b", "c").send().await.unwrap_err().code(), "bad_request");
    assert_eq!((seen(&stranger).await.len(), desk.refreshes()), (0, 0), "no token was fetched for it either");
}

#[tokio::test]
async fn a_redirect_takes_the_token_to_no_other_host() {
    let (api, other, stranger) = (MockServer::start().await, answering(200).await, answering(200).await);
    let (_desk, client) = at_the_desk(&[&api, &other], "").await;
    for (place, to) in
        [("/away", stranger.uri()), ("/within", format!("{}/x", other.uri())), ("/round", "/round".to_owned())]
    {
        let reply = ResponseTemplate::new(302).insert_header("location", to.as_str());
        Mock::given(path(place)).respond_with(reply).mount(&api).await;
    }
    let away = client.get(format!("{}/away", api.uri())).header("cookie", "a=b").send().await.unwrap();
    assert_eq!((away.status().as_u16(), away.headers()["location"].to_str().unwrap()), (302, stranger.uri().as_str()));
    assert!(seen(&stranger).await.is_empty());

    let within = client.get(format!("{}/within", api.uri())).header("cookie", "a=b").send().await.unwrap();
    assert_eq!((within.status().as_u16(), within.url().path()), (200, "/x"));
    let arrived = seen(&other).await;
    assert!(arrived[0].headers.contains_key("authorization") && !arrived[0].headers.contains_key("cookie"));

    let posted = client.post(format!("{}/within", api.uri())).send().await.unwrap();
    assert_eq!((posted.status().as_u16(), seen(&other).await.len()), (302, 1), "only GET and HEAD are followed");

    let round = client.get(format!("{}/round", api.uri())).send().await.unwrap();
    assert_eq!(round.status(), 302);
    let rounds = seen(&api).await.iter().filter(|request| request.url.path() == "/round").count();
    assert_eq!(rounds, 11);
}

#[tokio::test]
async fn a_request_with_an_authorization_or_a_host_of_its_own_is_refused() {
    let api = answering(200).await;
    let (_desk, client) = at_the_desk(&[&api], "").await;
    for (name, value) in [("authorization", "Basic bWFya2Vk"), ("host", "other.example")] {
        let refused = client.get(api.uri()).header(name, value).send().await.unwrap_err();
        assert!(refused.code() == "bad_request" && refused.to_string().contains(name), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("bWFya2Vk"), "{refused:?}");
    }
    let shop = client.token_in("x-shop-token".parse().unwrap());
    assert_eq!(shop.get(api.uri()).header("x-shop-token", "mine").send().await.unwrap_err().code(), "bad_request");
    assert!(seen(&api).await.is_empty());
}

#[tokio::test]
async fn the_token_travels_as_its_provider_wants_it() {
    let api = answering(200).await;
    let (desk, client) = at_the_desk(&[&api], "authorization_scheme = \"Zoho-oauthtoken\"").await;
    let token = desk.connector.token(&desk.name).await.unwrap();
    client.get(api.uri()).send().await.unwrap();
    client.token_in("x-shop-token".parse().unwrap()).get(api.uri()).send().await.unwrap();
    let seen = seen(&api).await;
    assert_eq!(seen[0].headers["authorization"], format!("Zoho-oauthtoken {}", token.secret().expose()));
    assert_eq!(seen[1].headers["x-shop-token"], token.secret().expose());
    assert!(!seen[1].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_401_without_a_way_to_a_new_token_is_returned_and_a_failed_refresh_is_told() {
    let (desk, client) = at_the_desk(&[], "").await;
    desk.clock.advance(Duration::from_secs(600));
    desk.provider.expire_access_tokens();
    desk.provider.next(Door::Token, Fault::Status(503));
    let failed = client.get(desk.provider.files_url()).send().await.unwrap_err();
    assert!(failed.code() == "transient" && failed.retryable(), "{failed:?}");
    // Without the script there is no refresh token.
    let desk = Desk::with(Habits::default(), Arc::new(MemoryStore::new()), None, "").await;
    desk.consent().await.unwrap();
    desk.clock.advance(Duration::from_secs(600));
    desk.provider.expire_access_tokens();
    let client = desk.connector.client(&desk.name);
    let reply = client.get(desk.provider.files_url()).send().await.unwrap();
    assert_eq!((reply.status().as_u16(), desk.refreshes()), (401, 0));
}

#[tokio::test]
async fn a_reply_that_takes_too_long_is_not_waited_for() {
    let api = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(method("GET")).respond_with(slow).mount(&api).await;
    let (_desk, client) = at_the_desk(&[&api], "").await;
    let late = client.get(api.uri()).timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(matches!(&late, Error::Http(HttpError::NoReply { .. })) && late.retryable(), "{late:?}");
}

#[tokio::test]
async fn a_connection_that_ended_sends_nothing() {
    let api = answering(200).await;
    let (desk, client) = at_the_desk(&[&api], "").await;
    client.get(api.uri()).send().await.unwrap();
    desk.connector.revoke(&desk.name).await.unwrap();
    assert_eq!(client.get(api.uri()).send().await.unwrap_err().code(), "revoked");
    let unknown = desk.connector.client(&"drive/nobody".parse().unwrap());
    assert_eq!(unknown.get(api.uri()).send().await.unwrap_err().code(), "unknown_connection");
    assert_eq!(seen(&api).await.len(), 1);
}
