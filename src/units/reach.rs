use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How far connections may lead. A name in a scenario may stand for any address by the time it is
/// resolved, so each address is checked before a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// To loopback addresses.
    #[default]
    Loopback,
    /// To any address.
    Anywhere,
}

impl Reach {
    /// Fails if `address` must not be connected to.
    pub fn permit(self, address: SocketAddr) -> io::Result<()> {
        if self == Self::Anywhere || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let why = "not a loopback address, and `loopback_only` is in force";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_what_the_address_is_in_either_family() {
        for (address, expected) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.0.2.1:1", false),
            ("[::ffff:192.0.2.1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            let address = address.parse().unwrap();
            let permitted = Reach::Loopback.permit(address).is_ok();
            assert_eq!(permitted, expected, "{address}");
            assert!(Reach::Anywhere.permit(address).is_ok(), "{address}");
        }
    }
}
