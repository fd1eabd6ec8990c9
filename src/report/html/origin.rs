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
    let path = quoted(&report.scenario.path);
    html! {
        dl .facts {
            @for (name, fact) in &facts { dt { (name) } dd { (fact) } }
            @for (name, fact) in &report.environment { dt { (name) } dd { (fact) } }
        }
        p { "To run it again with the same dice:" }
        pre { code { "chaosproxy run " (path) " --seed " (report.seed) } }
        p { "To judge this run again from its journal, in the folder of this page:" }
        pre { code { (report.judge_again) } }
    }
}

/// As a shell takes it for one word.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_path_stays_one_word() {
        assert_eq!(quoted("scenarios/db-1.toml"), "scenarios/db-1.toml");
        assert_eq!(quoted("my dir/it's.toml"), r"'my dir/it'\''s.toml'");
        assert_eq!(quoted(""), "''");
    }
}
