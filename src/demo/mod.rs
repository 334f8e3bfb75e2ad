//! The provider with habits, and the browser that consents at it: what the demo command, the examples and the tests run
//! against. A real server on a loopback port that is strict where the RFCs are, and misbehaves only where it is told
//! to. The guided tour of `grantkeeper demo` walks
//! through it. May use the rooms below it.

mod browser;
mod provider;
mod tour;

pub use browser::{Browser, BrowserError, Page};
pub use provider::{
    Client, DRIVE_SCOPE, DemoProvider, Door, Ended, ExpiresIn, Family, Fault, Gate, Habits, IdTokens, PASSWORD,
    ReplyStyle, Rotation, SeenRequest, SigningKey, USERS,
};
pub use tour::{Step, TourError, tour};
