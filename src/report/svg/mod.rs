//! Plots as SVG that stands inside a page: scales, axes, bands, lines. It knows nothing of runs.
//! Colours come from the page's style by class; what matters differs in shape or place as well.

mod scale;

pub(super) use scale::Scale;

use std::fmt::Write;

use maud::{Markup, html};

use crate::check::trimmed;

/// Width of every plot in its own units; the page scales it to the room that there is.
pub(super) const WIDTH: f64 = 480.0;
/// Where the plotting area begins and ends from left to right.
pub(super) const SIDES: (f64, f64) = (44.0, 464.0);
/// Room for a label of the x axis.
const LABEL: f64 = 16.0;

/// A plotting area: where values of both axes stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Panel {
    fn point(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// Lines across at round values, each with its label to the left.
    pub(super) fn grid(&self, label: fn(f64) -> String) -> Markup {
        let ((left, right), ticks) = (self.x.ends(), self.y.ticks(3));
        html! {
            @for tick in ticks {
                @let y = px(self.y.at(tick));
                line .grid x1=(px(left)) x2=(px(right)) y1=(y) y2=(y) {}
                text .tick x=(px(left - 5.0)) y=(px(self.y.at(tick) + 3.5)) text-anchor="end" {
                    (label(tick))
                }
            }
        }
    }

    /// The labels of a time axis, below the area.
    pub(super) fn seconds(&self) -> Markup {
        let (bottom, _) = self.y.ends();
        html! {
            @for tick in self.x.ticks(6) {
                text .tick x=(px(self.x.at(tick))) y=(px(bottom + LABEL - 3.0)) text-anchor="middle" {
                    (time(tick))
                }
            }
        }
    }

    /// A shaded stretch of time with a short label at its top.
    pub(super) fn band(&self, (from, to): (f64, f64), label: &str, title: &str) -> Markup {
        let (bottom, top) = self.y.ends();
        let (left, right) = (self.x.clamped(from), self.x.clamped(to));
        html! {
            rect .band x=(px(left)) y=(px(top)) width=(px((right - left).max(1.0)))
                height=(px(bottom - top)) { title { (title) } }
            @if !label.is_empty() {
                text .band-label x=(px(left + 3.0)) y=(px(top - 4.0)) { (label) }
            }
        }
    }

    /// A line through the points; `None` breaks it.
    pub(super) fn line(
        &self,
        class: &str,
        points: impl IntoIterator<Item = Option<(f64, f64)>>,
    ) -> Markup {
        let mut path = String::new();
        let mut pen = 'M';
        for point in points {
            match point.map(|point| self.point(point)) {
                Some((x, y)) => {
                    append(&mut path, format_args!("{pen}{} {}", px(x), px(y)));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        html! { path class={ "line " (class) } d=(path) {} }
    }

    /// Bars from zero, each from one x to another, as high as its value.
    pub(super) fn bars(
        &self,
        class: &str,
        bars: impl IntoIterator<Item = (f64, f64, f64)>,
    ) -> Markup {
        let zero = self.y.at(0.0);
        let mut path = String::new();
        for (from, to, value) in bars.into_iter().filter(|(.., value)| *value != 0.0) {
            let (left, right) = (self.x.at(from), self.x.at(to));
            // A hairline between neighbours, unless they are hairlines themselves.
            let width = (right - left - 0.5).max(0.7);
            append(
                &mut path,
                format_args!(
                    "M{} {}h{}V{}H{}z",
                    px(left),
                    px(zero),
                    px(width),
                    px(self.y.at(value)),
                    px(left)
                ),
            );
        }
        html! { path class={ "bars " (class) } d=(path) {} }
    }

    /// The area between a lower and an upper line, given as x, lower, upper.
    pub(super) fn area(&self, class: &str, edges: &[(f64, f64, f64)]) -> Markup {
        let upper = edges.iter().map(|(x, _, upper)| (*x, *upper));
        let lower = edges.iter().rev().map(|(x, lower, _)| (*x, *lower));
        let mut points = String::new();
        for (x, y) in upper.chain(lower).map(|point| self.point(point)) {
            append(&mut points, format_args!("{},{} ", px(x), px(y)));
        }
        html! { polygon class={ "area " (class) } points=(points.trim_end()) {} }
    }

    /// A round dot: as it should be.
    pub(super) fn dot(&self, at: (f64, f64), title: &str) -> Markup {
        let (x, y) = self.point(at);
        html! { circle .dot cx=(px(x)) cy=(px(y)) r="3.6" { title { (title) } } }
    }

    /// A cross: not as it should be.
    pub(super) fn cross(&self, at: (f64, f64), title: &str) -> Markup {
        let (x, y) = self.point(at);
        let path = format!("M{} {}l8 8m0-8l-8 8", px(x - 4.0), px(y - 4.0));
        html! { path .cross d=(path) { title { (title) } } }
    }
}

/// A whole plot of a given height; `label` says in words what it shows.
pub(super) fn plot(height: f64, label: &str, body: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(label) { (body) }
    }
}

/// A text inside a plot.
pub(super) fn words(class: &str, (x, y): (f64, f64), text: &str) -> Markup {
    html! { text class=(class) x=(px(x)) y=(px(y)) { (text) } }
}

/// A length in pixels with one digit, which is finer than a screen.
fn px(value: f64) -> String {
    trimmed(value, 1)
}

/// A time on an axis: whole minutes as such, all else in seconds.
pub(super) fn time(seconds: f64) -> String {
    if seconds.abs() >= 180.0 && seconds % 60.0 == 0.0 {
        format!("{} min", seconds / 60.0)
    } else {
        format!("{} s", figure(seconds))
    }
}

/// A figure on an axis, without a needless fraction.
pub(super) fn figure(value: f64) -> String {
    trimmed(value, 3)
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Panel {
        Panel {
            x: Scale::linear((0.0, 10.0), (0.0, 100.0)),
            y: Scale::linear((0.0, 1.0), (50.0, 0.0)),
        }
    }

    #[test]
    fn a_line_is_broken_where_there_is_nothing() {
        let points = [Some((0.0, 0.0)), Some((1.0, 1.0)), None, Some((10.0, 0.25))];
        let shown = panel().line("p50", points).into_string();
        assert_eq!(
            shown,
            r#"<path class="line p50" d="M0 50L10 0M100 37.5"></path>"#
        );
    }

    #[test]
    fn bars_stand_on_zero_and_none_is_drawn_for_nothing() {
        let shown = panel()
            .bars("ok", [(0.0, 1.0, 1.0), (1.0, 2.0, 0.0)])
            .into_string();
        assert_eq!(shown, r#"<path class="bars ok" d="M0 50h9.5V0H0z"></path>"#);
    }

    #[test]
    fn texts_are_escaped_wherever_they_stand() {
        let hostile = "</svg><script>alert('\"')</script>";
        let body = panel().band((1.0, 2.0), hostile, hostile);
        let shown = plot(10.0, hostile, &body).into_string();
        assert_eq!(shown.matches("&lt;script&gt;").count(), 3, "{shown}");
        assert!(!shown.contains("<script"), "{shown}");
    }

    #[test]
    fn figures_and_times_are_as_short_as_they_can_be() {
        assert_eq!(
            [0.0, -0.0, 0.25, 40.0].map(figure),
            ["0", "0", "0.25", "40"]
        );
        assert_eq!([-2.0, 90.0, 600.0].map(time), ["-2 s", "90 s", "10 min"]);
        assert_eq!([-0.04, 12.0, 12.345].map(px), ["0", "12", "12.3"]);
    }
}
