//! `grantkeeper serve`, driven by the command line and by HTTP over its socket.

mod alike;
mod api;
mod life;
mod outside;
mod sessions;
