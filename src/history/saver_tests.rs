//! Lives of a daemon, one after the other, with clocks that step.

use super::super::series::SeriesCount;
use super::super::status::StatusRules;
use super::*;
use crate::limits::{self, Limits};
use crate::reactor::block_on;

const WALL: u64 = 1_800_000_000; // a multiple of 3,600

/// A daemon, from its start on.
struct Life {
    history: RefCell<History>,
    saver: Saver,
    now: u64,
    wall: Option<u64>,
}

impl Life {
    fn start(folder: &Path, wall: Option<u64>) -> Life {
        let limits = Limits::resolve(&limits::Section::default());
        let section = toml::from_str("log = \"64K\"").unwrap();
        let rules = StatusRules { addresses: Vec::new(), names: None };
        let mut history = History::new(&section, &limits, rules, 5_000);
        let settings =
            SaveSettings { folder: folder.to_path_buf(), interval: Duration::from_secs(1), budget: 0 };
        let saver = Saver::load(settings, &mut history);
        let mut life = Life { history: RefCell::new(history), saver, now: 5_000, wall };
        life.tick();
        life
    }

    fn tick(&mut self) {
        self.history.borrow_mut().tick(self.now, self.wall, |_| {});
    }

    /// So many seconds with a query each.
    fn run(mut self, seconds: u64) -> Self {
        for _ in 0..seconds {
            self.history.borrow_mut().series.count(SeriesCount::Queries);
            self.now += 1_000;
            self.wall = self.wall.map(|wall| wall + 1);
            self.tick();
        }
        self
    }

    fn set_clock(mut self, wall: u64) -> Self {
        self.wall = Some(wall);
        self.tick();
        self
    }

    fn save(mut self) -> Self {
        block_on(self.saver.save(&self.history, false)).unwrap();
        self
    }

    fn stop(mut self) {
        block_on(self.saver.save(&self.history, true)).unwrap();
    }

    /// Queries of all minutes of a day, and of all hours of a month.
    fn sums(&self) -> [u64; 2] {
        let history = self.history.borrow();
        PERIODS.map(|period| {
            (0..period.slots()).map(|at| u64::from(history.series.slot(period, at).counts[0])).sum()
        })
    }
}

/// What is remembered in the end of lives in a folder of their own.
fn check(name: &str, lives: impl FnOnce(&Path) -> Life, expected: u64) {
    let folder = std::env::temp_dir().join(format!("dnstapd-saver-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    assert_eq!(lives(&folder).sums(), [expected; 2], "{name}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn steps_of_the_clock_lose_and_double_nothing_that_was_saved() {
    check(
        "from-1970",
        |folder| {
            Life::start(folder, Some(WALL)).run(200).stop();
            Life::start(folder, None).run(90).set_clock(WALL + 400).run(60).stop();
            Life::start(folder, Some(WALL + 800))
        },
        350,
    );
    check(
        "1970-alone",
        |folder| {
            Life::start(folder, Some(WALL)).run(200).stop();
            // What has no date yet cannot be saved, and takes nothing away.
            Life::start(folder, None).run(10).stop();
            Life::start(folder, Some(WALL + 800))
        },
        200,
    );
    check(
        "boots-an-hour-back",
        |folder| {
            Life::start(folder, Some(WALL + 7_200)).run(200).stop();
            Life::start(folder, Some(WALL + 3_600)).run(120).set_clock(WALL + 7_600).run(60).stop();
            Life::start(folder, Some(WALL + 8_000))
        },
        380,
    );
    check(
        "an-hour-back",
        |folder| {
            Life::start(folder, Some(WALL + 7_200)).run(200).save().set_clock(WALL + 3_600).run(200).save();
            // Killed: what was saved last is there.
            Life::start(folder, Some(WALL + 4_100))
        },
        400,
    );
    check(
        "an-hour-back-just-after-the-start",
        |folder| {
            Life::start(folder, Some(WALL + 7_200)).run(200).stop();
            Life::start(folder, Some(WALL + 7_430)).run(10).set_clock(WALL + 3_840).run(60).save();
            Life::start(folder, Some(WALL + 3_950)).run(30).stop();
            Life::start(folder, Some(WALL + 4_000))
        },
        300,
    );
    check(
        "an-hour-back-for-good",
        |folder| {
            Life::start(folder, Some(WALL + 7_200)).run(200).stop();
            // The clock is believed after ten minutes.
            Life::start(folder, Some(WALL + 3_600)).run(700).save();
            Life::start(folder, Some(WALL + 4_400))
        },
        900,
    );
    check(
        "a-day-ahead",
        |folder| {
            Life::start(folder, Some(WALL)).run(200).save().set_clock(WALL + 86_600).run(100).save().stop();
            Life::start(folder, Some(WALL + 87_000)).run(60).stop();
            Life::start(folder, Some(WALL + 87_200))
        },
        360,
    );
    check(
        "to-and-fro",
        |folder| {
            let life =
                Life::start(folder, Some(WALL)).run(100).save().set_clock(WALL + 86_500).run(100).save();
            life.set_clock(WALL + 200).run(100).save().stop();
            Life::start(folder, Some(WALL + 500))
        },
        300,
    );
}
