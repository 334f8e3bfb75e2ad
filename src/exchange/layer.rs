//! The client that is handed to the `oauth2` crate: the crate's request becomes a parameter map that the hooks
//! change, and what the hooks read from the reply becomes the standard JSON that the crate expects.

use super::shaping::SentBefore;
use super::{Answer, Exchange, ExchangeError};
use crate::model::{GrantType, Secret};
use crate::oauth::Params;
use oauth2::{
    AsyncHttpClient, ClientId, EmptyExtraTokenFields, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use url::Url;

/// Any token type: a provider may call it what it likes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct AnyType(String);

impl oauth2::TokenType for AnyType {}

type Reply = StandardTokenResponse<EmptyExtraTokenFields, AnyType>;
type Refusal = oauth2::basic::BasicErrorResponse;
type CrateClient = oauth2::Client<
    Refusal,
    Reply,
    oauth2::basic::BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The crate's client. It knows the id and no secret: authentication comes after the hooks.
pub(super) fn client(client_id: &str, token_endpoint: &Url) -> CrateClient {
    oauth2::Client::new(ClientId::new(client_id.to_owned()))
        .set_auth_type(oauth2::AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(token_endpoint.clone()))
}

/// One exchange as the crate's HTTP client.
pub(super) struct Layer<'a> {
    exchange: &'a Exchange,
    grant: GrantType,
    endpoint: &'a Url,
    before: &'a SentBefore,
    secrets: &'a [&'a Secret],
    // The crate's types lose what they do not know, so the full answer waits here.
    answer: Mutex<Option<Answer>>,
}

impl<'a> Layer<'a> {
    pub(super) fn new(
        exchange: &'a Exchange,
        (grant, endpoint): (GrantType, &'a Url),
        before: &'a SentBefore,
        secrets: &'a [&'a Secret],
    ) -> Self {
        Self { exchange, grant, endpoint, before, secrets, answer: Mutex::new(None) }
    }

    /// The answer behind the crate's own.
    pub(super) fn outcome(
        &self,
        result: Result<Reply, RequestTokenError<ExchangeError, Refusal>>,
    ) -> Result<Answer, ExchangeError> {
        match result {
            Ok(_) => {}
            Err(RequestTokenError::Request(error)) => return Err(error),
            // Cannot come from a reply: the crate only ever reads the JSON made below.
            Err(other) => return Err(ExchangeError::Setup(format!("the token request could not be made: {other}"))),
        }
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or_else(|| ExchangeError::Setup("the token request was never sent".to_owned()))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let body = zeroize::Zeroizing::new(request.into_body());
        let mut params = Params::from_form(&body);
        params.remove("client_id");
        let separator = &self.exchange.application.scope_separator;
        if let Some(scope) = params.text("scope").map(|scope| scope.replace(' ', separator)) {
            params.put("scope", scope);
        }
        let request = super::grant::post(self.exchange, self.endpoint, params);
        let answer = self.exchange.run(self.grant, request, self.before, self.secrets).await?;
        let json = answer.reply.standard_json();
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        let mut response = HttpResponse::new(json);
        let json_type = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json_type);
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Layer<'_> {
    type Error = ExchangeError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ExchangeError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
