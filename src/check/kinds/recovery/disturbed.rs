use crate::check::{History, show};
use crate::event::Sample;
use crate::units::Moment;

/// When the machine had no time to serve or to measure, and why that is known: no time overlaps
/// another, in order.
#[derive(Debug, Default)]
pub(super) struct Disturbed(Vec<(Moment, Moment, String)>);

impl Disturbed {
    /// Seconds in which the machine was too busy, and times in which one of `samples` should have
    /// been sent already.
    pub(super) fn within<'a>(history: &History, samples: impl Iterator<Item = &'a Sample>) -> Self {
        let limits = history.experiment().limits;
        let busy = history.busy_times();
        let busy = busy.filter(|(_, share)| *share > limits.max_busy.fraction());
        let busy = busy.map(|((from, to), share)| {
            let why = format!("the machine was {} busy", show::percent(share));
            (from, to, why)
        });
        let late = samples.filter(|sample| sample.lateness() > limits.max_lateness.get());
        let late = late.map(|sample| {
            let late = show::time(sample.lateness());
            let why = format!("`{}` was sent {late} late", sample.source);
            (sample.intended, sample.sent, why)
        });
        let mut times: Vec<_> = busy.chain(late).collect();
        times.sort();
        times.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1;
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        Self(times)
    }

    /// Why the latency of `sample` may be the machine's, if it may.
    pub(super) fn by(&self, sample: &Sample) -> Option<&str> {
        let first = self.0.partition_point(|(_, to, _)| *to < sample.intended);
        let (from, _, why) = self.0.get(first)?;
        (*from <= sample.done).then_some(why)
    }
}
