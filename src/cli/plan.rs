//! `chaosproxy plan`: what a scenario would do. Opens nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::input;
use super::output::Printer;
use crate::lab::spec::{Origin, ServiceSpec};
use crate::load::spec::{WorkloadKind, WorkloadSpec};
use crate::probe::spec::ProbeKind;
use crate::scenario::{FaultPlan, Plan, Step, Turn, timeline};
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
    let steps = timeline(plan);
    section(&mut out, "timeline", edges(plan, &steps));
    section(&mut out, "faults", drawing(plan, &steps));
    section(&mut out, "drawn at random", weights(plan, &steps));
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
        service.url.to_string(),
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

fn edges(plan: &Plan, steps: &[Step]) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["0s".to_owned(), "steady state confirmed".to_owned()]];
    for step in steps {
        let fault = &plan.faults[step.fault];
        let what = match step.turn {
            Turn::Inject => format!("{} begins: {}", fault.name, effect(fault)),
            Turn::Lift => format!("{} ends", fault.name),
            Turn::Move(_) => continue,
        };
        rows.push(vec![Period(step.at).to_string(), what]);
    }
    rows.push(vec![
        Period(plan.duration).to_string(),
        "schedule ends".to_owned(),
    ]);
    rows
}

/// What may be drawn, and how often it was with this seed.
fn weights(plan: &Plan, steps: &[Step]) -> Vec<Vec<String>> {
    let weights = plan.chaos.iter().flat_map(|chaos| &chaos.weights);
    let row = |(index, weight): &(usize, f64)| {
        let own = steps.iter().filter(|step| step.fault == *index);
        let times = own.filter(|step| step.turn == Turn::Inject).count();
        let name = plan.faults[*index].name.to_string();
        vec![name, format!("weight {weight}"), format!("{times} times")]
    };
    weights.map(row).collect()
}

/// `partition on codebase-db, mode = "stall"`.
fn effect(fault: &FaultPlan) -> String {
    let mut text = fault.kind.clone();
    if !fault.targets.is_empty() {
        write!(text, " on {}", fault.aim()).expect("a String takes everything");
    }
    for (key, value) in fault.params.as_object().into_iter().flatten() {
        if !fault.ramp.0.contains_key(key) {
            write!(text, ", {key} = {value}").expect("a String takes everything");
        }
    }
    for (key, way) in &fault.ramp.0 {
        let (from, to) = (&way.from, &way.to);
        write!(text, ", {key} = {from} moving to {to}").expect("a String takes everything");
    }
    text
}

/// One bar per fault over the length of the schedule.
fn drawing(plan: &Plan, steps: &[Step]) -> Vec<Vec<String>> {
    let mut bars = vec![(Duration::ZERO, ['.'; WIDTH]); plan.faults.len()];
    for step in steps {
        let (begun, cells) = &mut bars[step.fault];
        match step.turn {
            Turn::Inject => *begun = step.at,
            // Occurrences of one fault never overlap: this is the end of what began last.
            Turn::Lift => {
                let from = column(*begun, plan.duration).min(WIDTH - 1);
                let to = column(step.at, plan.duration).clamp(from + 1, WIDTH);
                cells[from..to].fill('#');
            }
            Turn::Move(_) => {}
        }
    }
    let faults = plan.faults.iter().zip(bars);
    let row = |(fault, (_, cells)): (&FaultPlan, (_, [char; WIDTH]))| {
        vec![fault.name.to_string(), cells.iter().collect()]
    };
    faults.map(row).collect()
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
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for row in &rows {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
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
