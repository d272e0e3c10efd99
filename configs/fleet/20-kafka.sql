-- From the topic into the tables, by ClickHouse's own Kafka engine. After 10-tables.sql; set the brokers.
--
-- A record is taken as text and read field by field, so a field that is new, or missing (`-`), breaks nothing.
-- The offsets are committed after a block is written: a crash between the two writes that block twice.

CREATE TABLE IF NOT EXISTS dns.queue
(
    json String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'kafka1.example:9092,kafka2.example:9092',
    kafka_topic_list = 'dnstap',
    kafka_group_name = 'clickhouse',
    kafka_format = 'JSONAsString',
    kafka_num_consumers = 1,
    kafka_max_block_size = 65536,
    kafka_skip_broken_messages = 100;

CREATE MATERIALIZED VIEW IF NOT EXISTS dns.queue_view TO dns.messages AS
SELECT
    -- A message without a time has that of its arrival: the first of 1970 would be older than what is kept.
    ifNull(parseDateTime64BestEffortOrNull(JSONExtractString(json, 'timestamp'), 6, 'UTC'), now64(6, 'UTC')) AS time,
    JSONExtractString(json, 'identity') AS identity,
    JSONExtractString(json, 'message') AS message,
    toIPv6OrDefault(JSONExtractString(json, 'query-ip')) AS client,
    toUInt16(JSONExtractUInt(json, 'query-port')) AS port,
    toIPv6OrDefault(JSONExtractString(json, 'response-ip')) AS server,
    JSONExtractString(json, 'family') AS family,
    JSONExtractString(json, 'protocol') AS protocol,
    JSONExtractString(json, 'qname') AS qname,
    JSONExtractString(json, 'rrtype') AS rrtype,
    JSONExtractString(json, 'rcode') AS rcode,
    JSONExtractString(json, 'flags') AS flags,
    toUInt16(JSONExtractUInt(json, 'id')) AS id,
    toUInt32(JSONExtractUInt(json, 'length')) AS length,
    if(JSONType(json, 'latency') = 'String', NULL, toFloat32(JSONExtractFloat(json, 'latency'))) AS latency
FROM dns.queue;
