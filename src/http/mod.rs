//! The client under every request: where it may send, how long it waits, how much it takes back. It follows no redirect and keeps
//! no cookie. May use `oauth` and `model`.

mod client;
mod error;
mod settings;

pub use client::HttpClient;
pub use error::HttpError;
pub use settings::Settings;

#[cfg(test)]
mod tests;
