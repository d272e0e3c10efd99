//! A home of a week, with a seed: no alarm of what is usual there, and hardly a tunnel. And what is not usual
//! is found in it.

use std::collections::HashSet;

use super::Health;
use super::alarms::{AlarmKind, Subject};
use super::section::Section;
use crate::message::event::Event;
use crate::message::hashes::MessageHasher;
use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
use crate::time::Time;
use crate::wire::dnstap::{Dnstap, Message};
use crate::wire::iana::MessageType;

const NOW: u64 = 1_700_000_000;
const HOUR: u64 = 3_600;
const WEEK: u64 = 7 * 24 * HOUR;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A place of so many, the first ones more often: Zipf with exponent 1, roughly.
    fn rank(&mut self, end: u64) -> u64 {
        let part = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((end as f64).powf(part) as u64 - 1).min(end - 1)
    }
}

/// The health, and who asks it.
struct Home {
    health: Health,
    hasher: MessageHasher,
    chance: Chance,
    now: u64,
    alarms: Vec<(AlarmKind, String)>,
    domains: HashSet<String>,
}

impl Home {
    fn new(seed: u64) -> Home {
        Home {
            health: Health::start(&Section::default()).unwrap(),
            hasher: MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS)),
            chance: Chance(seed),
            now: NOW,
            alarms: Vec::new(),
            domains: HashSet::new(),
        }
    }

    /// A query of one of 40 devices, and its response with one address.
    fn ask(&mut self, name: &str, rcode: u8, address: [u8; 4]) {
        let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        let question = labels.chain([0, 0, 1, 0, 1]).collect::<Vec<u8>>();
        let query = [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &question].concat();
        let answers = u8::from(rcode == 0);
        let mut response =
            [&[0, 1, 0x81, 0x80 | rcode, 0, 1, 0, answers, 0, 0, 0, 0][..], &question].concat();
        if answers == 1 {
            response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            response.extend(address);
        }
        let client = [192, 168, 1, 10 + self.chance.below(40) as u8];
        for is_response in [false, true] {
            let message = Message {
                message_type: MessageType(if is_response { 6 } else { 5 }),
                query_address: Some(&client),
                query_message: (!is_response).then_some(&query),
                response_message: is_response.then_some(&response),
                ..Message::default()
            };
            let mut event = Event::from_dnstap(&Dnstap { message, ..Dnstap::default() });
            event.time = Time::new(self.now, 0);
            let hashes = self.hasher.hash(&event);
            self.health.observe(&event, &hashes, 0);
        }
        let alarms = &mut self.alarms;
        self.health.tell(|alarm| {
            let subject = match alarm.subject {
                Subject::Identity(_) => String::new(),
                _ => alarm.subject.to_string(),
            };
            alarms.push((alarm.kind, subject));
        });
    }

    fn public(&mut self, name: &str) {
        let address = [203, 0, 113, self.chance.below(250) as u8];
        self.ask(name, 0, address);
    }

    /// A minute of the week: by day ten times as much as by night.
    fn minute(&mut self) {
        let is_day = (self.now / HOUR) % 24 >= 7;
        for _ in 0..if is_day { 12 + self.chance.below(12) } else { 2 } {
            self.look_up();
        }
        // Antivirus: hashes of files in names, by two products. A mail server: four lists of bad addresses.
        let number = self.chance.next();
        match self.chance.below(if is_day { 12 } else { 60 }) {
            0 => self.public(&format!("{number:016x}{:016x}.avqs.mcafee.com", number.rotate_left(9))),
            1 => self.public(&format!("{number:016x}.x.sophosxl.net")),
            2 | 3 => {
                let [a, b, c, d, ..] = number.to_le_bytes();
                for list in
                    ["zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org", "dnsbl.sorbs.net"]
                {
                    self.ask(&format!("{a}.{b}.{c}.{d}.{list}"), 3, [0; 4]);
                }
            }
            _ => {}
        }
        // Everything comes back at once after the access point restarts, and browsers try three names that do
        // not exist.
        if self.chance.below(24 * 60) == 0 {
            for device in 0..40 {
                for _ in 0..20 {
                    self.look_up();
                }
                for probe in 0..3 {
                    self.ask(&format!("q{:x}{device}{probe}", number % 0xffff_ffff), 3, [0; 4]);
                }
            }
        }
        self.now += 60;
    }

    fn look_up(&mut self) {
        let domain = self.chance.rank(3_000);
        let host = self.chance.rank(6);
        match (domain, self.chance.below(100)) {
            (_, 0..4) => self.ask(&format!("printer{host}.lan"), 0, [192, 168, 1, 9]),
            (_, 4..6) => self.ask(&format!("ads{host}.tracker{}.com", domain % 50), 0, [0; 4]),
            (_, 6..8) => self.ask(&format!("typo{domain}.com"), 3, [0; 4]),
            (_, 8) => self.ask(&format!("{host}.1.168.192.in-addr.arpa"), 3, [0; 4]),
            // Large networks: hundreds of hosts with long names, of which a home is sent to some.
            (0..5, _) => {
                let (cache, city) = (self.chance.rank(12), self.chance.rank(20));
                self.public(&format!("rr{cache}---sn-4g5e{city:04x}.googlevideo{domain}.com"));
            }
            (5..15, _) => {
                let number = self.chance.rank(80) * 0x9e37_79b9;
                self.public(&format!("d{number:012x}.cdn{domain}.net"));
            }
            _ => {
                let host = ["www", "api", "static", "img", "login", "events"][host as usize];
                let top = ["com", "net", "de", "co.uk", "io"][domain as usize % 5];
                let owner = format!("site{domain}.{top}");
                self.public(&format!("{host}.{owner}"));
                self.domains.insert(owner);
            }
        }
    }
}

#[test]
fn a_week_at_home_raises_no_alarm_but_for_a_few_who_carry_data_in_names() {
    let mut home = Home::new(1);
    while home.now < NOW + WEEK {
        home.minute();
    }
    let (tunnels, others): (Vec<_>, Vec<_>) =
        home.alarms.iter().partition(|(kind, _)| *kind == AlarmKind::Tunnel);
    assert!(others.is_empty(), "{others:?}");
    let named: HashSet<&String> = tunnels.iter().map(|(_, subject)| subject).collect();
    let (named_count, domains) = (named.len(), home.domains.len() + 21);
    assert!(domains > 2_000, "{domains}");
    assert!((named_count as f64) < 0.004 * domains as f64, "{named:?} of {domains}");
}

#[test]
fn in_that_home_a_tunnel_of_a_byte_a_second_is_named_within_an_hour() {
    let mut home = Home::new(3);
    while home.now < NOW + 10 * HOUR {
        home.minute();
    }
    let begin = home.now;
    while !home.alarms.iter().any(|(_, subject)| subject == "exit.example.") {
        assert!(home.now < begin + HOUR, "{:?}", home.alarms);
        // Eight bytes each eight seconds, in base32 and with a number of three digits.
        for _ in 0..8 {
            let number = home.chance.next();
            home.public(&format!("{:03x}{:013x}.exit.example", number >> 52, number & 0xf_ffff_ffff_ffff));
        }
        home.minute();
    }
}

/// Ten attacks at once, each 1 in 100 queries.
#[test]
fn ten_victims_are_all_named_within_a_thousand_queries_each() {
    let mut home = Home::new(4);
    let mut asked = [0; 10];
    for number in 0..100_000u64 {
        let victim = number % 100;
        if victim < 10 {
            let random = home.chance.next();
            home.ask(&format!("{random:x}.victim{victim}.org"), 3, [0; 4]);
            let name = format!("victim{victim}.org.");
            if !home.alarms.iter().any(|(_, subject)| *subject == name) {
                asked[victim as usize] += 1;
            }
        } else {
            home.look_up();
        }
        // A thousand queries a second.
        home.now = NOW / 60 * 60 + number / 1_000;
    }
    assert!(asked.iter().all(|asked| (150..1_000).contains(asked)), "{asked:?}");
    let subdomains = home.alarms.iter().filter(|(kind, _)| *kind == AlarmKind::RandomSubdomains);
    assert!(subdomains.count() <= 25, "{:?}", home.alarms);
}
