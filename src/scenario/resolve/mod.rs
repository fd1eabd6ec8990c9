//! Names get their meaning: blocks become a [`Plan`].

mod chaos;
mod checks;
mod faults;
mod names;
mod one_per_value;
mod order;
mod probes;
mod radius;
mod ramp;
mod references;
mod stage;
mod traffic;

use std::collections::BTreeMap;
use std::time::Duration;

use super::block::Block;
use super::{AbortSpec, Plan, SteadyStateSpec, fit, mistake, shape, timeline};
use crate::check::{CheckSpec, Experiment, Limits, Purpose, SourceBrief};
use crate::diag::{Diagnostic, Source};
use crate::event::{Name, Secrets};
use crate::fault::catalogue::Catalogue;
use crate::units::Period;
use names::Names;

/// Makes the plan, as far as the mistakes allow. It is usable if `out` holds no error.
pub(super) fn resolve(
    source: &Source,
    blocks: &[Block],
    catalogue: &Catalogue,
    out: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let names = Names::gather(blocks, out);
    references::check(blocks, &names, catalogue, out);

    let missing = Block::missing("scenario");
    let (head, scenario, duration) = head(blocks, &missing, out);
    let seed = scenario.as_ref().map_or(0, |scenario| scenario.seed);
    let radius = radius::read(blocks, out);
    let databases = each(blocks, "database", out, stage::database);
    let proxies = stage::proxies(blocks, radius.reach(), out);
    let services = each(blocks, "service", out, stage::service);
    let workloads = each(blocks, "workload", out, traffic::workload);
    let ledgers = each(blocks, "ledger", out, traffic::ledger);
    let probes = each(blocks, "probe", out, probes::probe);
    let (faults, briefs) = faults::faults(blocks, catalogue, out);
    let chaos = chaos::chaos(blocks, &names, &faults, out);
    let steady_state = steady_state(blocks, out);
    let aborts = each(blocks, "abort_condition", out, abort);
    let limits = one::<Limits>(blocks, "limits", out);
    let report = one::<shape::Report>(blocks, "report", out);
    let proxies = order::proxies(blocks, proxies, &services, out);
    let services = order::services(blocks, services, out);

    let sources = traffic::sources(&workloads, &probes);
    let all = (&*faults, chaos.as_ref());
    radius::check(blocks, &radius, all, (head, duration), out);
    let steps = timeline::steps(&faults, &super::chaos::drawn(all, seed));
    chaos::never_drawn(blocks, all, &steps, seed, out);
    let schedule = (&*faults, &*steps);
    let stage = (&*services, &*proxies, &*workloads);
    let outlook = checks::outlook(schedule, stage, (&sources, &steady_state), blocks, duration);
    let (checks, queries) = checks::checks(blocks, head, &outlook, out);
    let baselines = checks::baselines(&checks);
    one_per_value::keep_first(blocks, out);
    let scenario = scenario?;
    Some(Plan {
        path: source.name.clone(),
        text: source.text.clone(),
        experiment: Experiment {
            title: scenario.title,
            hypothesis: scenario.hypothesis,
            faults: briefs,
            sources,
            checks,
            opaque: outlook.opaque,
            limits,
            purpose: Purpose::Judge,
        },
        seed,
        duration,
        settle: *scenario.settle,
        databases,
        proxies,
        services,
        workloads,
        ledgers,
        probes,
        steady_state,
        faults,
        chaos,
        blast_radius: radius,
        aborts,
        queries,
        baselines,
        secrets: Secrets::default(),
        report_dir: report.dir,
    })
}

/// The check blocks of another file, held against what `plan` has; `recorded` are the blocks that
/// became the plan. Only mistakes of `blocks` are reported.
pub(super) fn checks(
    blocks: &[Block],
    recorded: &[Block],
    plan: &Plan,
    out: &mut Vec<Diagnostic>,
) -> (Vec<CheckSpec>, Limits) {
    let names = Names::gather(recorded, &mut Vec::new());
    Names::gather(blocks, out);
    references::check(blocks, &names, &Catalogue::default(), out);
    let steps = timeline::timeline(plan);
    let outlook = checks::outlook(
        (&plan.faults, &steps),
        (&plan.services, &plan.proxies, &plan.workloads),
        (&plan.experiment.sources, &plan.steady_state),
        blocks,
        plan.duration,
    );
    let checks = each(blocks, "check", out, |block, out| {
        let (check, query) = checks::check(block, &outlook, out)?;
        if query.is_some_and(|query| !plan.queries.contains(&query)) {
            out.push(mistake::check::unasked(block));
        }
        Some(check)
    });
    let has_limits = blocks.iter().any(|block| block.kind == "limits");
    let limits = if has_limits {
        one(blocks, "limits", out)
    } else {
        plan.experiment.limits
    };
    one_per_value::keep_first(blocks, out);
    (checks, limits)
}

/// The `[scenario]` block, or what stands for it, and its duration. One that cannot be read ends after
/// everything, so that nothing is said to come too late for it.
fn head<'a>(
    blocks: &'a [Block],
    missing: &'a Block,
    out: &mut Vec<Diagnostic>,
) -> (&'a Block, Option<shape::Scenario>, Duration) {
    const ENDLESS: Duration = Duration::from_secs(u64::MAX / 4);
    let Some(head) = blocks.iter().find(|block| block.kind == "scenario") else {
        out.push(mistake::file::no_scenario());
        return (missing, None, ENDLESS);
    };
    let scenario = fit::shape::<shape::Scenario>(head, out).map(|(shape, _)| shape);
    let is_read = head.text("duration").map(str::parse::<Period>);
    let read = scenario.as_ref().filter(|_| matches!(is_read, Some(Ok(_))));
    let duration = read.map_or(ENDLESS, |scenario| *scenario.duration);
    (head, scenario, duration)
}

fn abort(block: &Block, out: &mut Vec<Diagnostic>) -> Option<AbortSpec> {
    let (shape, whole) = fit::shape::<shape::AbortCondition>(block, out)?;
    whole.then(|| AbortSpec {
        when: shape.when,
        source: block.source.clone(),
    })
}

/// What `make` makes of every block of a kind.
fn each<T>(
    blocks: &[Block],
    kind: &str,
    out: &mut Vec<Diagnostic>,
    mut make: impl FnMut(&Block, &mut Vec<Diagnostic>) -> Option<T>,
) -> Vec<T> {
    blocks
        .iter()
        .filter(|block| block.kind == kind)
        .filter_map(|block| make(block, out))
        .collect()
}

/// Reports a deadline that nothing can keep.
fn above_zero(block: &Block, path: &str, time: Period, out: &mut Vec<Diagnostic>) {
    if time.is_zero() {
        out.push(mistake::refused(block, path, "expected a time above zero"));
    }
}

/// Reports a time between two rounds that is shorter than any round takes.
fn unhurried(block: &Block, path: &str, time: Period, out: &mut Vec<Diagnostic>) {
    if time < Period::from_millis(1) {
        let why = format!("expected at least 1ms, found `{time}`");
        out.push(mistake::refused(block, path, &why));
    }
}

/// The only block of a kind, with stand-ins for what does not fit; its default if there is none.
fn one<T: serde::de::DeserializeOwned + schemars::JsonSchema + Default>(
    blocks: &[Block],
    kind: &str,
    out: &mut Vec<Diagnostic>,
) -> T {
    blocks
        .iter()
        .find(|block| block.kind == kind)
        .and_then(|block| fit::shape(block, out))
        .map(|(shape, _)| shape)
        .unwrap_or_default()
}

fn steady_state(blocks: &[Block], out: &mut Vec<Diagnostic>) -> SteadyStateSpec {
    let shape = one::<shape::SteadyState>(blocks, "steady_state", out);
    SteadyStateSpec {
        window: *shape.window,
        require: shape.require,
    }
}

/// Workloads and probes by name.
type Sources = BTreeMap<Name, SourceBrief>;
