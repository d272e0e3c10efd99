use super::*;
use crate::time::Time;
use proptest::prelude::*;

const WALL: u64 = 1_800_000_000; // a multiple of 3,600

/// Series and the clocks they live by.
struct Machine {
    series: Series,
    now: u64,
    wall: Option<u64>,
}

impl Machine {
    fn new(wall: Option<u64>) -> Machine {
        Machine { series: Series::new(5_000), now: 5_000, wall }
    }

    /// So many seconds, in each of which that many queries are counted.
    fn run(&mut self, seconds: u64, queries: u32) {
        for _ in 0..seconds {
            (0..queries).for_each(|_| self.series.count(SeriesCount::Queries));
            self.now += 1_000;
            self.wall = self.wall.map(|wall| wall + 1);
            self.series.tick(self.now, self.wall);
        }
    }

    fn set_clock(&mut self, wall: u64) {
        self.wall = Some(wall);
        self.series.tick(self.now, self.wall);
    }

    /// Queries of all slots of a period.
    fn sum(&self, period: SeriesPeriod) -> u64 {
        (0..period.slots()).map(|number| u64::from(self.series.slot(period, number).counts[0])).sum()
    }

    /// Queries by the end of their slot.
    fn dated(&self, period: SeriesPeriod) -> Vec<(u64, u32)> {
        self.series.ended(period, 0).map(|(end, slot)| (end, slot.counts[0])).collect()
    }
}

fn slot(queries: u32) -> SeriesSlot {
    SeriesSlot { is_known: true, counts: [queries, 0, 0, 0, 0], ..SeriesSlot::default() }
}

#[test]
fn slots_end_where_minutes_and_hours_do() {
    let mut machine = Machine::new(Some(WALL + 3_590));
    machine.run(10, 1);
    assert_eq!(machine.series.end(SeriesPeriod::Hour), Some(WALL + 3_660));
    assert_eq!(machine.dated(SeriesPeriod::Day), [(WALL + 3_600, 10)]);
    assert_eq!(machine.dated(SeriesPeriod::Month), [(WALL + 3_600, 10)]);
    machine.run(3_660, 2);
    assert_eq!(machine.dated(SeriesPeriod::Month), [(WALL + 3_600, 10), (WALL + 7_200, 7_200)]);
    assert_eq!(machine.sum(SeriesPeriod::Month), 10 + 2 * 3_660);
    assert_eq!(machine.sum(SeriesPeriod::Hour), 2 * 59 * 60, "59 that have ended and the running one");
    assert_eq!(machine.series.slot(SeriesPeriod::Hour, 59).counts[0], 0);
    assert_eq!(machine.series.slot(SeriesPeriod::Hour, 58).counts[0], 120);
    assert!(!machine.series.slot(SeriesPeriod::Day, 0).is_known);
}

#[test]
fn a_machine_without_a_clock_gets_its_dates_later() {
    let mut machine = Machine::new(None);
    for minute in 1..=3 {
        machine.series.load(SeriesPeriod::Day, WALL + minute * 60, slot(100 + minute as u32));
    }
    machine.run(150, 1);
    assert_eq!(machine.series.end(SeriesPeriod::Day), None);
    assert_eq!(machine.dated(SeriesPeriod::Day), []);
    // Ten minutes after what was saved.
    machine.set_clock(WALL + 600);
    assert_eq!(
        machine.dated(SeriesPeriod::Day),
        [(WALL + 60, 101), (WALL + 120, 102), (WALL + 180, 103), (WALL + 540, 60), (WALL + 600, 60)]
    );
    machine.run(60, 1);
    assert_eq!(machine.dated(SeriesPeriod::Day).last(), Some(&(WALL + 660, 30 + 60)));
}

#[test]
fn steps_of_the_clock_lose_and_double_nothing() {
    for step in [-7_200i64, -3_600, -90, -29, -1, 1, 29, 31, 600, 86_400, 10_000_000] {
        let mut machine = Machine::new(Some(WALL));
        machine.run(3_700, 1);
        let before = machine.dated(SeriesPeriod::Day);
        machine.set_clock((WALL + 3_700).saturating_add_signed(step));
        assert_eq!(machine.sum(SeriesPeriod::Day), 3_700, "{step}");
        assert_eq!(machine.sum(SeriesPeriod::Month), 3_700, "{step}");
        // All move by the same number of minutes, the nearest one.
        let after = machine.dated(SeriesPeriod::Day);
        let moved = after[0].0 as i64 - before[0].0 as i64;
        assert!((moved - step).abs() <= 31, "{step}: {moved}");
        machine.run(7_300, 1);
        assert_eq!(machine.sum(SeriesPeriod::Day), 11_000, "{step}");
        assert_eq!(machine.sum(SeriesPeriod::Month), 11_000, "{step}");
    }
}

#[test]
fn a_step_back_onto_what_was_loaded_loses_nothing() {
    let mut machine = Machine::new(Some(WALL));
    for minute in 1..=30 {
        machine.series.load(SeriesPeriod::Day, WALL - 1_800 + minute * 60, slot(7));
    }
    machine.run(600, 1);
    let before = machine.dated(SeriesPeriod::Day);
    assert_eq!(before.len(), 40);
    // Back to the middle of what was loaded: all of it moves, so no slot is there twice and none has gone.
    machine.set_clock(WALL - 300);
    let moved: Vec<_> = before.iter().map(|(end, queries)| (end - 900, *queries)).collect();
    assert_eq!(machine.dated(SeriesPeriod::Day), moved);
    machine.run(600, 1);
    machine.set_clock(WALL + 1_200);
    let again = machine.dated(SeriesPeriod::Day);
    assert_eq!((again.len(), &again[..40]), (50, &before[..]), "the clock came back");
}

#[test]
fn a_slot_that_ran_at_the_end_goes_on() {
    let mut machine = Machine::new(Some(WALL + 130));
    for minute in 1..=3 {
        machine.series.load(SeriesPeriod::Day, WALL + minute * 60, slot(7));
    }
    machine.series.load(SeriesPeriod::Month, WALL, slot(100));
    machine.series.load(SeriesPeriod::Month, WALL + 3_600, slot(21));
    machine.run(60, 1);
    let dated = [(WALL + 60, 7), (WALL + 120, 7), (WALL + 180, 7 + 50)];
    assert_eq!(machine.dated(SeriesPeriod::Day), dated);
    assert_eq!(machine.dated(SeriesPeriod::Month), [(WALL, 100)]);
    assert_eq!((machine.sum(SeriesPeriod::Day), machine.sum(SeriesPeriod::Month)), (21 + 60, 121 + 60));
}

#[test]
fn a_clock_behind_what_was_loaded_is_waited_for() {
    let mut machine = Machine::new(Some(WALL));
    for minute in 1..=60 {
        machine.series.load(SeriesPeriod::Day, WALL + minute * 60, slot(7));
    }
    machine.run(120, 1);
    assert_eq!((machine.series.end(SeriesPeriod::Day), machine.sum(SeriesPeriod::Day)), (None, 60 * 7 + 120));
    let mut impatient = Machine::new(Some(WALL));
    impatient.series.load(SeriesPeriod::Day, WALL + 3_600, slot(7));
    impatient.run(700, 1);
    assert_eq!(impatient.sum(SeriesPeriod::Day), 707, "the clock is believed in the end");
    assert!(impatient.series.end(SeriesPeriod::Day).is_some());
    assert_eq!(impatient.series.redated(), 1, "and what was saved has other dates");
    machine.set_clock(WALL + 4_000);
    assert_eq!(machine.sum(SeriesPeriod::Day), 60 * 7 + 120);
    assert_eq!(machine.dated(SeriesPeriod::Day)[59], (WALL + 3_600, 7));
}

#[test]
fn what_is_counted_is_what_a_slot_says() {
    let mut series = Series::new(0);
    series.tick(0, Some(WALL));
    let zero = Time::new(0, 0).unwrap();
    for client in 0..40u64 {
        series.count_client((client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        series.count_client(1);
        series.count(SeriesCount::Blocked);
        series
            .count_latency(Latency::between(zero, Time::new(0, client as u32 * 1_000_000).unwrap()).unwrap());
    }
    series.tick(59_999, Some(WALL + 59));
    series.tick(60_999, Some(WALL + 60));
    series.count_client(1);
    let slot = series.slot(SeriesPeriod::Day, 1_438);
    assert_eq!((slot.clients, slot.counts), (41, [0, 0, 0, 0, 40]));
    assert!((17_000..22_000).contains(&slot.p50) && (34_000..41_000).contains(&slot.p95), "{slot:?}");
    assert_eq!(series.slot(SeriesPeriod::Day, 1_439).clients, 1);
    assert_eq!(series.slot(SeriesPeriod::Month, 743).clients, 41);
    series.clear();
    assert!((0..1_439).all(|number| !series.slot(SeriesPeriod::Day, number).is_known));
}

proptest! {
    /// Whatever the clock does, dates rise, and nothing is lost or there twice.
    #[test]
    fn dates_rise(loaded in prop::collection::btree_set(1u64..700, 0..40), steps in prop::collection::vec((0u64..200, prop::option::of(0u64..700)), 0..12)) {
        let mut machine = Machine::new(None);
        for minute in &loaded {
            machine.series.load(SeriesPeriod::Day, minute * 60, slot(1_000_000));
        }
        let mut seconds = 0;
        for (run, clock) in steps {
            machine.run(run, 1);
            seconds += run;
            if let Some(minute) = clock {
                machine.set_clock(minute * 60 + run);
            }
            prop_assert_eq!(machine.sum(SeriesPeriod::Day), loaded.len() as u64 * 1_000_000 + seconds);
            let dated = machine.dated(SeriesPeriod::Day);
            prop_assert!(dated.windows(2).all(|pair| pair[0].0 < pair[1].0), "{:?}", dated);
        }
    }
}
