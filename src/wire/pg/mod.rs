//! The PostgreSQL frontend/backend protocol, version 3.

mod cursor;
mod message;
mod names;
mod opening;
mod sql;
mod talk;
#[cfg(test)]
mod tests;

pub use message::{
    COMPLETE, ERROR, EXECUTE, QUERY, READY, body, fields, message, put, split_text, text,
};
pub use sql::{first_words, start, statements};
pub(super) use talk::{Exchange, Talk};
