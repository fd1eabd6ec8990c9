//! Errors that a protocol on top of HTTP reports under a good status: JSON-RPC 2.0, also in an
//! event stream, and GraphQL.

use hyper::header::CONTENT_TYPE;
use serde_json::Value;

use super::{TOO_LONG, brief};
use crate::http::Answer;

/// What a request was, as far as its answer is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A request of JSON-RPC that wants a response.
    JsonRpc,
    /// A query of GraphQL.
    GraphQl,
    /// Anything else.
    Other,
}

/// How a body is read.
enum Form {
    Json,
    Events,
    Other,
}

impl Asked {
    /// By the JSON body of the request.
    pub(crate) fn by(body: Option<&Value>) -> Self {
        let Some(body) = body else { return Self::Other };
        let requests = body
            .as_array()
            .map_or(std::slice::from_ref(body), Vec::as_slice);
        let wants_response = |one: &Value| is_json_rpc(one) && one.get("id").is_some();
        if requests.iter().any(wants_response) {
            Self::JsonRpc
        } else if body.get("query").is_some_and(Value::is_string) && !is_json_rpc(body) {
            Self::GraphQl
        } else {
            Self::Other
        }
    }
}

/// The error that the answer reports, if any.
pub(super) fn objection(asked: Asked, answer: &Answer) -> Option<String> {
    let form = form(answer);
    let text = String::from_utf8_lossy(&answer.body);
    if matches!(form, Form::Other) || asked == Asked::Other && !text.contains("\"jsonrpc\"") {
        return None;
    }
    if !answer.is_whole() {
        return Some(TOO_LONG.to_owned());
    }
    let texts = match form {
        Form::Events => events(&text),
        // After a 202 or 204 the answer comes later, or not at all.
        _ if text.trim().is_empty() && answer.status != 200 => return None,
        _ => vec![text.into_owned()],
    };
    let mut messages = Vec::new();
    for text in &texts {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(batch)) => messages.extend(batch),
            Ok(message) => messages.push(message),
            Err(error) if asked != Asked::Other => {
                return Some(format!("the answer is not JSON: {error}"));
            }
            Err(_) => {}
        }
    }
    match asked {
        Asked::GraphQl => messages.iter().find_map(graphql_error),
        Asked::JsonRpc | Asked::Other => {
            let messages = || messages.iter().filter(|message| is_json_rpc(message));
            let answered = messages().any(|message| message.get("result").is_some());
            let silent = asked == Asked::JsonRpc && !answered;
            let silent = silent.then(|| "no JSON-RPC response in the answer".to_owned());
            messages().find_map(json_rpc_error).or(silent)
        }
    }
}

fn form(answer: &Answer) -> Form {
    let Some(kind) = answer.headers.get(CONTENT_TYPE) else {
        return Form::Json;
    };
    let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        "text/event-stream" => Form::Events,
        "application/json" => Form::Json,
        kind if kind.ends_with("+json") => Form::Json,
        _ => Form::Other,
    }
}

fn is_json_rpc(message: &Value) -> bool {
    message.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
}

fn json_rpc_error(message: &Value) -> Option<String> {
    if let Some(error) = message.get("error").filter(|error| !error.is_null()) {
        let code = error.get("code").unwrap_or(&Value::Null);
        let text = error.get("message").and_then(Value::as_str);
        return Some(with(&format!("JSON-RPC error {code}"), text));
    }
    let result = message.get("result")?;
    let failed = result.get("isError").and_then(Value::as_bool) == Some(true);
    failed.then(|| {
        let text = result.pointer("/content/0/text").and_then(Value::as_str);
        with("JSON-RPC result with `isError`", text)
    })
}

fn graphql_error(answer: &Value) -> Option<String> {
    let errors = answer.get("errors")?.as_array()?;
    let text = errors.first()?.get("message").and_then(Value::as_str);
    let more = match errors.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(with("GraphQL error", text) + &more)
}

fn with(error: &str, text: Option<&str>) -> String {
    text.map_or_else(
        || error.to_owned(),
        |text| format!("{error}: {}", brief(text)),
    )
}

/// The data of each event that is complete. One that the end of the stream cut off is discarded.
fn events(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut found = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        if line == "\n" && !data.is_empty() {
            found.push(std::mem::take(&mut data).join("\n"));
        }
        let line = line.trim_end_matches('\n');
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    // Events that only prime a stream have no data, or none in them.
    found.retain(|data| !data.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;
    use hyper::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn why(asked: &Value, kind: &str, body: &str) -> Option<String> {
        objection(Asked::by(Some(asked)), &answer(kind, body))
    }

    fn answer(kind: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        Answer {
            status: 200,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            length: body.len() as u64,
            sha256: None,
        }
    }

    const JSON: &str = "application/json; charset=utf-8";
    const EVENTS: &str = "text/event-stream";
    const RESULT: &str = r#"{"jsonrpc": "2.0", "id": 1, "result": {"content": []}}"#;
    const ERROR: &str =
        r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such\nmethod"}}"#;
    const TOOL: &str = r#"{"jsonrpc": "2.0", "id": 1, "result": {"isError": true,
        "content": [{"type": "text", "text": "database is gone"}]}}"#;
    const PROGRESS: &str = r#"{"jsonrpc": "2.0", "method": "notifications/progress"}"#;

    fn call() -> Value {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call" })
    }

    #[test]
    fn an_error_of_json_rpc_is_one_under_any_status() {
        let refused = "JSON-RPC error -32601: no such method";
        for asked in [call(), json!([call()]), json!(null)] {
            assert_eq!(why(&asked, JSON, RESULT), None);
            assert_eq!(why(&asked, JSON, ERROR).unwrap(), refused);
            let batch = format!("[{RESULT}, {ERROR}]");
            assert_eq!(why(&asked, JSON, &batch).unwrap(), refused);
            let failed = "JSON-RPC result with `isError`: database is gone";
            assert_eq!(why(&asked, JSON, TOOL).unwrap(), failed);
            assert_eq!(why(&asked, "text/html", ERROR), None);
        }
        let lookalike = r#"{"error": {"code": 1}, "note": "\"jsonrpc\""}"#;
        assert_eq!(why(&json!(null), JSON, lookalike), None);
        assert_eq!(objection(Asked::Other, &answer(JSON, "no JSON")), None);
    }

    #[test]
    fn a_request_of_json_rpc_that_gets_no_response_got_none() {
        let none = "no JSON-RPC response in the answer";
        for (kind, body) in [
            (JSON, PROGRESS.to_owned()),
            (JSON, "{}".to_owned()),
            (EVENTS, format!("data: {PROGRESS}\n\n")),
            (EVENTS, format!("data: {RESULT}\n")),
            (EVENTS, String::new()),
        ] {
            assert_eq!(why(&call(), kind, &body).unwrap(), none, "{body}");
        }
        assert!(
            why(&call(), JSON, "")
                .unwrap()
                .starts_with("the answer is not JSON")
        );
        let mut accepted = answer(JSON, "");
        accepted.status = 202;
        assert_eq!(objection(Asked::JsonRpc, &accepted), None);
        let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(why(&notification, JSON, ""), None);
    }

    #[test]
    fn whole_events_of_a_stream_are_read_whatever_ends_their_lines() {
        let split = ERROR.replace(", ", ",\ndata: ");
        for body in [
            format!(": keep-alive\n\nid: 1\ndata:\n\ndata: {PROGRESS}\n\ndata: {ERROR}\n\n"),
            format!("\u{feff}event: message\r\ndata: {split}\r\n\r\n"),
            format!("data:{ERROR}\r\r"),
        ] {
            let found = why(&call(), EVENTS, &body);
            assert!(
                found.unwrap().starts_with("JSON-RPC error -32601"),
                "{body:?}"
            );
        }
        let answered = format!("data: {PROGRESS}\n\ndata: {RESULT}\n\n");
        assert_eq!(why(&call(), EVENTS, &answered), None);
    }

    #[test]
    fn graphql_reports_errors_to_queries_alone() {
        let query = json!({ "query": "{ user { id } }" });
        let body = r#"{"data": null, "errors": [{"message": "no user"}, {"message": "late"}]}"#;
        let found = why(&query, "application/graphql-response+json", body).unwrap();
        assert_eq!(found, "GraphQL error: no user (and 1 more)");
        assert_eq!(why(&query, JSON, r#"{"data": {}, "errors": []}"#), None);
        assert_eq!(why(&json!({ "id": 1 }), JSON, body), None);
    }

    #[test]
    fn an_answer_that_was_not_read_to_its_end_is_not_taken_for_good() {
        let mut cut = answer(JSON, &RESULT[..40]);
        cut.length += 1;
        assert_eq!(objection(Asked::Other, &cut).unwrap(), TOO_LONG);
        assert_eq!(objection(Asked::GraphQl, &cut).unwrap(), TOO_LONG);
        cut.body = Bytes::from_static(b"[1, 2");
        assert_eq!(objection(Asked::Other, &cut), None);
    }
}
