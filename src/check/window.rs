use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::assertion::ParseError;
use super::{Experiment, FaultBrief, History, Outlook};
use crate::diag::did_you_mean;
use crate::event::Name;
use crate::units::Moment;

/// A named stretch of a run: `baseline`, `fault:NAME`, `recovery:NAME`, `all`, or two of them
/// joined as `A..B`, from the start of the first to the end of the second. Which observations
/// belong to it [`History::samples_in`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    from: Stretch,
    to: Option<Stretch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stretch {
    Baseline,
    All,
    Fault(Name),
    Recovery(Name),
}

impl Window {
    /// The whole schedule.
    pub const fn all() -> Self {
        Self {
            from: Stretch::All,
            to: None,
        }
    }

    /// The time before the first fault.
    pub const fn baseline() -> Self {
        Self {
            from: Stretch::Baseline,
            to: None,
        }
    }

    /// The parts of a run: the baseline, each fault and its recovery, and all.
    pub fn each(experiment: &Experiment) -> impl Iterator<Item = Self> {
        let of_fault = |fault: &FaultBrief| {
            let name = || fault.name.clone();
            [Stretch::Fault(name()), Stretch::Recovery(name())]
        };
        let faults = experiment.faults.iter().flat_map(of_fault);
        let stretches = [Stretch::Baseline].into_iter().chain(faults);
        stretches
            .chain([Stretch::All])
            .map(|from| Self { from, to: None })
    }

    /// From when to when; `None` if its faults never happened or it ends before it begins.
    pub fn resolve(&self, history: &History) -> Option<(Moment, Moment)> {
        let first = self.from.resolve(history)?;
        let last = match &self.to {
            Some(stretch) => stretch.resolve(history)?,
            None => first,
        };
        (first.0 < last.1).then_some((first.0, last.1))
    }

    /// From when to when it will be, in seconds after time zero; of a swept fault the shortest, for
    /// each of its lengths is judged by itself. It may end before it begins.
    pub(super) fn planned(&self, outlook: &Outlook) -> Option<(f64, f64)> {
        let swept = |name: &&Name| outlook.faults.get(*name).is_some_and(|fault| fault.swept);
        let swept = self.faults().find(swept);
        let lengths = swept.map_or(1, |name| outlook.faults[name].windows.len());
        let spans = (0..lengths).filter_map(|index| {
            let only = swept.map(|name| (name, index));
            let first = self.from.planned(outlook, only)?;
            let last = match &self.to {
                Some(stretch) => stretch.planned(outlook, only)?,
                None => first,
            };
            Some((first.0, last.1))
        });
        spans.min_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)))
    }

    /// Whether it reaches over faults that it need not name; one that is called after a fault is
    /// about that fault alone, whatever else happens beside it.
    pub(super) const fn spans(&self) -> bool {
        self.to.is_some() || matches!(self.from, Stretch::All)
    }

    /// The faults that it names.
    pub fn faults(&self) -> impl Iterator<Item = &Name> {
        [Some(&self.from), self.to.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|stretch| match stretch {
                Stretch::Fault(name) | Stretch::Recovery(name) => Some(name),
                Stretch::Baseline | Stretch::All => None,
            })
    }

    /// The fault that it is of from its start to its end, if there is one.
    pub fn only_fault(&self) -> Option<&Name> {
        let first = self.faults().next()?;
        let ends = 1 + usize::from(self.to.is_some());
        (self.faults().filter(|name| *name == first).count() == ends).then_some(first)
    }
}

impl Stretch {
    fn resolve(&self, history: &History) -> Option<(Moment, Moment)> {
        match self {
            Self::Baseline => Some(history.baseline()),
            Self::All => Some((history.time_zero(), history.schedule_end())),
            Self::Fault(name) => history.fault_window(name),
            Self::Recovery(name) => history.recovery_window(name),
        }
    }

    /// As if of the times that a fault will be in force there were `only` one.
    fn planned(&self, outlook: &Outlook, only: Option<(&Name, usize)>) -> Option<(f64, f64)> {
        let in_force = |name: &Name| {
            let windows = &outlook.faults.get(name)?.windows;
            let own = match only {
                Some((swept, index)) if swept == name => windows.get(index..=index)?,
                _ => windows,
            };
            let first = own.iter().map(|(from, _)| *from).min()?;
            let last = own.iter().map(|(_, to)| *to).max()?;
            Some((first, last))
        };
        let (from, to) = match self {
            Self::Baseline => {
                let first = outlook.next_injection(Duration::ZERO);
                let end = first.unwrap_or(outlook.duration).as_secs_f64();
                return Some((end - outlook.baseline.as_secs_f64(), end));
            }
            Self::All => (Duration::ZERO, outlook.duration),
            Self::Fault(name) => in_force(name)?,
            Self::Recovery(name) => {
                let (_, lift) = in_force(name)?;
                let next = outlook.next_injection(lift);
                (lift, next.unwrap_or(outlook.duration))
            }
        };
        Some((from.as_secs_f64(), to.as_secs_f64()))
    }
}

impl FromStr for Window {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once("..") {
            None => Ok(Self {
                from: stretch(text, 0)?,
                to: None,
            }),
            Some((from, to)) => Ok(Self {
                from: stretch(from, 0)?,
                to: Some(stretch(to, from.len() + 2)?),
            }),
        }
    }
}

fn stretch(raw: &str, offset: usize) -> Result<Stretch, ParseError> {
    let text = raw.trim();
    let start = offset + (raw.len() - raw.trim_start().len());
    let known = ["baseline", "all", "fault", "recovery"];
    let (kind, name) = match text.split_once(':') {
        Some((kind, name)) => (kind, Some(name.trim()).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    match (kind, name) {
        ("baseline", None) => Ok(Stretch::Baseline),
        ("all", None) => Ok(Stretch::All),
        ("fault", Some(name)) => Ok(Stretch::Fault(name.into())),
        ("recovery", Some(name)) => Ok(Stretch::Recovery(name.into())),
        ("fault" | "recovery", None) => Err(ParseError::new(
            start..start + text.len(),
            format!("`{text}` names no fault"),
            format!("write `{kind}:NAME` with the name of a fault"),
        )),
        _ => Err(ParseError::new(
            start..start + text.len(),
            format!("`{text}` is not a window"),
            match did_you_mean(kind, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `baseline`, `fault:NAME`, `recovery:NAME`, `all`, or two of them \
                         joined with `..`"
                    .to_owned(),
            },
        )),
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.write_str("baseline"),
            Self::All => f.write_str("all"),
            Self::Fault(name) => write!(f, "fault:{name}"),
            Self::Recovery(name) => write!(f, "recovery:{name}"),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            None => self.from.fmt(f),
            Some(to) => write!(f, "{}..{to}", self.from),
        }
    }
}

impl TryFrom<String> for Window {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl schemars::JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`baseline`, `fault:NAME`, `recovery:NAME`, `all`, or two of them \
                joined with `..`.",
            "examples": ["fault:silent-loss..recovery:silent-loss"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_back_as_written() {
        for text in [
            "baseline",
            "all",
            "fault:silent-loss",
            "fault:a..recovery:b",
            "baseline..recovery:x",
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), text);
        }
        let window: Window = "fault:a .. recovery:b".parse().unwrap();
        let names: Vec<&str> = window.faults().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_misspelt_window_is_underlined_and_corrected() {
        let text = "fault:a..recovry:b";
        let error = text.parse::<Window>().unwrap_err();
        assert_eq!(&text[error.range.clone()], "recovry:b");
        assert_eq!(error.help, "did you mean `recovery`?");
        assert_eq!(
            "fault".parse::<Window>().unwrap_err().message,
            "`fault` names no fault"
        );
    }
}
