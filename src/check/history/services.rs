use std::collections::BTreeMap;

use super::{History, Occurrence};
use crate::event::{Event, Fact, Name, Phase, ServiceChange};
use crate::units::Moment;

/// That a process of a service ended, and nobody had asked it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The service.
    pub service: Name,
    /// When.
    pub at: Moment,
    /// How: `exit code 1`, `signal SIGSEGV`.
    pub how: String,
    /// The last line of its log before that, if its log is read.
    pub last_line: Option<String>,
}

impl History {
    /// The services that ended by themselves while the schedule ran or the run settled. One that a
    /// fault acts on, or whose end an `exit` check is about, is left out.
    pub fn ended(&self) -> Vec<Ended> {
        let Some(from) = self.phase(Phase::Experiment) else {
            return Vec::new();
        };
        let to = self.end();
        let mut ended: BTreeMap<Name, Ended> = BTreeMap::new();
        for event in self.events() {
            if let Some((service, how)) = exit(event)
                && (from..=to).contains(&event.at)
                && !self.ends_on_purpose(service, event.at)
            {
                ended.entry(service.clone()).or_insert_with(|| Ended {
                    service: service.clone(),
                    at: event.at,
                    how: how.to_owned(),
                    last_line: self.last_line(service, event.at),
                });
            }
        }
        let mut ended: Vec<Ended> = ended.into_values().collect();
        ended.sort_by_key(|one| one.at);
        ended
    }

    fn ends_on_purpose(&self, service: &str, at: Moment) -> bool {
        let experiment = self.experiment();
        let mut checks = experiment.checks.iter();
        let expected = checks
            .any(|check| check.kind == "exit" && check.params["service"].as_str() == Some(service));
        // A fault that stops a process may see to its end until it has started it again.
        let acts = |one: &Occurrence| one.inject <= at && at <= self.lifted(one);
        let mut faults = experiment.faults.iter();
        let killed = faults.any(|fault| {
            fault.proxy.split(", ").any(|target| target == service)
                && self.fault(&fault.name).iter().any(acts)
        });
        expected || killed
    }

    fn last_line(&self, service: &str, at: Moment) -> Option<String> {
        let mut lines = self.logs(service).iter().rev();
        let line = lines.find(|line| line.at <= at && !line.text.trim().is_empty())?;
        Some(line.text.clone())
    }
}

fn exit(event: &Event) -> Option<(&Name, &str)> {
    match &event.fact {
        Fact::Service {
            service,
            change: ServiceChange::Exited(how),
        } => Some((service, how)),
        _ => None,
    }
}
