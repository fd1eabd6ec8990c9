//! What a person sees while a run goes on, on stderr.
//!
//! On a terminal: a line for each thing that happens, and below them a block that is drawn again
//! in place, with the connections that are worth a look where there is room. Elsewhere: the same
//! lines, and the block's as plain lines every five seconds. It only reads the run's facts and never
//! holds the run up for longer than a write to stderr takes.

mod connection;
mod draw;
mod news;
mod proxy;
mod schedule;
mod source;
mod state;

use std::time::Duration;

use self::draw::Block;
use self::schedule::Schedule;
use self::state::State;
use super::output::{Printer, Talk};
use crate::event::Event;
use crate::scenario::{Plan, Turn, timeline};
use crate::units::Moment;

/// Time between two drawings on a terminal; more often than the eye follows is waste.
const REDRAW: Duration = Duration::from_millis(200);
/// Time between two reports of the state as lines.
const STATUS: Duration = Duration::from_secs(5);

/// The live display of one run.
#[derive(Debug)]
pub struct Live {
    printer: Printer,
    state: State,
    block: Block,
    /// When the block or its lines are due next.
    due: Moment,
}

impl Live {
    /// A display of a run of `plan`.
    pub fn new(printer: Printer, plan: &Plan) -> Self {
        let steps = timeline(plan).into_iter();
        let begins = steps.filter(|step| step.turn == Turn::Inject);
        let schedule = Schedule {
            duration: plan.duration,
            begins: begins
                .map(|step| (step.at, plan.faults[step.fault].name.clone()))
                .collect(),
        };
        Self {
            printer,
            state: State::new(&plan.experiment, schedule, printer.talk()),
            block: Block::default(),
            due: Moment::ZERO,
        }
    }

    /// Takes note of a fact, and tells of it at once if a person should know.
    pub fn see(&mut self, event: &Event) {
        let Some(line) = self.state.see(event) else {
            return;
        };
        match self.printer.talk() {
            Talk::Off => {}
            Talk::Lines => self.printer.say(&line.text),
            Talk::Terminal => {
                let erase = self.block.erase();
                self.printer.draw(&erase);
                self.printer.say(&draw::styled(&line.text, line.tone));
            }
        }
    }

    /// Lets time pass: shows the state anew if it is due. To be called several times a second.
    pub fn tick(&mut self, now: Moment) {
        if now < self.due {
            return;
        }
        match self.printer.talk() {
            Talk::Off => {}
            Talk::Lines => {
                self.due = now + STATUS;
                for line in self.state.status(now) {
                    self.printer.say(&line.text);
                }
            }
            Talk::Terminal => {
                self.due = now + REDRAW;
                let width = self.printer.width();
                let lines = self.state.screen(now, self.printer.height(), width);
                let colours = self.printer.colours_talk();
                let drawing = self.block.draw(&lines, width, colours);
                self.printer.draw(&drawing);
            }
        }
    }

    /// Takes the block away, so that what follows stands on its own.
    pub fn finish(&mut self) {
        let erase = self.block.erase();
        self.printer.draw(&erase);
    }
}
