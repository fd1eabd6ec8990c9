//! The few operating-system calls, each behind a function that says what it is for.

pub mod net;
