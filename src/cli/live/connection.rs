//! One open connection in one line. Pure; it is told the time.

use std::net::SocketAddr;

use super::draw::{Tone, rate};
use crate::event::{Awaited, OpenConnection};
use crate::units::Moment;

/// Who it is, what it waits for and for how long, or how much it carries; and which faults hit it.
pub(super) fn line(one: &OpenConnection, peer: Option<SocketAddr>, now: Moment) -> (String, Tone) {
    let who = peer.map_or_else(String::new, |peer| peer.to_string());
    let (what, tone) = match one.waits {
        Some(wait) => {
            let time = now.since(wait.since).as_secs_f64();
            let what = match wait.on {
                Awaited::Fault => "held back",
                Awaited::Dial => "server not reached",
                Awaited::Client => "client takes nothing",
                Awaited::Server => "server takes nothing",
                Awaited::Answer => "no answer",
            };
            (format!("{what} for {time:.1} s"), Tone::Warning)
        }
        // It is told once a second.
        None => (format!("carries {}", rate(one.moved as f64)), Tone::Plain),
    };
    let faults = one.carried.faults.join(", ");
    let hit = if faults.is_empty() {
        String::new()
    } else {
        format!(", hit by {faults}")
    };
    (format!("#{:<5} {who:<21} {what}{hit}", one.conn), tone)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Carried, Name, Wait};

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    fn shown(waits: Option<Awaited>, faults: &[&str]) -> (String, Tone) {
        let wait = |on| Wait {
            on,
            since: at(1500),
        };
        let faults = faults.iter().map(|fault| Name::from(*fault));
        let one = OpenConnection {
            conn: 17,
            moved: 2500,
            waits: waits.map(wait),
            carried: Carried {
                faults: faults.collect(),
                ..Carried::default()
            },
        };
        let peer = ([127, 0, 0, 1], 40_017).into();
        line(&one, Some(peer), at(4000))
    }

    #[test]
    fn who_waits_is_said_with_what_for_and_since_when() {
        let (held, tone) = shown(Some(Awaited::Fault), &["loss", "slow"]);
        assert_eq!(
            held,
            "#17    127.0.0.1:40017       held back for 2.5 s, hit by loss, slow"
        );
        assert_eq!(tone, Tone::Warning);
        for (on, what) in [
            (Awaited::Dial, "server not reached"),
            (Awaited::Client, "client takes nothing"),
            (Awaited::Server, "server takes nothing"),
            (Awaited::Answer, "no answer"),
        ] {
            let expected = format!("#17    127.0.0.1:40017       {what} for 2.5 s");
            assert_eq!(shown(Some(on), &[]).0, expected);
        }
    }

    #[test]
    fn who_does_not_wait_is_said_to_carry() {
        let carries = "#17    127.0.0.1:40017       carries   2.5 KB/s".to_owned();
        assert_eq!(shown(None, &[]), (carries, Tone::Plain));
    }
}
