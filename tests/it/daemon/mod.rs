//! `grantkeeper serve`, driven by the command line and by HTTP over its socket.

mod alike;
mod api;
mod fuzzed;
mod handed_over;
mod life;
mod logs;
mod outside;
mod scripts;
mod sessions;
mod streams;
