//! Statements fail with an error of one's choice.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rand::RngExt;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{
    Cx, Direction, Effects, FaultKind, How, MessageFactory, MessageFault, MessageOutlet, Protocol,
};
use crate::units::Share;
use crate::wire::{ExchangeId, Unit, Wants, pg};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct PgError;

/// Parameters of failing statements.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The error code, five digits or upper-case letters: `40001` serialization failure, `40P01`
    /// deadlock, `53300` too many connections, `57P01` terminated by an administrator.
    #[schemars(example = &"40001")]
    pub sqlstate: String,
    /// The error's text. Default: `injected by chaosproxy`.
    #[serde(default = "message")]
    pub message: String,
    /// `error`: the statement fails, the connection stays. `fatal`: the connection is closed behind
    /// the error. `auto`: what PostgreSQL does with the code, `fatal` for `57P01` to `57P05`,
    /// `25P03`, `25P04`, `53300`, `3D000` and class `28`, otherwise `error`. Default `auto`.
    #[serde(default)]
    pub severity: Severity,
    /// Which statements fail: a regular expression that is searched for in the text of each, without
    /// the comments before it; `(?i)` ignores case. Prepared statements are known by the text that
    /// they were prepared from. Default: every statement.
    #[serde(default)]
    pub sql: String,
    /// The share of these statements that fails, each drawn on its own. Default `100%`.
    #[serde(default = "all")]
    pub rate: Share,
}

/// What becomes of the connection.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// What PostgreSQL does with the code.
    #[default]
    Auto,
    /// It stays.
    Error,
    /// It is closed.
    Fatal,
}

fn message() -> String {
    "injected by chaosproxy".to_owned()
}

const fn all() -> Share {
    Share::ALL
}

impl FaultKind for PgError {
    const NAME: &'static str = "pg_error";
    const SUMMARY: &'static str = "lets SQL statements fail with a given SQLSTATE";
    const STORY: &'static str = "\
On the wire, the statement goes to the server as another one that is bound to fail, and the server's \
own error comes back with the given SQLSTATE and message. What the server does after an error \
therefore really happens: the rest of the pipeline is skipped, the transaction has failed, COMMIT \
rolls back; client and server agree on it. A COMMIT that fails rolls back at the server. ROLLBACK \
never fails. In a transaction that has failed already the server's own error comes. Of a string of \
several statements the first that matches fails, after those before it. With `fatal` the connection \
is closed behind the error. The server's log shows the other statement: an unknown column or portal \
whose name begins with `chaosproxy_`.

An application has to know codes apart: repeat the whole transaction after `40001` and `40P01`, \
connect again after `57P01`, wait after `53300`, give up after most others; and it must not use a \
connection in a failed transaction.

It stands for conflicts between transactions, deadlocks, a full disk or connection table, an \
administrator who terminates sessions, a failover. It needs `protocol = \"postgres\"` and messages in \
the clear: on connections with TLS it can do nothing, and says so.";
    const SPEAKS: Option<Protocol> = Some(Protocol::Postgres);
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        let code = &params.sqlstate;
        let is_code = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
        if code.len() != 5 || !code.chars().all(is_code) {
            let message = "a SQLSTATE has five digits or upper-case letters, for example `40001`";
            return Err(("sqlstate", message.to_owned()));
        }
        if ["00", "01", "02"].contains(&&code[..2]) {
            let message = "the classes 00, 01 and 02 are no errors; write for example `40001`";
            return Err(("sqlstate", message.to_owned()));
        }
        if params.message.contains('\0') {
            return Err(("message", "a message has no zero bytes".to_owned()));
        }
        if let Err(error) = Regex::new(&params.sql) {
            return Err(("sql", error.to_string()));
        }
        if params.rate == Share::NONE {
            let message = "no statement fails; write for example `20%`";
            return Err(("rate", message.to_owned()));
        }
        Ok(())
    }

    fn build(params: Params) -> Effects {
        let spec = Arc::new(Spec {
            sql: Regex::new(&params.sql).expect("it was validated"),
            is_fatal: params.is_fatal(),
            params,
        });
        Effects {
            messages: Some(MessageFactory {
                protocol: Protocol::Postgres,
                make: Arc::new(move || Box::new(Failing::new(Arc::clone(&spec)))),
            }),
            ..Effects::default()
        }
    }
}

impl Params {
    fn is_fatal(&self) -> bool {
        let code = &*self.sqlstate;
        match self.severity {
            Severity::Error => false,
            Severity::Fatal => true,
            Severity::Auto => FATAL.contains(&code) || code.starts_with("28"),
        }
    }
}

/// Codes that end a session, besides those of class 28.
const FATAL: [&str; 9] = [
    "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04", "53300", "3D000",
];

struct Spec {
    params: Params,
    sql: Regex,
    is_fatal: bool,
}

struct Failing {
    spec: Arc<Spec>,
    /// Names what the server cannot know; its error is recognised by it. Made at the first match.
    marker: String,
    /// Exchanges with a statement that is bound to fail, in order, up to their `ReadyForQuery`.
    debts: VecDeque<Debt>,
    lifted: bool,
}

struct Debt {
    exchange: ExchangeId,
    /// The kinds of the answers to statements of ours before the failing one.
    preface: &'static [u8],
    /// Answers that may be these.
    kept: Vec<Bytes>,
}

/// How a statement is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poison {
    /// It is replaced by one that fails.
    Replace,
    /// It ends the transaction: that is rolled back, as when a COMMIT fails.
    RollBack,
}

impl Failing {
    const fn new(spec: Arc<Spec>) -> Self {
        Self {
            spec,
            marker: String::new(),
            debts: VecDeque::new(),
            lifted: false,
        }
    }

    /// How the statement is to fail, if it is.
    fn poison(&self, cx: &mut Cx<'_>, statement: &str) -> Option<Poison> {
        if !self.spec.sql.is_match(statement) {
            return None;
        }
        let words = pg::first_words(statement, 2);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let poison = match words[..] {
            ["ROLLBACK" | "ABORT", ..] => return None,
            ["COMMIT", "PREPARED"] => Poison::Replace,
            ["COMMIT" | "END", ..] | ["PREPARE", "TRANSACTION"] => Poison::RollBack,
            _ => Poison::Replace,
        };
        let rate = self.spec.params.rate;
        (rate == Share::ALL || cx.rng().random_bool(rate.fraction())).then_some(poison)
    }

    fn on_query(&mut self, cx: &mut Cx<'_>, data: &Bytes) -> Option<(Bytes, &'static [u8])> {
        let (query, _) = pg::split_text(pg::body(data));
        let text = String::from_utf8_lossy(query);
        let statements = pg::statements(&text);
        let found = statements
            .iter()
            .find_map(|range| Some((range.clone(), self.poison(cx, &text[range.clone()])?)));
        let (mut range, poison) = found?;
        if text.as_bytes() != query {
            // Places in a text of another encoding are not known.
            if statements.len() > 1 {
                return None;
            }
            range = 0..query.len();
        }
        self.mark(cx);
        let (before, preface): (_, &[u8]) = match poison {
            Poison::Replace => ("", b""),
            Poison::RollBack => ("ROLLBACK; ", b"C"),
        };
        // It has to parse: what does not fails before the statements before it, and in another way
        // than the server in a failed transaction.
        let failing = format!("{before}SELECT \"{}\"", self.marker);
        let parts: [&[u8]; 4] = [
            &query[..range.start],
            failing.as_bytes(),
            &query[range.end..],
            b"\0",
        ];
        Some((pg::message(pg::QUERY, &parts), preface))
    }

    /// An Execute fails like a statement that fails while it runs; one that fails at its Bind would
    /// leave out answers.
    fn on_execute(&mut self, cx: &mut Cx<'_>, unit: &Unit) -> Option<(Bytes, &'static [u8])> {
        let sql = unit.about.as_deref()?;
        let poison = self.poison(cx, &sql[pg::start(sql)..])?;
        self.mark(cx);
        let name = [self.marker.as_bytes(), b"\0"].concat();
        let mut bytes = BytesMut::new();
        let preface: &[u8] = match poison {
            Poison::Replace => b"",
            Poison::RollBack => {
                pg::put(&mut bytes, b'P', &[&name, b"ROLLBACK\0", &[0; 2]]);
                pg::put(&mut bytes, b'B', &[&name, &name, &[0; 6]]);
                pg::put(&mut bytes, pg::EXECUTE, &[&name, &[0; 4]]);
                pg::put(&mut bytes, b'C', &[b"S", &name]);
                b"12C3"
            }
        };
        let unknown = [self.marker.as_bytes(), b"_\0"].concat();
        pg::put(&mut bytes, pg::EXECUTE, &[&unknown, &[0; 4]]);
        Some((bytes.freeze(), preface))
    }

    fn mark(&mut self, cx: &mut Cx<'_>) {
        if self.marker.is_empty() {
            self.marker = format!("chaosproxy_{:016x}", cx.rng().random::<u64>());
        }
    }

    fn is_ours(&self, error: &[u8]) -> bool {
        let message = pg::fields(error).find(|(code, _)| *code == b'M');
        let marker = self.marker.as_bytes();
        message.is_some_and(|(_, text)| text.windows(marker.len()).any(|part| part == marker))
    }

    /// The server's error with another code and message.
    fn error(&self, error: &[u8]) -> Bytes {
        let Params {
            sqlstate, message, ..
        } = &self.spec.params;
        let severity = pg::fields(error).find(|(code, _)| *code == b'S');
        let (shown, severity): (&[u8], &[u8]) = match severity {
            _ if self.spec.is_fatal => (b"FATAL", b"FATAL"),
            Some((_, shown)) => (shown, b"ERROR"),
            None => (b"ERROR", b"ERROR"),
        };
        let fields: [(&[u8], &[u8]); 5] = [
            (b"S", shown),
            (b"V", severity),
            (b"C", sqlstate.as_bytes()),
            (b"M", message.as_bytes()),
            (b"R", b"chaosproxy"),
        ];
        let parts = fields.iter().flat_map(|(code, text)| [*code, *text, b"\0"]);
        let parts: Vec<&[u8]> = parts.chain([&b"\0"[..]]).collect();
        pg::message(pg::ERROR, &parts)
    }

    fn on_answer(&mut self, unit: &Unit, data: &Bytes, out: &mut dyn MessageOutlet) {
        let body = pg::body(data);
        let is_ours = unit.kind == pg::ERROR && self.is_ours(body);
        let replaced = is_ours.then(|| self.error(body));
        let front = self.debts.front_mut();
        let Some(debt) = front.filter(|debt| unit.exchange == Some(debt.exchange)) else {
            return;
        };
        if let Some(error) = replaced {
            debt.kept.clear();
            debt.preface = b"";
            out.replace(error);
            if self.spec.is_fatal {
                out.hit(debt.exchange, Impact::Closed);
                out.end(How::Fin);
            } else {
                out.hit(debt.exchange, Impact::Answered);
            }
            return;
        }
        // These come at any time.
        if matches!(unit.kind, b'N' | b'S' | b'A') {
            return;
        }
        debt.pass(unit.kind, data, out);
        if unit.kind == pg::READY {
            self.debts.pop_front();
        }
    }
}

impl Debt {
    /// Keeps what may answer a statement of ours, and passes it on once it turns out that it does
    /// not.
    fn pass(&mut self, kind: u8, data: &Bytes, out: &mut dyn MessageOutlet) {
        let is_next = |kept: usize| {
            let is_tag = kind != pg::COMPLETE || pg::body(data) == b"ROLLBACK\0";
            self.preface.get(kept) == Some(&kind) && is_tag
        };
        if is_next(self.kept.len()) {
            self.kept.push(data.clone());
            return out.swallow();
        }
        if self.kept.is_empty() {
            return;
        }
        let begins = is_next(0);
        let mut passed = std::mem::take(&mut self.kept);
        if begins {
            self.kept.push(data.clone());
        } else {
            passed.push(data.clone());
        }
        out.replace(passed.concat().into());
    }
}

impl MessageFault for Failing {
    fn wants(&self) -> Wants {
        let wants = match self.debts.front() {
            None => Wants::NONE,
            Some(debt) if debt.preface.is_empty() => {
                Wants::NONE.and(Direction::Downstream, &[pg::ERROR, pg::READY])
            }
            Some(_) => Wants::NONE.and_all(Direction::Downstream),
        };
        if self.lifted {
            wants
        } else {
            wants.and(Direction::Upstream, &[pg::QUERY, pg::EXECUTE])
        }
    }

    fn on_unit(&mut self, cx: &mut Cx<'_>, unit: &Unit, data: &Bytes, out: &mut dyn MessageOutlet) {
        if cx.direction == Direction::Downstream {
            return self.on_answer(unit, data, out);
        }
        let Some(exchange) = unit.exchange else {
            return;
        };
        if self
            .debts
            .back()
            .is_some_and(|debt| debt.exchange == exchange)
        {
            // The server skips what follows an error.
            return;
        }
        let poisoned = match unit.kind {
            pg::QUERY => self.on_query(cx, data),
            _ => self.on_execute(cx, unit),
        };
        if let Some((bytes, preface)) = poisoned {
            out.replace(bytes);
            self.debts.push_back(Debt {
                exchange,
                preface,
                kept: Vec::new(),
            });
        }
    }

    fn on_lift(&mut self, _cx: &mut Cx<'_>, _out: &mut dyn MessageOutlet) {
        self.lifted = true;
    }

    fn done(&self) -> bool {
        self.debts.is_empty()
    }
}
