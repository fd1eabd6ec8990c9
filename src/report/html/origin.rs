use maud::{Markup, html};

use crate::report::Report;

/// Where the report comes from, and how to get it again.
pub(super) fn origin(report: &Report) -> Markup {
    let facts = [
        ("run", report.run.to_string()),
        ("begun", report.started_at.to_string()),
        ("duration", format!("{:.3} s", report.duration_s)),
        ("exit code", report.exit_code.to_string()),
        ("seed", report.seed.to_string()),
        ("scenario", report.scenario.path.clone()),
        ("sha256", report.scenario.sha256.clone()),
        ("chaosproxy", report.chaosproxy.clone()),
    ];
    html! {
        dl .facts {
            @for (name, fact) in &facts { dt { (name) } dd { (fact) } }
            @for (name, fact) in &report.environment { dt { (name) } dd { (fact) } }
        }
        p { "To run it again with the same schedule and dice, where it was started; RUN is the folder of this page:" }
        pre { code { "chaosproxy replay RUN" } }
        p { "To judge this run again from its journal, in the folder of this page:" }
        pre { code { (report.judge_again) } }
    }
}
