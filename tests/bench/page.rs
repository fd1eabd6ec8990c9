//! The figures as a page of the documentation.

use std::path::Path;

use crate::result::{Cost, Edges, Error, Faults, Following, Line, Memory, Report, Unit};
use crate::stats::{Short, Spread};

/// Writes `docs/performance.md` and the figures behind it.
pub(crate) fn write(report: &Report) -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::write(docs.join("performance.md"), render(report))?;
    let json = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(docs.join("performance.json"), json)?;
    Ok(())
}

/// The page.
pub(crate) fn render(report: &Report) -> String {
    let mut page = head(report);
    if !report.memory.is_empty() {
        page += &memory(&report.memory);
    }
    page += &report.lines.iter().map(line).collect::<String>();
    if !report.following.is_empty() {
        page += &following(&report.following);
    }
    if let Some(found) = &report.faults {
        page += &faults(found);
    }
    page
}

fn head(report: &Report) -> String {
    let Report {
        command,
        date,
        machine,
        rounds,
        seconds,
        ..
    } = report;
    let missing = match report.missing.as_slice() {
        [] => String::new(),
        missing => format!(" Not on this machine: {}.", missing.join(", ")),
    };
    format!(
        "\
# Performance

`{command}`, {date}, {machine}; the figures behind this page are in `performance.json`.{missing}

Each line is {rounds} rounds of {seconds} s per target with pgbench, and of half as long with the bench's \
own loads. A round measures the direct connection, every \
target in random order, and the direct connection again. A ratio is a target's rate by the direct \
rate of the same round; given are the median and, in brackets, the least and the most. Processor \
time is user and system time of the proxy's processes. Every proxy passes bytes on as TCP, on as \
many threads as there are cores; chaosproxy is run as a user runs it, from a scenario, recording. \
Absolute figures do not carry from one machine or run to another.
"
    )
}

fn memory(found: &[Memory]) -> String {
    let levels = found.first().map_or(&[][..], |first| &first.bytes_each);
    let mut title = vec!["connections held".to_owned()];
    title.extend(levels.iter().map(|(held, _)| held.to_string()));
    let rows = found.iter().map(|memory| {
        let kib = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0);
        let mut row = vec![memory.target.to_owned()];
        row.extend(memory.bytes_each.iter().map(|(_, bytes)| kib(*bytes)));
        row
    });
    let about = "KiB of resident memory for each, beyond what the proxy takes without connections.";
    format!(
        "\n## Memory of an idle connection\n\n{about}\n\n{}",
        table(&title, rows)
    )
}

fn following(found: &[Following]) -> String {
    let about = "Processor time per transaction with `protocol = \"postgres\"` or `\"http\"`, by that with \
                 `\"tcp\"` in the same round; the second column measures `tcp` once more and shows the noise.";
    let title = [
        "",
        "tcp us",
        "tcp again",
        "followed",
        "with a fault that matches nothing",
    ];
    let show = |spread: Option<Spread>| spread.map_or_else(String::new, |s| s.to_string());
    let rows = found.iter().map(|line| {
        let spreads = [line.bytes_us, line.again, line.followed, line.armed].map(show);
        std::iter::once(line.name.to_owned())
            .chain(spreads)
            .collect()
    });
    let table = table(&title.map(str::to_owned), rows);
    format!("\n## Messages\n\n{about}\n\n{table}")
}

fn line(line: &Line) -> String {
    let direct = line.direct.map_or(0.0, |direct| direct.median);
    let direct = match line.unit {
        Unit::Transactions => format!("{} per second", Short(direct)),
        Unit::Gigabytes => format!("{} GB/s", Short(direct / 1e9)),
    };
    let direct = match line.direct_p99_us {
        Some(p99) => format!("{direct}, p99 {} us", Short(p99)),
        None => direct,
    };
    let mut title = vec![String::new(), "of direct".to_owned()];
    title.push(format!("CPU s per {}", line.unit.word()));
    title.push("rounds that chaosproxy won".to_owned());
    title.extend(line.direct_p99_us.map(|_| "p99 us".to_owned()));
    let rows = line.places.iter().map(|place| {
        let show = |spread: Option<Spread>| spread.map_or_else(String::new, |s| s.to_string());
        let won = match place.target {
            "chaosproxy" => String::new(),
            _ => format!("{} of {}", place.rounds_behind_chaosproxy, line.rounds),
        };
        let mut row = vec![place.target.to_owned(), show(place.ratio)];
        row.extend([show(place.cpu_s), won]);
        row.extend(place.p99_us.map(|p99| Short(p99).to_string()));
        row
    });
    format!(
        "\n## {}\n\nDirect: {direct}.\n\n{}",
        line.name,
        table(&title, rows)
    )
}

fn faults(found: &Faults) -> String {
    let title = [
        "latency",
        "error p50 / p99 / max ms",
        "bare nanosleep",
        "round trip without, after such a rest",
    ];
    let show = |error: &Error| {
        let Error {
            p50_ms,
            p99_ms,
            max_ms,
        } = error;
        format!("{p50_ms:.3} / {p99_ms:.3} / {max_ms:.3}")
    };
    let delays = found.delays.iter().map(|delay| {
        let title = format!("{} ms, {} times", delay.ms, delay.count);
        let shown = [&delay.error, &delay.nanosleep, &delay.undelayed].map(show);
        std::iter::once(title).chain(shown).collect()
    });
    let text = format!(
        "\n## Faults against what they promise\n\nA round trip of 64 bytes through chaosproxy, whose \
        answer is delayed; the error is all that it took beyond the delay. The other columns tell what \
        of it this machine takes for a timer and for a round trip.\n\n{}\n",
        table(&title.map(str::to_owned), delays)
    );
    let rates = found.rates.iter().map(|rate| {
        let errors = rate
            .error_percent
            .iter()
            .map(|error| format!("{error:+.3} %"));
        format!("{}: {}", rate.wanted, errors.collect::<Vec<_>>().join(", "))
    });
    let rates = format!(
        "Bandwidth, error over windows of 2 s: {}.",
        rates.collect::<Vec<_>>().join("; ")
    );
    let bulk = found.bulk_s.map(|bulk| {
        format!("20 MB through 100 ms of latency: {bulk} s from the connection to the last byte.")
    });
    let pipelined = found.pipelined.map(|each| {
        format!("20 messages, one every 5 ms, through 100 ms of latency: {each} ms each.")
    });
    let cost = found.cost.as_ref().map(cost);
    let edges = |what: &str, edges: &Edges| {
        format!(
            "{} edges of a schedule on {} {what} connections, late by p50 / p99 / max ms: begun {}; \
            lifted, with every connection following, {}.",
            edges.count,
            edges.connections,
            show(&edges.injected),
            show(&edges.lifted)
        )
    };
    let busy = Some(edges("busy", &found.busy));
    let crowded = Some(edges("idle", &found.crowded));
    let items = [bulk, pipelined, Some(rates), cost, busy, crowded]
        .into_iter()
        .flatten();
    let items: Vec<String> = items.collect();
    format!("{text}- {}\n", items.join("\n- "))
}

fn cost(cost: &Cost) -> String {
    let Cost {
        plain,
        delayed,
        paced,
        rate,
    } = cost;
    let times = |other: &Spread| delayed.median / other.median;
    format!(
        "pgbench -S, 8 clients, with 1 ms of latency in force: CPU s per 100,000 transactions \
        {delayed}, at {} per second. Without it at the same rate {paced}: the fault costs {:.2} \
        times as much. Without it as fast as it goes {plain}: {:.2} times as much; a part of this is \
        the slower rate, at which each message finds the processors asleep and wakes them for itself.",
        Short(rate.median),
        times(paced),
        times(plain)
    )
}

fn table(title: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = "|---".repeat(title.len()) + "|\n";
    row(title) + &rule + &rows.map(|cells| row(&cells)).collect::<String>()
}
