use super::filter::FILTER_VALUES;
use super::*;
use crate::time::Latency;
use crate::wire::iana::Rcode;
use core::hash::BuildHasher;
use proptest::prelude::*;
use std::collections::VecDeque;

/// The source of a record.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    time: Option<i64>,
    identity: Vec<u8>,
    stream: u16,
    client: Option<IpAddr>,
    name: Option<Vec<u8>>,
    qtype: Option<RrType>,
    message: MessageType,
    family: Option<Family>,
    protocol: Option<Protocol>,
    outcome: Outcome,
    latency: LatencyClass,
    answer: Option<Vec<u8>>,
}

const PENDING: Outcome = Outcome { status: Status::Pending, rcode: Some(0), ede: None, responded: false };
const ANSWERED: Outcome = Outcome { status: Status::Answered, rcode: Some(0), ede: None, responded: true };

fn hash(value: impl core::hash::Hash) -> u64 {
    foldhash::quality::FixedState::with_seed(7).hash_one(value)
}

fn wire(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

fn name(wire: &[u8]) -> Name<'_> {
    Name::parse(wire).unwrap().0
}

impl Model {
    /// A pending query of a home.
    fn new(time: i64, client: u32, text: &str) -> Model {
        Model {
            time: Some(time),
            identity: b"router".to_vec(),
            stream: 0,
            client: Some(IpAddr::from(client.to_be_bytes())),
            name: Some(wire(text)),
            qtype: Some(RrType::A),
            message: MessageType::CLIENT_QUERY,
            family: Some(Family::INET),
            protocol: Some(Protocol::UDP),
            outcome: PENDING,
            latency: LatencyClass::NONE,
            answer: None,
        }
    }

    fn append(&self, log: &mut Log) -> Handle {
        log.append(&Exchange {
            time: self.time.and_then(time_of),
            identity: &self.identity,
            identity_hash: hash(&self.identity),
            stream: self.stream,
            client: self.client,
            client_hash: hash(self.client),
            name: self.name.as_deref().map(name),
            name_hash: hash(self.name.as_ref().map(|name| name.to_ascii_lowercase())),
            qtype: self.qtype,
            message: self.message,
            family: self.family,
            protocol: self.protocol,
            outcome: self.outcome,
            latency: self.latency,
            answer: answer(&self.answer),
        })
    }

    fn of(record: &LogRecord<'_>) -> Model {
        Model {
            time: record.time,
            identity: record.identity.to_vec(),
            stream: record.stream,
            client: record.client,
            name: record.name.map(|name| name.wire_form().to_vec()),
            qtype: record.qtype,
            message: record.query_message,
            family: record.family,
            protocol: record.protocol,
            outcome: record.outcome,
            latency: record.latency,
            answer: match record.answer {
                LoggedAnswer::None => None,
                LoggedAnswer::Address(IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
                LoggedAnswer::Address(IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
                LoggedAnswer::Alias(name) => Some(name.wire_form().to_vec()),
            },
        }
    }
}

fn answer(bytes: &Option<Vec<u8>>) -> LoggedAnswer<'_> {
    match bytes.as_deref() {
        None => LoggedAnswer::None,
        Some(&[a, b, c, d]) if a != 3 => LoggedAnswer::Address(IpAddr::from([a, b, c, d])),
        Some(bytes) if bytes.len() == 16 => {
            LoggedAnswer::Address(IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap()))
        }
        Some(bytes) => LoggedAnswer::Alias(name(bytes)),
    }
}

/// All that a filter wants, in steps of that budget.
fn search(
    log: &Log,
    filter: &LogFilter<'_>,
    budget: u32,
    client: &dyn Fn(Option<IpAddr>) -> bool,
) -> Vec<Model> {
    let (mut found, mut position) = (Vec::new(), Position::NEWEST);
    loop {
        let mut visit = |record: &LogRecord<'_>| {
            found.push(Model::of(record));
            true
        };
        if log.search(&mut position, filter, client, budget, &mut visit) == SearchProgress::Done {
            return found;
        }
    }
}

fn all(log: &Log) -> Vec<Model> {
    search(log, &LogFilter::default(), u32::MAX, &|_| true)
}

/// Random numbers that are the same at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27) % limit
    }

    /// A rank from 0 to `names` - 1, of which each is as frequent as its number says (Zipf, 1.0).
    fn zipf(&mut self, names: f64) -> u64 {
        let share = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        ((names + 1.0).powf(share) - 1.0) as u64
    }
}

/// The traffic of a home: exchanges of 6,000 names from 20 clients.
fn home(log: &mut Log, random: &mut Random, exchanges: u64, with_answers: bool) {
    for at in 0..exchanges {
        let rank = random.zipf(6_000.0);
        let text =
            format!("{}.host-{rank}.example-{}.com", ["www", "api", "cdn"][rank as usize % 3], rank % 700);
        let mut query =
            Model::new(1_700_000_000_000 + at as i64 * 600, 0xc0a8_0100 + random.below(20) as u32, &text);
        query.time = query.time.map(|time| time + random.below(1200) as i64);
        if random.below(2) == 1 {
            query.qtype = Some(RrType(28));
        }
        let handle = query.append(log);
        let outcome = match random.below(10) {
            0 => Outcome { status: Status::Nxdomain, rcode: Some(3), ..ANSWERED },
            1 => Outcome { status: Status::Blocked, ede: Some(15), ..ANSWERED },
            _ => ANSWERED,
        };
        let v4 = IpAddr::from((rank as u32 * 7919).to_be_bytes());
        let v6 = IpAddr::from((u128::from(rank) << 100 | 1).to_be_bytes());
        let answer = match (with_answers, query.qtype) {
            (false, _) => LoggedAnswer::None,
            (true, Some(RrType::A)) => LoggedAnswer::Address(v4),
            _ => LoggedAnswer::Address(v6),
        };
        let latency = Latency::between(time_of(0).unwrap(), time_of(random.below(3000) as i64).unwrap());
        assert!(log.complete(handle, &outcome, latency, &answer).is_some());
    }
}

#[test]
fn the_traffic_of_a_home_fits() {
    let mut log = Log::new(1 << 20, false, 64);
    let mut random = Random(1);
    for round in 0..6 {
        home(&mut log, &mut random, 40_000, false);
        println!(
            "{round}: {} records, {} strings, {} free",
            log.records(),
            log.store.strings(),
            log.store.free()
        );
        assert!(log.evicted() == 0 || log.records() >= 80_000, "{}", log.records());
    }
    let mut log = Log::new(1 << 20, true, 64);
    for round in 0..4 {
        home(&mut log, &mut random, 30_000, true);
        println!("{round}: {} records with answers", log.records());
        assert!(log.evicted() == 0 || log.records() >= 50_000, "{}", log.records());
    }
}

#[test]
fn a_storm_of_names_keeps_the_last_ones_and_passes() {
    let mut log = Log::new(1 << 20, false, 64);
    let mut random = Random(2);
    let label = "a".repeat(47);
    for at in 0..200_000u64 {
        let query = Model::new(at as i64, at as u32, &format!("{at:08}.{label}.com"));
        query.append(&mut log);
        assert!(log.evicted() == 0 || log.records() >= 8_000, "{}", log.records());
    }
    println!("{} records of a storm", log.records());
    // In the middle of a storm people go on.
    for at in 0..30_000 {
        Model::new(at, at as u32, &format!("{at:08}.{label}.org")).append(&mut log);
        home(&mut log, &mut random, 1, false);
    }
    for _ in 0..5 {
        home(&mut log, &mut random, 40_000, false);
        println!("{} records after a storm", log.records());
    }
    assert!(log.records() >= 75_000, "{}", log.records());
}

/// When all records have gone, no string is left.
#[test]
fn no_string_outlives_its_last_record() {
    let mut log = Log::new(64 << 10, true, 4);
    let mut random = Random(3);
    home(&mut log, &mut random, 20_000, true);
    while log.oldest != log.open.sequence {
        log.evict();
    }
    // What the open page refers to, and no more.
    let mut strings = std::collections::HashSet::new();
    let open = all(&log);
    for model in &open {
        strings.extend(model.name.clone());
        strings.extend(model.answer.clone().filter(|answer| answer.len() != 4));
        strings.insert(format!("{:?}", model.client).into_bytes());
        strings.insert(format!("{:?}", (model.qtype, &model.identity)).into_bytes());
    }
    assert!(log.store.strings() >= strings.len(), "{} of {}", log.store.strings(), strings.len());
    assert!(log.store.strings() <= strings.len() + 8, "{} of {}", log.store.strings(), strings.len());
    log.evict();
    assert_eq!((log.records(), log.store.strings()), (0, 0));
    assert_eq!(log.store.free(), log.pages.len() - 1);
}

fn number() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![Just(Some(0)), Just(Some(3)), Just(Some(2)), Just(None), any::<u16>().prop_map(Some)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    (0..Status::ALL.len(), number(), number(), any::<bool>()).prop_map(|(status, rcode, ede, responded)| {
        Outcome { status: Status::ALL[status], rcode, ede, responded }
    })
}

fn model() -> impl Strategy<Value = Model> {
    let time = prop_oneof![
        8 => (0i64..3_000).prop_map(Some),
        1 => (-10_000i64..10_000_000_000).prop_map(Some),
        1 => Just(None)
    ];
    let client = prop_oneof![
        4 => (0u32..40).prop_map(|low| Some(IpAddr::from((0xc0a8_0000 + low).to_be_bytes()))),
        1 => any::<u128>().prop_map(|bits| Some(IpAddr::from(bits.to_be_bytes()))),
        1 => Just(None)
    ];
    let text = prop_oneof![
        6 => (0..12u8).prop_map(|n| Some(wire(&format!("{}.{}.com", ["a", "bc"][n as usize % 2], ["example", "test", "we"][n as usize % 3])))),
        2 => (any::<u16>(), 1..40usize).prop_map(|(n, long)| Some(wire(&format!("N{n}.{}.{}.org", "x".repeat(long), "Y".repeat(long))))),
        1 => Just(Some(vec![0])),
        1 => Just(None)
    ];
    let numbers = (
        prop_oneof![Just(Some(1u16)), Just(Some(28)), any::<Option<u16>>()],
        prop_oneof![4 => Just(5u32), 1 => 0..20u32],
        prop_oneof![Just(Some(1u32)), Just(None), Just(Some(9))],
        prop_oneof![Just(Some(1u32)), Just(None), Just(Some(900))],
    );
    let answer = prop_oneof![
        Just(None),
        any::<[u8; 3]>().prop_map(|[a, b, c]| Some(vec![10, a, b, c])),
        (0..20u128).prop_map(|low| Some(low.to_be_bytes().to_vec())),
        Just(Some(wire("alias.example.net")))
    ];
    (time, client, text, numbers, 0..3usize, outcome(), 0u8..191, answer).prop_map(
        |(time, client, name, (qtype, message, family, protocol), identity, outcome, latency, answer)| {
            Model {
                time,
                identity: [&b""[..], b"ab", b"ns1.example"][identity].to_vec(),
                stream: 1,
                client,
                name,
                qtype: qtype.map(RrType),
                message: MessageType(message),
                family: family.map(Family),
                protocol: protocol.map(Protocol),
                outcome,
                latency: LatencyClass(latency),
                answer,
            }
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Append(Model),
    /// Ends the exchange that was appended that many before.
    Complete(usize, Outcome, Option<Vec<u8>>),
    Forget(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => model().prop_map(Step::Append),
        3 => (0..30usize, outcome(), prop_oneof![Just(None), Just(Some(vec![10, 0, 0, 1])), Just(Some(vec![9; 16]))])
            .prop_map(|(back, outcome, answer)| Step::Complete(back, outcome, answer)),
        1 => (0..30usize).prop_map(Step::Forget)
    ];
    prop::collection::vec(step, 0..3_000)
}

/// Does the steps; returns what the log should hold, oldest first, with its handles.
fn run(log: &mut Log, steps: Vec<Step>) -> VecDeque<(Handle, Model)> {
    let mut kept: VecDeque<(Handle, Model)> = VecDeque::new();
    let mut base = 1_700_000_000_000;
    for step in steps {
        match step {
            Step::Append(mut model) => {
                model.time = model.time.map(|delta| (base + delta).max(0));
                base = model.time.unwrap_or(base);
                kept.push_back((model.append(log), model));
            }
            Step::Complete(back, outcome, bytes) => {
                let Some(at) = kept.len().checked_sub(back + 1) else { continue };
                let (handle, model) = kept[at].clone();
                let is_there = log.record(handle).is_some();
                let done = log.complete(handle, &outcome, None, &answer(&bytes));
                assert_eq!(done.is_some(), is_there && model.outcome.status == Status::Pending);
                let Some(new) = done else { continue };
                let answer = bytes.or(if new == handle { model.answer.clone() } else { None });
                let model = Model { outcome, latency: LatencyClass::NONE, answer, ..model };
                if new == handle {
                    kept[at].1 = model;
                } else {
                    kept.remove(at);
                    kept.push_back((new, model));
                }
            }
            Step::Forget(back) => {
                let Some(at) = kept.len().checked_sub(back + 1) else { continue };
                let (handle, model) = kept[at].clone();
                if log.record(handle).is_none() || model.outcome.status != Status::Pending {
                    continue;
                }
                log.forget(handle);
                let outcome = Outcome { status: Status::Unknown, ..model.outcome };
                let model = Model { outcome, latency: LatencyClass::NONE, ..model };
                if log.record(handle).is_some() {
                    kept[at].1 = model;
                } else {
                    kept.remove(at);
                    kept.push_back((Handle::default(), model));
                }
            }
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_log_holds_the_last_exchanges_as_they_were(steps in steps(), answers: bool) {
        let mut log = Log::new(LOG_BYTES_MIN, answers, 2);
        let mut kept = run(&mut log, steps);
        let total = kept.len();
        let evicted = total - log.records() as usize;
        kept.drain(..evicted);
        prop_assert_eq!(log.evicted(), evicted as u64);
        let mut expected: Vec<Model> = kept.into_iter().rev().map(|(_, model)| model).collect();
        if !answers {
            expected.iter_mut().for_each(|model| model.answer = None);
        }
        prop_assert_eq!(all(&log), expected);
    }

    #[test]
    fn what_is_saved_comes_back_as_it_was(steps in steps(), answers: bool) {
        let mut log = Log::new(LOG_BYTES_MIN, answers, 2);
        log.end_loading();
        run(&mut log, steps);
        let again = loaded(&saved(&mut log), answers);
        let mut expected = all(&log);
        for model in &mut expected {
            model.stream = 0;
            if model.outcome.status == Status::Pending {
                model.outcome.status = Status::Unknown;
            }
        }
        let found = all(&again);
        prop_assert_eq!(&expected[..found.len()], &found[..]);
        prop_assert!(found.len() as u64 == again.records() && found.len() * 10 >= expected.len() * 9);
        prop_assert_eq!((again.evicted(), again.unsaved(), again.over_first()), (0, 0, again.over()));
    }

    /// A quick look at the bytes of a name says no only where its text does.
    #[test]
    fn a_name_that_is_wanted_may_be(
        labels in prop::collection::vec(prop::collection::vec(prop::sample::select(b"abA03.\\*\x03 \xff-".to_vec()), 1..5), 0..4),
        from in 0..12usize, length in 0..20usize, stars in prop::collection::vec((0..12usize, any::<bool>()), 0..4),
    ) {
        let wire: Vec<u8> =
            labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).chain([0]).collect();
        let mut text = name(&wire).to_string().to_ascii_lowercase().into_bytes();
        text.pop();
        let mut pattern: Vec<u8> = text.into_iter().skip(from).take(length).collect();
        for (at, replaces) in stars {
            let at = at.min(pattern.len());
            if replaces && at < pattern.len() { pattern[at] = b'*' } else { pattern.insert(at, b'*') }
        }
        let mut filter = LogFilter::default();
        filter.names.push(&pattern).unwrap();
        prop_assert!(filter.may_want_name(&wire) || !filter.wants_name(Some(name(&wire))), "{:?} {:?}", pattern, wire);
    }

    #[test]
    fn a_filter_is_a_walk_over_all(steps in steps(), filter in 0..14usize, budget in 1u32..400) {
        let mut log = Log::new(64 << 10, false, 2);
        run(&mut log, steps);
        let mut wanted = LogFilter::default();
        let mut client: Box<dyn Fn(Option<IpAddr>) -> bool> = Box::new(|_| true);
        match filter {
            0 => wanted.names.push(b"example.com").unwrap(),
            1 => wanted.names.push(b"a*e.com").unwrap(),
            2 => wanted.types.push(RrType(28)).unwrap(),
            3 => wanted.rcodes.extend([Rcode(3), Rcode(700)]),
            4 => wanted.messages.push(MessageTerm::parse("client_response").unwrap()).unwrap(),
            5 => wanted.messages.push(MessageTerm::parse("CLIENT").unwrap()).unwrap(),
            6 => wanted.identities.push(b"ab").unwrap(),
            7 => wanted.statuses.extend([Status::Blocked, Status::Error]),
            8 => wanted.protocols.push(Protocol(900)).unwrap(),
            9 => wanted.min_latency = Some(1000),
            10 => wanted.since = Some(1_700_000_300_000),
            11 => wanted.until = Some(1_700_000_300_000),
            12 => client = Box::new(|address| address == Some(IpAddr::from([192, 168, 0, 7]))),
            _ => {}
        }
        let mut expected = Vec::new();
        log.search(&mut Position::NEWEST.clone(), &LogFilter::default(), &|_| true, u32::MAX, &mut |record| {
            if wanted.wants(record) && client(record.client) {
                expected.push(Model::of(record));
            }
            true
        });
        prop_assert_eq!(search(&log, &wanted, budget, &*client), expected);
    }
}

/// The log as a segment, block by block.
fn saved(log: &mut Log) -> Vec<u8> {
    let mut writer = ExchangeWriter::new(Position::default());
    let (mut segment, mut block) = (crate::wire::segment::MAGIC.to_vec(), Vec::with_capacity(4096));
    loop {
        let mut out = crate::wire::segment::Output::begin(&mut block, 4096);
        let has_more = log.write_saved(&mut writer, true, &mut out);
        if out.end() {
            segment.extend_from_slice(&block);
        }
        if !has_more {
            break;
        }
    }
    assert_eq!(writer.position, log.end());
    segment.extend_from_slice(&crate::wire::segment::END);
    segment
}

fn loaded(segment: &[u8], answers: bool) -> Log {
    let mut log = Log::new(LOG_BYTES_MIN, answers, 2);
    let mut reader = ExchangeReader::of_file();
    let read = crate::wire::segment::entries(segment, |kind, input| {
        assert_eq!(kind, crate::wire::segment::EXCHANGE);
        reader.read(input, &mut log)
    });
    assert_eq!(read, Some(()));
    log.end_loading();
    log
}

#[test]
fn a_saved_exchange_of_a_home_is_small_and_waits_for_its_response() {
    let mut log = Log::new(1 << 20, false, 64);
    log.end_loading();
    home(&mut log, &mut Random(3), 20_000, false);
    let bytes = saved(&mut log).len();
    assert!(bytes < 20_000 * 25, "{bytes}");
    let waits = Model::new(1_700_100_000_000, 1, "waits.example").append(&mut log);
    home(&mut log, &mut Random(4), 10, false);
    let (mut writer, mut block) = (ExchangeWriter::new(log.saved().unwrap()), Vec::with_capacity(1 << 20));
    let mut out = crate::wire::segment::Output::begin(&mut block, 1 << 20);
    while log.write_saved(&mut writer, false, &mut out) {}
    let before = writer.position;
    assert!(log.complete(waits, &ANSWERED, None, &LoggedAnswer::None).is_some());
    while log.write_saved(&mut writer, false, &mut out) {}
    assert!(before < writer.position && writer.position == log.end());
}

#[test]
fn a_search_goes_on_where_it_stopped_while_the_log_grows() {
    let mut log = Log::new(64 << 10, false, 1);
    let mut random = Random(4);
    home(&mut log, &mut random, 3_000, false);
    let expected = all(&log);
    let (mut found, mut position) = (Vec::new(), Position::NEWEST);
    // Ten at a time; until the oldest page goes, the same as at once.
    loop {
        let mut left = 10;
        let progress = log.search(&mut position, &LogFilter::default(), &|_| true, u32::MAX, &mut |record| {
            found.push(Model::of(record));
            left -= 1;
            left > 0
        });
        if progress == SearchProgress::Done || found.len() > expected.len() / 2 {
            break;
        }
        position = Position::of_number(position.to_number()).unwrap();
        home(&mut log, &mut random, 1, false);
    }
    assert_eq!(found, expected[..found.len()]);
    home(&mut log, &mut random, 20_000, false);
    let evicted = log.search(&mut position, &LogFilter::default(), &|_| true, 1000, &mut |_| panic!("older"));
    assert_eq!(evicted, SearchProgress::Done);
}

#[test]
fn queries_without_a_response_end_after_a_minute_of_their_stream() {
    let mut log = Log::new(64 << 10, false, 2);
    let statuses = |log: &Log| all(log).iter().rev().map(|model| model.outcome.status).collect::<Vec<_>>();
    let at = |seconds: i64| time_of(1_700_000_000_000 + seconds * 1_000);
    let query = |stream: u16, seconds: i64| Model {
        stream,
        ..Model::new(1_700_000_000_000 + seconds * 1_000, 1, "a.b")
    };
    // The second stream is years behind.
    for seconds in 0..3 {
        query(0, seconds).append(&mut log);
        query(1, seconds - 100_000_000).append(&mut log);
        log.note_time(0, at(seconds), 1_000);
        log.note_time(1, at(seconds - 100_000_000), 1_000);
    }
    let mut ended = Vec::new();
    log.expire(1_000, |stream| ended.push(stream));
    assert_eq!(ended, []);
    log.note_time(0, at(61), 2_000);
    log.expire(2_000, |stream| ended.push(stream));
    use Status::{Pending as P, Unanswered as U};
    assert_eq!(statuses(&log), [U, P, U, P, P, P], "by the time of messages");
    log.expire(60_000, |stream| ended.push(stream));
    assert_eq!(statuses(&log), [U, U, U, U, U, P], "by that of the machine, while no message comes");
    assert_eq!(ended, [0, 0, 1, 1, 0]);
    // A response that comes too late ends nothing.
    assert_eq!(log.over(), 5);
    assert_eq!(log.over_at(4).map(|record| record.stream), Some(0));
    assert!(log.over_at(5).is_none());
}

#[test]
fn what_is_over_is_listed_once_in_that_order() {
    let mut log = Log::new(64 << 10, false, 1);
    let handles: Vec<_> =
        (0..5).map(|at| Model::new(at, 1, &format!("n{at}.org")).append(&mut log)).collect();
    Model { outcome: ANSWERED, ..Model::new(9, 1, "response.org") }.append(&mut log);
    for at in [3, 0, 3] {
        log.complete(handles[at], &ANSWERED, None, &LoggedAnswer::None);
    }
    log.forget(handles[1]);
    let names: Vec<_> =
        (0..log.over()).map(|number| log.over_at(number).unwrap().name.unwrap().to_string()).collect();
    assert_eq!(names, ["response.org.", "n3.org.", "n0.org.", "n1.org."]);
}

#[test]
fn names_match_themselves_and_below() {
    let check = |pattern: &str, text: &str, expected: bool| {
        let mut log = Log::new(LOG_BYTES_MIN, false, 1);
        Model::new(0, 1, text).append(&mut log);
        let mut filter = LogFilter::default();
        filter.names.push(pattern.as_bytes()).unwrap();
        assert_eq!(search(&log, &filter, 1000, &|_| true).len() == 1, expected, "{pattern} {text}");
    };
    check("example.com", "example.com", true);
    check("example.com", "WWW.Example.com", true);
    check("example.com", "badexample.com", false);
    check("example.com", "example.com.org", false);
    check("*", "anything.at.all", true);
    check("*ads*", "www.my-ads-4.net", true);
    check("ads*", "www.ads4.net", true);
    check("ads*", "www.my-ads4.net", false);
    check("a*c*d.org", "abcbcbd.org", true);
    check("a*c*d.org", "abcbcbe.org", false);
    check("", "com", true);
    check("*", "", true);
    check("*.com", "www.com", true);
    check("*.com", "com", false);
    check("*m*.com", "example.com", true);
    check("*7.example", "host-17.EXAMPLE", true);
    check("host-*.example", "www.host-17.example", true);
}

#[test]
fn the_memory_is_that_of_the_plan() {
    for bytes in [LOG_BYTES_MIN, 64 << 10, 256 << 10, 1 << 20, 5_000_000, 16 << 20, 64 << 20] {
        let plan = LogPlan::of(bytes);
        let log = Log::new(bytes, false, 1);
        let lists = [&log.open.clients, &log.open.shapes].map(|list| PageList::cost(list.capacity()));
        let lists = lists.iter().sum::<usize>();
        let tables = size_of_val(&*log.pages) + size_of_val(&*log.order) + size_of_val(&*log.done);
        let store = plan.pages * (plan.page_bytes + Store::PAGE_COST)
            + Store::index_cost(plan.pages * plan.page_bytes);
        let all = lists + tables + store + size_of::<Log>();
        assert!(all <= bytes && all * 100 >= bytes * 90, "{bytes}: {all}");
    }
}

#[test]
fn a_filter_takes_as_many_values_as_it_says() {
    let mut filter = LogFilter::default();
    assert!((0..FILTER_VALUES as u16).all(|number| filter.types.push(RrType(number)).is_ok()));
    assert!(filter.types.push(RrType(99)).is_err());
}
