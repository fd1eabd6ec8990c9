use super::Experiment;
use crate::event::Event;

/// A finished run, indexed for the questions that checks ask.
#[derive(Debug)]
pub struct History {
    experiment: Experiment,
    events: Vec<Event>,
}

impl History {
    /// Indexes the events of a run.
    pub fn new(experiment: Experiment, events: Vec<Event>) -> Self {
        Self { experiment, events }
    }

    /// What was planned.
    pub const fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// Every event in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
