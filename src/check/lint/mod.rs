//! What several types of checks look at before a run.

mod reach;

pub(super) use reach::{demands, samples};

use std::time::Duration;

use super::{Assertion, Lint, Outlook, Window, show};
use crate::diag::{Severity, did_you_mean};
use crate::event::{Answers, Name};

impl Lint {
    pub(super) fn error(
        key: impl Into<String>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            key: key.into(),
            message: message.into(),
            label: label.into(),
            help: help.into(),
        }
    }

    pub(super) fn warning(
        key: impl Into<String>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(key, message, label, help)
        }
    }
}

/// A fault that the scenario does not have.
pub(super) fn fault(key: &str, name: &str, outlook: &Outlook) -> Option<Lint> {
    let known = outlook.faults.contains_key(name) || outlook.unread.contains(name);
    (!known).then(|| unknown(key, "fault", name, outlook.faults.keys()))
}

/// A workload or probe that the scenario does not have.
pub(super) fn source(key: &str, name: &str, outlook: &Outlook) -> Option<Lint> {
    let known = outlook.sources.contains_key(name) || outlook.unread.contains(name);
    (!known).then(|| unknown(key, "workload or probe", name, outlook.sources.keys()))
}

pub(super) fn unknown<'a>(
    key: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a Name> + Clone,
) -> Lint {
    let names: Vec<&str> = known.map(|name| &**name).collect();
    let help = match did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("the scenario has no {what}"),
        None => format!("the scenario has {}", names.join(", ")),
    };
    Lint::error(key, format!("unknown {what} `{name}`"), "not found", help)
}

/// The faults of the array or the single name at `key`.
pub(super) fn faults(names: &[Name], outlook: &Outlook) -> Vec<Lint> {
    let place = |index: usize| match names {
        [_] => "fault".to_owned(),
        _ => format!("fault[{index}]"),
    };
    let each = names.iter().enumerate();
    each.filter_map(|(index, name)| fault(&place(index), name, outlook))
        .collect()
}

/// The faults that `during` names, and that it is at all.
pub(super) fn window(window: &Window, outlook: &Outlook) -> Vec<Lint> {
    let unknown = window.faults();
    let mut found: Vec<Lint> = unknown
        .filter_map(|name| fault("during", name, outlook))
        .collect();
    if let Some((from, to)) = window.planned(outlook).filter(|(from, to)| to <= from) {
        found.push(Lint::error(
            "during",
            format!("the window `{window}` never is"),
            format!(
                "begins at {}, ends at {}",
                show::seconds(from),
                show::seconds(to)
            ),
            "write what comes first before the `..`, and leave time between the faults",
        ));
    }
    found
}

/// A service whose log nobody reads.
pub(super) fn log(key: &str, service: &Name, outlook: &Outlook) -> Option<Lint> {
    outlook.unlogged.contains(service).then(|| {
        Lint::error(
            key,
            format!("nobody reads the log of `{service}`"),
            "its `log` is `none`",
            "set `log` of the service to where it writes its log",
        )
    })
}

/// A text that is no regular expression.
pub(super) fn regex(key: &str, text: &str) -> Option<Lint> {
    let error = regex::Regex::new(text).err()?;
    let why = error.to_string();
    let why = why.lines().last().unwrap_or_default();
    Some(Lint::error(
        key,
        "not a regular expression",
        why.trim_start_matches("error: "),
        "escape signs that stand for themselves with `\\`",
    ))
}

/// The assertions of `that`: known sources, and none that checks cannot honour.
pub(super) fn assertions(that: &[Assertion], of: Answers, outlook: &Outlook) -> Vec<Lint> {
    let mut found = Vec::new();
    if that.is_empty() {
        found.push(Lint::error(
            "that",
            "nothing is demanded",
            "empty",
            "write for example `that = [\"reads.error_rate == 0%\"]`",
        ));
    }
    for (index, assertion) in that.iter().enumerate() {
        let key = format!("that[{index}]");
        found.extend(source(&key, &assertion.source, outlook));
        found.extend(reach::limit(&key, assertion, outlook));
        if assertion.lasting.is_some() {
            found.push(Lint::error(
                key,
                "a check judges its window as a whole",
                "`for` has no meaning here",
                "leave out `for` and its duration",
            ));
        }
    }
    found.extend(reach::answers(that, of));
    found
}

/// The shortest time that a fault is in force.
pub(super) fn shortest(fault: &str, outlook: &Outlook) -> Option<Duration> {
    let windows = &outlook.faults.get(fault)?.windows;
    windows
        .iter()
        .map(|(from, to)| to.saturating_sub(*from))
        .min()
}
