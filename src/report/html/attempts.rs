use maud::{Markup, html};

use super::seconds;
use crate::report::svg::{Panel, SIDES, Scale, plot, time, words};
use crate::report::{Attempts, Report, Wait};

/// For each backoff check, outage and loop: the waits between attempts as dots, on the range that
/// the declared policy allows.
pub(super) fn attempts(report: &Report) -> Markup {
    let all = &report.course.attempts;
    let declared = all
        .iter()
        .flat_map(|one| &one.waits)
        .any(|wait| wait.allowed_s.is_some());
    html! {
        @if !all.is_empty() {
            p .legend {
                @if declared {
                    span { i .key .area {} "allowed by the declared policy" }
                    span { "● wait that is allowed" }
                    span { "✕ wait that is not" }
                } @else {
                    span { "● wait; no policy is declared" }
                }
                span { "▲ first attempt" }
            }
            div .plots { @for one in all { (card(one)) } }
        }
    }
}

fn card(attempts: &Attempts) -> Markup {
    let longest = attempts.waits.iter().map(|wait| {
        let allowed = wait.allowed_s.map_or(0.0, |(_, most)| most);
        wait.wait_s.max(allowed)
    });
    let panel = Panel {
        x: Scale::linear((0.0, attempts.outage_s), SIDES),
        y: Scale::linear((0.0, longest.fold(0.0, f64::max)), (150.0, 18.0)),
    };
    let envelope: Vec<_> = attempts
        .waits
        .iter()
        .filter_map(|wait| {
            let (least, most) = wait.allowed_s?;
            Some((wait.at_s, least.max(0.0), most))
        })
        .collect();
    let label = format!("waits between attempts during {}", attempts.fault);
    let body = html! {
        (panel.grid(time))
        @if let [one] = envelope.as_slice() { (panel.area("", &widened(*one, attempts.outage_s))) }
        @else if !envelope.is_empty() { (panel.area("", &envelope)) }
        @if let Some(first) = attempts.first_s {
            (words("first", (panel.x.at(first) - 4.0, panel.y.at(0.0)), "▲"))
        }
        @for wait in &attempts.waits { (dot(&panel, wait)) }
        (panel.seconds()) (words("unit", (0.0, 9.0), "wait"))
    };
    html! {
        figure {
            figcaption {
                b { (attempts.check) }
                span .quiet { (summary(attempts)) }
            }
            (plot(172.0, &label, &body))
        }
    }
}

/// A single range has no width of its own.
fn widened((x, least, most): (f64, f64, f64), outage: f64) -> [(f64, f64, f64); 2] {
    let half = outage / 60.0;
    [(x - half, least, most), (x + half, least, most)]
}

fn summary(attempts: &Attempts) -> String {
    let shown = attempts.waits.len() + usize::from(attempts.first_s.is_some());
    let all = shown + attempts.left_out;
    let plural = if all == 1 { "" } else { "s" };
    let cut = match attempts.left_out {
        0 => String::new(),
        more => format!(", {more} of them not drawn"),
    };
    format!(
        "{all} attempt{plural} in the {} of {} from {}{cut}; time counts from there",
        seconds(attempts.outage_s),
        attempts.fault,
        seconds(attempts.from_s),
    )
}

fn dot(panel: &Panel, wait: &Wait) -> Markup {
    let at = (wait.at_s, wait.wait_s.max(0.0));
    let label = format!("{} after the failure before it", seconds(wait.wait_s));
    match wait.allowed_s {
        Some((least, most)) => {
            let title = format!(
                "{label}; {} to {} allowed",
                seconds(least.max(0.0)),
                seconds(most)
            );
            if (least..=most).contains(&wait.wait_s) {
                panel.dot(at, &title)
            } else {
                panel.cross(at, &title)
            }
        }
        None => panel.dot(at, &label),
    }
}
