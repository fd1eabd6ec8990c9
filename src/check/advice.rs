//! What to do about a fault that touched nobody, by what else the run saw.

use super::{History, exercise};
use crate::event::Fact;

/// The advice that the evidence of the run supports.
pub(super) fn untouched(history: &History, fault: &str) -> String {
    let faults = &history.experiment().faults;
    let Some(brief) = faults.iter().find(|brief| *brief.name == *fault) else {
        return PAST.to_owned();
    };
    let seen = brief.kind().map(|kind| kind.subject.is_seen_by_proxies());
    if seen == Some(false) {
        return "see in the notes and in the log of the fault why it did nothing".to_owned();
    }
    if let Some((_, why)) = exercise::unable(history, fault) {
        return if why.contains("encrypted") {
            "chaosproxy passes TLS through and sees no messages in it: let clients connect to the \
             proxy without, for PostgreSQL with `sslmode=disable`"
                .to_owned()
        } else {
            "the fault acts on messages: see that clients speak through the proxy what the fault is \
             for"
                .to_owned()
        };
    }
    if is_uncounted(history, fault) {
        return COUNT.to_owned();
    }
    let connections = || {
        let proxies = brief.proxy.split(", ");
        proxies.flat_map(|proxy| history.connections(proxy))
    };
    let during = connections().any(|connection| {
        history.fault(fault).iter().any(|one| {
            let closed = connection.closed.as_ref().map(|(at, _)| *at);
            connection.opened < history.lifted(one) && closed.is_none_or(|at| one.inject <= at)
        })
    });
    if during {
        format!(
            "connections were open through `{}` while it was in force, and it met none of them: \
             see whether `percent`, `match`, `affect` or a condition of the fault's own leaves them out, and let requests go \
             through them meanwhile",
            brief.proxy
        )
    } else if asked_meanwhile(history, fault) && connections().next().is_some() {
        format!(
            "requests were sent while the fault was in force, but the service had no connection \
             through `{}` and made none: see first whether it reconnected after the fault before, or \
             answers without the database",
            brief.proxy
        )
    } else if connections().next().is_some() {
        format!(
            "clients connected through `{}`, but none while the fault was in force: let something \
             be asked of the service all that time",
            brief.proxy
        )
    } else {
        PAST.to_owned()
    }
}

/// Whether a workload or probe observed anything while the fault was in force.
fn asked_meanwhile(history: &History, fault: &str) -> bool {
    history.fault(fault).iter().any(|one| {
        let window = (one.inject, history.lifted(one));
        let mut sources = history.experiment().sources.keys();
        sources.any(|source| !history.samples_in(source, window).is_empty())
    })
}

/// Whether clients that the fault turned away could not be counted.
pub(super) fn is_uncounted(history: &History, fault: &str) -> bool {
    let mut events = history.events().iter();
    events.any(
        |event| matches!(&event.fact, Fact::RefusalsUncounted { fault: of, .. } if **of == *fault),
    )
}

/// How to have them counted.
pub(super) const COUNT: &str = "refused connections cannot be counted without CAP_NET_RAW: run with \
     it, or write `mode = \"reject\"` in the fault";

/// Nobody was ever seen: that the service goes past the proxy is by far the most common reason.
const PAST: &str = "see that the service connects to the address of the proxy, \
     not past it to the upstream, and that something is asked of it while the fault is in force";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Story;
    use crate::event::ClosedBy;

    fn advice(kind: &str, story: impl FnOnce(Story) -> Story) -> String {
        let story_of = Story::until(40.0).fault_of("cut", kind, json!({}), 20.0, 28.0);
        untouched(&story(story_of).history(None), "cut")
    }

    #[test]
    fn the_advice_follows_from_what_the_run_saw() {
        let uncounted = || Fact::RefusalsUncounted {
            fault: "cut".into(),
            proxy: "db".into(),
        };
        let unable = |why: &str| Fact::FaultUnable {
            fault: "cut".into(),
            proxy: "db".into(),
            conn: 0,
            why: why.into(),
        };
        let brief = |story: Story| story.session(0, 1.0).closed(0, 2.0, ClosedBy::Client);
        let advices = [
            (advice("partition", |story| story), "not past it"),
            (
                advice("partition", brief),
                "none while the fault was in force",
            ),
            (
                advice("partition", |story| story.session(0, 1.0)),
                "met none of them",
            ),
            (
                advice("partition", |story| brief(story).fact(20.0, uncounted())),
                "CAP_NET_RAW",
            ),
            (advice("command", brief), "why it did nothing"),
            (
                advice("pg_error", |story| {
                    story.fact(21.0, unable("encrypted with TLS"))
                }),
                "sslmode=disable",
            ),
            (
                advice("pg_error", |story| {
                    story.fact(21.0, unable("the client speaks HTTP/2"))
                }),
                "what the fault is for",
            ),
        ];
        for (advice, expected) in advices {
            assert!(advice.contains(expected), "{expected}: {advice}");
        }
    }
}
