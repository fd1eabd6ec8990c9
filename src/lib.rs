//! chaosproxy: breaks the path between servers and PostgreSQL on a schedule, and proves with
//! measured evidence how the servers cope.
//!
//! The modules, from the ground up; each imports only from those before it (a test holds them to
//! that):
//!
//! 1. [`units`], [`diag`], [`template`], [`jsonpath`], [`sql`], [`sys`]: quantities, messages that
//!    point into files, placeholders, paths into JSON, questions to databases, the few
//!    operating-system calls.
//! 2. [`event`], [`wire`]: the one stream of facts; framing of PostgreSQL.
//! 3. [`fault`], [`action`], [`check`]: what can go wrong, the vocabulary of change, and what must
//!    hold. All pure.
//! 4. [`proxy`], [`http`], [`probe`], [`load`], [`lab`]: sockets, clients, processes.
//! 5. [`scenario`], [`engine`], [`report`]: a file becomes a plan; actions become faults; a
//!    journal becomes a verdict that people and machines can read.
//! 6. [`run`]: one experiment from set-up to verdict.
//! 7. [`cli`]: the only place that prints, exits and reads the environment.
//!
//! Beside them stands [`demo`]: small reference servers on PostgreSQL that scenarios can be tried
//! on.

pub mod action;
pub mod check;
pub mod cli;
pub mod demo;
pub mod diag;
pub mod engine;
pub mod event;
pub mod fault;
pub mod http;
pub mod jsonpath;
pub mod lab;
pub mod load;
pub mod own;
pub mod probe;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sql;
pub mod sys;
pub mod template;
pub mod units;
pub mod wire;
