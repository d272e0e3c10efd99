use super::*;
use files::read_line;
use proptest::prelude::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn learn(devices: &mut Devices, line: &str) {
    let mut facts = Vec::new();
    read_line(line, |fact| facts.push(fact));
    assert!(!facts.is_empty(), "{line}");
    facts.iter().for_each(|fact| devices.learn(fact, 1_000));
}

/// The kernel's entry of a neighbour.
fn neighbour(devices: &mut Devices, text: &str, mac: &str) {
    let fact = Fact {
        source: NameSource::Hosts,
        address: Some(address(text)),
        mac: files::parse_mac(mac),
        name: None,
    };
    devices.learn(&fact, 1_000);
}

/// Each device that asked: name, addresses, queries.
fn all(devices: &Devices) -> Vec<(Option<String>, Vec<String>, u32)> {
    let mut all: Vec<_> = devices
        .iter()
        .map(|(id, device)| {
            let addresses = devices.addresses(id).iter().map(IpAddr::to_string).collect();
            (device.name().map(str::to_owned), addresses, device.queries())
        })
        .collect();
    all.sort();
    all
}

/// The name of the device of an address.
fn name<'d>(devices: &'d Devices, text: &str) -> Option<&'d str> {
    devices.name(address(text))
}

const MAC: &str = "aa:bb:cc:dd:ee:ff";

#[test]
fn all_addresses_of_a_mac_are_one_device() {
    let mut devices = Devices::new(64);
    for (second, client) in
        ["192.168.1.5", "fd00::5", "fe80::7", "192.168.1.9", "fd00::5"].into_iter().enumerate()
    {
        devices.count_query(address(client), 1_000 + second as u32);
    }
    assert_eq!(all(&devices).len(), 4, "nothing is known yet");
    assert!(devices.take_strangers() && !devices.take_strangers());
    neighbour(&mut devices, "fd00::5", MAC);
    neighbour(&mut devices, "fe80::7", MAC);
    learn(&mut devices, &format!("1700003600 {MAC} 192.168.1.5 tv *"));
    devices.count_blocked(address("fe80::7"));
    let tv = (Some("tv".into()), vec!["fd00::5".into(), "fe80::7".into(), "192.168.1.5".into()], 4);
    assert_eq!(all(&devices), [(None, vec!["192.168.1.9".into()], 1), tv]);
    assert_eq!(name(&devices, "fe80::7"), Some("tv"));
    let id = devices.find(address("192.168.1.5")).unwrap();
    let device = devices.device(id).unwrap();
    assert_eq!((device.blocked(), device.seen(), device.mac()), (1, (1_000, 1_004), files::parse_mac(MAC)));
}

#[test]
fn of_a_storm_of_macs_little_is_learned() {
    let mut devices = Devices::new(64);
    let mac = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        [2, 0, a, b, c, d]
    };
    devices.see_frame(address("192.168.1.5"), mac(0), 1_000);
    assert_eq!(devices.find(address("192.168.1.5")), None, "who never asked is no device");
    ["192.168.1.5", "192.168.1.6"].into_iter().for_each(|client| devices.count_query(address(client), 1_000));
    devices.see_frame(address("192.168.1.5"), mac(0), 1_000);
    devices.see_frame(address("192.168.1.6"), mac(0), 1_000);
    assert_eq!(all(&devices).len(), 1, "{:?}", all(&devices));
    (1..1_000).for_each(|number| devices.see_frame(address("192.168.1.6"), mac(number), 1_000));
    let known = |devices: &Devices| {
        let id = devices.find(address("192.168.1.6")).unwrap();
        devices.device(id).unwrap().mac().unwrap()
    };
    assert!(known(&devices) < mac(100), "{:?}", known(&devices));
    devices.renew_frames();
    devices.see_frame(address("192.168.1.6"), mac(999), 1_000);
    assert_eq!(known(&devices), mac(999));
}

#[test]
fn names_weigh_what_their_source_does_and_stay() {
    let mut devices = Devices::new(64);
    devices.count_query(address("192.168.1.5"), 5);
    learn(&mut devices, "192.168.1.5 from-hosts");
    assert_eq!(name(&devices, "192.168.1.5"), Some("from-hosts"));
    learn(&mut devices, &format!("0 {MAC} 192.168.1.5 from-lease *"));
    learn(&mut devices, "192.168.1.5 from-hosts");
    assert_eq!(name(&devices, "192.168.1.5"), Some("from-lease"));
    learn(&mut devices, &format!("0 {MAC} 192.168.1.5 renamed *"));
    assert_eq!(name(&devices, "192.168.1.5"), Some("renamed"));
    let fact =
        Fact { source: NameSource::Static, address: None, mac: files::parse_mac(MAC), name: Some("static") };
    devices.learn(&fact, 5);
    learn(&mut devices, &format!("0 {MAC} 192.168.1.5 from-lease *"));
    assert_eq!(name(&devices, "192.168.1.5"), Some("static"));
    // A lease without a name takes none away.
    learn(&mut devices, &format!("0 {MAC} 192.168.1.6 * *"));
    assert_eq!(name(&devices, "192.168.1.6"), Some("static"));
}

#[test]
fn an_address_goes_to_the_device_that_has_it_now() {
    let mut devices = Devices::new(64);
    learn(&mut devices, &format!("0 {MAC} 192.168.1.5 tv *"));
    devices.count_query(address("192.168.1.5"), 5);
    learn(&mut devices, "0 00:11:22:33:44:55 192.168.1.5 phone *");
    devices.count_query(address("192.168.1.5"), 6);
    assert_eq!(name(&devices, "192.168.1.5"), Some("phone"));
    assert_eq!(
        all(&devices),
        [(Some("phone".into()), vec!["192.168.1.5".into()], 1), (Some("tv".into()), vec![], 1)]
    );
}

#[test]
fn strangers_do_not_push_out_who_is_there() {
    let mut devices = Devices::new(64);
    learn(&mut devices, &format!("0 {MAC} 192.168.1.5 tv *"));
    devices.count_query(address("192.168.1.5"), 10);
    for client in 0..100_000u32 {
        devices.count_query(IpAddr::from(client.to_be_bytes()), 1_000);
    }
    assert!(devices.evicted() > 90_000);
    assert_eq!(name(&devices, "192.168.1.5"), Some("tv"));
    assert!(all(&devices).len() > 50);
    // Later, those that are there now take the places of those that have gone.
    for round in 0..40 {
        for client in 0..20u32 {
            devices.count_query(IpAddr::from((0x0a00_0000 + client).to_be_bytes()), 2_000 + round * 100);
        }
    }
    let now = all(&devices);
    let there =
        now.iter().filter(|(_, addresses, _)| addresses.iter().any(|text| text.starts_with("10."))).count();
    assert_eq!(there, 20, "{now:?}");
    assert_eq!(name(&devices, "192.168.1.5"), Some("tv"));
}

proptest! {
    /// Whatever is learned and counted: each address is one device's, lists end, and as many devices are used
    /// as there are.
    #[test]
    fn addresses_and_devices_fit_together(steps in prop::collection::vec((0u8..4, 0u8..60, 0u8..12, 0u32..4), 0..400)) {
        let mut devices = Devices::new(24);
        let mut now = 1_000;
        for (kind, low, mac, later) in steps {
            now += later * 40;
            let client = IpAddr::from([192, 168, 1, low]);
            let (address, mac) = (Some(client), Some([2, 0, 0, 0, 0, mac]));
            match kind {
                0 | 1 => devices.count_query(client, now),
                2 => devices.learn(&Fact { source: NameSource::Hosts, address, mac, name: None }, now),
                _ => devices.learn(&Fact { source: NameSource::Lease, address, mac, name: Some("x") }, now),
            }
            let ids = (0..24).map(DeviceId);
            let listed: usize = ids.clone().map(|id| devices.addresses_of(id).take(100).count()).sum();
            let held = devices.addresses.iter().filter(|address| address.device != 0).count();
            prop_assert_eq!(listed, held);
            prop_assert_eq!(ids.clone().filter(|id| devices.device(*id).is_some()).count(), devices.used);
            for id in ids {
                prop_assert!(devices.addresses_of(id).all(|(_, address)| address.device == id.0 + 1));
            }
        }
    }
}
