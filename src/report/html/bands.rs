use maud::{Markup, html};

use super::seconds;
use crate::report::svg::Panel;
use crate::report::{FaultRecord, Report};

/// Stretches that are less than this share of the plot apart are drawn as one.
const FUSED: f64 = 0.004;
/// Labels that would stand closer than this share are left out.
const APART: f64 = 0.06;

/// A fault in force.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    from_s: f64,
    to_s: f64,
    /// Short, as the legend lists it; empty where there is no room.
    label: String,
    title: String,
}

/// The short name of the fault of an index.
pub(super) fn short(index: usize) -> String {
    format!("F{}", index + 1)
}

/// When which fault was in force, by fault and time; few enough to draw.
pub(super) fn bands(report: &Report) -> Vec<Band> {
    let (start, end) = report.course.span_s;
    let mut bands: Vec<Band> = Vec::new();
    for (index, fault) in report.faults.iter().enumerate() {
        let first = bands.len();
        for one in &fault.occurrences {
            let from_s = one.injected.actual_s;
            let to_s = match one.lifted {
                Some(lifted) => lifted.actual_s,
                None if report.reason.is_some() => end,
                // It acts once.
                None => from_s,
            };
            match bands[first..].last_mut() {
                Some(last) if from_s - last.to_s < FUSED * (end - start) => {
                    last.to_s = last.to_s.max(to_s);
                }
                _ => bands.push(Band {
                    from_s,
                    to_s,
                    label: short(index),
                    title: String::new(),
                }),
            }
        }
        for band in &mut bands[first..] {
            band.title = title(index, fault, band);
        }
    }
    sparse(&mut bands, APART * (end - start));
    bands
}

fn title(index: usize, fault: &FaultRecord, band: &Band) -> String {
    let (from, to) = (seconds(band.from_s), seconds(band.to_s));
    let when = if band.to_s > band.from_s {
        format!("{from} to {to}")
    } else {
        format!("at {from}")
    };
    format!("{} {} ({}), {when}", short(index), fault.name, fault.kind)
}

/// Takes away labels that would stand on one another.
fn sparse(bands: &mut [Band], apart: f64) {
    let mut order: Vec<&mut Band> = bands.iter_mut().collect();
    order.sort_by(|one, other| one.from_s.total_cmp(&other.from_s));
    let mut last = f64::NEG_INFINITY;
    for band in order {
        if band.from_s - last < apart {
            band.label.clear();
        } else {
            last = band.from_s;
        }
    }
}

/// The bands behind a panel, with their labels.
pub(super) fn labelled(bands: &[Band], panel: &Panel) -> Markup {
    html! {
        @for band in bands { (panel.band((band.from_s, band.to_s), &band.label, &band.title)) }
    }
}

/// The bands behind a panel that stands below a labelled one.
pub(super) fn shaded(bands: &[Band], panel: &Panel) -> Markup {
    html! { @for band in bands { (panel.band((band.from_s, band.to_s), "", &band.title)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(from_s: f64, label: &str) -> Band {
        Band {
            from_s,
            to_s: from_s + 1.0,
            label: label.to_owned(),
            title: String::new(),
        }
    }

    #[test]
    fn labels_never_stand_on_one_another() {
        let mut bands = [
            band(20.0, "F1"),
            band(0.0, "F2"),
            band(1.0, "F3"),
            band(6.0, "F4"),
        ];
        sparse(&mut bands, 5.0);
        let labels = bands.map(|band| band.label);
        assert_eq!(labels, ["F1", "F2", "", "F4"]);
    }
}
