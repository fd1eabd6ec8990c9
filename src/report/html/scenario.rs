use std::collections::BTreeMap;
use std::ops::Range;

use maud::{Markup, html};

use super::{badge, class};
use crate::check::Verdict;
use crate::report::{CheckRecord, CheckVerdict, EvidenceRecord, Report};

/// What was demanded on a line, and by which check.
type Demands<'a> = Vec<(&'a CheckRecord, &'a EvidenceRecord)>;

/// The scenario's text with line numbers. A line that holds a demand shows its verdict; one that
/// was not met also what was measured.
pub(super) fn scenario(report: &Report, text: &str) -> Markup {
    let mut demands: BTreeMap<usize, Demands> = BTreeMap::new();
    for check in &report.checks {
        for one in &check.evidence {
            if let Some(place) = one.place {
                demands.entry(place.line).or_default().push((check, one));
            }
        }
    }
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let range = start..start + line.trim_end().len();
        start += line.len();
        range
    });
    html! {
        div .code .scroll {
            @for (index, range) in lines.enumerate() {
                (line(index + 1, range, text, demands.get(&(index + 1)).map_or(&[], Vec::as_slice)))
            }
        }
    }
}

fn line(
    number: usize,
    range: Range<usize>,
    text: &str,
    demands: &[(&CheckRecord, &EvidenceRecord)],
) -> Markup {
    let worst = demands.iter().map(|(_, one)| one.verdict).max();
    let verdict = worst.map(CheckVerdict::from);
    let missed = || {
        demands
            .iter()
            .filter(|(_, one)| one.verdict != Verdict::Pass)
    };
    let places = missed().filter_map(|(_, one)| one.place);
    let marks = marks(&range, places.map(|place| place.start..place.end));
    html! {
        div #{ "L" (number) } .line .(verdict.map_or("plain", class)) {
            a .number href={ "#L" (number) } { (number) }
            span .gutter title=[verdict.map(CheckVerdict::word)] {
                (verdict.map_or("", CheckVerdict::symbol))
            }
            code { (underlined(text, range, marks)) }
        }
        @for (check, one) in missed() {
            div .said .(class(one.verdict.into())) {
                (badge(one.verdict.into())) " " b { (check.name) } " " (one.measured)
            }
        }
    }
}

/// The line with its marks; a mark that cuts through a character takes in all of it.
fn underlined(text: &str, line: Range<usize>, marks: Vec<Range<usize>>) -> Markup {
    let mut at = line.start;
    let parts = marks.into_iter().map(|mark| {
        let start = text.floor_char_boundary(mark.start).max(at);
        let end = text.ceil_char_boundary(mark.end);
        let before = &text[at..start];
        at = end;
        (before, &text[start..end])
    });
    let parts: Vec<_> = parts.collect();
    html! {
        @for (before, marked) in parts { (before) mark { (marked) } }
        (text[at..line.end])
    }
}

/// The parts of a line that the places cover: in order and apart.
fn marks(line: &Range<usize>, places: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let within = |place: Range<usize>| place.start.max(line.start)..place.end.min(line.end);
    let mut places: Vec<_> = places
        .map(within)
        .filter(|place| !place.is_empty())
        .collect();
    places.sort_by_key(|place| place.start);
    let mut marks: Vec<Range<usize>> = Vec::new();
    for place in places {
        match marks.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => marks.push(place),
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_through_a_character_takes_in_all_of_it() {
        let shown = underlined("a <ö> b", 0..8, vec![1..4, 7..8]).into_string();
        assert_eq!(shown, "a<mark> &lt;ö</mark>&gt; <mark>b</mark>");
    }

    #[test]
    fn marks_lie_within_their_line_and_never_overlap() {
        let places = [30..40, 12..16, 14..18, 0..5, 18..19, 25..99];
        let found = marks(&(10..35), places.into_iter());
        assert_eq!(found, [12..19, 25..35]);
    }
}
