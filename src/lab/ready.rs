//! Whether a service answers yet.

use std::time::Duration;

use hyper::Uri;

use super::knock::Ports;
use crate::http::{Target, TargetError, get_status};

/// How long one attempt may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(2);
/// Time between two attempts.
const EVERY: Duration = Duration::from_millis(50);

/// What is asked of a service to see whether it is ready.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    host: String,
    port: u16,
    /// The path that must answer 2xx; with `None` a connection is enough.
    path: Option<(Target, String)>,
    ports: Ports,
}

impl Readiness {
    /// Asks the server of `url`: for a 2xx answer to a GET of `path`, or for a connection; but
    /// not while its port is one of `ports`, which faults hold.
    pub(super) fn new(url: &str, path: Option<&str>, ports: Ports) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
        let host = uri.host().ok_or("it names no host")?;
        let port = match (uri.port_u16(), uri.scheme_str()) {
            (Some(port), _) => port,
            (None, Some("https")) => 443,
            (None, _) => 80,
        };
        let target = path.map(|path| match Target::parse(url) {
            Ok(target) => Ok((target, path.to_owned())),
            Err(TargetError::Scheme { .. }) => Err(
                "readiness over https cannot be asked; leave out `ready` to wait for a connection"
                    .to_owned(),
            ),
            Err(error) => Err(error.to_string()),
        });
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            path: target.transpose()?,
            ports,
        })
    }

    /// Host and port that it is asked at.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether it takes more than a connection to be ready. Anybody may accept one at a port that
    /// is not held by the service.
    pub(super) const fn is_asked(&self) -> bool {
        self.path.is_some()
    }

    /// Asks again and again; `last` holds why the last attempt failed. Cancel safe.
    pub(super) async fn wait(&self, last: &mut String) {
        loop {
            let why = match tokio::time::timeout(ATTEMPT_LIMIT, self.ask()).await {
                Ok(Ok(())) => return,
                Ok(Err(why)) => format!("{}: {why}", self.place()),
                Err(_) => format!("{}: no answer within {ATTEMPT_LIMIT:?}", self.place()),
            };
            tracing::debug!("not ready: {why}");
            *last = why;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// `127.0.0.1:8000`.
    fn place(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let connected = self.ports.connect_to_host(&self.host, self.port).await;
        let stream = connected.map_err(|error| error.to_string())?;
        let Some((target, path)) = &self.path else {
            return Ok(());
        };
        match get_status(stream, target, path).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("{path} answered {status}")),
            Err(failure) => Err(failure.to_string()),
        }
    }
}
