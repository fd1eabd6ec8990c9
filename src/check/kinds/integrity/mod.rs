//! Whether every write is where its client was told it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::check::{
    About, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, Write, exercise,
    show,
};
use crate::event::{Fate, Name};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Integrity;

/// Parameters of an integrity check: how many writes may have each flaw. All default to 0.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The ledger.
    pub ledger: Name,
    /// Acknowledged and not there.
    #[serde(default)]
    pub lost: u64,
    /// There more than once.
    #[serde(default)]
    pub duplicated: u64,
    /// There and never written.
    #[serde(default)]
    pub phantom: u64,
    /// Surely refused, and there all the same.
    #[serde(default)]
    pub resurrected: u64,
}

impl Check for Integrity {
    const TYPE: &'static str = "integrity";
    const SUMMARY: &'static str = "no write is lost, doubled, invented or brought back";
    type Params = Params;

    fn about(_params: &Params) -> About {
        About::AnyFault
    }

    fn lint(_params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let lint = Lint::warning(
            "ledger",
            "without a fault no write is at risk",
            "nothing can go wrong",
            "add a fault that the writes meet",
        );
        // A fault with a mistake is one all the same.
        (outlook.faults.is_empty() && outlook.unread.is_empty())
            .then_some(lint)
            .into_iter()
            .collect()
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        let writes = history.writes(&params.ledger);
        let found = match history.ledger_read(&params.ledger) {
            Some(Ok(found)) => found,
            Some(Err(why)) => {
                let why = format!("the ledger could not be read back: {why}");
                return Finding::inconclusive(spec, why, "mend the read-back of the ledger");
            }
            None => {
                let help = "let the run reach its end, so that the ledger is read back";
                return Finding::inconclusive(spec, "the ledger was never read back", help);
            }
        };
        let account = Account::of(writes, found);
        let mut finding = Finding::new(spec, Verdict::Pass, "");
        account.judge(params, spec, writes.len() as u64, &mut finding);
        account.describe(&mut finding);
        if finding.verdict != Verdict::Fail
            && let Some(why) = unproven(history, writes)
        {
            finding.verdict = Verdict::Inconclusive;
            finding.summary = why;
            finding.help = Some(
                "let writes go on while the fault is in force, and let the fault touch them"
                    .to_owned(),
            );
        }
        finding
    }
}

/// Every key by what became of it.
struct Account<'a> {
    ok: u64,
    unknown: u64,
    lost: Vec<&'a str>,
    resurrected: Vec<&'a str>,
    duplicated: Vec<&'a str>,
    phantom: Vec<&'a str>,
    recovered: u64,
}

impl<'a> Account<'a> {
    fn of(writes: &'a [Write], found: &'a BTreeMap<String, u64>) -> Self {
        let mut fates: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
        for write in writes {
            fates
                .entry(&write.key)
                .or_default()
                .insert(rank(write.fate));
        }
        let with = |wanted: Fate| {
            // The strongest knowledge of a key decides: one acknowledgement outweighs refusals.
            let strongest = move |ranks: &BTreeSet<u8>| ranks.last() == Some(&rank(wanted));
            fates
                .iter()
                .filter(move |(_, ranks)| strongest(ranks))
                .map(|(key, _)| *key)
        };
        let there = |key: &&str| found.get(*key).is_some_and(|count| *count > 0);
        let present = || found.iter().filter(|(_, count)| **count > 0);
        Self {
            ok: with(Fate::Ok).count() as u64,
            unknown: with(Fate::Unknown).count() as u64,
            lost: with(Fate::Ok).filter(|key| !there(key)).collect(),
            resurrected: with(Fate::Fail).filter(there).collect(),
            duplicated: present()
                .filter(|(key, count)| **count > 1 && fates.contains_key(key.as_str()))
                .map(|(key, _)| key.as_str())
                .collect(),
            phantom: present()
                .filter(|(key, _)| !fates.contains_key(key.as_str()))
                .map(|(key, _)| key.as_str())
                .collect(),
            recovered: with(Fate::Unknown).filter(there).count() as u64,
        }
    }

    fn judge(&self, params: &Params, spec: &CheckSpec, writes: u64, finding: &mut Finding) {
        let flaws = [
            ("lost", params.lost, &self.lost),
            ("duplicated", params.duplicated, &self.duplicated),
            ("phantom", params.phantom, &self.phantom),
            ("resurrected", params.resurrected, &self.resurrected),
        ];
        for (name, allowed, keys) in flaws {
            let count = keys.len() as u64;
            finding.figure(name, count as f64);
            let verdict = if count > allowed {
                Verdict::Fail
            } else {
                Verdict::Pass
            };
            let example = keys.first().map(|key| format!(", such as `{key}`"));
            let measured = format!("{count} {name}{}", example.unwrap_or_default());
            let expected = format!("at most {allowed} {name}");
            let mut evidence = Evidence::new(verdict, spec, name, expected, measured);
            evidence.samples = writes;
            finding.evidence.push(evidence);
        }
        finding.decide();
        finding.help = (finding.verdict == Verdict::Fail).then(|| self.help().to_owned());
        if finding.verdict == Verdict::Pass {
            finding.summary = format!(
                "{} acknowledged, all there once; {} of unknown fate, {} of them there",
                show::plural(self.ok, "write"),
                self.unknown,
                self.recovered
            );
        }
    }

    fn describe(&self, finding: &mut Finding) {
        finding.figure("acknowledged", self.ok as f64);
        finding.figure("unknown", self.unknown as f64);
        finding.figure("recovered", self.recovered as f64);
    }

    const fn help(&self) -> &'static str {
        if !self.lost.is_empty() {
            "acknowledge a write only after the database has confirmed its commit"
        } else if !self.duplicated.is_empty() {
            "make the retry of a write idempotent: a unique key and `ON CONFLICT DO NOTHING`"
        } else if !self.resurrected.is_empty() {
            "do not report a write as refused once it may have been sent"
        } else {
            "find out who else writes to the table; the read-back must show this run's rows only"
        }
    }
}

const fn rank(fate: Fate) -> u8 {
    match fate {
        Fate::Fail => 0,
        Fate::Unknown => 1,
        Fate::Ok => 2,
    }
}

/// Why the absence of flaws proves nothing, if it does not.
fn unproven(history: &History, writes: &[Write]) -> Option<String> {
    if !writes.iter().any(|write| write.fate == Fate::Ok) {
        return Some("no write was ever acknowledged".to_owned());
    }
    let faults = history.experiment().faults.iter().map(|fault| &fault.name);
    let met: Vec<&Name> = faults
        .filter(|fault| exercise::missing(history, fault).is_none())
        .collect();
    let at_risk = |fault: &&Name| {
        history.fault(fault).iter().any(|one| {
            let until = history.lifted(one);
            writes.iter().any(|write| {
                // One that was sent just before may be in flight at the injection.
                write.fate != Fate::Fail
                    && write.sent >= one.inject.before(IN_FLIGHT)
                    && write.sent <= until
            })
        })
    };
    // One fault that put writes at risk suffices.
    let safe = met.first().filter(|_| !met.iter().any(at_risk))?;
    Some(format!("no write was at risk while `{safe}` was in force"))
}

/// How long a write may have been under way when a fault begins.
const IN_FLIGHT: std::time::Duration = std::time::Duration::from_millis(10);

#[cfg(test)]
mod tests;
