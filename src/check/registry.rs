use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CheckSpec, Finding, History, Lint, Outlook, kinds as all};
use crate::event::Name;

/// A type of check. One implementation per file, one line in [`kinds`].
pub trait Check {
    /// The `type` in scenario files.
    const TYPE: &'static str;
    /// One line: what it proves.
    const SUMMARY: &'static str;
    /// The parameters.
    type Params: DeserializeOwned + Serialize + schemars::JsonSchema;

    /// Finds, before the run, what makes the check unable to pass or unable to fail.
    fn lint(_params: &Self::Params, _outlook: &Outlook) -> Vec<Lint> {
        Vec::new()
    }

    /// A query `(database, sql)` that is to be answered past the proxy once the run has settled.
    fn query(_params: &Self::Params) -> Option<(Name, String)> {
        None
    }

    /// Judges the run. `spec` gives the name, the severity and the places in the scenario's text.
    fn judge(params: &Self::Params, spec: &CheckSpec, history: &History) -> Finding;
}

/// A type of check without its Rust type.
pub struct Kind {
    /// The `type` in scenario files.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The JSON Schema of its parameters.
    pub schema: fn() -> schemars::Schema,
    /// Whether the parameters fit, and what makes the check pointless.
    pub lint: fn(&serde_json::Value, &Outlook) -> Result<Vec<Lint>, serde_json::Error>,
    /// The query of [`Check::query`]; `None` also for parameters that do not fit.
    pub query: fn(&serde_json::Value) -> Option<(Name, String)>,
    /// Judges the run.
    pub judge: fn(&CheckSpec, &History) -> Finding,
}

const fn entry<C: Check>() -> Kind {
    Kind {
        name: C::TYPE,
        summary: C::SUMMARY,
        schema: || schemars::schema_for!(C::Params),
        lint: |params, outlook| Ok(C::lint(&serde_json::from_value(params.clone())?, outlook)),
        query: |params| C::query(&serde_json::from_value(params.clone()).ok()?),
        judge: |spec, history| match serde_json::from_value(spec.params.clone()) {
            Ok(params) => C::judge(&params, spec, history),
            Err(error) => Finding::inconclusive(
                spec,
                format!("its parameters do not fit: {error}"),
                "judge the run with the version of chaosproxy that recorded it",
            ),
        },
    }
}

/// Every type, in the order in which they are listed to people.
pub fn kinds() -> &'static [Kind] {
    const KINDS: &[Kind] = &[
        entry::<all::detection::Detection>(),
        entry::<all::backoff::Backoff>(),
        entry::<all::recovery::Recovery>(),
        entry::<all::isolation::Isolation>(),
        entry::<all::integrity::Integrity>(),
        entry::<all::job::Job>(),
        entry::<all::health::Health>(),
    ];
    KINDS
}

/// The type of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.name == name)
}
