//! Lines of a service's log as observations. Reads no log itself: the run feeds it.

use regex::Regex;

use super::ProbeProblem;
use super::spec::{ProbeKind, ProbeSpec};
use crate::event::{Name, Outcome, Sample};
use crate::units::Moment;

/// Makes a sample of each line that matches.
#[derive(Debug, Clone)]
pub struct LogProbe {
    name: Name,
    service: Name,
    pattern: Regex,
}

impl LogProbe {
    /// The log probe that `spec` describes; `None` if it describes another kind.
    pub fn new(spec: &ProbeSpec) -> Result<Option<Self>, ProbeProblem> {
        let ProbeKind::Log { service, pattern } = &spec.kind else {
            return Ok(None);
        };
        Ok(Some(Self {
            name: spec.name.clone(),
            service: service.clone(),
            pattern: Regex::new(pattern)?,
        }))
    }

    /// The sample that a line of a service's log makes, if it is the right service and it matches.
    pub fn see(&self, service: &str, at: Moment, line: &str) -> Option<Sample> {
        let matches = *self.service == *service && self.pattern.is_match(line);
        matches.then(|| Sample {
            source: self.name.clone(),
            intended: at,
            sent: at,
            done: at,
            outcome: Outcome::Ok { status: None },
            digest: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn spec(pattern: &str) -> ProbeSpec {
        ProbeSpec {
            name: "loss-logged".into(),
            kind: ProbeKind::Log {
                service: "codebase".into(),
                pattern: pattern.into(),
            },
            every: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn lines_of_the_service_that_match_are_samples() {
        let probe = LogProbe::new(&spec("(?i)database.*lost")).unwrap().unwrap();
        let at = Moment::from_nanos(5);
        let sample = probe.see("codebase", at, "WARN Database connection lost");
        let sample = sample.expect("matches");
        assert_eq!((&*sample.source, sample.done), ("loss-logged", at));
        assert!(sample.outcome.is_ok());
        assert_eq!(probe.see("codebase", at, "database is fine"), None);
        assert_eq!(probe.see("workflow", at, "database lost"), None);
    }

    #[test]
    fn a_pattern_that_is_no_regular_expression_is_refused() {
        assert!(matches!(
            spec("(lost").check(),
            Err(ProbeProblem::Pattern(_))
        ));
    }
}
