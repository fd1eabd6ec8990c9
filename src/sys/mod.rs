//! The few operating-system calls.
