//! `chaosproxy plan`: what a scenario would do. Opens nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::input;
use super::output::Printer;
use crate::event::Edge;
use crate::lab::spec::{Origin, ServiceSpec};
use crate::load::spec::{WorkloadKind, WorkloadSpec};
use crate::probe::spec::ProbeKind;
use crate::scenario::{FaultPlan, Plan, timeline};
use crate::template::Template;
use crate::units::Period;

/// Columns of the drawing.
const WIDTH: usize = 60;

/// Arguments of `chaosproxy plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    match input::plan(&args.file, "no plan", printer) {
        Some((_, plan)) => {
            printer.data(&shown(&plan));
            ExitCode::SUCCESS
        }
        None => ExitCode::from(input::BAD_INPUT),
    }
}

/// The plan as a page of text.
fn shown(plan: &Plan) -> String {
    let mut out = format!("{}\n", plan.experiment.title);
    line(
        &mut out,
        format_args!(
            "steady state {}, schedule {}, at most {} to settle; seed {}",
            Period(plan.steady_state.window),
            Period(plan.duration),
            Period(plan.settle),
            plan.seed
        ),
    );
    targets(&mut out, plan);
    section(&mut out, "timeline", edges(plan));
    section(&mut out, "faults", drawing(plan));
    let checks = plan.experiment.checks.iter();
    let checks = checks.map(|check| vec![check.name.to_string(), check.kind.clone()]);
    section(&mut out, "checks", checks);
    out
}

fn targets(out: &mut String, plan: &Plan) {
    let databases = plan.databases.iter().map(|database| {
        let origin = match &database.origin {
            Origin::Managed => "throwaway cluster",
            Origin::Url(_) => "existing, by its URL",
        };
        vec![database.name.to_string(), origin.to_owned()]
    });
    section(out, "databases", databases);
    let proxies = plan.proxies.iter().map(|(proxy, upstream)| {
        vec![
            proxy.name.to_string(),
            format!("{} -> {upstream}", proxy.listen),
            format!("{:?}", proxy.protocol).to_lowercase(),
        ]
    });
    section(out, "proxies", proxies);
    section(out, "services", plan.services.iter().map(service));
    section(out, "workloads", plan.workloads.iter().map(workload));
    let probes = plan.probes.iter().map(|probe| {
        let what = match &probe.kind {
            ProbeKind::Http { service, path, .. } => format!("GET {path} of {service}"),
            ProbeKind::Log { service, pattern } => format!("lines of {service} like {pattern}"),
            ProbeKind::Tcp { address, .. } => format!("connection to {address}"),
            ProbeKind::Sql { query, .. } => query.clone(),
            ProbeKind::Prometheus {
                service, metric, ..
            } => format!("{metric} of {service}"),
            ProbeKind::Command { run, .. } => {
                let words: Vec<&str> = run.iter().map(Template::as_str).collect();
                words.join(" ")
            }
        };
        vec![
            probe.name.to_string(),
            what,
            format!("every {}", Period(probe.every)),
        ]
    });
    section(out, "probes", probes);
}

fn service(service: &ServiceSpec) -> Vec<String> {
    let command = service.command.as_ref().map(|words| {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        words.join(" ")
    });
    vec![
        service.name.to_string(),
        service.url.clone(),
        command.unwrap_or_else(|| "running already".to_owned()),
    ]
}

fn workload(workload: &WorkloadSpec) -> Vec<String> {
    let (what, pace) = match &workload.kind {
        WorkloadKind::Http { request, rate, .. } => (request, rate.to_string()),
        WorkloadKind::Job { start, every, .. } => {
            (start, format!("once, asked every {}", Period(*every)))
        }
    };
    vec![
        workload.name.to_string(),
        format!("{} {} of {}", what.method, what.path, workload.service),
        pace,
    ]
}

fn edges(plan: &Plan) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["0s".to_owned(), "steady state confirmed".to_owned()]];
    for step in timeline(plan) {
        let fault = &plan.faults[step.fault];
        let what = match step.edge {
            Edge::Inject => format!("{} begins: {}", fault.name, effect(fault)),
            Edge::Lift => format!("{} ends", fault.name),
        };
        rows.push(vec![Period(step.at).to_string(), what]);
    }
    rows.push(vec![
        Period(plan.duration).to_string(),
        "schedule ends".to_owned(),
    ]);
    rows
}

/// `partition on codebase-db, mode = "stall"`.
fn effect(fault: &FaultPlan) -> String {
    let mut text = fault.kind.clone();
    if !fault.targets.is_empty() {
        write!(text, " on {}", fault.aim()).expect("a String takes everything");
    }
    for (key, value) in fault.params.as_object().into_iter().flatten() {
        write!(text, ", {key} = {value}").expect("a String takes everything");
    }
    text
}

/// One bar per fault over the length of the schedule.
fn drawing(plan: &Plan) -> Vec<Vec<String>> {
    let steps = timeline(plan);
    let bar = |index: usize| {
        let mut cells = ['.'; WIDTH];
        for begin in steps
            .iter()
            .filter(|step| step.fault == index && step.edge == Edge::Inject)
        {
            let end = steps.iter().find(|step| {
                step.fault == index
                    && step.edge == Edge::Lift
                    && step.occurrence == begin.occurrence
            });
            let from = column(begin.at, plan.duration).min(WIDTH - 1);
            let to = end.map_or(WIDTH, |end| column(end.at, plan.duration));
            let to = to.clamp(from + 1, WIDTH);
            cells[from..to].fill('#');
        }
        cells.iter().collect::<String>()
    };
    plan.faults
        .iter()
        .enumerate()
        .map(|(index, fault)| vec![fault.name.to_string(), bar(index)])
        .collect()
}

fn column(at: Duration, duration: Duration) -> usize {
    let columns = at.as_nanos() * WIDTH as u128 / duration.as_nanos().max(1);
    usize::try_from(columns).unwrap_or(WIDTH).min(WIDTH)
}

/// A heading and rows in aligned columns; nothing if there are none.
fn section(out: &mut String, title: &str, rows: impl IntoIterator<Item = Vec<String>>) {
    let rows: Vec<_> = rows.into_iter().collect();
    if rows.is_empty() {
        return;
    }
    line(out, format_args!("\n{title}"));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in &rows {
        let mut text = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            write!(text, "  {cell:width$}").expect("a String takes everything");
        }
        line(out, format_args!("{}", text.trim_end()));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_schedule() {
        let second = Duration::from_secs;
        assert_eq!(column(second(0), second(80)), 0);
        assert_eq!(column(second(40), second(80)), WIDTH / 2);
        assert_eq!(column(second(80), second(80)), WIDTH);
        assert_eq!(column(second(1), second(0)), WIDTH);
    }
}
