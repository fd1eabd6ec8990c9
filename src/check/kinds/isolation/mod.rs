//! Whether a bystander stays at its baseline.

use serde::{Deserialize, Serialize};

use crate::check::bounds::{self, Demands};
use crate::check::exercise;
use crate::check::{
    About, Assertion, Check, CheckSpec, Finding, History, Lint, Outlook, Verdict, Window, lint,
};
use crate::event::{Answers, Name};
use crate::units::Period;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Isolation;

/// Parameters of an isolation check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The bystander.
    pub service: Name,
    /// The time in which it must not notice.
    pub during: Window,
    /// What must hold of its workloads and probes in that time.
    pub that: Vec<Assertion>,
    /// The answers that latencies are taken of: `good` (the default), or `all`, errors as well.
    #[serde(default, skip_serializing_if = "Answers::is_good")]
    pub of: Answers,
    /// A shift of a latency that is too small to matter. Default 5ms.
    #[serde(default = "floor")]
    pub floor: Period,
}

const fn floor() -> Period {
    Period::from_millis(5)
}

impl Check for Isolation {
    const TYPE: &'static str = "isolation";
    const SUMMARY: &'static str = "a bystander stays at its baseline while others suffer";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Window(params.during.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        found.extend(lint::assertions(&params.that, params.of, outlook));
        found.extend(lint::demands(&params.that, &params.during, None, outlook));
        let compared = params.that.iter().enumerate();
        for (index, assertion) in compared.filter(|(_, assertion)| assertion.needs_baseline()) {
            let (key, source) = (format!("that[{index}]"), &assertion.source);
            let needed = bounds::needed(assertion.metric);
            found.extend(lint::samples(
                key,
                source,
                &Window::baseline(),
                needed,
                outlook,
            ));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        exercise::over(&params.during, spec, history, |window| {
            let demands = Demands {
                history,
                window,
                that: &params.that,
                of: params.of,
                floor: params.floor.get(),
                min_samples: None,
            };
            let mut finding = demands.judge(spec);
            if finding.verdict == Verdict::Fail {
                finding.help = Some(format!(
                    "look for what `{}` shares with the victim: a pool, a process, an upstream, \
                     the connection limit of a database, a call that waits for the victim",
                    params.service
                ));
            }
            finding
        })
    }
}

#[cfg(test)]
mod tests;
