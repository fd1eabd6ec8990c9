use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::silence::unless_ended;
use super::{About, CheckSpec, Finding, History, Lint, Outlook, kinds as all};
use crate::event::Name;

/// A type of check. One implementation per file, one line in [`kinds`].
pub trait Check {
    /// The `type` in scenario files.
    const TYPE: &'static str;
    /// One line: what it proves.
    const SUMMARY: &'static str;
    /// The parameters.
    type Params: DeserializeOwned + Serialize + schemars::JsonSchema;

    /// The faults without which nothing passes. [`Check::judge`] need not look at that.
    fn about(params: &Self::Params) -> About;

    /// Finds, before the run, what makes the check unable to pass or unable to fail.
    fn lint(_params: &Self::Params, _outlook: &Outlook) -> Vec<Lint> {
        Vec::new()
    }

    /// A query `(database, sql)` that is to be answered past the proxy once the run has settled.
    fn query(_params: &Self::Params) -> Option<(Name, String)> {
        None
    }

    /// The file of a stored baseline that is to be read when the run begins.
    fn baseline(_params: &Self::Params) -> Option<PathBuf> {
        None
    }

    /// Whether a service that does nothing any more meets it: then nothing passes over the end of
    /// one.
    fn met_by_silence(_params: &Self::Params) -> bool {
        false
    }

    /// Judges the run. `spec` gives the name, the severity and the places in the scenario's text.
    fn judge(params: &Self::Params, spec: &CheckSpec, history: &History) -> Finding;
}

/// Why parameters do not fit, and which.
pub(crate) type Refusal = serde_path_to_error::Error<serde_json::Error>;

/// A type of check without its Rust type.
pub struct Kind {
    /// The `type` in scenario files.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The JSON Schema of its parameters.
    pub schema: fn() -> schemars::Schema,
    /// Whether the parameters fit, and what makes the check pointless.
    pub lint: fn(&serde_json::Value, &Outlook) -> Result<Vec<Lint>, Refusal>,
    /// The query of [`Check::query`]; `None` also for parameters that do not fit.
    pub query: fn(&serde_json::Value) -> Option<(Name, String)>,
    /// The file of [`Check::baseline`]; `None` also for parameters that do not fit.
    pub baseline: fn(&serde_json::Value) -> Option<PathBuf>,
    /// Judges the run.
    pub judge: fn(&CheckSpec, &History) -> Finding,
}

const fn entry<C: Check>() -> Kind {
    Kind {
        name: C::TYPE,
        summary: C::SUMMARY,
        schema: || schemars::schema_for!(C::Params),
        lint: |params, outlook| Ok(C::lint(&serde_path_to_error::deserialize(params)?, outlook)),
        query: |params| C::query(&serde_json::from_value(params.clone()).ok()?),
        baseline: |params| C::baseline(&serde_json::from_value(params.clone()).ok()?),
        judge: |spec, history| match serde_json::from_value(spec.params.clone()) {
            Ok(params) => C::about(&params).judge(spec, history, || {
                let finding = C::judge(&params, spec, history);
                if C::met_by_silence(&params) {
                    unless_ended(finding, spec, history)
                } else {
                    finding
                }
            }),
            Err(error) => Finding::inconclusive(
                spec,
                format!("its parameters do not fit: {error}"),
                "judge the run with the version of chaosproxy that recorded it",
            ),
        },
    }
}

/// Every type, in the order in which they are listed to people.
pub fn kinds() -> &'static [Kind] {
    const KINDS: &[Kind] = &[
        entry::<all::detection::Detection>(),
        entry::<all::backoff::Backoff>(),
        entry::<all::recovery::Recovery>(),
        entry::<all::isolation::Isolation>(),
        entry::<all::integrity::Integrity>(),
        entry::<all::job::Job>(),
        entry::<all::health::Health>(),
        entry::<all::slo::Slo>(),
        entry::<all::availability::Availability>(),
        entry::<all::pool::Pool>(),
        entry::<all::answer::Answer>(),
        entry::<all::log::Log>(),
        entry::<all::exit::Exit>(),
        entry::<all::regression::Regression>(),
    ];
    KINDS
}

/// The type of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::check::{CheckOutlook, FaultOutlook, SourceBrief};

    /// One fault `cut` from 15 s to 23 s of 60 s, a probe `health` and a workload `writes`.
    fn outlook(mode: &str) -> Outlook {
        let fault = FaultOutlook {
            kind: "partition".into(),
            params: json!({ "mode": mode }),
            proxy: "db".into(),
            windows: vec![(Duration::from_secs(15), Duration::from_secs(23))],
            swept: false,
        };
        let source = |every| SourceBrief {
            service: "codebase".into(),
            timeout: Duration::from_secs(1),
            interval: Some(Duration::from_millis(every)),
        };
        Outlook {
            faults: [("cut".into(), fault)].into(),
            sources: [
                ("health".into(), source(100)),
                ("writes".into(), source(50)),
            ]
            .into(),
            unread: ["half".into()].into(),
            attached: ["elsewhere".into()].into(),
            unwatched: ["mute".into()].into(),
            unlogged: ["mute".into()].into(),
            opaque: ["opaque".into()].into(),
            undigested: ["health".into()].into(),
            checks: [("it".into(), CheckOutlook::default())].into(),
            baseline: Duration::from_secs(20),
            duration: Duration::from_secs(60),
        }
    }

    fn lints(kind_name: &str, params: &Value, mode: &str) -> Vec<(String, String)> {
        let lint = kind(kind_name).unwrap().lint;
        let found = lint(params, &outlook(mode)).unwrap();
        found
            .into_iter()
            .map(|lint| (lint.key, lint.message))
            .collect()
    }

    /// Whether the lints of a check under `mode = "refuse"` name this key and say this.
    fn finds(kind: &str, params: &Value, key: &str, message: &str) {
        let found = lints(kind, params, "refuse");
        let hit = found
            .iter()
            .any(|(at, text)| at == key && text.contains(message));
        assert!(hit, "{kind} {params}: {found:?}");
    }

    fn detection(within: &str) -> Value {
        json!({ "service": "codebase", "fault": "cut", "within": within,
            "all_of": [{ "probe": "health", "answers": "not_ok" }, { "log": "lost" }] })
    }

    fn backoff() -> Value {
        json!({ "proxy": "db", "fault": "cut", "base": "250ms", "max": "4s", "jitter": "20%",
            "min_attempts": 4 })
    }

    #[test]
    fn fourteen_types_have_a_schema_with_described_parameters() {
        assert_eq!(kinds().len(), 14);
        for kind in kinds() {
            let schema = (kind.schema)().to_value();
            let properties = schema["properties"].as_object().unwrap();
            assert!(properties.len() >= 3, "{}", kind.name);
            for (name, property) in properties {
                let text = property["description"].as_str();
                assert!(text.is_some(), "{}.{name} has no description", kind.name);
            }
        }
    }

    #[test]
    fn a_sound_check_has_no_lint() {
        let that = json!(["health.ok_ratio == 100%", "writes.error_rate == 0%"]);
        assert_eq!(lints("detection", &detection("5s"), "stall"), []);
        assert_eq!(lints("backoff", &backoff(), "reject"), []);
        let recovery =
            json!({ "service": "codebase", "fault": ["cut"], "within": "10s", "that": that });
        assert_eq!(lints("recovery", &recovery, "stall"), []);
        let health = json!({ "probe": "health", "during": "fault:cut", "that": that });
        assert_eq!(lints("health", &health, "stall"), []);
    }

    #[test]
    fn what_cannot_pass_or_fail_is_found_before_the_run() {
        for (kind, params, key, message) in [
            (
                "detection",
                detection("8s"),
                "within",
                "the check cannot fail",
            ),
            (
                "detection",
                detection("500ms"),
                "all_of[0]",
                "looks only each 100 ms",
            ),
            (
                "recovery",
                json!({ "service": "codebase", "fault": "cut", "within": "40s", "that": ["writes.p95 < 1s"] }),
                "within",
                "only 37 s are left",
            ),
            (
                "recovery",
                json!({ "service": "codebase", "fault": "cat", "within": "4s", "that": ["writes.p95 < 1s"] }),
                "fault",
                "unknown fault `cat`",
            ),
            (
                "recovery",
                json!({ "service": "codebase", "fault": "cut", "within": "4s", "that": ["write.p95 < 1s"] }),
                "that[0]",
                "unknown workload or probe `write`",
            ),
            (
                "isolation",
                json!({ "service": "codebase", "during": "fault:cut", "that": ["health.p99 < 110% of baseline"] }),
                "that[0]",
                "`baseline` holds 199 samples of `health`, 1000",
            ),
            (
                "health",
                json!({ "probe": "health", "during": "recovery:cat", "that": [] }),
                "during",
                "unknown fault `cat`",
            ),
            (
                "job",
                json!({ "workload": "index", "fault": "cut" }),
                "workload",
                "is believed",
            ),
        ] {
            finds(kind, &params, key, message);
        }
    }

    #[test]
    fn what_cannot_be_judged_as_written_is_found_before_the_run() {
        for (kind, params, key, message) in [
            (
                "log",
                json!({ "service": "codebase", "contains": ["lost ("] }),
                "contains[0]",
                "not a regular expression",
            ),
            (
                "log",
                json!({ "service": "codebase", "during": "fault:cut" }),
                "service",
                "nothing is demanded",
            ),
            (
                "log",
                json!({ "service": "codebase", "max_rate": "5000/s" }),
                "max_rate",
                "the check cannot fail",
            ),
            (
                "exit",
                json!({ "service": "codebase", "fault": "cat" }),
                "fault",
                "unknown fault `cat`",
            ),
            (
                "availability",
                json!({ "source": "writes" }),
                "source",
                "nothing is demanded",
            ),
            (
                "pool",
                json!({ "proxy": "db", "max": 5, "min": 6, "fault": "cut" }),
                "min",
                "more sessions than its maximum",
            ),
            (
                "pool",
                json!({ "proxy": "db", "max": 5, "leak": "20s" }),
                "leak",
                "no fault to recover from",
            ),
            (
                "answer",
                json!({ "source": "write" }),
                "source",
                "unknown workload or probe `write`",
            ),
            ("slo", json!({ "that": [] }), "that", "nothing is demanded"),
        ] {
            finds(kind, &params, key, message);
        }
    }

    #[test]
    fn samples_that_never_come_and_limits_that_nobody_meets_are_found_before_the_run() {
        // The fault takes 8 s: 160 writes, 80 answers of the probe; the schedule 1,200 and 600.
        let slo = |during: &str, that: &str| ("slo", json!({ "during": during, "that": [that] }));
        let health = |that: &str| {
            let params = json!({ "probe": "health", "during": "fault:cut", "that": [that] });
            ("health", params)
        };
        for ((kind, params), message) in [
            (
                slo("fault:cut", "writes.p95 <= 50ms"),
                "160 samples of `writes`, 200 are needed",
            ),
            (
                slo("all", "writes.error_rate <= 0.1%"),
                "1200 samples of `writes`, 3838 are needed",
            ),
            (
                slo("all", "writes.ok_ratio >= 99.9%"),
                "1200 samples of `writes`, 3838 are needed",
            ),
            (slo("all", "writes.error_rate == 1%"), "bounds never show"),
            (
                slo("all", "writes.error_rate < 0%"),
                "no `error_rate` keeps to this",
            ),
            (
                slo("all", "writes.error_rate <= 100%"),
                "every `error_rate` keeps to this",
            ),
            (
                slo("all", "writes.p95 <= 1500ms"),
                "beyond the deadline of 1 s",
            ),
            (
                health("health.p99 <= 50ms"),
                "80 samples of `health`, 100 are needed",
            ),
            (health("health.timeouts < 0"), "no `timeouts` keeps to this"),
        ] {
            finds(kind, &params, "that[0]", message);
        }
        let backwards = "recovery:cut..fault:cut";
        let (kind, params) = slo(backwards, "writes.p95 <= 50ms");
        finds(kind, &params, "during", "never is");
        for (during, that) in [
            ("all", "writes.p95 <= 50ms"),
            ("all", "writes.error_rate == 0%"),
            ("baseline..fault:cut", "writes.error_rate <= 1%"),
            ("recovery:cut", "writes.p99 <= 110% of baseline"),
        ] {
            let (kind, params) = slo(during, that);
            let found = lints(kind, &params, "stall");
            let expected = usize::from(during == "recovery:cut");
            assert_eq!(found.len(), expected, "{during} {that}: {found:?}");
        }
    }

    #[test]
    fn latencies_of_answers_that_are_not_wanted_are_found_before_the_run() {
        let of = |of: &str, that: &[&str]| json!({ "probe": "health", "during": "all", "of": of, "that": that });
        let degraded = ["health.p99 <= 50ms", "health.ok_ratio == 0%"];
        finds(
            "health",
            &of("good", &degraded),
            "that[0]",
            "`p99` is of good answers, and `health.ok_ratio == 0%` wants none",
        );
        finds(
            "health",
            &of("all", &["health.timeouts == 0"]),
            "of",
            "none is demanded",
        );
        for params in [of("all", &degraded), of("good", &degraded[..1])] {
            assert_eq!(lints("health", &params, "stall"), [], "{params}");
        }
    }

    #[test]
    fn a_window_that_holds_exactly_what_is_needed_is_left_to_chance() {
        let label = |during: &str, min_samples: u64| {
            let params = json!({ "during": during, "that": ["writes.p95 <= 50ms"],
                "min_samples": min_samples });
            let found = (kind("slo").unwrap().lint)(&params, &outlook("stall")).unwrap();
            found.first().map(|lint| lint.label.clone())
        };
        assert_eq!(label("fault:cut", 159), None);
        assert_eq!(label("fault:cut", 160).unwrap(), "chance decides");
        assert_eq!(label("fault:cut", 161).unwrap(), "cannot pass");
        // What the fault finds under way is not the baseline's.
        assert_eq!(label("baseline", 398), None);
        assert_eq!(label("baseline", 399).unwrap(), "chance decides");
        assert_eq!(label("baseline", 401).unwrap(), "cannot pass");
    }

    #[test]
    fn each_length_of_a_sweep_needs_its_samples() {
        let mut swept = outlook("stall");
        let fault = swept.faults.get_mut("cut").unwrap();
        let second = (Duration::from_secs(40), Duration::from_secs(56));
        (fault.windows, fault.swept) = (vec![fault.windows[0], second], true);
        let params = json!({ "during": "fault:cut", "that": ["writes.p95 <= 50ms"] });
        let found = (kind("slo").unwrap().lint)(&params, &swept).unwrap();
        assert!(found[0].message.contains("160 samples"), "{found:?}");
        swept.faults.get_mut("cut").unwrap().swept = false;
        let found = (kind("slo").unwrap().lint)(&params, &swept).unwrap();
        assert_eq!(found, [], "as one window it lasts 41 s");
    }

    #[test]
    fn what_the_servers_and_proxies_cannot_show_is_found_before_the_run() {
        let detection = json!({ "service": "mute", "fault": "cut", "within": "5s",
            "any_of": [{ "log": "lost" }] });
        for (kind, params, key, message) in [
            (
                "log",
                json!({ "service": "mute", "absent": ["lost"] }),
                "service",
                "nobody reads the log",
            ),
            (
                "detection",
                detection,
                "any_of[0].log",
                "nobody reads the log",
            ),
            (
                "exit",
                json!({ "service": "mute", "text": ["x"] }),
                "text[0]",
                "nobody reads the log",
            ),
            (
                "exit",
                json!({ "service": "mute" }),
                "service",
                "no `ready`",
            ),
            (
                "exit",
                json!({ "service": "elsewhere" }),
                "service",
                "no `command`",
            ),
            (
                "pool",
                json!({ "proxy": "opaque", "max": 5 }),
                "proxy",
                "sees no sessions",
            ),
            (
                "pool",
                json!({ "proxy": "db", "max": 5, "within": "3s" }),
                "within",
                "no number of sessions is demanded",
            ),
            (
                "pool",
                json!({ "proxy": "db", "max": 5, "min": 0 }),
                "min",
                "no session is demanded",
            ),
            (
                "answer",
                json!({ "source": "health" }),
                "source",
                "nothing is kept",
            ),
            (
                "availability",
                json!({ "source": "writes", "target": "99.9%" }),
                "target",
                "3838 are needed",
            ),
        ] {
            finds(kind, &params, key, message);
        }
    }

    #[test]
    fn a_figure_that_is_never_kept_is_found_before_the_run() {
        for (figures, key, message) in [
            (json!(["writes.p95"]), "figures[0]", "unknown figure `p95`"),
            (
                json!(["it.job_s", "wirtes.p95_s"]),
                "figures[1]",
                "unknown workload, probe or check `wirtes`",
            ),
            (
                json!(["writes.p95_s@fault:cat"]),
                "figures[0]",
                "unknown fault `cat`",
            ),
            (
                json!(["it.gap_01_s"]),
                "figures[0]",
                "neither more nor less",
            ),
            (json!([]), "figures", "nothing is demanded"),
        ] {
            let params = json!({ "baseline": "b.json", "figures": figures });
            finds("regression", &params, key, message);
        }
        let sound = json!({ "baseline": "b.json", "figures": ["writes.p95_s", "it.job_s"] });
        assert_eq!(lints("regression", &sound, "stall"), []);
    }

    #[test]
    fn a_backoff_that_may_outlast_the_time_to_recover_is_found_before_the_run() {
        let found = |within: &str, base: &str| {
            let mut backoff = backoff();
            backoff["base"] = json!(base);
            backoff["max"] = json!("30s");
            let mut outlook = outlook("reject");
            let kind_of = |kind: &str, params| CheckOutlook {
                kind: kind.into(),
                params,
            };
            let backs_off = kind_of("backoff", backoff);
            outlook.checks.insert("backs-off".into(), backs_off);
            let params = json!({ "service": "codebase", "fault": "cut", "within": within,
                "that": ["writes.error_rate == 0%"] });
            let lint = kind("recovery").unwrap().lint;
            lint(&params, &outlook).unwrap()
        };
        // Delays of 1, 2 and 4 s, a fifth shorter or longer: 9.6 s may be under way after 8 s.
        assert_eq!(found("10s", "1s"), []);
        let short = found("9s", "1s");
        assert_eq!((short.len(), &*short[0].key), (1, "within"));
        assert!(
            short[0]
                .message
                .contains("`backs-off` allows a wait of 9.6 s"),
            "{short:?}"
        );
        assert_eq!(found("9s", "100ms"), []);
    }

    #[test]
    fn unknown_parameters_are_refused() {
        let lint = kind("backoff").unwrap().lint;
        let mut params = backoff();
        params["jiter"] = json!("20%");
        let error = lint(&params, &outlook("reject")).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `jiter`"),
            "{error}"
        );
    }
}
