//! The few operating-system calls, each behind a function that says what it is for.

pub mod fifo;
pub mod folder;
pub mod net;
pub mod process;
pub mod shm;
pub mod syn;
pub mod timer;
