//! A check block: the keys that all checks have, and the parameters of its type.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Sources;
use crate::action::{Protocol, ProxySpec};
use crate::check::{self, CheckOutlook, CheckSpec, FaultOutlook, Kind, Outlook};
use crate::diag::{Diagnostic, Severity, did_you_mean};
use crate::event::Name;
use crate::lab::spec::{LogSource, ServiceSpec};
use crate::load::spec::{WorkloadKind, WorkloadSpec};
use crate::scenario::block::Block;
use crate::scenario::{
    BaselineOrigin, BaselineSpec, FaultPlan, SteadyStateSpec, Step, Turn, fit, mistake, schema,
    shape,
};
use crate::template::Template;

/// A query that a check needs answered: `(check, database, sql)`.
type Query = (Name, Name, String);

/// The checks of a scenario, and what they need answered. A scenario without any passes whatever
/// happens, which is worth a warning where nothing worse is to be said.
pub(super) fn checks(
    blocks: &[Block],
    head: &Block,
    outlook: &Outlook,
    out: &mut Vec<Diagnostic>,
) -> (Vec<CheckSpec>, Vec<Query>) {
    let judged = super::each(blocks, "check", out, |block, out| {
        check(block, outlook, out)
    });
    let sound = out.iter().all(|found| found.severity == Severity::Warning);
    if sound && judged.is_empty() {
        out.push(mistake::check::nothing_judged(head));
    }
    let (checks, queries): (_, Vec<_>) = judged.into_iter().unzip();
    (checks, queries.into_iter().flatten().collect())
}

pub(super) fn check(
    block: &Block,
    outlook: &Outlook,
    out: &mut Vec<Diagnostic>,
) -> Option<(CheckSpec, Option<Query>)> {
    let Some(kind) = kind(block, out) else {
        fit::common::<shape::Check>(block, out);
        return None;
    };
    let mut values = block.values.clone();
    values.insert("type".to_owned(), kind.name.into());
    let is_known = block.text("type") == Some(kind.name);
    let ((shape, params, lints), whole) = fit::fit(
        block,
        &values,
        &schema::of_check(kind),
        &|value| read(kind, value, outlook),
        out,
    )?;
    // Advice may rest on a value that is to be mended first.
    let firm = |lint: &&check::Lint| (whole && is_known) || lint.severity == Severity::Error;
    for lint in lints.iter().filter(firm) {
        let found = mistake::check::lint(block, lint);
        // A name that nothing bears has been reported already.
        if !out.iter().any(|known| known.covers(&found)) {
            out.push(found);
        }
    }
    let name: Name = shape.name.into();
    let query = (kind.query)(&params).map(|(database, sql)| (name.clone(), database, sql));
    let spec = CheckSpec {
        name,
        kind: kind.name.to_owned(),
        severity: shape.severity,
        params,
        source: block.source.clone(),
    };
    (whole && is_known).then_some((spec, query))
}

/// The type of a check; of an unknown one the type that it was probably meant to be, so that what
/// stands beside it can be looked at.
fn kind(block: &Block, out: &mut Vec<Diagnostic>) -> Option<&'static Kind> {
    let Some(name) = block.text("type") else {
        out.push(mistake::no_type(block));
        return None;
    };
    check::kind(name).or_else(|| {
        let names = || check::kinds().iter().map(|kind| kind.name);
        out.push(mistake::unknown_word(
            block,
            "type",
            "type of check",
            names(),
        ));
        did_you_mean(name, names()).and_then(check::kind)
    })
}

fn read(
    kind: &Kind,
    value: &Value,
    outlook: &Outlook,
) -> Result<(shape::Check, Value, Vec<check::Lint>), fit::Refusal> {
    let (own, params) = parts(value.as_object().cloned().unwrap_or_default());
    let shape = fit::read(&own)?;
    let lints = (kind.lint)(&params, outlook)?;
    Ok((shape, params, lints))
}

/// The keys that all checks have, and the parameters of the type.
fn parts(values: Map<String, Value>) -> (Value, Value) {
    let common = schema::known::<shape::Check>();
    let (own, params): (Map<_, _>, Map<_, _>) = values
        .into_iter()
        .partition(|(key, _)| schema::has(&common, key));
    (Value::Object(own), Value::Object(params))
}

/// A check block as it is written.
fn written(block: &Block) -> Option<(Name, CheckOutlook)> {
    let outlook = CheckOutlook {
        kind: block.text("type").unwrap_or_default().to_owned(),
        params: parts(block.values.clone()).1,
    };
    (block.kind == "check").then_some((block.name()?.into(), outlook))
}

/// The stored baselines that checks compare with.
pub(super) fn baselines(checks: &[CheckSpec]) -> Vec<BaselineSpec> {
    let baseline = |spec: &CheckSpec| {
        let path = (check::kind(&spec.kind)?.baseline)(&spec.params)?;
        Some(BaselineSpec {
            check: spec.name.clone(),
            origin: BaselineOrigin::File(path),
        })
    };
    checks.iter().filter_map(baseline).collect()
}

/// What is known of the run before it begins.
pub(super) fn outlook(
    (faults, steps): (&[FaultPlan], &[Step]),
    (services, proxies, workloads): (&[ServiceSpec], &[(ProxySpec, Template)], &[WorkloadSpec]),
    (sources, steady_state): (&Sources, &SteadyStateSpec),
    blocks: &[Block],
    duration: Duration,
) -> Outlook {
    let first = steps.first().map_or(duration, |step| step.at);
    let mut edges = vec![(Vec::new(), Vec::new()); faults.len()];
    for step in steps {
        let (begins, ends) = &mut edges[step.fault];
        match step.turn {
            Turn::Inject => begins.push(step.at),
            Turn::Lift => ends.push(step.at),
            Turn::Move(_) => {}
        }
    }
    let faults: BTreeMap<Name, FaultOutlook> = faults
        .iter()
        .zip(edges)
        .map(|(fault, (begins, ends))| {
            let outlook = FaultOutlook {
                kind: fault.kind.clone(),
                params: fault.params.clone(),
                proxy: fault.aim(),
                // Occurrences of one fault never overlap: both come in the same order.
                windows: begins.into_iter().zip(ends).collect(),
                swept: !fault.sweep.is_empty(),
            };
            (fault.name.clone(), outlook)
        })
        .collect();
    let read = |name: &str| faults.contains_key(name) || sources.contains_key(name);
    let watched = |block: &&Block| matches!(block.kind, "fault" | "workload" | "probe");
    let names = blocks.iter().filter(watched).filter_map(Block::name);
    let without = |lacks: fn(&ServiceSpec) -> bool| {
        let services = services.iter().filter(|service| lacks(service));
        services.map(|service| service.name.clone()).collect()
    };
    let compares = |workload: &&WorkloadSpec| matches!(&workload.kind, WorkloadKind::Http { compare, .. } if compare.is_some());
    let digested = workloads.iter().filter(compares);
    let digested: BTreeSet<_> = digested.map(|workload| &workload.name).collect();
    let opaque = proxies.iter().map(|(proxy, _)| proxy);
    let opaque = opaque.filter(|proxy| proxy.protocol != Protocol::Postgres);
    Outlook {
        unread: names.filter(|name| !read(name)).map(Into::into).collect(),
        faults,
        sources: sources.clone(),
        attached: without(|service| service.command.is_none()),
        unwatched: without(|service| service.ready.is_none()),
        unlogged: without(|service| service.log == LogSource::None),
        opaque: opaque.map(|proxy| proxy.name.clone()).collect(),
        undigested: sources
            .keys()
            .filter(|name| !digested.contains(name))
            .cloned()
            .collect(),
        checks: blocks.iter().filter_map(written).collect(),
        baseline: steady_state.window + first,
        duration,
    }
}
