use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::progress::Progress;
use crate::action::ProxySpec;
use crate::check::{Assertion, Experiment, SourceMap};
use crate::event::{Name, Secrets};
use crate::fault::{Ramp, Scope};
use crate::lab::spec::{DatabaseSpec, ServiceSpec};
use crate::load::spec::{LedgerSpec, WorkloadSpec};
use crate::probe::spec::ProbeSpec;
use crate::template::Template;
use crate::units::Reach;

/// A scenario, resolved and valid. Templates are filled in while the run sets up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file, as given.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
    /// What is run with and judged by: title, hypothesis, faults, sources, checks.
    pub experiment: Experiment,
    /// The seed of every die.
    pub seed: u64,
    /// From time zero to the end of the schedule.
    pub duration: Duration,
    /// How long jobs may go on after the schedule. Default 30 s.
    pub settle: Duration,
    /// Databases.
    pub databases: Vec<DatabaseSpec>,
    /// Proxies: the specification but for the upstream, which is a template.
    pub proxies: Vec<(ProxySpec, Template)>,
    /// Services.
    pub services: Vec<ServiceSpec>,
    /// Workloads.
    pub workloads: Vec<WorkloadSpec>,
    /// Ledgers.
    pub ledgers: Vec<LedgerSpec>,
    /// Probes.
    pub probes: Vec<ProbeSpec>,
    /// The gate.
    pub steady_state: SteadyStateSpec,
    /// Faults, in the order of the file.
    pub faults: Vec<FaultPlan>,
    /// How faults are drawn at random, if they are.
    pub chaos: Option<Chaos>,
    /// What may be hit.
    pub blast_radius: BlastRadius,
    /// When to stop early.
    pub aborts: Vec<AbortSpec>,
    /// Verification queries of checks: `(check, database, sql)`.
    pub queries: Vec<(Name, Name, String)>,
    /// Stored baselines that checks compare with.
    pub baselines: Vec<BaselineSpec>,
    /// What nothing that the run writes may hold.
    pub secrets: Secrets,
    /// Where reports go; `None` makes a folder of its own below `chaosproxy-runs`.
    pub report_dir: Option<PathBuf>,
}

/// A stored baseline that a check compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineSpec {
    /// The check.
    pub check: Name,
    /// Where it is.
    pub origin: BaselineOrigin,
}

/// Where the text of a stored baseline comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineOrigin {
    /// A file, read when the run begins; relative to the working directory.
    File(PathBuf),
    /// What an earlier run found when it began: a replay compares with the same.
    Recorded(Result<String, String>),
}

/// The steady state: what must hold before anything is injected.
#[derive(Debug, Clone, Default)]
pub struct SteadyStateSpec {
    /// How long it must hold. Default 5 s.
    pub window: Duration,
    /// What must hold.
    pub require: Vec<Assertion>,
}

/// A fault on the schedule.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    /// Its name.
    pub name: Name,
    /// Its kind, as in the registry.
    pub kind: String,
    /// The kind's parameters, valid.
    pub params: serde_json::Value,
    /// Parameters that move while it is in force.
    pub ramp: Ramp,
    /// What it acts on: proxies, services or databases, as the kind wants it.
    pub targets: Vec<Name>,
    /// Whom it touches.
    pub scope: Scope,
    /// When it begins.
    pub start: Start,
    /// How long it lasts; `None` for one that acts once (`disconnect`).
    pub length: Option<Duration>,
    /// Time from one beginning to the next, if it repeats.
    pub every: Option<Duration>,
    /// How often it happens. Default 1.
    pub count: u32,
    /// Lengths that it has one after the other, if it is swept; then `length`, `every` and `count`
    /// mean nothing.
    pub sweep: Vec<Duration>,
    /// Time between two lengths of the sweep.
    pub gap: Duration,
    /// Where the block stands.
    pub source: SourceMap,
}

impl FaultPlan {
    /// How long one that acts once is in force: long enough for every open connection to meet it.
    pub(super) const ONCE: Duration = Duration::from_millis(100);

    /// How long it is in force each time, unless it is swept.
    pub(super) fn stay(&self) -> Duration {
        self.length.unwrap_or(Self::ONCE)
    }

    /// What it acts on, for people: the names of its targets.
    pub fn aim(&self) -> Name {
        self.targets.join(", ").into()
    }
}

/// When a fault begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Before any service is started; on the timeline it counts as time zero.
    BeforeServices,
    /// So long after time zero.
    At(Duration),
    /// So long after the last lift of another fault.
    After(Name, Duration),
    /// So long after the first injection of another fault.
    With(Name, Duration),
    /// Whenever it is drawn.
    Drawn {
        /// Whether it needs a length: otherwise it acts once, unless one is given.
        lasts: bool,
    },
}

/// How faults are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Chaos {
    /// From when to when drawn faults may be in force, after time zero.
    pub between: RangeInclusive<Duration>,
    /// From the end of a drawn fault to the beginning of the next, where one at a time is in force.
    pub gap: RangeInclusive<Duration>,
    /// How long one is in force whose length is not given.
    pub length: RangeInclusive<Duration>,
    /// How many drawn faults may be in force at once. Default 1.
    pub at_once: u32,
    /// What is drawn: indices into the plan's faults with their weights, which are above zero.
    pub weights: Vec<(usize, f64)>,
}

/// One step of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, after time zero.
    pub at: Duration,
    /// Index of the fault in [`Plan::faults`].
    pub fault: usize,
    /// Counts repetitions from 0.
    pub occurrence: u32,
    /// What happens.
    pub turn: Turn,
}

/// What happens to a fault at a step of the timeline; at one moment in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It ends.
    Lift,
    /// It begins.
    Inject,
    /// Its parameters move on along their ramp.
    Move(Progress),
}

/// What faults may touch.
#[derive(Debug, Clone, Default)]
pub struct BlastRadius {
    /// What faults may act on; empty means everything.
    pub allow: Vec<Name>,
    /// What no fault may act on.
    pub protect: Vec<Name>,
    /// Faults that may be in force at once.
    pub max_active_faults: Option<u32>,
    /// The longest time that one fault may be in force.
    pub max_fault_time: Option<Duration>,
    /// Whether every address must be a loopback address. Default true.
    pub loopback_only: bool,
}

impl BlastRadius {
    /// How far the connections of a run may lead.
    pub fn reach(&self) -> Reach {
        if self.loopback_only {
            Reach::Loopback
        } else {
            Reach::Anywhere
        }
    }
}

/// A condition that ends the run early.
#[derive(Debug, Clone)]
pub struct AbortSpec {
    /// The condition, for example `workflow-reads.error_rate > 50% for 5s`.
    pub when: Assertion,
    /// Where it stands.
    pub source: SourceMap,
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A partition; times in seconds.
    pub(in crate::scenario) fn fault(
        name: &str,
        start: Start,
        length: Option<u64>,
        every: u64,
        count: u32,
    ) -> FaultPlan {
        FaultPlan {
            name: name.into(),
            kind: "partition".to_owned(),
            params: serde_json::json!({}),
            ramp: Ramp::default(),
            targets: vec!["db".into()],
            scope: Scope::default(),
            start,
            length: length.map(Duration::from_secs),
            every: (count > 1).then(|| Duration::from_secs(every)),
            count,
            sweep: Vec::new(),
            gap: Duration::ZERO,
            source: SourceMap::default(),
        }
    }
}
