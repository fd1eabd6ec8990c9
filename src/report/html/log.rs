use maud::{Markup, html};

use super::seconds;
use crate::report::EventLog;

/// What happened, in order.
pub(super) fn log(log: &EventLog) -> Markup {
    html! {
        @if !log.entries.is_empty() {
            div .log .scroll {
                table {
                    tbody {
                        @for entry in &log.entries {
                            tr {
                                td .figure { (seconds(entry.at_s)) }
                                th scope="row" { (entry.subject) }
                                td { (entry.text) }
                            }
                        }
                    }
                }
            }
            @if log.left_out > 0 { p .quiet { (log.left_out) " more events are in the journal." } }
            @if log.alike > 0 {
                p .quiet { (log.alike) " log lines that are like others shown here are left out." }
            }
        }
    }
}
