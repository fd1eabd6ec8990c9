//! The one integration binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod cli;
mod demo;
mod lab;
mod load;
mod matrix;
mod messages;
mod pools;
mod probe;
mod proxy;
mod report;
mod run;
mod scenario;
mod support;
mod tidy;
mod world;
