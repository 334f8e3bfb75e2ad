//! What a provider really sent, made into what may be kept: the guess at where the tokens of a reply are, the script or
//! the provider's keys that read it, and fixtures in which every secret is replaced. May use `replay` and below.
//!
//! The guess is pure and sees a reply only; nothing that it writes into a script comes from the reply but names that
//! could stand in any script.

mod advice;
mod body;
mod exchange;
mod guess;
mod masks;
mod names;
mod request;
mod sample;
mod shape;
mod times;
mod traces;
mod writer;

#[cfg(test)]
mod tests;

pub use crate::exchange::{Outcome, ReplyFileError, Trial, read_reply_file, try_reply};
pub use advice::{Advice, Expected};
pub use exchange::{Asked, Before, fixture_of_tape};
pub use guess::{Failing, Guess, Lifetime, Scopes, TokenAt};
pub use names::is_public_name;
pub use sample::fixture_of;
pub use shape::{Place, Shape};
pub use times::When;
pub use writer::write_script;
