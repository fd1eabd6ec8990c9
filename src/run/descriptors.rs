use super::{RunError, system};
use crate::proxy::{self, OTHER_DESCRIPTORS};
use crate::scenario::Plan;
use crate::sys::net;

/// Connections that each proxy is to have room for, whoever comes.
const CONNECTIONS: u64 = 16;

/// Raises the limit of open files as far as it goes, and makes sure that it is enough to begin with.
///
/// How many clients a service has nobody knows before it runs; what turns out to be too much is
/// recorded when a connection is turned away.
pub(super) fn suffice(plan: &Plan) -> Result<(), RunError> {
    let limit = net::raise_descriptor_limit()
        .map_err(|source| system("raise the limit of open files", source))?;
    let needed = needed(plan.proxies.len(), plan.probes.len() + plan.workloads.len());
    if limit < needed {
        return Err(RunError::Descriptors { limit, needed });
    }
    Ok(())
}

/// Each probe and workload takes a socket of its own, and a connection through a proxy.
fn needed(proxies: usize, sources: usize) -> u64 {
    let connections = proxies as u64 * CONNECTIONS + sources as u64;
    OTHER_DESCRIPTORS + connections * proxy::DESCRIPTORS_EACH + sources as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proxy_probe_and_workload_takes_descriptors() {
        assert_eq!(needed(0, 0), 200);
        assert_eq!(needed(1, 8), 200 + 2 * (16 + 8) + 8);
    }
}
