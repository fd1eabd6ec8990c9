//! What the client calls its prepared statements and portals.
//!
//! A Parse counts at once, because what follows in the same pipeline refers to it, and is taken back
//! if its exchange ends without the server's `ParseComplete`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::message::{split_text, text};

/// SQL text that is remembered, of one statement: 64 KiB. A longer one is unknown.
pub(super) const LONGEST_SQL: usize = 64 << 10;
/// SQL text that is remembered per connection: 4 MiB. What comes then is unknown.
const MOST_SQL: usize = 4 << 20;
/// Names that are remembered per connection, of statements and of portals.
const MOST_NAMES: usize = 10_000;

type Name = Box<[u8]>;

#[derive(Debug, Default)]
pub(super) struct Names {
    statements: Table,
    portals: Table,
    /// Length of all SQL text of `statements`.
    size: usize,
}

/// SQL text by name. The name of most is empty.
#[derive(Debug, Default)]
struct Table {
    unnamed: Option<Arc<str>>,
    named: HashMap<Name, Arc<str>>,
}

impl Table {
    fn get(&self, name: &[u8]) -> Option<&Arc<str>> {
        if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.named.get(name)
        }
    }

    /// Returns what was there before. Beyond [`MOST_NAMES`] nothing is added.
    fn set(&mut self, name: &[u8], sql: Option<Arc<str>>) -> Option<Arc<str>> {
        if name.is_empty() {
            return std::mem::replace(&mut self.unnamed, sql);
        }
        match sql {
            Some(sql) if self.named.len() < MOST_NAMES => self.named.insert(name.into(), sql),
            _ => self.named.remove(name),
        }
    }
}

/// A statement that the server has not confirmed yet.
#[derive(Debug)]
pub(super) struct Provisional {
    name: Name,
    now: Option<Arc<str>>,
    before: Option<Arc<str>>,
}

impl Names {
    /// The body of a Parse; `whole` unless it was cut.
    pub(super) fn parse(&mut self, body: &[u8], whole: bool) -> Provisional {
        let (name, rest) = split_text(body);
        let sql = whole.then(|| Arc::from(text(rest)));
        let before = self.set(name, sql.clone());
        Provisional {
            name: name.into(),
            now: self.statements.get(name).cloned(),
            before,
        }
    }

    /// The body of a Bind.
    pub(super) fn bind(&mut self, body: &[u8]) {
        let (portal, rest) = split_text(body);
        let (statement, _) = split_text(rest);
        self.portals
            .set(portal, self.statements.get(statement).cloned());
    }

    /// The body of a Close.
    pub(super) fn close(&mut self, body: &[u8]) {
        match body.split_first() {
            Some((b'S', name)) => drop(self.set(split_text(name).0, None)),
            Some((_, name)) => drop(self.portals.set(split_text(name).0, None)),
            None => {}
        }
    }

    /// The SQL of the portal that the body of an Execute names.
    pub(super) fn execute(&self, body: &[u8]) -> Option<Arc<str>> {
        self.portals.get(split_text(body).0).cloned()
    }

    /// The transaction is over: no portal outlives it.
    pub(super) fn end_transaction(&mut self) {
        self.portals = Table::default();
    }

    /// The server did not confirm these.
    pub(super) fn take_back(&mut self, provisional: VecDeque<Provisional>) {
        for Provisional { name, now, before } in provisional.into_iter().rev() {
            let current = self.statements.get(&name);
            // A later exchange may have used the name again.
            if current.map(Arc::as_ptr) == now.as_ref().map(Arc::as_ptr) {
                self.set(&name, before);
            }
        }
    }

    fn set(&mut self, name: &[u8], sql: Option<Arc<str>>) -> Option<Arc<str>> {
        let sql = sql.filter(|sql| self.size + sql.len() <= MOST_SQL);
        let before = self.statements.set(name, sql);
        let now = self.statements.get(name).map_or(0, |sql| sql.len());
        self.size = self.size + now - before.as_ref().map_or(0, |sql| sql.len());
        before
    }
}
