//! Fixtures: recorded exchanges with a provider, replayed over real HTTP on loopback through the public face of the library,
//! so that what is tested is what runs. `grantkeeper script test` and the tests run the same. May use `connector`
//! and below.

mod fixture;
mod runner;
mod server;

pub use fixture::{Fixture, FixtureError, shipped};
pub use runner::{Difference, replay};
