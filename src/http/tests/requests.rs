//! Requests and their answers.

use std::io::BufRead;
use std::time::Duration;

use super::{Server, frame, sample, set_write_state};
use crate::input::counters::RefuseReason;
use crate::output::WriteState;

const ADMIN: &str = "Authorization: Basic YWRtaW46Y2hhbmdlbWU=";
const KEY: &str = "X-API-Key: changeme";

/// The status of a request for the streams with these headers.
fn status(server: &Server, headers: &[&str]) -> u16 {
    let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    server.connect().ask(&format!("GET /streams HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), true).status
}

#[test]
fn every_credential_brought_must_be_right_and_one_must_be() {
    let server = Server::start();
    let check = |headers: &[&str], expected| {
        // Many wrong ones are answered 429.
        let status = status(&server, headers);
        assert_eq!(if status == 429 { 401 } else { status }, expected, "{headers:?}");
    };
    check(&[], 401);
    check(&[KEY], 200);
    check(&["x-api-key:changeme"], 200);
    check(&[ADMIN], 200);
    check(&["authorization: BASIC  YWRtaW46Y2hhbmdlbWU="], 200);
    check(&[KEY, ADMIN], 200);
    check(&["X-API-Key: Changeme"], 401);
    check(&["X-API-Key: changeme1"], 401);
    check(&["X-API-Key: changem"], 401);
    check(&["X-API-Key:"], 401);
    check(&[KEY, "X-API-Key: wrong"], 401);
    check(&["Authorization: Basic YWRtaW46Y2hhbmdlbWV="], 401);
    check(&["Authorization: Basic ywrtaw46y2hhbmdlbwu="], 401);
    check(&["Authorization: Basic"], 401);
    check(&["Authorization: Basic ####"], 401);
    check(&["Authorization: Bearer changeme"], 401);
    check(&["Authorization:"], 401);
    check(&[KEY, "Authorization: Basic d3Jvbmc6d3Jvbmc="], 401);
    check(&[ADMIN, "X-API-Key: wrong"], 401);
    check(&[KEY, "Authorization: Bearer changeme"], 401);
}

#[test]
fn a_scrape_key_opens_the_metrics_alone() {
    let server = Server::with("scrape-key = 'prometheus'", 1);
    let ask = |path: &str, header: &str| {
        server.connect().ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"), true).status
    };
    let scrape = "X-API-Key: prometheus";
    assert_eq!(
        (ask("/metrics", scrape), ask("/metrics?only=x", scrape), ask("/metrics", KEY)),
        (200, 200, 200)
    );
    for path in ["/", "/counters", "/streams", "/nowhere"] {
        assert_eq!((ask(path, scrape), ask(path, KEY) != 401), (401, true), "{path}");
    }
    assert_eq!(ask("/metrics", &format!("{scrape}\r\n{ADMIN}")), 200);
    assert_eq!(ask("/metrics", &format!("{scrape}\r\nAuthorization: Basic eDp5")), 401);
}

#[test]
fn who_guesses_is_told_to_wait_and_who_is_right_is_served() {
    let server = Server::start();
    let ask = |key: &str| {
        server.connect().ask(&format!("GET /streams HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n"), true)
    };
    for number in 0..20 {
        assert_eq!(ask("wrong").status, if number < 10 { 401 } else { 429 }, "{number}");
        assert_eq!(ask("changeme").status, 200);
        assert_eq!(status(&server, &[]), 401);
    }
    assert_eq!(ask("wrong").header("retry-after"), Some("60"));
}

#[test]
fn a_request_names_this_daemon() {
    let server = Server::with("hosts = ['dns.example.net']", 1);
    let ask = |path: &str, version: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        server.connect().ask(&format!("GET {path} HTTP/{version}\r\n{hosts}{KEY}\r\n\r\n"), true).status
    };
    for (hosts, expected) in [
        (&[][..], 400),
        (&["a", "a"], 400),
        (&["a", "evil.example"], 400),
        (&["evil.example"], 421),
        (&["router.lan:8080"], 200),
        (&["[::1]:8080"], 200),
        (&["dns.example.net"], 200),
    ] {
        assert_eq!(ask("/streams", "1.1", hosts), expected, "{hosts:?}");
        assert_eq!((ask("/health", "1.1", hosts), ask("/ready", "1.1", hosts)), (200, 200), "{hosts:?}");
    }
    assert_eq!((ask("/streams", "1.0", &[]), ask("/streams", "1.0", &["evil.example"])), (200, 421));
    for version in ["2.0", "1.2", "0.9"] {
        assert_eq!(ask("/streams", version, &["a"]), 505, "{version}");
    }
}

#[test]
fn no_answer_is_guessed_at_kept_or_embedded() {
    let server = Server::start();
    for path in ["/", "/metrics", "/counters", "/tables", "/streams", "/health", "/ready", "/nowhere"] {
        let reply = server.ask("GET", path);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        let cache = if path == "/" { "private, no-cache" } else { "no-store" };
        assert_eq!(reply.header("cache-control"), Some(cache), "{path}");
    }
}

#[test]
fn a_method_without_a_secret_is_off() {
    let check = |keys, headers: &[&str], expected| {
        assert_eq!(status(&Server::with(keys, 1), headers), expected, "{keys} {headers:?}");
    };
    let no_key = "api-key = ''";
    check(no_key, &[KEY], 401);
    check(no_key, &["X-API-Key:"], 401);
    check(no_key, &[], 401);
    check(no_key, &[ADMIN], 200);
    let no_password = "password = ''";
    check(no_password, &[ADMIN], 401);
    check(no_password, &["Authorization: Basic YWRtaW46"], 401);
    check(no_password, &[KEY], 200);
    let open = "api-key = ''\npassword = ''";
    check(open, &[], 200);
    check(open, &[KEY, "Authorization: nonsense"], 200);
}

#[test]
fn credentials_come_before_paths() {
    let server = Server::start();
    for (method, path) in
        [("GET", "/metrics"), ("GET", "/nowhere"), ("POST", "/metrics"), ("DELETE", "/reset")]
    {
        let reply = server.connect().ask(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"), true);
        assert_eq!(reply.status, 401, "{method} {path}");
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"dnstapd\""));
        assert_eq!(reply.body, "{\"error\": \"the credentials are missing or wrong\"}");
    }
    for path in ["/health", "/ready"] {
        let reply = server.connect().ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"), true);
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    }
}

#[test]
fn a_wrong_password_is_a_page_where_the_page_would_be() {
    let server = Server::start();
    for _ in 0..12 {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAuthorization: Basic eDp5\r\n\r\n";
        let reply = server.connect().ask(request, true);
        assert!([401, 429].contains(&reply.status));
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(reply.body.contains("dnstapd password") && reply.body.ends_with("</html>\n"));
    }
}

#[test]
fn each_path_has_its_methods() {
    let server = Server::start();
    let read = ["/", "/metrics", "/counters", "/tables", "/streams", "/health", "/ready"];
    for (path, allowed) in read.map(|path| (path, "GET, HEAD")).into_iter().chain([("/reset", "DELETE")]) {
        for method in ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "get", "BREW"] {
            let reply = server.ask(method, path);
            if allowed.split(", ").any(|allowed| allowed == method) {
                assert_eq!(reply.header("allow"), None);
                assert!([200, 204].contains(&reply.status), "{method} {path}: {}", reply.status);
                continue;
            }
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allowed));
            let error =
                if method == "HEAD" { "" } else { "{\"error\": \"this path does not have that method\"}" };
            assert_eq!(reply.body, error);
        }
    }
    for path in
        ["/index.html", "/metrics/", "//metrics", "/Metrics", "/%6Detrics", "/nowhere", "*", "metrics"]
    {
        let reply = server.ask("GET", path);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(reply.body, "{\"error\": \"there is nothing at this path\"}");
    }
    assert_eq!(server.ask("GET", "http://router:8080/streams").body, "{\"streams\": []}");
}

#[test]
fn the_page_goes_out_in_the_form_that_is_asked_for() {
    let server = Server::start();
    let ask = |method: &str, headers: &str| {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{KEY}\r\n{headers}\r\n");
        server.connect().ask(&request, method == "GET")
    };
    let plain = ask("GET", "");
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    assert_eq!(plain.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    assert!(plain.header("content-security-policy").unwrap().starts_with("default-src 'none';"));
    assert!(plain.body.starts_with("<!doctype html>") && plain.body.trim_end().ends_with("</html>"));
    let length = |reply: &super::Reply| reply.header("content-length").unwrap().parse::<usize>().unwrap();
    assert_eq!(length(&plain), plain.body.len());

    let gzip = ask("HEAD", "Accept-Encoding: gzip, br\r\n");
    assert_eq!((gzip.status, gzip.header("content-encoding")), (200, Some("gzip")));
    assert!(length(&gzip) * 2 < length(&plain));

    let tag = plain.header("etag").unwrap();
    let unchanged = ask("GET", &format!("If-None-Match: {tag}\r\nAccept-Encoding: gzip\r\n"));
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some(tag)));
    assert_eq!((unchanged.header("content-length"), unchanged.header("content-encoding")), (None, None));
    assert_eq!(ask("GET", "If-None-Match: \"another\"\r\n").status, 200);
    assert_eq!(server.connect().ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true).status, 401);
}

#[test]
fn a_scrape_of_some_families() {
    let server = Server::start();
    server.run(|world| world.exchange("lb1"));
    let scrape = server.get("/metrics?only=process_,dnstapd_log");
    let names: std::collections::BTreeSet<&str> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let expected = [
        "dnstapd_log_dropped_total",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ];
    assert_eq!(names, expected.into());
    assert_eq!(server.get("/metrics?only=nothing"), "");
    assert!(server.get("/metrics?only=").contains("dnstap_queries{identity=\"lb1\"} 1\n"));
    assert_eq!(server.ask("GET", "/metrics?only=%zz").status, 400);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = Server::start();
    for path in ["/metrics", "/counters", "/streams", "/tables", "/health", "/nowhere"] {
        let (get, head) = (server.ask("GET", path), server.ask("HEAD", path));
        let (mut of_get, mut of_head) = (get.headers.clone(), head.headers.clone());
        of_get.sort();
        of_head.sort();
        assert_eq!((get.status, of_get), (head.status, of_head), "{path}");
    }
    // On one connection nothing is left over from the first.
    let mut client = server.connect();
    for path in ["/metrics", "/health", "/streams"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n{KEY}\r\n\r\n");
        assert_eq!(client.ask(&request, false).status, 200);
    }
}

#[test]
fn counters_are_the_default_ones_and_more() {
    let server = Server::start();
    let defaults = |clients| {
        format!(
            "\"clients\": {clients}, \"domains\": {clients}, \"query\": {clients}, \"response\": {clients}, \"qps\": 0, \
             \"response/noerror\": {clients}, \"response/nxdomain\": 0"
        )
    };
    assert_eq!(server.get("/counters"), format!("{{\"stream\": null, \"counters\": {{{}}}}}", defaults(0)));
    server.run(|world| world.exchange("lb1"));
    let check = |query: &str, stream: &str, more: &str| {
        let expected = format!("{{\"stream\": {stream}, \"counters\": {{{}{more}}}}}", defaults(1));
        assert_eq!(server.get(&format!("/counters?{query}")), expected, "{query}");
    };
    check(
        "stream=lb1&more=query/a,query/udp,latency",
        "\"lb1\"",
        ", \"query/a\": 1, \"query/udp\": 1, \"latency\": 0",
    );
    check(
        "more=response/latency10_50%2Cquery/bytes",
        "null",
        ", \"response/latency10_50\": 1, \"query/bytes\": 33",
    );
    check("", "null", "");
    check("more=", "null", "");
    check("more=,rps,,rps,query,%22%5C%0a,", "null", ", \"rps\": 0, \"\\\"\\\\\\u000a\": 0");
    check("more=pps&more=rps&other=1&stream=lb1", "\"lb1\"", ", \"pps\": 0");
}

#[test]
fn a_long_list_of_counters_goes_out_in_pieces() {
    let server = Server::start();
    let names: Vec<String> = (0..250).map(|number| format!("q/{number}")).collect();
    let body = server.get(&format!("/counters?more={}", names.join(",")));
    let expected: String = names.iter().map(|name| format!(", \"{name}\": 0")).collect();
    assert!(body.len() < 4096 && body.ends_with(&format!("{expected}}}}}")), "{body}");
    // Control characters take six bytes each, so the answer is longer than any request.
    let names: Vec<String> = (0..10).map(|number| format!("%01{number}").repeat(40)).collect();
    let body = server.get(&format!("/counters?more={}", names.join(",")));
    assert!(body.len() > 2_800 && names.iter().all(|name| body.contains(&name.replace("%01", "\\u0001"))));
}

#[test]
fn bad_parameters_are_told() {
    let server = Server::start();
    let check = |target: &str, status, why: &str| {
        let reply = server.ask("GET", target);
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, &*format!("{{\"error\": \"{why}\"}}")),
            "{target}"
        );
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    };
    check("/counters?stream=nope", 404, "there is no such stream");
    check("/counters?stream=", 404, "there is no such stream");
    check(&format!("/counters?stream={}", "a".repeat(600)), 404, "there is no such stream");
    check("/counters?stream=%zz", 400, "`stream` is badly encoded");
    check("/counters?stream=%FF", 400, "`stream` is badly encoded");
    check("/counters?more=query,%4", 400, "`more` is badly encoded");
    check(&format!("/counters?more={}", "a".repeat(129)), 400, "a name in `more` is too long");
    check(&format!("/counters?more={}", "a,".repeat(257)), 400, "there are too many names in `more`");
    check("/tables?n=x", 400, "`n` is not a number from 0 up");
    check("/tables?n=-1", 400, "`n` is not a number from 0 up");
    check("/tables?n=", 400, "`n` is not a number from 0 up");
    check("/tables?detail=2", 400, "`detail` is neither 0 nor 1");
    let tracked = "`more` names a table that is not tracked; tracked: noerror/query, nxdomain/response";
    check("/tables?more=hit/query", 400, tracked);
    check("/tables?more=noerror/query,a/b/query", 400, tracked);
    check("/tables?stream=nope", 404, "there is no such stream");
}

#[test]
fn streams_are_named_as_everywhere() {
    let server = Server::start();
    assert_eq!(server.get("/streams"), "{\"streams\": []}");
    server.run(|world| {
        for identity in [&b"lb1"[..], b"a b\"\\\xff", "Zürich".as_bytes(), b"", b"lb1"] {
            world.exchange(identity);
        }
    });
    assert_eq!(server.get("/streams"), r#"{"streams": ["lb1", "a\\032b\\\"\\\\\\255", "Zürich", "-"]}"#);
    for encoded in
        ["lb1", "a%5C032b%5C%22%5C%5C%5C255", r#"a\032b\"\\\255"#, "Z%C3%BCrich", "Z%c3%bcrich", "-"]
    {
        assert!(server.get(&format!("/counters?stream={encoded}")).contains("\"query\": "), "{encoded}");
    }
    assert_eq!(sample(&server.get("/metrics"), r#"dnstap_queries{identity="a\\032b\\\"\\\\\\255"}"#), 1.0);
}

#[test]
fn a_full_table_shows_the_others() {
    let server = Server::with("", 2);
    server.run(|world| ["a", "b", "c", "d"].map(|identity| world.exchange(identity)));
    assert_eq!(server.get("/streams"), "{\"streams\": [\"a\", \"b\", \"other\"]}");
    let scrape = server.get("/metrics");
    assert_eq!(sample(&scrape, "dnstap_queries{identity=\"other\"}"), 2.0);
    assert_eq!(sample(&scrape, "dnstap_queries"), 4.0);
    assert_eq!(sample(&scrape, "dnstapd_evicted_total{table=\"streams\"}"), 4.0);
}

#[test]
fn reset_clears_the_counters_and_keeps_the_streams() {
    let server = Server::start();
    server.run(|world| world.exchange("lb1"));
    let reply = server.ask("DELETE", "/reset");
    assert_eq!(
        (reply.status, reply.header("content-length"), reply.header("transfer-encoding")),
        (204, None, None)
    );
    assert_eq!(server.get("/streams"), "{\"streams\": [\"lb1\"]}");
    assert!(server.get("/counters?stream=lb1").contains("\"clients\": 0, \"domains\": 0, \"query\": 0"));
    assert_eq!(sample(&server.get("/metrics"), "dnstapd_received_total{input=\"tcp-socket\"}"), 2.0);
}

#[test]
fn an_output_that_is_down_makes_the_daemon_unready() {
    let server = Server::start();
    let check = |state, expected: (u16, &str), connected| {
        set_write_state(&server, state);
        let reply = server.ask("GET", "/ready");
        assert_eq!((reply.status, reply.body.as_str()), expected);
        assert_eq!(server.get("/health"), "ok");
        assert_eq!(sample(&server.get("/metrics"), "dnstapd_output_connected{output=\"stdout\"}"), connected);
    };
    check(WriteState::Ready, (200, "ok"), 1.0);
    check(WriteState::Blocked, (200, "ok"), 1.0);
    check(WriteState::Away, (503, "output stdout is down"), 0.0);
    check(WriteState::Closed, (503, "output stdout is down"), 0.0);
    check(WriteState::Ready, (200, "ok"), 1.0);
    // What is up may still lose.
    server.run(|world| world.inputs[1].refuse(RefuseReason::Limit));
    check(WriteState::Ready, (200, "degraded: unix-socket refuses"), 1.0);
    server.run(|world| {
        (0..20_000).for_each(|_| world.exchange("lb1"));
        world.outputs.tick(std::time::Instant::now());
    });
    check(WriteState::Ready, (200, "degraded: stdout drops"), 1.0);
    check(WriteState::Away, (503, "output stdout is down"), 0.0);
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Server::start();
    let mut client = server.connect();
    for path in ["/streams", "/nowhere", "/metrics", "/counters"].repeat(20) {
        let reply = client.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{KEY}\r\n\r\n"), true);
        assert_eq!(reply.header("connection"), Some("keep-alive"));
    }
    // Several at once, and bodies nobody asked for.
    let request = format!("POST /reset HTTP/1.1\r\nHost: a\r\n{KEY}\r\nContent-Length: 9\r\n\r\n123456789");
    client.send(
        request.repeat(3)
            + &format!("GET /streams HTTP/1.1\r\nHost: a\r\n{KEY}\r\nConnection: close\r\n\r\n"),
    );
    assert_eq!([(); 3].map(|()| client.reply(true).unwrap().status), [405; 3]);
    let reply = client.reply(true).unwrap();
    assert_eq!((reply.body.as_str(), reply.header("connection")), ("{\"streams\": []}", Some("close")));
    assert!(client.reply(true).is_none());
}

#[test]
fn an_old_client_reads_to_the_end_of_the_connection() {
    let server = Server::start();
    server.run(|world| (0..40).for_each(|number| world.exchange(format!("server-{number}"))));
    for path in ["/metrics", "/counters", "/streams", "/health"] {
        let mut client = server.connect();
        let reply = client.ask(&format!("GET {path} HTTP/1.0\r\n{KEY}\r\n\r\n"), true);
        assert_eq!((reply.status, reply.header("transfer-encoding")), (200, None), "{path}");
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(client.reply(true).is_none());
        if path != "/metrics" {
            assert_eq!(reply.body, server.get(path));
        } else {
            assert!(reply.body.len() > 50_000 && reply.body.contains("process_start_time_seconds "));
        }
    }
}

#[test]
fn a_stop_lets_answers_finish_and_closes_what_is_idle() {
    let server = Server::start();
    server.run(|world| (0..8).for_each(|number| world.exchange([number; 128])));
    let mut idle = server.connect();
    assert_eq!(idle.ask(&format!("GET /streams HTTP/1.1\r\nHost: a\r\n{KEY}\r\n\r\n"), true).status, 200);
    let mut waiting = server.connect();
    let mut scraping = server.connect();
    scraping.send(format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{KEY}\r\n\r\n"));
    scraping.0.fill_buf().unwrap();
    let started = std::time::Instant::now();
    server.run(|world| world.stop.ask());
    let scrape = scraping.reply(true).unwrap().body;
    assert!(scrape.len() > 100_000 && scrape.contains("process_start_time_seconds "));
    assert_eq!(scraping.rest().unwrap(), "");
    assert_eq!(idle.rest().unwrap(), "");
    assert_eq!(waiting.rest().unwrap(), "");
    server.thread.join().unwrap();
    // Less than who is idle would have had otherwise.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn tables_have_the_shape_of_the_reference() {
    let server = Server::start();
    let empty = "{\"stream\": null, \"tables\": {\"tlds\": {\"hit/query\": [], \"hit/response\": []}, \
        \"domains\": {\"noerror/query\": [], \"nxdomain/response\": []}, \"clients\": {\"hit/ip\": [], \"length/ip\": []}, \
        \"rcodes\": {\"hit/query\": [], \"hit/response\": []}, \"rrtypes\": {\"hit/query\": [], \"hit/response\": []}}}";
    assert_eq!(server.get("/tables"), empty);
    server.run(|world| (0..3).for_each(|_| world.exchange("lb1")));
    let full = "{\"stream\": \"lb1\", \"tables\": {\"tlds\": {\"hit/query\": [[\"query/com\", 3]], \"hit/response\": [[\"response/com\", 3]]}, \
        \"domains\": {\"noerror/query\": [[\"www.example.com.\", 3]], \"nxdomain/response\": []}, \
        \"clients\": {\"hit/ip\": [[\"192.0.2.10\", 6]], \"length/ip\": [[\"192.0.2.10\", 198]]}, \
        \"rcodes\": {\"hit/query\": [[\"query/noerror\", 3]], \"hit/response\": [[\"response/noerror\", 3]]}, \
        \"rrtypes\": {\"hit/query\": [[\"query/a\", 3]], \"hit/response\": [[\"response/a\", 3]]}}}";
    assert_eq!(server.get("/tables?stream=lb1&n=1"), full);
    assert_eq!(server.get("/tables?n=9999"), full.replace("\"lb1\"", "null"));
    assert_eq!(server.get("/tables?n=0"), empty);
    let detail = server.get("/tables?n=0&detail=1");
    assert!(detail.contains("\"hit/ip\": [], \"hit/ip/detail\": {\"errors\": [], \"rest\": 6}"), "{detail}");
    let detail = server.get("/tables?detail=1");
    assert!(
        detail.contains("\"noerror/query/detail\": {\"errors\": [[\"www.example.com.\", 0]], \"rest\": 0}"),
        "{detail}"
    );
    let counters = server.get("/counters?more=query/com,query/tld/com,response/tld/COM,query/a,query/local");
    for (name, value) in [("query/com", 3), ("query/tld/com", 3), ("response/tld/COM", 3), ("query/local", 0)]
    {
        assert!(counters.contains(&format!("\"{name}\": {value}")), "{counters}");
    }
    assert_eq!(server.ask("DELETE", "/reset").status, 204);
    assert_eq!(server.get("/tables"), empty);
}

#[test]
fn a_long_table_goes_out_in_order_and_each_row_once() {
    let server = Server::start();
    server.run(|world| {
        for number in 0..60u8 {
            // One client more than the last for each: 10.0.0.N asks N times, through one of three streams.
            for round in 0..=number {
                let mut frame = frame(&[b'a' + round % 3], 5);
                let at = frame.windows(4).position(|bytes| bytes == [192, 0, 2, 10]).unwrap();
                frame[at..at + 4].copy_from_slice(&[10, 0, 0, number]);
                world.inputs[0].count(world.collector.ingest(&frame));
            }
        }
    });
    let expected: Vec<String> =
        (0..60).rev().map(|number| format!("[\"10.0.0.{number}\", {}]", number + 1)).collect();
    let answer = server.get("/tables?n=1000");
    assert!(answer.contains(&format!("\"hit/ip\": [{}]", expected.join(", "))), "{answer}");
}
