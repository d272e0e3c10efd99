-- Without Kafka: rows from `output.http` with `format = "clickhouse"`, into the same tables. After 10-tables.sql.
--
--   url = "http://db.example:8123/?query=INSERT INTO dns.rows FORMAT JSONEachRow&input_format_skip_unknown_fields=1"

CREATE TABLE IF NOT EXISTS dns.rows
(
    timestamp DateTime64(6, 'UTC') DEFAULT now64(6),     -- a message without a time has that of its arrival
    identity String,
    message String,
    query_ip String,
    query_port UInt16,
    response_ip String,
    family String,
    protocol String,
    qname String,
    rrtype String,
    rcode String,
    flags String,
    id UInt16,
    length UInt32,
    latency Nullable(Float32)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS dns.rows_view TO dns.messages AS
SELECT
    timestamp AS time,
    identity,
    message,
    toIPv6OrDefault(query_ip) AS client,
    query_port AS port,
    toIPv6OrDefault(response_ip) AS server,
    family,
    protocol,
    qname,
    rrtype,
    rcode,
    flags,
    id,
    length,
    latency
FROM dns.rows;
