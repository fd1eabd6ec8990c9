//! What the tests of several areas share.

pub(crate) mod rig;
