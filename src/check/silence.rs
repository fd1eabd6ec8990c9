//! Services that ended, and what a check that they met by doing nothing may say.

use super::{CheckSpec, Finding, History, Verdict, show};

/// Takes a pass back if a service ended before the end of what was looked at: what has ended does
/// nothing wrong any more.
pub(super) fn unless_ended(mut finding: Finding, spec: &CheckSpec, history: &History) -> Finding {
    let windows = finding.evidence.iter().filter_map(|one| one.window);
    let until = windows.map(|(_, to)| to).max();
    let until = until.unwrap_or_else(|| history.end());
    let mut ended = history.ended().into_iter();
    let ended = ended.find(|one| one.at < until && may_suffer(spec, history, &one.service));
    if let (Verdict::Pass, Some(first)) = (finding.verdict, ended) {
        let at = show::seconds(first.at.seconds_from(history.time_zero()));
        let why = format!("`{}` ended at {at} and did nothing after it", first.service);
        let help = "see first why it ended: its log is beside the report";
        finding.take_back(&why, help);
    }
    finding
}

/// Whether a check may be about what a service does: it names the service, or something that talks
/// to it, or it looks at a proxy, which anybody may use.
pub(super) fn may_suffer(spec: &CheckSpec, history: &History, service: &str) -> bool {
    let sources = &history.experiment().sources;
    let talks = |source: &str| {
        let brief = sources.get(source);
        brief.is_some_and(|brief| &*brief.service == service)
    };
    let params = spec.params.as_object().into_iter().flatten();
    let mut texts = params.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    let named = texts.any(|(key, name)| match key {
        "service" => name == service,
        "probe" | "source" | "workload" => talks(name),
        "proxy" => true,
        _ => false,
    });
    let that = spec.params["that"].as_array().into_iter().flatten();
    let mut assertions = that.filter_map(|one| one.as_str()?.split('.').next());
    named || assertions.any(talks)
}
