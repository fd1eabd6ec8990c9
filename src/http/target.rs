use hyper::Uri;
use hyper::http::uri::Scheme;

/// Where the requests of a client go: the parts of a URL such as `http://127.0.0.1:8020`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Value of the `Host` header.
    pub(super) authority: String,
    /// Path in front of every request's path, without a slash at its end.
    pub(super) prefix: String,
}

/// Why a URL cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is no URL.
    #[error("`{url}` is no URL; write one such as `http://127.0.0.1:8020`")]
    Malformed {
        /// What was given.
        url: String,
    },
    /// It is not plain HTTP.
    #[error("`{url}`: only `http://` is supported")]
    Scheme {
        /// What was given.
        url: String,
    },
}

impl Target {
    /// Splits a URL. The port defaults to 80; a path is put in front of every request's path.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed {
            url: url.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?;
        let scheme = uri.scheme().ok_or_else(malformed)?;
        if *scheme != Scheme::HTTP {
            return Err(TargetError::Scheme {
                url: url.to_owned(),
            });
        }
        let host = authority.host();
        Ok(Self {
            // Brackets belong to the URL, not to the IPv6 address.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_and_others_are_refused() {
        let target = Target::parse("http://127.0.0.1:8020/api/").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 8020));
        assert_eq!(target.authority, "127.0.0.1:8020");
        assert_eq!(target.prefix, "/api");
        let target = Target::parse("http://[::1]").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 80));
        assert!(matches!(
            Target::parse("https://localhost"),
            Err(TargetError::Scheme { .. })
        ));
        assert!(Target::parse("localhost:8020").is_err());
        assert!(Target::parse("/health").is_err());
    }
}
