//! No programs, for probes that need none.

use std::sync::Arc;
use std::time::Duration;

use chaosproxy::probe::{Programs, Running};

struct NoPrograms;

impl Programs for NoPrograms {
    fn run<'a>(&'a self, command: &'a [String], _: Duration) -> Running<'a> {
        panic!("nobody should run {command:?}")
    }
}

pub(crate) fn no_programs() -> Arc<dyn Programs> {
    Arc::new(NoPrograms)
}
