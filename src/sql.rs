//! Questions to a database, answered as JSON.
//!
//! What they mean, and whether they may be asked again, is for the caller to know.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{Host, TargetSessionAttrs as Attrs};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, SimpleQueryMessage};

use crate::own;

/// How long a question may take, from the connect to the last row.
const QUERY_LIMIT: Duration = Duration::from_secs(10);

/// Why no connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server answers at the address.
    #[error("error connecting to server: {0}")]
    Address(#[from] io::Error),
    /// The server refuses the connection.
    #[error("{}", describe(.0))]
    Server(#[from] Error),
}

/// Connects as chaosproxy itself (see [`own`]), without TLS; the connection ends with the client.
///
/// No proxy knows us where the URL names a socket file, through which none is reached, or
/// `target_session_attrs`.
pub async fn connect(config: &Config) -> Result<Client, ConnectError> {
    let places = places(config).filter(|_| config.get_target_session_attrs() == Attrs::Any);
    let Some(places) = places else {
        return Ok(drive(config.connect(NoTls).await?));
    };
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable).into();
    for (host, port) in places {
        match connect_at(config, &host, port).await {
            Ok(client) => return Ok(client),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The servers of a configuration in order, host and port; `None` if one is a socket file.
fn places(config: &Config) -> Option<Vec<(String, u16)>> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let place = |place: usize| {
        let host = match (addresses.get(place), hosts.get(place)) {
            (Some(address), _) => address.to_string(),
            (None, Some(Host::Tcp(name))) => name.clone(),
            (None, _) => return None,
        };
        let ports = config.get_ports();
        let port = ports.get(place).or_else(|| ports.first());
        Some((host, port.copied().unwrap_or(5432)))
    };
    (0..hosts.len().max(addresses.len())).map(place).collect()
}

async fn connect_at(config: &Config, host: &str, port: u16) -> Result<Client, ConnectError> {
    let connected = own::connect_to((host, port));
    let stream = match config.get_connect_timeout() {
        Some(limit) => tokio::time::timeout(*limit, connected)
            .await
            .map_err(io::Error::from)??,
        None => connected.await?,
    };
    stream.set_nodelay(true)?;
    Ok(drive(config.connect_raw(stream, NoTls).await?))
}

/// Lets a connection work until its client is dropped.
fn drive<S, T>((client, connection): (Client, Connection<S, T>)) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Its error reaches the query that is under way.
    tokio::spawn(async { connection.await.ok() });
    client
}

/// The rows that `statement` yields, asked over a fresh connection; after 10 s without an answer it
/// is an error.
pub async fn query(config: &Config, statement: &str) -> Result<Vec<Vec<Value>>, String> {
    let asked = async { Ok::<_, ConnectError>(ask(&connect(config).await?, statement).await?) };
    match tokio::time::timeout(QUERY_LIMIT, asked).await {
        Ok(rows) => rows.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {QUERY_LIMIT:?}")),
    }
}

/// The rows that `statement` yields. Booleans, numbers and JSON become what they are in JSON,
/// everything else its text.
pub async fn ask(client: &Client, statement: &str) -> Result<Vec<Vec<Value>>, Error> {
    // Types come from the prepared statement, values as text: so every type has a value.
    let prepared = client.prepare(statement).await?;
    let types: Vec<_> = (prepared.columns().iter())
        .map(|column| column.type_().clone())
        .collect();
    let messages = client.simple_query(statement).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(rows
        .map(|row| {
            let columns = types.iter().enumerate();
            columns
                .map(|(column, kind)| row.get(column).map_or(Value::Null, |text| json(kind, text)))
                .collect()
        })
        .collect())
}

/// A value's text as JSON.
fn json(kind: &Type, text: &str) -> Value {
    let read = match *kind {
        Type::BOOL => Some(Value::Bool(text == "t")),
        Type::JSON | Type::JSONB => serde_json::from_str(text).ok(),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
            text.parse::<i64>().ok().map(Value::from)
        }
        Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8 => number(text),
        _ => None,
    };
    // What JSON has no number for (`NaN`) stays a text.
    read.unwrap_or_else(|| Value::from(text))
}

fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    serde_json::Number::from_f64(text.parse().ok()?).map(Value::Number)
}

/// The server's own words if there are any, else the whole chain of causes.
pub fn describe(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        let detail = said.detail().map(|detail| format!(" ({detail})"));
        return format!("{}{}", said.message(), detail.unwrap_or_default());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_json_by_their_type() {
        for (kind, text, expected) in [
            (Type::BOOL, "t", json!(true)),
            (Type::INT8, "-7", json!(-7)),
            (Type::NUMERIC, "12", json!(12)),
            (Type::FLOAT8, "0.5", json!(0.5)),
            (Type::FLOAT8, "NaN", json!("NaN")),
            (Type::JSONB, "{\"a\": [1]}", json!({"a": [1]})),
            (Type::TEXT, "12", json!("12")),
        ] {
            assert_eq!(super::json(&kind, text), expected, "{kind} {text}");
        }
    }
}
