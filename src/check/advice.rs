//! What to do about a fault that touched nobody.

use super::History;

/// The advice that the evidence of the run supports.
pub(super) fn untouched(_history: &History, _fault: &str) -> String {
    NO_VICTIMS.to_owned()
}

/// Nobody was ever seen: that the service goes past the proxy is by far the most common reason.
const NO_VICTIMS: &str = "see that the service connects to the address of the proxy, \
     not past it to the upstream, and that something is asked of it while the fault is in force";
