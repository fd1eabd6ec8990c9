use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::json;

use super::*;
use crate::check::testing::{Story, not_ok, ok};
use crate::check::{CheckSpec, Severity, SourceMap, Verdict};

fn run(figure: &str, value: f64) -> RunFigures {
    RunFigures {
        run: uuid::Uuid::nil(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        scenario: "s.toml".into(),
        machine: [("cores".to_owned(), "2".to_owned())].into(),
        figures: [(figure.to_owned(), value)].into(),
    }
}

fn stored(figure: &str, values: &[f64]) -> Baseline {
    let runs = values.iter().map(|value| run(figure, *value));
    Baseline::of(runs.collect()).unwrap()
}

fn tolerance(threshold: f64) -> Tolerance {
    Tolerance {
        threshold,
        floor: Duration::ZERO,
        relative_to: None,
        figures: 1,
    }
}

fn verdict(figure: &str, then: &[f64], now: &[f64], threshold: f64) -> Verdict {
    let now: Vec<Figures> = now
        .iter()
        .map(|value| run(figure, *value).figures)
        .collect();
    let change = stored(figure, then).compare(figure, &now, &tolerance(threshold));
    change.verdict
}

#[test]
fn the_figures_of_a_run_are_those_of_its_sources_and_checks_by_window() {
    let health = CheckSpec {
        name: "quick".into(),
        kind: "health".into(),
        severity: Severity::Error,
        params: json!({ "probe": "reads", "during": "all", "that": ["reads.timeouts == 0", "reads.count > 0"] }),
        source: SourceMap::default(),
    };
    let read = |when: f64| match when {
        20.0..24.0 => (0.050, not_ok()),
        _ => (0.010, ok()),
    };
    let story = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .samples(("reads", "web"), 0.05, (0.0, 40.0), read)
        .samples(("seldom", "web"), 5.0, (0.0, 40.0), |_| (0.1, ok()));
    let found = figures(&story.history(Some(health)));
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "quick.reads.timeouts",
            "reads.count",
            "reads.count@baseline",
            "reads.count@fault:cut",
            "reads.count@recovery:cut",
            "reads.error_rate",
            "reads.error_rate@baseline",
            "reads.error_rate@fault:cut",
            "reads.error_rate@recovery:cut",
            "reads.p50_s",
            "reads.p50_s@baseline",
            "reads.p50_s@fault:cut",
            "reads.p50_s@recovery:cut",
            "reads.p95_s",
            "reads.p95_s@baseline",
            "reads.p95_s@fault:cut",
            "reads.p95_s@recovery:cut",
            "reads.p99_s",
            "reads.p99_s@baseline",
            "reads.p99_s@recovery:cut",
        ]
    );
    let close = |name: &str, value: f64| assert!((found[name] - value).abs() < 1e-9, "{name}");
    close("reads.count@fault:cut", 160.0);
    close("reads.error_rate", 0.1333);
    close("reads.error_rate@fault:cut", 0.5);
    close("reads.p50_s", 0.01);
    close("reads.p95_s@fault:cut", 0.01);
}

#[test]
fn a_file_has_a_line_for_each_figure_and_reads_back_as_written() {
    let mut runs = vec![run("reads.p95_s", 0.0123), run("reads.p95_s", 0.02)];
    runs[1].figures.insert("late.p95_s".into(), 4.0);
    let baseline = Baseline::of(runs).unwrap();
    let text = baseline.text();
    assert_eq!(
        text,
        "{\n  \"baseline_format\": 1,\n  \"scenario\": \"s.toml\",\n  \"machine\": {\"cores\":\"2\"},\n  \
         \"runs\": [\"1970-01-01T00:00:00Z\",\"1970-01-01T00:00:00Z\"],\n  \"figures\": {\n    \
         \"late.p95_s\": [null,4.0],\n    \"reads.p95_s\": [0.0123,0.02]\n  }\n}\n"
    );
    assert_eq!(Baseline::parse(&text).unwrap(), baseline);
    let newer = text.replace("format\": 1", "format\": 2");
    let error = Baseline::parse(&newer).unwrap_err().to_string();
    assert_eq!(error, "baseline format 2, this program reads format 1");
}

#[test]
fn runs_that_do_not_belong_together_make_no_baseline() {
    let refused = |change: fn(&mut RunFigures)| {
        let mut runs = vec![run("reads.p95_s", 1.0), run("reads.p95_s", 1.0)];
        change(&mut runs[1]);
        Baseline::of(runs).unwrap_err().to_string()
    };
    let scenario = refused(|run| run.scenario = "other.toml".into());
    assert!(scenario.contains("s.toml, other.toml"), "{scenario}");
    let machine = refused(|run| {
        run.machine.insert("cores".into(), "8".into());
    });
    assert!(machine.contains("cores 2 and 8"), "{machine}");
    assert!(matches!(Baseline::of(vec![]), Err(BaselineError::NoRun)));
}

#[test]
fn a_figure_may_be_worse_by_the_threshold_and_no_more() {
    let then = [100.0, 101.0, 99.0, 100.0, 100.0];
    let of = |now: f64| verdict("reads.p95_s", &then, &[now], 0.1);
    assert_eq!(of(100.0), Verdict::Pass);
    assert_eq!(of(60.0), Verdict::Pass);
    assert_eq!(of(110.0), Verdict::Inconclusive);
    assert_eq!(of(120.0), Verdict::Fail);
}

#[test]
fn less_of_what_went_well_is_worse() {
    let then = [0.99, 0.991, 0.989, 0.99];
    let of = |now: f64| verdict("check.worst_ok_ratio", &then, &[now], 0.1);
    assert_eq!(of(1.0), Verdict::Pass);
    assert_eq!(of(0.7), Verdict::Fail);
    assert_eq!(
        verdict("check.gap_01_s", &then, &[1.0], 0.1),
        Verdict::Inconclusive
    );
}

#[test]
fn runs_that_differ_among_themselves_decide_nothing() {
    let noisy = [80.0, 120.0, 95.0, 105.0];
    let of = |now: &[f64]| verdict("reads.p95_s", &noisy, now, 0.1);
    assert_eq!(of(&[100.0]), Verdict::Inconclusive);
    assert_eq!(of(&[130.0]), Verdict::Inconclusive);
    // More runs of the same kind decide.
    let slower: Vec<f64> = (0..20).map(|i| 130.0 + f64::from(i % 5) * 5.0).collect();
    assert_eq!(of(&slower), Verdict::Fail);
}

#[test]
fn two_runs_are_too_few_for_a_baseline() {
    let change = stored("reads.p95_s", &[1.0, 1.0]).compare(
        "reads.p95_s",
        &[run("reads.p95_s", 1.0).figures],
        &tolerance(0.1),
    );
    assert_eq!(change.verdict, Verdict::Inconclusive);
    assert!(change.measured.contains("3 needed"), "{}", change.measured);
    assert!(stored("x.p95_s", &[1.0, 1.0]).too_few().is_some());
    assert!(stored("x.p95_s", &[1.0, 1.0, 1.0]).too_few().is_none());
}

#[test]
fn the_speed_of_the_machine_cancels_out_of_a_ratio() {
    let both = |idle: f64, reads: f64| RunFigures {
        figures: [
            ("idle.p50_s".to_owned(), idle),
            ("reads.p95_s".to_owned(), reads),
        ]
        .into(),
        ..run("", 0.0)
    };
    let then = [(1.0, 10.0), (2.0, 20.4), (1.5, 15.1)].map(|(idle, reads)| both(idle, reads));
    let stored = Baseline::of(then.into()).unwrap();
    let of = |idle: f64, reads: f64, relative_to: Option<&str>| {
        let tolerance = Tolerance {
            relative_to: relative_to.map(str::to_owned),
            ..tolerance(0.1)
        };
        let now = [both(idle, reads).figures];
        stored.compare("reads.p95_s", &now, &tolerance).verdict
    };
    assert_eq!(of(3.0, 30.3, None), Verdict::Inconclusive);
    assert_eq!(of(3.0, 30.3, Some("idle.p50_s")), Verdict::Pass);
    assert_eq!(of(3.0, 45.0, Some("idle.p50_s")), Verdict::Fail);
    assert_eq!(of(0.0, 45.0, Some("idle.p50_s")), Verdict::Inconclusive);
}

#[test]
fn the_names_of_figures_read_back_as_written() {
    for text in [
        "reads.p95_s",
        "reads.p95_s@fault:cut",
        "check.cut.first_success_s",
    ] {
        let figure: Figure = text.parse().unwrap();
        assert_eq!(figure.to_string(), text);
    }
    let figure: Figure = "reads.p95_s@all".parse().unwrap();
    assert_eq!(figure.to_string(), "reads.p95_s");
    assert!("reads".parse::<Figure>().is_err());
    assert!("reads.p95_s@falt:cut".parse::<Figure>().is_err());
}

/// Runs that differ by chance alone, by 5 % in the mean square: with a threshold of nothing one in
/// forty is blamed, with 10 % next to none, and half as much again is always seen.
#[test]
fn chance_is_blamed_as_seldom_as_promised() {
    let mut rng = ChaCha12Rng::seed_from_u64(11);
    let mut draw = move |mean: f64| {
        let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        mean * 0.05_f64.mul_add(normal, 1.0)
    };
    let mut failed = [0, 0, 0];
    for _ in 0..1_000 {
        let then: Vec<f64> = (0..5).map(|_| draw(0.1)).collect();
        let (same, slower) = ([draw(0.1)], [draw(0.15)]);
        for (index, (now, threshold)) in [(&same, 0.0), (&same, 0.1), (&slower, 0.1)]
            .into_iter()
            .enumerate()
        {
            let verdict = verdict("reads.p95_s", &then, now, threshold);
            failed[index] += u32::from(verdict == Verdict::Fail);
        }
    }
    let [chance, allowed, seen] = failed;
    assert!((10..=45).contains(&chance), "{failed:?}");
    assert!(allowed <= 10, "{failed:?}");
    assert!(seen >= 950, "{failed:?}");
}

#[test]
fn what_a_regression_check_measured_is_no_figure_of_the_run() {
    let compares = CheckSpec {
        name: "it".into(),
        kind: "regression".into(),
        severity: Severity::Error,
        params: json!({ "baseline": "b.json", "figures": ["reads.p50_s"] }),
        source: SourceMap::default(),
    };
    let story = Story::until(40.0).samples(("reads", "web"), 0.05, (0.0, 40.0), |_| (0.01, ok()));
    let found = figures(&story.history(Some(compares)));
    assert!(found.contains_key("reads.p50_s"));
    assert!(
        found.keys().all(|name| !name.starts_with("it.")),
        "{found:?}"
    );
}

/// The verdict on a share of failures among `samples` in each run.
fn share(then: &[f64], now: f64, samples: f64) -> Verdict {
    let counted = |value: f64| RunFigures {
        figures: [
            ("reads.error_rate@all".to_owned(), value),
            ("reads.count@all".to_owned(), samples),
        ]
        .into(),
        ..run("", 0.0)
    };
    let stored = Baseline::of(then.iter().map(|value| counted(*value)).collect()).unwrap();
    let now = [counted(now).figures];
    let change = stored.compare("reads.error_rate@all", &now, &tolerance(0.1));
    change.verdict
}

#[test]
fn a_failure_that_may_be_chance_is_not_blamed_on_runs_without_any() {
    for runs in [3, 5, 20] {
        let none = vec![0.0; runs];
        assert_eq!(share(&none, 1.0 / 500.0, 500.0), Verdict::Inconclusive);
        assert_eq!(share(&none, 0.0, 500.0), Verdict::Pass);
        assert_eq!(share(&none, 25.0 / 500.0, 500.0), Verdict::Fail);
        assert_eq!(share(&none, 1.0 / 5_000.0, 5_000.0), Verdict::Pass);
    }
    // Nor are two failures after one in each run; the same shares of more observations are.
    assert_eq!(share(&[0.002; 5], 0.004, 500.0), Verdict::Inconclusive);
    assert_eq!(share(&[0.002; 5], 0.004, 50_000.0), Verdict::Fail);
    assert_eq!(share(&[1.0; 5], 1.0, 500.0), Verdict::Pass);
}

#[test]
fn a_count_that_may_be_chance_is_not_blamed_on_runs_that_agree() {
    let lost = |now: f64| verdict("it.lost", &[0.0; 5], &[now], 0.1);
    let words = [lost(0.0), lost(1.0), lost(1_000.0)];
    assert_eq!(words, [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail]);
    let attempts = |now: f64| verdict("it.attempts", &[5.0; 5], &[now], 0.1);
    let words = [attempts(5.0), attempts(6.0), attempts(50.0)];
    assert_eq!(words, [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail]);
}

/// Of a share of unknown observations, or a ratio, nothing but the order of runs is known.
#[test]
fn figures_without_any_spread_are_judged_by_the_order_of_runs() {
    for (figure, then, now) in [
        ("it.reads.error_rate", 0.0, 0.5),
        ("it.worst_ok_ratio", 1.0, 0.5),
        ("it.amplification", 1.1, 1.5),
        ("reads.p95_s", 0.1013, 0.2),
    ] {
        let of = |now: &[f64]| verdict(figure, &[then; 5], now, 0.1);
        assert_eq!(of(&[then]), Verdict::Pass, "{figure}");
        assert_eq!(of(&[now]), Verdict::Inconclusive, "{figure}");
        assert_eq!(of(&[now; 5]), Verdict::Fail, "{figure}");
    }
}

/// One failure in 250 observations by chance alone, before and now.
#[test]
fn failures_by_chance_are_blamed_as_seldom_as_promised() {
    let mut rng = ChaCha12Rng::seed_from_u64(12);
    let mut draw = move |odds: f64| {
        let failed = (0..500).filter(|_| rng.random::<f64>() < odds).count();
        failed as f64 / 500.0
    };
    let (mut blamed, mut seen) = (0, 0);
    for _ in 0..1_000 {
        let then: Vec<f64> = (0..5).map(|_| draw(0.004)).collect();
        blamed += u32::from(share(&then, draw(0.004), 500.0) == Verdict::Fail);
        seen += u32::from(share(&then, draw(0.04), 500.0) == Verdict::Fail);
    }
    assert!(blamed <= 25 && seen >= 950, "{blamed} {seen}");
}
