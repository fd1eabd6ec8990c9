//! Whether a run is worse than those that were stored as its baseline.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::baseline::{self, Baseline, Change, Figure, METRICS, Tolerance, worse};
use crate::check::exercise::{self, Excuse};
use crate::check::metric::Unit;
use crate::check::{
    About, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, Window, lint, show,
};
use crate::diag::did_you_mean;
use crate::units::{Period, Share};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Regression;

/// Parameters of a regression check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file that `chaosproxy baseline save` made.
    pub baseline: PathBuf,
    /// The figures that must not be worse.
    pub figures: Vec<Figure>,
    /// How much worse a figure may be. Default 10%.
    #[serde(default = "threshold")]
    pub threshold: Share,
    /// A change of a time that is too small to matter. Default 5ms.
    #[serde(default = "floor")]
    pub floor: Period,
    /// A figure of the same run that each of the others is divided by, so that the speed of the
    /// machine cancels out; best of a request that nobody works on. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_to: Option<Figure>,
}

fn threshold() -> Share {
    Share::from_fraction(0.1).unwrap_or(Share::NONE)
}

const fn floor() -> Period {
    Period::from_millis(5)
}

impl Check for Regression {
    const TYPE: &'static str = "regression";
    const SUMMARY: &'static str = "a run is not worse than its stored baseline";
    type Params = Params;

    fn about(_params: &Params) -> About {
        About::Run
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = Vec::new();
        if params.figures.is_empty() {
            found.push(Lint::error(
                "figures",
                "nothing is demanded",
                "empty",
                "write for example `figures = [\"searches.p95_s\"]`",
            ));
        }
        for (index, figure) in params.figures.iter().enumerate() {
            found.extend(unusable(&format!("figures[{index}]"), figure, outlook));
        }
        let reference = params.relative_to.iter();
        found.extend(reference.filter_map(|figure| unusable("relative_to", figure, outlook)));
        found
    }

    fn baseline(params: &Params) -> Option<PathBuf> {
        Some(params.baseline.clone())
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        match stored(params, spec, history) {
            Ok(stored) => compare(params, spec, history, &stored),
            Err(finding) => *finding,
        }
    }
}

/// Why a figure can never be compared, if it cannot.
fn unusable(key: &str, figure: &Figure, outlook: &Outlook) -> Option<Lint> {
    let owner = &*figure.owner;
    if outlook.unread.contains(owner) {
        return None;
    }
    let is_source = outlook.sources.contains_key(owner);
    if !is_source && !outlook.checks.contains_key(owner) {
        let known = outlook.sources.keys().chain(outlook.checks.keys());
        return Some(lint::unknown(key, "workload, probe or check", owner, known));
    }
    let mut faults = figure.window.iter().flat_map(Window::faults);
    if let Some(lint) = faults.find_map(|name| lint::fault(key, name, outlook)) {
        return Some(lint);
    }
    let names = METRICS.map(|(metric, _)| show::figure_name("", metric));
    let names = names.each_ref().map(|name| name.trim_start_matches('.'));
    let what = figure.what.as_str();
    if is_source && !outlook.checks.contains_key(owner) && !names.contains(&what) {
        return Some(Lint::error(
            key,
            format!("unknown figure `{what}`"),
            "not kept",
            match did_you_mean(what, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("of workloads and probes {} are kept", names.join(", ")),
            },
        ));
    }
    worse(what).is_none().then(|| {
        Lint::error(
            key,
            format!("neither more nor less of `{what}` is worse"),
            "cannot be compared",
            "name a figure such as a time, an error rate or a count of losses",
        )
    })
}

/// The baseline as the run found it; or the finding that there is none to compare with.
fn stored(params: &Params, spec: &CheckSpec, history: &History) -> Result<Baseline, Box<Finding>> {
    let path = params.baseline.display();
    let nothing = |why: String| {
        let help = format!(
            "make one from runs of this scenario that are as they should be: `chaosproxy run \
             SCENARIO --repeat 5 --report-dir DIR`, then `chaosproxy baseline save DIR --to {path}`"
        );
        Box::new(Finding::inconclusive(spec, why, help))
    };
    let Some(stored) = history.stored_baseline(&spec.name) else {
        return Err(nothing(format!("{path} was not read when the run began")));
    };
    let text = stored.text.as_ref();
    let text = text.map_err(|why| nothing(format!("there is no baseline: {path}: {why}")))?;
    let baseline = Baseline::parse(text).map_err(|why| nothing(format!("{path}: {why}")))?;
    match baseline.elsewhere(&stored.machine) {
        Some(how) if params.relative_to.is_none() => {
            let mut finding = nothing(format!("{path} was made on another machine: {how}"));
            let help = finding.help.take().unwrap_or_default();
            finding.help = Some(format!(
                "{help}; or give the check `relative_to`, so that the speed of the machine cancels \
                 out"
            ));
            Err(finding)
        }
        _ => Ok(baseline),
    }
}

fn compare(params: &Params, spec: &CheckSpec, history: &History, stored: &Baseline) -> Finding {
    let tolerance = Tolerance {
        threshold: params.threshold.fraction(),
        floor: params.floor.get(),
        relative_to: params.relative_to.as_ref().map(ToString::to_string),
        figures: params.figures.len(),
    };
    let measured = [baseline::figures(history)];
    let mut finding = Finding::new(spec, Verdict::Pass, "");
    for (index, figure) in params.figures.iter().enumerate() {
        let name = figure.to_string();
        let change = stored.compare(&name, &measured, &tolerance);
        if let Some((then, now)) = change.means.filter(|(then, _)| *then != 0.0) {
            finding.figure(format!("{name}.ratio"), now / then);
        }
        let key = format!("figures[{index}]");
        let evidence = evidence(params, spec, history, (&key, figure), change);
        finding.evidence.push(evidence);
    }
    finding.decide();
    describe(params, stored, &mut finding);
    finding
}

fn evidence(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    (key, figure): (&str, &Figure),
    change: Change,
) -> Evidence {
    let whole = Window::all();
    let window = figure.window.as_ref().unwrap_or(&whole).resolve(history);
    let Change {
        mut verdict,
        mut measured,
        ..
    } = change;
    // What is no worse on a starved machine is no worse on any, and a ratio knows of no machine.
    let excusable = verdict != Verdict::Pass
        && params.relative_to.is_none()
        && baseline::unit(&figure.what) == Unit::Time;
    if let Some(window) = window.filter(|_| excusable)
        && let Some(excuse) = exercise::slowed(history, &figure.owner, window)
        && !change
            .means
            .is_some_and(|means| is_worse_anyway(params, &excuse, means))
    {
        verdict = Verdict::Inconclusive;
        measured = format!("{measured}, but {}", excuse.why());
    }
    let expected = format!(
        "`{figure}` at most {} worse than the baseline",
        params.threshold
    );
    let evidence = Evidence::new(verdict, spec, key, expected, measured);
    match window {
        Some(window) => {
            let samples = history.samples_in(&figure.owner, window).len();
            evidence.over(window, samples as u64)
        }
        None => evidence,
    }
}

/// Whether a time in seconds is beyond its threshold without what the machine explains.
fn is_worse_anyway(params: &Params, excuse: &Excuse, (then, now): (f64, f64)) -> bool {
    let most = then * (1.0 + params.threshold.fraction());
    let now = Duration::try_from_secs_f64(now).unwrap_or_default();
    excuse.at_least(now).as_secs_f64() > most
}

fn describe(params: &Params, stored: &Baseline, finding: &mut Finding) {
    let (path, runs) = (params.baseline.display(), stored.runs.len() as u64);
    let latest = stored.runs.last();
    finding.note(format!(
        "compared with {} in {path}, the latest of {}",
        show::plural(runs, "run"),
        latest.map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string())
    ));
    if let Some(reference) = &params.relative_to {
        finding.note(format!(
            "each figure divided by `{reference}` of its own run"
        ));
    }
    finding.help = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(format!(
            "find what became slower since the baseline was made; if it is meant to be, store new \
             runs with `chaosproxy baseline save DIR --to {path}` and commit the file"
        )),
        Verdict::Inconclusive => Some(format!(
            "runs differ among themselves, or by chance, by about as much as is allowed: run several times and \
             compare them together with `chaosproxy baseline compare DIR --with {path}`, store more \
             runs, or name a steadier figure; {}",
            exercise::STARVED
        )),
    };
}

#[cfg(test)]
mod tests;
