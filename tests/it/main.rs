//! The integration tests: one binary, so that it links once.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests fail their test, as the tests themselves do

mod access;
#[cfg(feature = "cli")]
mod cli;
mod connector;
#[cfg(feature = "cli")]
mod crash;
#[cfg(feature = "cli")]
mod daemon;
mod fixtures;
mod house;
#[cfg(feature = "cli")]
mod pages;
mod peer;
mod secrets;
mod security_table;
mod shown;
mod simulation;
mod support;
mod vocabulary;
mod webhooks;
