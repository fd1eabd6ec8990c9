use super::{Assertion, Lint, Outlook, Window};
use crate::check::assertion::{Op, Value};
use crate::check::metric::{Metric, Unit};
use crate::check::{bounds, show};
use crate::event::Answers;

/// A window that will hold too few observations of `source`, or exactly as many as are needed: then
/// it is for chance to decide, because neither begins to the microsecond. What the next fault finds
/// under way is not the window's, so that it may have one less than fit.
pub(in crate::check) fn samples(
    key: impl Into<String>,
    source: &str,
    during: &Window,
    needed: u64,
    outlook: &Outlook,
) -> Option<Lint> {
    let interval = outlook.sources.get(source)?.interval?.as_secs_f64();
    let (from, to) = during.planned(outlook)?;
    let fit = ((to - from) / interval.max(1e-9) + 1e-6).floor();
    let count = (fit - if outlook.injects_at(to) { 1.0 } else { 0.0 }).max(0.0);
    let needed = needed as f64;
    (needed > 0.0 && from < to && count <= needed).then(|| {
        Lint::warning(
            key,
            format!("`{during}` holds {count} samples of `{source}`, {needed} are needed"),
            if fit < needed {
                "cannot pass"
            } else {
                "chance decides"
            },
            format!(
                "raise the rate, or let the window last longer than {}",
                show::seconds((needed + fit - count) * interval)
            ),
        )
    })
}

/// Demands that are judged by bounds: enough observations, and nothing that no bounds can show.
pub(in crate::check) fn demands(
    that: &[Assertion],
    during: &Window,
    min_samples: Option<u64>,
    outlook: &Outlook,
) -> Vec<Lint> {
    let mut found = Vec::new();
    for (index, assertion) in that.iter().enumerate() {
        let key = format!("that[{index}]");
        if bounds::unprovable(assertion) {
            found.push(Lint::error(
                &key,
                "the check cannot pass: bounds never show that a figure is exactly this",
                "cannot be shown",
                "use `<=` or `>=`",
            ));
            continue;
        }
        let needed = bounds::fewest(assertion, min_samples);
        found.extend(samples(&key, &assertion.source, during, needed, outlook));
    }
    found
}

/// Answers that latencies are taken of, and that there are none of, or no latencies.
pub(super) fn answers(that: &[Assertion], of: Answers) -> Option<Lint> {
    let timed = |assertion: &Assertion| assertion.metric.unit() == Unit::Time;
    if of == Answers::All {
        return (!that.iter().any(timed)).then(|| {
            let message = "`of` is about latencies, and none is demanded";
            Lint::warning("of", message, "has no effect", "leave it out")
        });
    }
    let mut each = that.iter().enumerate();
    each.find_map(|(index, assertion)| {
        let mut others = that.iter().filter(|one| one.source == assertion.source);
        let other = others.find(|other| timed(assertion) && wants_errors_only(other))?;
        let metric = assertion.metric.name();
        Some(Lint::error(
            format!("that[{index}]"),
            format!(
                "the check cannot pass: `{metric}` is of good answers, and `{other}` wants none"
            ),
            "of no answers",
            "write `of = \"all\"` to take the latencies of errors as well",
        ))
    })
}

/// Whether the assertion holds only if nothing is ok.
fn wants_errors_only(assertion: &Assertion) -> bool {
    let Value::Share(share) = assertion.value else {
        return false;
    };
    match (assertion.metric, assertion.op) {
        (Metric::OkRatio, Op::Equal | Op::AtMost) => share.fraction() <= 0.0,
        (Metric::ErrorRate, Op::Equal | Op::AtLeast) => share.fraction() >= 1.0,
        _ => false,
    }
}

/// A limit that every figure keeps to, or none.
pub(super) fn limit(key: &str, assertion: &Assertion, outlook: &Outlook) -> Option<Lint> {
    let limit = assertion.value.limit(None)?;
    let (unit, op) = (assertion.metric.unit(), assertion.op);
    if let (Value::Time(_), Op::AtMost | Op::Below) = (assertion.value, op)
        && let Some(brief) = outlook.sources.get(&assertion.source)
        && limit > brief.timeout.as_secs_f64()
    {
        return Some(Lint::warning(
            key,
            format!(
                "the check cannot fail: no latency is beyond the deadline of {}",
                show::time(brief.timeout)
            ),
            "always holds",
            "lower the limit, or raise `timeout` of the source",
        ));
    }
    let most = match unit {
        Unit::Share => 1.0,
        Unit::Time | Unit::Number | Unit::Rate => f64::INFINITY,
    };
    let outside = limit < 0.0 || limit > most;
    let (always, never) = match op {
        Op::AtMost => (limit >= most, limit < 0.0),
        Op::Below => (limit > most, limit <= 0.0),
        Op::AtLeast => (limit <= 0.0, limit > most),
        Op::Above => (limit < 0.0, limit >= most),
        Op::Equal => (false, outside),
        Op::NotEqual => (outside, false),
    };
    let metric = assertion.metric.name();
    let help = "choose another limit";
    if always {
        let message = format!("the check cannot fail: every `{metric}` keeps to this");
        return Some(Lint::warning(key, message, "always holds", help));
    }
    let message = format!("the check cannot pass: no `{metric}` keeps to this");
    never.then(|| Lint::error(key, message, "never holds", help))
}
