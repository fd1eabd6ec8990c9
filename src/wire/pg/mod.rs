//! The PostgreSQL frontend/backend protocol, version 3, as a bystander sees it.

mod frames;
mod opening;
mod session;
#[cfg(test)]
mod tests;

pub use session::{Observation, Session};
