use maud::{Markup, html};

use super::bands::{Band, bands, labelled, shaded, short};
use super::seconds;
use crate::report::svg::{Panel, SIDES, Scale, figure, plot, words};
use crate::report::{Bin, Job, Report, Series};

/// For each workload and probe what it asked and got, with the faults behind it.
pub(super) fn timeline(report: &Report) -> Markup {
    let course = &report.course;
    let bands = bands(report);
    html! {
        @if !course.series.is_empty() {
            p .legend {
                @for (index, fault) in report.faults.iter().enumerate() {
                    span { i .key .band {} (short(index)) " " (fault.name) }
                }
                span { i .key .ok {} "requests/s, up" }
                span { i .key .bad {} "errors/s, down" }
                span { i .key .p50 {} "p50" }
                span { i .key .p95 {} "p95" }
                span { i .key .p99 {} "p99" }
            }
            div .plots { @for one in &course.series { (card(one, course.span_s, &bands)) } }
            p .quiet {
                "Time counts from time zero. An observation stands where it was meant to be sent, \
                 and its latency counts from there."
            }
        }
    }
}

fn card(series: &Series, span: (f64, f64), bands: &[Band]) -> Markup {
    let x = Scale::linear(span, SIDES);
    let rate = rate_panel(x, &series.bins);
    let latency = latency_panel(x, &series.bins);
    let label = format!("rate, errors and latency of {} over time", series.source);
    let bar = |count: fn(&Bin) -> f64| {
        let bars = series.bins.iter();
        bars.map(move |bin| (bin.from_s, bin.to_s, count(bin) / (bin.to_s - bin.from_s)))
    };
    let line = |which: usize| {
        let middle = |bin: &Bin| f64::midpoint(bin.from_s, bin.to_s);
        let point = move |bin: &Bin| Some((middle(bin), bin.latency_ms?[which]));
        series.bins.iter().map(point)
    };
    let body = html! {
        (labelled(bands, &rate)) (shaded(bands, &latency))
        (rate.grid(|value| figure(value.abs()))) (latency.grid(milliseconds))
        (rate.bars("ok", bar(|bin| bin.requests as f64)))
        (rate.bars("bad", bar(|bin| -(bin.errors as f64))))
        @for (which, class) in ["p50", "p95", "p99"].into_iter().enumerate() {
            (latency.line(class, line(which)))
        }
        (latency.seconds())
        (words("unit", (0.0, 9.0), "per s")) (words("unit", (0.0, 116.0), "latency"))
    };
    html! {
        figure {
            figcaption {
                b { (series.source) }
                span .quiet { "to " (series.service) ", bins of " (figure(series.bin_s)) " s" }
            }
            (plot(226.0, &label, &body))
        }
    }
}

/// Requests upwards, errors downwards, to one scale.
fn rate_panel(x: Scale, bins: &[Bin]) -> Panel {
    let most = |count: fn(&Bin) -> u64| {
        let rates = bins.iter();
        let rates = rates.map(|bin| count(bin) as f64 / (bin.to_s - bin.from_s));
        rates.fold(0.0, f64::max)
    };
    let (requests, errors) = (most(|bin| bin.requests), most(|bin| bin.errors));
    let values = (-errors, requests.max(f64::MIN_POSITIVE));
    Panel {
        x,
        y: Scale::linear(values, (100.0, 18.0)),
    }
}

fn latency_panel(x: Scale, bins: &[Bin]) -> Panel {
    let latencies = bins.iter().filter_map(|bin| bin.latency_ms);
    let (least, most) = latencies.fold((f64::MAX, 0.0_f64), |(least, most), [p50, _, p99]| {
        (least.min(p50), most.max(p99))
    });
    // A logarithm needs a floor; nobody asks about less than 10 µs.
    let values = (least.min(most).max(0.01), most.max(0.01));
    Panel {
        x,
        y: Scale::logarithmic(values, (206.0, 124.0)),
    }
}

fn milliseconds(value: f64) -> String {
    if value >= 1000.0 {
        format!("{} s", figure(value / 1000.0))
    } else {
        format!("{} ms", figure(value))
    }
}

/// For each job how many items were done when.
pub(super) fn jobs(report: &Report) -> Markup {
    let bands = bands(report);
    html! {
        @if !report.course.jobs.is_empty() {
            div .plots { @for job in &report.course.jobs { (progress(job, report.course.span_s, &bands)) } }
        }
    }
}

fn progress(job: &Job, span: (f64, f64), bands: &[Band]) -> Markup {
    let most = job.progress.iter().map(|(_, items)| *items).max();
    let panel = Panel {
        x: Scale::linear(span, SIDES),
        y: Scale::linear((0.0, most.unwrap_or(1) as f64), (116.0, 18.0)),
    };
    let points = || job.progress.iter().map(|(at, items)| (*at, *items as f64));
    let caption = match job.done_s {
        Some(done) => format!("done after {}", seconds(done)),
        None => "never seen to be done".to_owned(),
    };
    let body = html! {
        (labelled(bands, &panel)) (panel.grid(figure))
        (panel.line("p50", points().map(Some)))
        @if let (Some(done), Some((_, items))) = (job.done_s, points().next_back()) {
            (panel.dot((done, items), &caption))
        }
        (panel.seconds()) (words("unit", (0.0, 9.0), "items"))
    };
    html! {
        figure {
            figcaption { b { (job.workload) } span .quiet { (caption) } }
            (plot(136.0, &format!("progress of {} over time", job.workload), &body))
        }
    }
}
