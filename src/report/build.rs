use super::ended::ended;
use super::outcome::{Early, early_end, outcome};
use super::recheck::recheck;
use super::{
    CheckRecord, CheckVerdict, ConditionRecord, EvidenceRecord, LengthRecord, Outcome, Place,
    REPORT_FORMAT, Report, ReportError, ScenarioRecord, SteadyStateRecord, SweepRecord,
    SweptLengthRecord, course, faults, traffic,
};
use crate::check::{self, Evidence, Experiment, Finding, History, Purpose, Sweep, Verdict};
use crate::diag::{Source, Span};
use crate::event::{Condition, Event, Fact, Header, Journal, Phase};
use crate::units::Moment;

/// Judges a run and assembles its report.
///
/// Fails only if the header's plan is none that this version writes.
pub fn build(header: &Header, events: &[Event]) -> Result<Report, ReportError> {
    let history = History::new(plan(header)?, events.to_vec());
    Ok(assemble_report(header, &history))
}

/// The same from a journal that was read back; one that lacks lines lets nothing pass.
pub fn rebuild(journal: Journal) -> Result<Report, ReportError> {
    let history = History::new(plan(&journal.header)?, journal.events);
    let history = history
        .truncated(journal.truncated)
        .missing(journal.missing);
    Ok(assemble_report(&journal.header, &history))
}

fn plan(header: &Header) -> Result<Experiment, ReportError> {
    serde_json::from_value(header.plan.clone()).map_err(ReportError::Plan)
}

fn assemble_report(header: &Header, history: &History) -> Report {
    let (experiment, events) = (history.experiment(), history.events());
    let zero = history.phase(Phase::Experiment);
    let scene = Scene {
        source: Source {
            name: header.scenario_path.clone(),
            text: header.scenario_text.as_str().into(),
        },
        origin: zero.unwrap_or(Moment::ZERO),
    };
    let early = early_end(events, history.is_truncated());
    let steady_state = scene.steady_state(events);
    let judged = check::judge(history);
    let course = course::course(history, &judged, scene.origin);
    let sweeps = check::sweeps(history, &judged).into_iter();
    let sweeps = sweeps.map(|one| sweep(one, early.as_ref())).collect();
    let blocks = experiment.checks.iter().map(|spec| spec.source.block);
    let judged = judged.into_iter().zip(blocks);
    let judged = judged.map(|(finding, block)| scene.check(finding, block, early.as_ref()));
    let ended = ended(&history.ended(), scene.origin);
    let ended = ended.filter(|_| experiment.purpose == Purpose::Judge);
    let mut checks: Vec<_> = ended.into_iter().chain(judged).collect();
    if experiment.purpose == Purpose::Judge {
        checks.extend(recheck(history, &steady_state));
    }
    let (outcome, exit_code) = outcome(
        early.as_ref(),
        experiment.purpose,
        &checks,
        history.lacks_facts(),
    );
    let windows = traffic::windows(history);
    let end = events.iter().map(|event| event.at).max();

    Report {
        report_format: REPORT_FORMAT,
        chaosproxy: header.chaosproxy.clone(),
        run: header.run,
        started_at: header.started_at,
        duration_s: end.unwrap_or_default().seconds_from(Moment::ZERO),
        time_zero_after_s: zero.map(|zero| zero.seconds_from(Moment::ZERO)),
        scenario: ScenarioRecord {
            path: header.scenario_path.clone(),
            sha256: header.scenario_sha256.clone(),
            title: experiment.title.clone(),
            hypothesis: experiment.hypothesis.clone(),
        },
        seed: header.seed,
        environment: header.environment.clone(),
        outcome,
        exit_code,
        reason: early.map(|early| early.reason),
        checks,
        faults: faults::records(history, scene.origin),
        sweeps,
        steady_state,
        sources: traffic::sources(history, &windows),
        proxies: traffic::proxies(history, &windows, scene.origin),
        notes: notes(history),
        judge_again: "chaosproxy report .".to_owned(),
        course,
    }
}

/// What turns moments and spans into what a report says of them.
struct Scene {
    source: Source,
    origin: Moment,
}

impl Scene {
    /// `None` for the empty span, which says that the place is not known.
    fn place(&self, span: Span) -> Option<Place> {
        let (line, column) = self.source.position(span.start);
        (span != Span::default()).then_some(Place {
            line,
            column,
            start: span.start,
            end: span.end,
        })
    }

    fn check(&self, finding: Finding, block: Span, early: Option<&Early>) -> CheckRecord {
        let verdict = unless_ended_early(finding.verdict, early);
        let lengths = finding.lengths.into_iter().map(|one| LengthRecord {
            fault: one.fault,
            length: one.length,
            verdict: unless_ended_early(one.verdict, early),
            summary: one.summary,
            figures: one.figures,
        });
        let lengths = lengths.collect();
        let summary = if early.is_some_and(|early| early.outcome == Outcome::NotBegun) {
            "the schedule never began".to_owned()
        } else {
            finding.summary
        };
        CheckRecord {
            name: finding.check,
            kind: finding.kind,
            severity: finding.severity,
            verdict,
            place: self.place(block),
            summary,
            evidence: finding
                .evidence
                .into_iter()
                .map(|evidence| self.evidence(evidence))
                .collect(),
            figures: finding.figures,
            notes: finding.notes,
            help: finding.help,
            lengths,
        }
    }

    fn evidence(&self, evidence: Evidence) -> EvidenceRecord {
        let origin = self.origin;
        EvidenceRecord {
            verdict: evidence.verdict,
            expected: evidence.expected,
            measured: evidence.measured,
            place: self.place(evidence.span),
            window_s: evidence
                .window
                .map(|(from, to)| (from.seconds_from(origin), to.seconds_from(origin))),
            samples: evidence.samples,
            reasons: evidence.reasons,
        }
    }

    fn steady_state(&self, events: &[Event]) -> Vec<SteadyStateRecord> {
        let judged = |event: &Event| match &event.fact {
            Fact::SteadyState {
                gate,
                met,
                conditions,
                ..
            } => Some(SteadyStateRecord {
                gate: *gate,
                at_s: event.at.seconds_from(self.origin),
                met: *met,
                conditions: conditions.iter().map(|one| self.condition(one)).collect(),
            }),
            _ => None,
        };
        events.iter().filter_map(judged).collect()
    }

    fn condition(&self, condition: &Condition) -> ConditionRecord {
        let text = &condition.condition;
        let place = self.source.text.find(text.as_str()).and_then(|start| {
            let end = start + text.len();
            self.place(Span { start, end })
        });
        ConditionRecord {
            condition: text.clone(),
            met: condition.met,
            measured: condition.measured.clone(),
            reasons: condition.reasons.clone(),
            place,
        }
    }
}

/// The record of a swept fault.
fn sweep(sweep: Sweep, early: Option<&Early>) -> SweepRecord {
    let lengths = sweep.lengths.into_iter().map(|one| {
        let missed = one.checks.into_iter();
        let missed = missed.filter(|(_, verdict)| *verdict != Verdict::Pass);
        SweptLengthRecord {
            length: one.length,
            detection_s: one.detection_s,
            recovery_s: one.recovery_s,
            worst_case_s: one.worst_case_s,
            verdict: one
                .verdict
                .map(|verdict| unless_ended_early(verdict, early)),
            not_passed: missed.map(|(check, _)| check).collect(),
        }
    });
    SweepRecord {
        fault: sweep.fault,
        lengths: lengths.collect(),
    }
}

/// A verdict, given how the run ended.
fn unless_ended_early(verdict: Verdict, early: Option<&Early>) -> CheckVerdict {
    match (verdict, early) {
        (_, Some(early)) if early.outcome == Outcome::NotBegun => CheckVerdict::Aborted,
        (Verdict::Inconclusive, Some(_)) => CheckVerdict::Aborted,
        (decided, _) => decided.into(),
    }
}

/// What limits the figures: own trouble and lost evidence.
fn notes(history: &History) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for event in history.events() {
        let note = match &event.fact {
            Fact::Trouble { message } => message.clone(),
            Fact::FaultFailed { fault, why } => format!("fault `{fault}`: {why}"),
            Fact::LogGap(gap) => gap.to_string(),
            Fact::Shortfall { what, .. } => what.to_string(),
            _ => continue,
        };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.extend(history.incomplete());
    notes
}
