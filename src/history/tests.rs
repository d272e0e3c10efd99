use super::log::{LogFilter, Position};
use super::*;
use crate::message::hashes::MessageHasher;
use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
use crate::message::name_set::NameSet;
use crate::message::pairing::Pairing;
use crate::wire::dnstap::{Dnstap, Message, Policy, SentTime};
use crate::wire::iana::{Family, MessageType, Protocol};

/// Pairing and a history, as the way of a message has them.
struct Way {
    pairing: Pairing,
    hasher: MessageHasher,
    history: History,
}

impl Way {
    fn new(pairing: usize, section: &str, rules: StatusRules) -> Way {
        let limits = Limits { pairing, ..Limits::resolve(&Default::default()) };
        Way {
            pairing: Pairing::with_exchanges(pairing),
            hasher: MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS)),
            history: History::new(&toml::from_str(section).unwrap(), &limits, rules, 0),
        }
    }

    /// A message with that payload, from port 5000 + `port`; whether it was blocked.
    fn pass(
        &mut self,
        message_type: MessageType,
        port: u32,
        seconds: u64,
        payload: &[u8],
        policy: Option<u32>,
    ) -> bool {
        let time = SentTime { seconds: Some(seconds), nanoseconds: Some(0) };
        let is_response = message_type.is_response();
        let message = Message {
            message_type,
            socket_family: Some(Family::INET),
            socket_protocol: Some(Protocol::UDP),
            query_address: Some(&[192, 0, 2, 1]),
            query_port: Some(5_000 + port),
            query_time: if is_response { SentTime::default() } else { time },
            response_time: if is_response { time } else { SentTime::default() },
            query_message: (!is_response).then_some(payload),
            response_message: is_response.then_some(payload),
            policy: policy.map(|action| Policy { action: Some(action), ..Policy::default() }),
            ..Message::default()
        };
        let dnstap = Dnstap { message, ..Dnstap::default() };
        let mut event = Event::from_dnstap(&dnstap);
        let hashes = self.hasher.hash(&event);
        self.pairing.observe(&mut event, &hashes);
        let policy_intervened = dnstap.message.policy.is_some_and(Policy::intervenes);
        let observed = self.history.observe(&event, &hashes, policy_intervened, 0);
        self.pairing.note(observed.mark);
        observed.is_blocked
    }

    /// Messages and statuses, newest first.
    fn log(&self) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        let log = self.history.log().unwrap();
        log.search(
            &mut Position::NEWEST.clone(),
            &LogFilter::default(),
            &|_| true,
            u32::MAX,
            &mut |record| {
                all.push((record.message().to_string(), record.outcome.status.label()));
                true
            },
        );
        all
    }
}

/// A message about `name.example` with that rcode and those answers.
fn dns(name: &str, rcode: u8, answers: &[&[u8]]) -> Vec<u8> {
    let mut payload =
        vec![0, 7, 0x81, 0x80 | rcode, 0, 1, 0, answers.len() as u8, 0, 0, 0, 0, name.len() as u8];
    payload.extend(name.bytes());
    payload.extend(b"\x07example\0\0\x01\0\x01");
    answers.iter().for_each(|answer| payload.extend(*answer));
    payload
}

const NOWHERE: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\0\0\0\0";
const SOMEWHERE: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07";
const QUERY: MessageType = MessageType::CLIENT_QUERY;
const RESPONSE: MessageType = MessageType::CLIENT_RESPONSE;

#[test]
fn a_query_and_its_response_are_one_exchange() {
    let mut way = Way::new(64, "", StatusRules::default());
    way.pass(QUERY, 1, 100, &dns("a", 0, &[]), None);
    assert_eq!(way.log(), [("CLIENT_QUERY".to_owned(), "pending")]);
    way.pass(QUERY, 1, 101, &dns("a", 0, &[]), None);
    assert_eq!(way.log().len(), 1, "asked once more");
    way.pass(RESPONSE, 1, 102, &dns("a", 0, &[SOMEWHERE]), None);
    assert_eq!(way.log(), [("CLIENT_RESPONSE".to_owned(), "answered")]);
    way.pass(RESPONSE, 1, 102, &dns("a", 3, &[]), None);
    assert_eq!(
        way.log(),
        [("CLIENT_RESPONSE".to_owned(), "nxdomain"), ("CLIENT_RESPONSE".to_owned(), "answered")]
    );
    way.pass(RESPONSE, 9, 103, &dns("b", 2, &[]), None);
    assert_eq!(way.log()[0].1, "error");
    assert_eq!(way.history.devices().iter().map(|(_, device)| device.queries()).sum::<u32>(), 3);
}

#[test]
fn a_query_that_pairing_forgot_is_unknown_and_one_without_response_unanswered() {
    let mut way = Way::new(4, "", StatusRules::default());
    for port in 0..5 {
        way.pass(QUERY, port, 100 + u64::from(port), &dns("a", 0, &[]), None);
    }
    let statuses: Vec<_> = way.log().iter().rev().map(|row| row.1).collect();
    assert_eq!(statuses, ["unknown", "pending", "pending", "pending", "pending"]);
    let mut unanswered = 0;
    way.pass(QUERY, 9, 163, &dns("a", 0, &[]), None);
    way.history.tick(0, Some(1_800_000_000), |_| unanswered += 1);
    let statuses: Vec<_> = way.log().iter().rev().map(|row| row.1).collect();
    assert_eq!(statuses, ["unknown", "unanswered", "unanswered", "unanswered", "pending", "pending"]);
    assert_eq!(unanswered, 3);
    way.pass(RESPONSE, 1, 164, &dns("a", 0, &[]), None);
    assert_eq!(way.log().len(), 7, "too late to end it");
}

#[test]
fn blocked_is_what_policy_error_address_or_list_say() {
    let path = std::env::temp_dir().join(format!("dnstapd-blocked-{}", std::process::id()));
    std::fs::write(&path, "0.0.0.0 elsewhere\nlisted.example\n").unwrap();
    let names = NameSet::read(&mut [std::fs::File::open(&path)].into_iter()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let addresses = toml::from_str::<crate::statistics::Section>("blocked-addresses = ['192.0.2.7']")
        .unwrap()
        .blocked_addresses;
    let mut way = Way::new(64, "", StatusRules { addresses, names: Some(names) });
    let mut check = |message_type, name: &str, rcode, answers: &[&[u8]], policy, expected| {
        let blocked = way.pass(message_type, 1, 100, &dns(name, rcode, answers), policy);
        assert_eq!(blocked, expected, "{message_type} {name} {rcode} {policy:?}");
    };
    check(RESPONSE, "a", 0, &[NOWHERE], None, true);
    check(RESPONSE, "a", 0, &[SOMEWHERE], None, true);
    check(RESPONSE, "a", 0, &[SOMEWHERE, NOWHERE], None, false);
    check(RESPONSE, "a", 0, &[], Some(1), true);
    check(RESPONSE, "a", 0, &[], Some(3), false);
    check(RESPONSE, "listed", 3, &[], None, true);
    check(RESPONSE, "listed", 0, &[], None, false);
    check(RESPONSE, "other", 3, &[], None, false);
    check(MessageType::RESOLVER_RESPONSE, "a", 0, &[NOWHERE], Some(1), false);
    assert_eq!(way.history.devices().iter().map(|(_, device)| device.blocked()).sum::<u32>(), 4);
}

#[test]
fn an_excluded_client_leaves_no_trace_but_counts() {
    let mut way = Way::new(64, "exclude-clients = ['192.0.2.0/24']", StatusRules::default());
    way.pass(QUERY, 1, 100, &dns("a", 0, &[]), None);
    way.pass(RESPONSE, 1, 101, &dns("a", 0, &[NOWHERE]), None);
    assert_eq!((way.log().len(), way.history.devices().iter().count()), (0, 0));
    way.history.tick(1_000, None, |_| {});
    let running = way.history.series().slot(series::SeriesPeriod::Hour, 59);
    assert_eq!(running.counts, [1, 1, 0, 0, 1]);
}

#[test]
fn without_a_log_no_name_and_no_address_is_kept() {
    let mut way = Way::new(64, "log = 0", StatusRules::default());
    way.pass(QUERY, 1, 100, &dns("a", 0, &[]), None);
    way.pass(RESPONSE, 1, 101, &dns("a", 0, &[]), None);
    assert!(way.history.log().is_none());
    assert_eq!(way.history.devices().iter().count(), 0);
    assert!(way.history.devices().find([192, 0, 2, 1].into()).is_none());
    assert!(way.history.devices_mut().take_strangers(), "files may have its name");
    way.history.tick(1_000, None, |_| {});
    assert_eq!(way.history.series().slot(series::SeriesPeriod::Hour, 59).counts, [1, 1, 0, 0, 0]);
}
