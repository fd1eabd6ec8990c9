//! Who speaks to the servers: workloads and their ledgers.

use super::{Sources, above_zero, probes, unhurried};
use crate::check::SourceBrief;
use crate::diag::Diagnostic;
use crate::jsonpath;
use crate::load::spec::{FateRule, LedgerSpec, RequestSpec, WorkloadKind, WorkloadSpec};
use crate::probe::spec::{ProbeKind, ProbeSpec};
use crate::scenario::block::Block;
use crate::scenario::{fit, mistake, shape};

pub(super) fn workload(block: &Block, out: &mut Vec<Diagnostic>) -> Option<WorkloadSpec> {
    match block.text("kind") {
        Some("job") => job(block, out),
        _ => http(block, out),
    }
}

fn http(block: &Block, out: &mut Vec<Diagnostic>) -> Option<WorkloadSpec> {
    let (shape, whole) = fit::shape::<shape::HttpWorkload>(block, out)?;
    out.extend(mistake::path(block, "request.path"));
    above_zero(block, "timeout", shape.timeout, out);
    probes::demands(&shape.ok, block, out);
    whole.then(|| WorkloadSpec {
        name: shape.name.into(),
        service: shape.service.into(),
        kind: WorkloadKind::Http {
            rate: shape.rate,
            timeout: *shape.timeout,
            request: request(shape.request),
            ledger: shape.ledger.map(Into::into),
            compare: shape.compare,
            ok: shape.ok,
        },
    })
}

fn job(block: &Block, out: &mut Vec<Diagnostic>) -> Option<WorkloadSpec> {
    let (shape, whole) = fit::shape::<shape::JobWorkload>(block, out)?;
    let status = shape.status;
    unhurried(block, "every", shape.every, out);
    above_zero(block, "timeout", shape.timeout, out);
    probes::demands(&shape.ok, block, out);
    out.extend(
        ["start.path", "status.path"]
            .iter()
            .filter_map(|at| mistake::path(block, at)),
    );
    let done = block.value("status.done").is_some();
    if let (true, Err(error)) = (done, jsonpath::Condition::parse(&status.done)) {
        out.push(mistake::refused(block, "status.done", &error.to_string()));
    }
    if let Some(Err(error)) = status.progress.as_deref().map(jsonpath::Path::parse) {
        out.push(mistake::refused(
            block,
            "status.progress",
            &error.to_string(),
        ));
    }
    whole.then(|| WorkloadSpec {
        name: shape.name.into(),
        service: shape.service.into(),
        kind: WorkloadKind::Job {
            start: request(shape.start),
            status: RequestSpec {
                method: status.method.to_string(),
                path: status.path,
                headers: status.headers.into_iter().collect(),
                json: None,
            },
            done: status.done,
            progress: status.progress,
            every: *shape.every,
            timeout: *shape.timeout,
            ok: shape.ok,
        },
    })
}

fn request(shape: shape::Request) -> RequestSpec {
    RequestSpec {
        method: shape.method.to_string(),
        path: shape.path,
        headers: shape.headers.into_iter().collect(),
        json: shape.json,
    }
}

pub(super) fn ledger(block: &Block, out: &mut Vec<Diagnostic>) -> Option<LedgerSpec> {
    let (shape, whole) = fit::shape::<shape::Ledger>(block, out)?;
    let mut rules = |key: &str, texts: &[String]| -> Vec<FateRule> {
        let rule = |(index, text): (usize, &String)| {
            let rule = fate_rule(text);
            if rule.is_none() {
                out.push(mistake::fate_rule(block, &format!("{key}[{index}]"), text));
            }
            rule
        };
        texts.iter().enumerate().filter_map(rule).collect()
    };
    let (ok, fail) = (rules("ok", &shape.ok), rules("fail", &shape.fail));
    whole.then(|| LedgerSpec {
        ok,
        fail,
        name: shape.name.into(),
        key: shape.key,
        database: shape.readback.database.into(),
        sql: shape.readback.sql,
    })
}

fn fate_rule(text: &str) -> Option<FateRule> {
    match text {
        "connect_error" => Some(FateRule::ConnectError),
        "timeout" => Some(FateRule::Timeout),
        "broken" => Some(FateRule::Broken),
        _ => {
            let (digits, rule): (_, fn(u16) -> FateRule) = match text.strip_suffix("xx") {
                Some(class) => (class, FateRule::Class),
                None => (text, FateRule::Status),
            };
            let number = digits.parse().ok()?;
            let range = if digits == text { 100..=599 } else { 1..=5 };
            range.contains(&number).then(|| rule(number))
        }
    }
}

/// What checks need to know of workloads and probes.
pub(super) fn sources(workloads: &[WorkloadSpec], probes: &[ProbeSpec]) -> Sources {
    let workloads = workloads.iter().map(|workload| {
        let (timeout, interval) = match &workload.kind {
            WorkloadKind::Http { timeout, rate, .. } => (*timeout, rate.interval()),
            WorkloadKind::Job { timeout, every, .. } => (*timeout, *every),
        };
        let brief = SourceBrief {
            service: workload.service.clone(),
            timeout,
            interval: Some(interval),
        };
        (workload.name.clone(), brief)
    });
    let probes = probes.iter().map(|probe| {
        let interval = match &probe.kind {
            ProbeKind::Log { .. } => None,
            _ => Some(probe.every),
        };
        let brief = SourceBrief {
            service: probe.kind.service().cloned().unwrap_or_default(),
            timeout: probe.timeout,
            interval,
        };
        (probe.name.clone(), brief)
    });
    workloads.chain(probes).collect()
}
