-- The tables of a fleet: every message for some weeks, minutes and tops for longer. ClickHouse 22.8 or newer.
--
--   clickhouse-client --multiquery < 10-tables.sql
--
-- Retention is in the TTL lines: 30 days of messages, 90 of tops, 400 of minutes.

CREATE DATABASE IF NOT EXISTS dns;

-- One row a message. The order: questions are about some hours, mostly of one router or client. Within an hour a
-- client's rows lie side by side, and names repeat, which is what ZSTD likes best; time comes last.
CREATE TABLE IF NOT EXISTS dns.messages
(
    time DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    identity LowCardinality(String),
    message LowCardinality(String),
    client IPv6 CODEC(ZSTD(1)),
    port UInt16 CODEC(ZSTD(1)),
    server IPv6 CODEC(ZSTD(1)),
    family LowCardinality(String),
    protocol LowCardinality(String),
    qname String CODEC(ZSTD(3)),
    rrtype LowCardinality(String),
    rcode LowCardinality(String),
    flags LowCardinality(String),
    id UInt16 CODEC(ZSTD(1)),
    length UInt32 CODEC(T64, ZSTD(1)),
    latency Nullable(Float32) CODEC(ZSTD(1)),
    INDEX name_index qname TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfHour(time), identity, client, qname, time)
TTL toDateTime(time) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1;

-- The minutes of each router: queries, responses, what went wrong, clients, latency.
CREATE TABLE IF NOT EXISTS dns.minutes
(
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    identity LowCardinality(String),
    queries SimpleAggregateFunction(sum, UInt64),
    responses SimpleAggregateFunction(sum, UInt64),
    nxdomain SimpleAggregateFunction(sum, UInt64),
    servfail SimpleAggregateFunction(sum, UInt64),
    octets SimpleAggregateFunction(sum, UInt64),
    clients AggregateFunction(uniq, IPv6),
    latency AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float32))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (identity, minute)
TTL minute + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS dns.minutes_view TO dns.minutes AS
SELECT
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    identity,
    countIf(endsWith(message, '_QUERY')) AS queries,
    countIf(endsWith(message, '_RESPONSE')) AS responses,
    countIf(endsWith(message, '_RESPONSE') AND rcode = 'NXDOMAIN') AS nxdomain,
    countIf(endsWith(message, '_RESPONSE') AND rcode = 'SERVFAIL') AS servfail,
    sum(length) AS octets,
    uniqState(client) AS clients,
    quantilesTDigestState(0.5, 0.95, 0.99)(latency) AS latency
FROM dns.messages
WHERE match(message, '^(CLIENT|AUTH|UPDATE|STUB|TOOL)_')
GROUP BY minute, identity;

-- The tops of each hour: names, by rcode.
CREATE TABLE IF NOT EXISTS dns.names
(
    hour DateTime('UTC'),
    identity LowCardinality(String),
    rcode LowCardinality(String),
    qname String CODEC(ZSTD(3)),
    responses UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = SummingMergeTree(responses)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, identity, rcode, qname)
TTL hour + INTERVAL 90 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS dns.names_view TO dns.names AS
SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, identity, rcode, lower(qname) AS qname, count() AS responses
FROM dns.messages
WHERE match(message, '^(CLIENT|AUTH|UPDATE|STUB|TOOL)_RESPONSE$')
GROUP BY hour, identity, rcode, qname;

-- Clients.
CREATE TABLE IF NOT EXISTS dns.clients
(
    hour DateTime('UTC'),
    identity LowCardinality(String),
    client IPv6 CODEC(ZSTD(1)),
    queries UInt64 CODEC(T64, ZSTD(1)),
    octets UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = SummingMergeTree((queries, octets))
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, identity, client)
TTL hour + INTERVAL 90 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS dns.clients_view TO dns.clients AS
SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, identity, client, count() AS queries, sum(length) AS octets
FROM dns.messages
WHERE match(message, '^(CLIENT|AUTH|UPDATE|STUB|TOOL)_QUERY$')
GROUP BY hour, identity, client;

-- Types, rcodes, protocols and top-level domains, in one table: there are few of each.
CREATE TABLE IF NOT EXISTS dns.kinds
(
    hour DateTime('UTC'),
    identity LowCardinality(String),
    message LowCardinality(String),
    rrtype LowCardinality(String),
    rcode LowCardinality(String),
    family LowCardinality(String),
    protocol LowCardinality(String),
    tld String,
    messages UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = SummingMergeTree(messages)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, identity, message, rrtype, rcode, family, protocol, tld)
TTL hour + INTERVAL 90 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS dns.kinds_view TO dns.kinds AS
SELECT
    toStartOfHour(toDateTime(time, 'UTC')) AS hour,
    identity,
    message,
    rrtype,
    rcode,
    family,
    protocol,
    lower(splitByChar('.', qname)[-2]) AS tld,
    count() AS messages
FROM dns.messages
GROUP BY hour, identity, message, rrtype, rcode, family, protocol, tld;
