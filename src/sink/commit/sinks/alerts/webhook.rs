//! A webhook: each message as a POST, signed, with its id as idempotency key.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Message, Target};
use crate::config::SigningKey;
use crate::error::RunError;

const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub struct Webhook {
    client: reqwest::Client,
    url: String,
    secret: Option<SigningKey>,
}

impl Webhook {
    /// Posts there, signed with a secret if there is one.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn new(url: &str, secret: Option<SigningKey>) -> Result<Webhook, RunError> {
        // The client takes one, whether it is needed or not; another that is there already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_url = reqwest::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
        if !is_url {
            return Err(RunError::Usage("alert-webhook: expected a URL such as https://host/path".to_owned()));
        }
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|error| RunError::Failed(format!("alert-webhook: {error}")))?;
        Ok(Webhook { client, url: url.to_owned(), secret })
    }
}

impl Target for Webhook {
    fn name(&self) -> String {
        let host = reqwest::Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        format!("the webhook at {}", host.unwrap_or_default())
    }

    fn at_once(&self) -> usize {
        1
    }

    fn tell<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), String>> {
        let Some(message) = messages.first() else { return futures::future::ready(Ok(())).boxed() };
        let body = message.body.to_string();
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        request = request.header("idempotency-key", ascii(&message.id));
        if let Some(secret) = &self.secret {
            request = request.header("x-citystream-signature", format!("sha256={}", signature(&secret.0, &body)));
        }
        let request = request.body(body);
        async move {
            // A URL may hold a secret.
            let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(format!("it answers {}", answer.status())) }
        }
        .boxed()
    }
}

/// HMAC-SHA-256 of a body, in hex.
fn signature(secret: &str, body: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What may stand in a header: keys of records may hold anything.
fn ascii(id: &str) -> String {
    id.bytes()
        .map(|byte| if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_signed_as_others_sign_them() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", "what do ya want for nothing?"), expected);
        assert_eq!(ascii("a/b\n\u{e9}"), "a/b%0A%C3%A9");
    }
}
