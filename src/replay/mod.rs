//! Fixtures: recorded exchanges with a provider, replayed over real HTTP on loopback through the public face of the library,
//! so that what is tested is what runs. `grantkeeper script test` and the tests run the same. May use `connector`
//! and below.

mod compare;
mod fixture;
mod masks;
mod report;
mod runner;
mod server;
mod stage;
mod written;

pub use fixture::{
    Account, Authorization, Client, Exchange, Expect, Failed, Fixture, FixtureError, Generate, Held, HeldToken, Pairs,
    Reply, Request, Then, Token, shipped,
};
pub use report::{Difference, Line, Report, Section};
pub(crate) use runner::failure_of;
pub use runner::{replay, replay_without};
