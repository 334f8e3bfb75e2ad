//! Manage Tokens: what is listed, and what an edit does.

use crate::support::desk::Desk;
use grantkeeper::connector::CredentialState;
use grantkeeper::demo::{ExpiresIn, Habits};
use grantkeeper::model::{Clock, ExpirySource, LATEST, TokenKind};
use std::time::Duration;

#[tokio::test]
async fn an_unstated_life_is_thirty_days_and_a_refresh_token_has_a_year() {
    let desk = Desk::new(Habits { expires_in: ExpiresIn::Absent, ..Habits::default() }).await;
    desk.consent().await.unwrap();
    let now = desk.clock.now();
    let access = desk.credential(TokenKind::AccessToken).await;
    assert_eq!((access.expires.seconds_left(now), access.expires.source), (30 * 86_400, ExpirySource::Default));
    let refresh = desk.credential(TokenKind::RefreshToken).await;
    assert_eq!((refresh.expires.seconds_left(now), refresh.expires.source), (365 * 86_400, ExpirySource::Default));
}

#[tokio::test]
async fn the_applications_lifespan_wins_over_the_default_and_the_reply_over_both() {
    let desk = Desk::new(Habits { expires_in: ExpiresIn::Absent, ..Habits::default() }).await;
    let lifespans = "script = \"OAuthGoogleDrive\"\nlifespans = { access_token = 600, refresh_token = 6000 }";
    desk.apply(lifespans, "").await;
    desk.consent().await.unwrap();
    let now = desk.clock.now();
    let access = desk.credential(TokenKind::AccessToken).await;
    assert_eq!((access.expires.seconds_left(now), access.expires.source), (600, ExpirySource::Setting));
    assert_eq!(desk.credential(TokenKind::RefreshToken).await.expires.seconds_left(now), 6000);
    for style in [ExpiresIn::Number, ExpiresIn::Text, ExpiresIn::Float] {
        desk.provider.set_habits(Habits { expires_in: style, ..Habits::default() });
        desk.connector.refresh(&desk.name).await.unwrap();
        let access = desk.credential(TokenKind::AccessToken).await;
        assert_eq!((access.expires.seconds_left(now), access.expires.source), (3600, ExpirySource::Stated));
    }
}

#[tokio::test]
async fn an_edit_to_the_past_ends_a_token_here_and_a_refresh_forgets_the_edit() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let old = desk.connector.token(&desk.name).await.unwrap();
    let edited =
        desk.connector.set_expires(old.credential_id(), desk.clock.now() - Duration::from_secs(1)).await.unwrap();
    assert_eq!((edited.state, edited.expires.source), (CredentialState::Expired, ExpirySource::Edited));
    let new = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!((new.generation(), new.expires().source), (2, ExpirySource::Stated));
}

#[tokio::test]
async fn an_edit_reaches_the_year_9999_and_no_further() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    let edited = desk.connector.set_expires(token.credential_id(), LATEST).await.unwrap();
    assert_eq!(edited.expires.at, LATEST);
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().expires().at, LATEST);
}

#[tokio::test]
async fn an_edited_refresh_token_that_has_ended_is_still_tried() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let refresh = desk.credential(TokenKind::RefreshToken).await;
    desk.connector.set_expires(refresh.id, desk.clock.now()).await.unwrap();
    assert!(desk.connector.refresh(&desk.name).await.is_ok(), "an edit is never a reason not to try");
}

#[tokio::test]
async fn the_provider_can_be_asked_about_a_token() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    let introspection = desk.connector.introspect(token.credential_id()).await.unwrap().unwrap();
    assert!(introspection.active);
    desk.provider.kill_family(0);
    assert!(!desk.connector.introspect(token.credential_id()).await.unwrap().unwrap().active);
}
