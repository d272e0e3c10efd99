//! Lives of a daemon, one after the other, with clocks that step.

use std::path::Path;

use super::super::log::{Exchange, LatencyClass, LoggedAnswer, Outcome, Status};
use super::super::series::SeriesCount;
use super::super::status::StatusRules;
use super::budget::PAGE_BYTES;
use super::segment_contents::PERIODS;
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
        Life::within(folder, wall, 0)
    }

    /// One with a budget.
    fn within(folder: &Path, wall: Option<u64>, budget: u64) -> Life {
        let limits = Limits::resolve(&limits::Section::default());
        let section = toml::from_str("log = \"64K\"").unwrap();
        let rules = StatusRules { addresses: Vec::new(), names: None };
        let mut history = History::new(&section, &limits, rules, 5_000);
        let settings =
            SaveSettings { folder: folder.to_path_buf(), interval: Duration::from_secs(1), budget };
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
        block_on(self.saver.save(&self.history, false, Instant::now())).unwrap();
        self
    }

    fn stop(mut self) {
        block_on(self.saver.save(&self.history, true, Instant::now())).unwrap();
    }

    /// Queries of all minutes of a day, and of all hours of a month.
    fn sums(&self) -> [u64; 2] {
        let history = self.history.borrow();
        PERIODS.map(|period| {
            (0..period.slots()).map(|at| u64::from(history.series.slot(period, at).counts[0])).sum()
        })
    }
}

/// Whatever is remembered in the end of lives in a folder of their own.
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

/// Exchanges with names of their own: more than any budget lets be saved.
fn storm(history: &mut History, seconds: u64) {
    for number in 0..400u64 {
        let mut wire = format!("\x28{:040}", seconds * 1_000 + number).into_bytes();
        wire.extend(b"\x07example\0");
        let exchange = Exchange {
            time: crate::time::Time::new(seconds, 0),
            identity: b"router",
            identity_hash: 1,
            stream: 0,
            client: Some([192, 0, 2, 1].into()),
            client_hash: 1,
            name: crate::wire::name::Name::parse(&wire).ok().map(|(name, _)| name),
            name_hash: seconds << 16 | number,
            qtype: None,
            message: crate::wire::iana::MessageType::CLIENT_RESPONSE,
            family: None,
            protocol: None,
            outcome: Outcome { status: Status::Answered, rcode: Some(0), ede: None, responded: true },
            latency: LatencyClass::NONE,
            answer: LoggedAnswer::None,
        };
        history.log_mut().unwrap().append(&exchange);
    }
}

#[test]
fn the_budget_is_kept_for_days_and_the_series_is_saved_all_the_same() {
    const BUDGET: u64 = 256 << 10;
    let folder = std::env::temp_dir().join(format!("dnstapd-saver-{}-days", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let begin = Instant::now();
    let mut life = Life::within(&folder, Some(WALL), BUDGET);
    let mut written = [0; 3];
    let (mut queries, mut saves) = (0u64, 0);
    for minute in 1..=3 * 1_440u64 {
        life.now += 60_000;
        life.wall = Some(WALL + minute * 60);
        for _ in 0..7 {
            life.history.borrow_mut().series.count(SeriesCount::Queries);
            queries += 1;
        }
        life.tick();
        if minute % 30 != 0 {
            continue;
        }
        storm(&mut life.history.borrow_mut(), WALL + minute * 60);
        let number = life.saver.next;
        let now = begin + Duration::from_secs(minute * 60);
        block_on(life.saver.save(&life.history, false, now)).unwrap();
        if let Ok(metadata) = folder.join(name_of(number)).metadata() {
            written[(minute - 1) as usize / 1_440] += metadata.len().next_multiple_of(PAGE_BYTES);
            saves += 1;
        }
    }
    assert!(
        written[0] <= BUDGET && written[1] <= BUDGET + PAGE_BYTES && written[2] <= BUDGET + PAGE_BYTES,
        "{written:?}"
    );
    assert!(written.iter().sum::<u64>() <= 3 * BUDGET && written[2] >= BUDGET / 2, "{written:?}");
    assert!(life.history.borrow().unsaved() > 1_000);
    println!("{saves} saves of {} bytes a day: {written:?}", BUDGET);
    // Cut off: of the series the last half hour at most is missing.
    let again = Life::within(&folder, life.wall, BUDGET);
    let month = again.sums()[1];
    assert!(month + 30 * 7 >= queries && month <= queries, "{month} of {queries}");
    fs::remove_dir_all(&folder).unwrap();
}
