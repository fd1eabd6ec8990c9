//! `make bench`: chaosproxy beside its peers, in turns, on one machine.
//!
//! Every figure is a ratio to the direct connection, measured right before and right after in the
//! same round, or CPU time that the proxy's processes took. Absolute figures do not carry from one
//! run to the next, nor from one machine to another.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people: progress on stderr, the page on stdout"
)]

mod faults;
mod load;
mod machine;
mod memory;
mod messages;
mod options;
mod page;
mod peers;
mod result;
mod rounds;
mod stage;
mod stats;

use options::Options;
use result::Report;
use stage::Stage;

fn main() -> anyhow::Result<()> {
    let options = Options::of_environment()?;
    // One thread for the guard and PostgreSQL's set-up; loads have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let report = runtime.block_on(bench(&options))?;
    println!("{}", page::render(&report));
    if options.is_complete() {
        page::write(&report)?;
    }
    Ok(())
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let stage = Stage::set_up(options).await?;
    let mut report = Report::new(options, &stage);
    // First, while no proxy has memory left over from anything else.
    if options.wants("memory") {
        report.memory = memory::measure(&stage)?;
    }
    report.lines = rounds::play(options, &stage)?;
    if options.wants("messages") {
        report.following = messages::measure(options, &stage).await?;
    }
    if options.wants("faults") {
        report.faults = Some(faults::measure(options, &stage).await?);
    }
    stage.strike().await?;
    Ok(report)
}
