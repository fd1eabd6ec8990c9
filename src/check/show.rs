//! How figures are shown to people: three digits, a unit, no trailing zeros.

use std::time::Duration;

use super::metric::{Metric, Unit};

/// `value` in the unit of its metric.
pub(super) fn figure(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share => percent(value),
        Unit::Time => seconds(value),
        Unit::Number => trimmed(value, 2),
        Unit::Rate => format!("{}/s", trimmed(value, 1)),
    }
}

/// The name of a figure, with its unit last: `reads.p95_s`, `reads.error_rate`.
pub(super) fn figure_name(source: &str, metric: Metric) -> String {
    let unit = match metric.unit() {
        Unit::Time => "_s",
        Unit::Rate => "_per_s",
        Unit::Share | Unit::Number => "",
    };
    format!("{source}.{}{unit}", metric.name())
}

/// `1.42 s`, `250 ms`, `7.3 ms`.
pub(super) fn time(value: Duration) -> String {
    seconds(value.as_secs_f64())
}

/// As [`time`], of seconds.
pub(super) fn seconds(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0 s".to_owned()
    } else if size < 0.0995 {
        format!("{} ms", trimmed(value * 1e3, 1))
    } else if size < 0.9995 {
        format!("{} ms", trimmed(value * 1e3, 0))
    } else {
        format!("{} s", trimmed(value, 2))
    }
}

/// `0.42 %` of a fraction.
pub(super) fn percent(fraction: f64) -> String {
    format!("{} %", trimmed(fraction * 100.0, 2))
}

/// `1 sample`, `412 samples`.
pub(super) fn samples(count: u64) -> String {
    plural(count, "sample")
}

/// `1 victim`, `2 victims`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// With so many digits behind the point; what rounds to zero has no sign.
pub(crate) fn decimal(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|sign| matches!(sign, b'0' | b'.')) => rest.to_owned(),
        _ => text,
    }
}

/// As [`decimal`], with at most so many digits.
pub(crate) fn trimmed(value: f64, digits: usize) -> String {
    let text = decimal(value, digits);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_unit_and_no_trailing_zeros() {
        assert_eq!(seconds(5.0), "5 s");
        assert_eq!(seconds(1.4239), "1.42 s");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(0.0073), "7.3 ms");
        assert_eq!(seconds(-0.000_01), "0 ms");
        assert_eq!(seconds(-0.25), "-250 ms");
        assert_eq!(decimal(-0.004, 2), "0.00");
        assert_eq!(decimal(-0.006, 2), "-0.01");
        let shown = [3.0, -0.000_04, 1.42, 0.123_456, 100.0].map(|value| trimmed(value, 4));
        assert_eq!(shown, ["3", "0", "1.42", "0.1235", "100"]);
        assert_eq!(percent(0.0042), "0.42 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(figure(Unit::Rate, 20.0), "20/s");
        assert_eq!(samples(1), "1 sample");
    }
}
