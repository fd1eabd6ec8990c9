//! Whether requests keep to their objectives.

use serde::{Deserialize, Serialize};

use crate::check::bounds::Demands;
use crate::check::exercise;
use crate::check::{
    About, Assertion, Check, CheckSpec, Finding, History, Lint, Outlook, Verdict, Window, lint,
};
use crate::event::Answers;
use crate::units::Period;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Slo;

/// Parameters of an slo check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The objectives, of workloads or probes.
    pub that: Vec<Assertion>,
    /// The answers that latencies are taken of: `good` (the default), or `all`, errors as well.
    #[serde(default, skip_serializing_if = "Answers::is_good")]
    pub of: Answers,
    /// The time in which they must be met. Default `all`.
    #[serde(default = "Window::all")]
    pub during: Window,
    /// Observations that each objective needs. Default: 1,000 for a p99, 200 for a p95, 300 for a
    /// rate, 40 for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u64>,
    /// A shift of a latency against its baseline that is too small to matter. Default 5ms.
    #[serde(default = "floor")]
    pub floor: Period,
}

const fn floor() -> Period {
    Period::from_millis(5)
}

impl Check for Slo {
    const TYPE: &'static str = "slo";
    const SUMMARY: &'static str = "requests keep to their objectives";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Window(params.during.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        found.extend(lint::assertions(&params.that, params.of, outlook));
        let (that, during) = (&params.that, &params.during);
        found.extend(lint::demands(that, during, params.min_samples, outlook));
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
                min_samples: params.min_samples,
            };
            let mut finding = demands.judge(spec);
            if finding.verdict == Verdict::Fail {
                finding.help = Some(ADVICE.to_owned());
            }
            finding
        })
    }
}

/// For an objective that was missed.
const ADVICE: &str = "compare with a run without faults: if the objective is missed there too, the \
     service is too slow or too small for the load; otherwise look at what waits for the victim of \
     the fault";

#[cfg(test)]
mod tests;
