//! Requests are answered by chaosproxy instead of the server.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{
    Cx, Direction, Effects, FaultKind, MessageFactory, MessageFault, MessageOutlet, Protocol,
};
use crate::units::{Moment, Period, Share};
use crate::wire::{ExchangeId, Then, Unit, Wants, http};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct HttpAbort;

/// Parameters of aborted requests.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The status of the response, from 200 to 599. Default 503.
    #[serde(default = "status")]
    pub status: u16,
    /// Headers of the response, for example `{ retry-after = "2" }`. Those that say where the
    /// response ends are not among them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body of the response. Default: empty.
    #[serde(default)]
    pub body: String,
    /// Which requests: those with this method, as it is sent (`POST`). Default: any method.
    #[serde(default)]
    pub method: String,
    /// Which requests: a regular expression that is searched for in the path as it is sent, without
    /// the query (`^/api/`). Default: any path.
    #[serde(default)]
    pub path: String,
    /// The share of these requests that is answered so, each drawn on its own. Default `100%`.
    #[serde(default = "all")]
    pub rate: Share,
    /// How long the answer is held back behind the end of the request. Default `0s`.
    #[serde(default)]
    pub delay: Period,
}

const fn status() -> u16 {
    503
}

const fn all() -> Share {
    Share::ALL
}

/// Headers that say where a response ends.
const FRAMING: [&str; 5] = [
    "connection",
    "content-length",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl FaultKind for HttpAbort {
    const NAME: &'static str = "http_abort";
    const SUMMARY: &'static str = "answers HTTP requests with a given status; the server gets none";
    const STORY: &'static str = "\
On the wire, a matching request is read to its end and not passed on; chaosproxy answers it in its \
turn: pipelined requests get their answers in order. The connection stays, unless the client asked \
for its end. The answer has the header `x-chaosproxy-fault` with the fault's name, so that nobody \
takes it for the server's. Everything else passes byte for byte: other requests, their responses, \
upgraded connections.

An application sees a server that answers and refuses: it has to look at the status, repeat what can \
be repeated, respect `retry-after`, and not take the body for what it wanted.

It stands for an overloaded or crashed backend behind a load balancer (502, 503, 504), a rate limit \
(429), an error of the service itself (500), an expired login (401). It needs `protocol = \"http\"` \
and requests in the clear: on connections with TLS or HTTP/2 it can do nothing, and says so.";
    const SPEAKS: Option<Protocol> = Some(Protocol::Http);
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if !(200..=599).contains(&params.status) {
            let message = "a final status is from 200 to 599; write for example `503`";
            return Err(("status", message.to_owned()));
        }
        if matches!(params.status, 204 | 205 | 304) && !params.body.is_empty() {
            let message = format!("a response with status {} has no body", params.status);
            return Err(("body", message));
        }
        for (name, value) in &params.headers {
            if let Some(why) = refused(name, value) {
                return Err(("headers", format!("`{name}`: {why}")));
            }
        }
        if !params.method.bytes().all(is_token) {
            return Err((
                "method",
                "no method is called so; write for example `POST`".to_owned(),
            ));
        }
        if let Err(error) = Regex::new(&params.path) {
            return Err(("path", error.to_string()));
        }
        if params.rate == Share::NONE {
            let message = "no request is answered so; write for example `20%`";
            return Err(("rate", message.to_owned()));
        }
        Ok(())
    }

    fn build(params: Params) -> Effects {
        let path = Regex::new(&params.path).expect("it was validated");
        let spec = Arc::new(Spec { params, path });
        Effects {
            messages: Some(MessageFactory {
                protocol: Protocol::Http,
                make: Arc::new(move || {
                    Box::new(Aborting {
                        spec: Arc::clone(&spec),
                        eaten: None,
                        waiting: VecDeque::new(),
                        lifted: false,
                    })
                }),
            }),
            ..Effects::default()
        }
    }
}

/// What is wrong with a header.
fn refused(name: &str, value: &str) -> Option<&'static str> {
    if name.is_empty() || !name.bytes().all(is_token) {
        Some("no header is called so")
    } else if FRAMING.contains(&&*name.to_ascii_lowercase()) {
        Some("chaosproxy itself says where the response ends")
    } else if value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
        Some("a value is one line of text")
    } else {
        None
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

struct Spec {
    params: Params,
    path: Regex,
}

struct Aborting {
    spec: Arc<Spec>,
    /// A request whose body is still to come, and the answer to it.
    eaten: Option<Answer>,
    /// Answers that are held back, and until when.
    waiting: VecDeque<(Moment, Answer)>,
    lifted: bool,
}

struct Answer {
    exchange: ExchangeId,
    bytes: Bytes,
    then: Then,
}

impl Aborting {
    fn is_meant(&self, cx: &mut Cx<'_>, request: &http::Request) -> bool {
        let Spec { params, path } = &*self.spec;
        (params.method.is_empty() || params.method == request.method)
            && path.is_match(&request.path)
            && (params.rate == Share::ALL || cx.rng().random_bool(params.rate.fraction()))
    }

    fn answer(&self, cx: &Cx<'_>, exchange: ExchangeId, request: &http::Request) -> Answer {
        let Params {
            status,
            headers,
            body,
            ..
        } = &self.spec.params;
        let mut text = format!("HTTP/1.1 {status} {}\r\n", http::reason(*status));
        let mut put = |name: &str, value: &str| {
            write!(text, "{name}: {value}\r\n").expect("a string takes everything");
        };
        for (name, value) in headers {
            put(name, value);
        }
        // A name may have letters that no header has.
        let is_plain = |c: &char| c.is_ascii_graphic();
        let name: String = cx.fault.chars().filter(is_plain).collect();
        put("x-chaosproxy-fault", &name);
        if !matches!(status, 204 | 304) {
            put("content-length", &body.len().to_string());
        }
        match (request.keeps_alive, request.is_old) {
            (false, _) => put("connection", "close"),
            (true, true) => put("connection", "keep-alive"),
            (true, false) => {}
        }
        text.push_str("\r\n");
        if request.method != "HEAD" {
            text.push_str(body);
        }
        Answer {
            exchange,
            bytes: text.into(),
            then: if request.keeps_alive {
                Then::Done
            } else {
                Then::Close
            },
        }
    }

    /// The request has ended.
    fn finish(&mut self, cx: &Cx<'_>, answer: Answer, out: &mut dyn MessageOutlet) {
        let at = cx.now + self.spec.params.delay.get();
        self.waiting.push_back((at, answer));
        self.pay(cx, out);
    }

    /// Gives the answers whose moment has come, or all once the fault is lifted.
    fn pay(&mut self, cx: &Cx<'_>, out: &mut dyn MessageOutlet) {
        let lifted = self.lifted;
        let is_due = |(at, _): &mut (Moment, Answer)| lifted || *at <= cx.now;
        while let Some((_, answer)) = self.waiting.pop_front_if(is_due) {
            out.reply(answer.exchange, answer.bytes, answer.then);
        }
        if let Some((at, _)) = self.waiting.front() {
            out.wake_at(*at);
        }
    }
}

impl MessageFault for Aborting {
    fn wants(&self) -> Wants {
        let up = Direction::Upstream;
        match (&self.eaten, self.lifted) {
            (Some(_), _) => Wants::NONE.and(up, &[http::BODY]),
            (None, false) => Wants::NONE.and(up, &[http::REQUEST]),
            (None, true) => Wants::NONE,
        }
    }

    fn on_unit(&mut self, cx: &mut Cx<'_>, unit: &Unit, data: &Bytes, out: &mut dyn MessageOutlet) {
        if unit.kind == http::BODY {
            out.swallow();
            if unit.ends
                && let Some(answer) = self.eaten.take()
            {
                self.finish(cx, answer, out);
            }
            return;
        }
        let (Some(exchange), Some(request)) = (unit.exchange, http::request(data)) else {
            return;
        };
        if !self.is_meant(cx, &request) {
            return;
        }
        out.swallow();
        out.claim(exchange);
        let answer = self.answer(cx, exchange, &request);
        let closes = answer.then == Then::Close;
        out.hit(
            exchange,
            if closes {
                Impact::Closed
            } else {
                Impact::Answered
            },
        );
        if unit.ends {
            return self.finish(cx, answer, out);
        }
        if request.expects {
            out.reply(
                exchange,
                Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"),
                Then::More,
            );
        }
        self.eaten = Some(answer);
    }

    fn on_wake(&mut self, cx: &mut Cx<'_>, out: &mut dyn MessageOutlet) {
        self.pay(cx, out);
    }

    fn on_lift(&mut self, cx: &mut Cx<'_>, out: &mut dyn MessageOutlet) {
        self.lifted = true;
        self.pay(cx, out);
    }

    fn done(&self) -> bool {
        self.eaten.is_none() && self.waiting.is_empty()
    }
}
