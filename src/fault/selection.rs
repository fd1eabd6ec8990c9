//! Choosing connections by what is known of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Candidate;
use crate::units::{Moment, Period};

/// What must be true of a connection; whatever is left out is true of all.
///
/// It is decided once, as of the moment of the injection: a connection that grows old or falls
/// idle while the fault is in force is not drawn into it. A connection that is opened later has
/// neither age nor idle time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Open for at least so long.
    pub min_age: Option<Period>,
    /// Open for at most so long; later connections are younger.
    pub max_age: Option<Period>,
    /// Without a byte, either way, for at least so long.
    pub idle: Option<Period>,
    /// Their number at their proxy, from 0 in the order of acceptance: `"3"`, `"0..9"` with both
    /// ends, `"10.."`.
    pub ordinal: Option<Ordinals>,
    /// The client's address, or its network: `"127.0.0.2"`, `"10.0.0.0/8"`.
    pub client: Option<Network>,
}

impl Selection {
    /// Whether it is true of a connection at the injection.
    pub fn includes(&self, conn: &Candidate, injected: Moment) -> bool {
        let age = injected.since(conn.opened);
        let idle = injected.since(conn.active);
        self.min_age.is_none_or(|least| age >= *least)
            && self.max_age.is_none_or(|most| age <= *most)
            && self.idle.is_none_or(|least| idle >= *least)
            && self
                .ordinal
                .is_none_or(|these| these.include(conn.key.conn))
            && self.client.is_none_or(|these| these.includes(conn.client))
    }
}

/// Why a text selects nothing. Each variant's text fits after "expected …".
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// No ordinals.
    #[error("one number or a range such as `0..9` or `10..`, found `{0}`")]
    Ordinals(String),
    /// No addresses.
    #[error("an address such as `127.0.0.2` or a network such as `10.0.0.0/8`, found `{0}`")]
    Network(String),
}

/// Ordinals of connections, both ends among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", example = "0..9")]
pub struct Ordinals {
    first: u64,
    last: u64,
}

impl Ordinals {
    const fn include(self, ordinal: u64) -> bool {
        self.first <= ordinal && ordinal <= self.last
    }
}

impl FromStr for Ordinals {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let (first, last) = match text.split_once("..") {
            None => (text.parse(), text.parse()),
            Some((first, "")) => (first.parse(), Ok(u64::MAX)),
            Some((first, last)) => (first.parse(), last.parse()),
        };
        match (first, last) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(SelectionError::Ordinals(text.to_owned())),
        }
    }
}

impl fmt::Display for Ordinals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, u64::MAX) => write!(f, "{first}.."),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}..{last}"),
        }
    }
}

/// An address, or all addresses that begin like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", example = "10.0.0.0/8")]
pub struct Network {
    address: IpAddr,
    /// Bits that count.
    prefix: u32,
}

impl Network {
    fn includes(self, address: IpAddr) -> bool {
        let alike = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => ours.to_bits() ^ other.to_bits(),
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                return (ours.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix;
            }
            _ => return false,
        };
        alike.leading_zeros() >= self.prefix
    }
}

impl FromStr for Network {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let bad = || SelectionError::Network(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| bad())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Types that are read and written as texts.
macro_rules! as_text {
    ($($type:ident),*) => {$(
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse().map_err(|error: SelectionError| format!("expected {error}"))
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}
as_text!(Ordinals, Network);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::ConnKey;

    /// Opened at 10 s, last used at 15 s; the injection is at 20 s.
    fn selected(selection: &str) -> bool {
        let selection: Selection = toml::from_str(selection).unwrap();
        let at = |s| Moment::ZERO + *Period::from_secs(s);
        let conn = Candidate {
            key: ConnKey {
                seed: 1,
                proxy: "db".into(),
                conn: 7,
            },
            client: "10.1.2.3".parse().unwrap(),
            opened: at(10),
            active: at(15),
            own: false,
        };
        selection.includes(&conn, at(20))
    }

    #[test]
    fn connections_are_chosen_by_age_idle_time_ordinal_and_client() {
        for (selection, expected) in [
            ("", true),
            ("min_age = '10s'", true),
            ("min_age = '11s'", false),
            ("max_age = '10s'", true),
            ("max_age = '9s'", false),
            ("idle = '5s'", true),
            ("idle = '6s'", false),
            ("ordinal = '7'", true),
            ("ordinal = '0..6'", false),
            ("ordinal = '7..'", true),
            ("client = '10.0.0.0/8'", true),
            ("client = '10.1.2.4'", false),
            ("client = '::1'", false),
            ("client = '0.0.0.0/0'", true),
            ("min_age = '1s'\nclient = '10.1.2.4'", false),
        ] {
            assert_eq!(selected(selection), expected, "{selection}");
        }
    }

    #[test]
    fn what_selects_nothing_is_refused_with_an_example() {
        let refused = |text: &str| toml::from_str::<Selection>(text).unwrap_err().to_string();
        assert!(refused("ordinal = '9..0'").contains("a range such as `0..9`"));
        assert!(refused("client = '10.0.0.0/33'").contains("a network such as `10.0.0.0/8`"));
        assert!(refused("age = '1s'").contains("unknown field"));
    }
}
