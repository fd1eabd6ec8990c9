//! A fault in force on a proxy, and whom it touches.

use super::{Affect, Candidate, Effects, ListenerPolicy, Scope, dice};
use crate::event::Name;
use crate::units::Moment;

/// A fault in force on a proxy.
#[derive(Debug, Clone)]
pub struct Armed {
    /// The fault's name; unique among those in force.
    pub fault: Name,
    /// Counts repetitions of the same fault from 0.
    pub occurrence: u32,
    /// Whom it touches.
    pub scope: Scope,
    /// The ordinal that the next accepted connection was to get when the fault was injected:
    /// connections below it existed then, the others are new.
    pub first_new: u64,
    /// When it was injected.
    pub since: Moment,
    /// Counts the changes of its parameters while it is in force.
    pub revision: u32,
    /// What it does.
    pub effects: Effects,
}

impl Armed {
    /// Whether the connection is in scope, by its age, by what is selected and by its draw. Who was
    /// not in scope at the injection never will be.
    ///
    /// What chaosproxy opens itself meets only what every connection of its age meets.
    pub fn touches(&self, conn: &Candidate) -> bool {
        let key = &conn.key;
        if conn.own {
            let is_old = conn.opened < self.since;
            return !self.scope.chooses() && self.scope.affect.includes(is_old);
        }
        self.scope.affect.includes(key.conn < self.first_new)
            && self.scope.selection.includes(conn, self.since)
            && dice::drawn(key, &self.fault, self.occurrence, self.scope.percent)
    }

    /// What clients that knock meet; `None` if this fault lets them in.
    pub fn listener(&self) -> Option<ListenerPolicy> {
        match self.scope.affect {
            Affect::Existing => None,
            Affect::All | Affect::New => self.effects.listener,
        }
    }
}

/// Why a fault with such effects cannot have this scope, if so.
pub fn objection(effects: &Effects, scope: &Scope) -> Option<&'static str> {
    let for_everybody = effects
        .listener
        .is_some_and(ListenerPolicy::is_for_everybody);
    (for_everybody && scope.chooses()).then_some(
        "a port refuses or ignores everybody or nobody: leave `percent` and `match` out, or reject instead",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::ConnKey;
    use crate::units::Share;

    fn armed(affect: Affect, percent: Share) -> Armed {
        Armed {
            fault: "cut".into(),
            occurrence: 0,
            scope: Scope {
                percent,
                affect,
                ..Scope::default()
            },
            first_new: 5,
            since: Moment::ZERO,
            revision: 0,
            effects: Effects {
                listener: Some(ListenerPolicy::Refuse),
                ..Effects::default()
            },
        }
    }

    fn touched(armed: &Armed) -> Vec<u64> {
        let candidate = |conn| Candidate {
            key: ConnKey {
                seed: 1,
                proxy: "db".into(),
                conn,
            },
            client: "127.0.0.1".parse().unwrap(),
            opened: Moment::ZERO,
            active: Moment::ZERO,
            own: false,
        };
        (0..10)
            .filter(|conn| armed.touches(&candidate(*conn)))
            .collect()
    }

    #[test]
    fn scope_tells_existing_connections_from_new_ones() {
        assert_eq!(
            touched(&armed(Affect::Existing, Share::ALL)),
            [0, 1, 2, 3, 4]
        );
        assert_eq!(touched(&armed(Affect::New, Share::ALL)), [5, 6, 7, 8, 9]);
        assert_eq!(touched(&armed(Affect::All, Share::ALL)).len(), 10);
        assert_eq!(touched(&armed(Affect::All, Share::NONE)).len(), 0);
    }

    #[test]
    fn a_fault_of_existing_connections_lets_new_ones_knock() {
        assert_eq!(armed(Affect::Existing, Share::ALL).listener(), None);
        assert_eq!(
            armed(Affect::New, Share::ALL).listener(),
            Some(ListenerPolicy::Refuse)
        );
    }
}
