#!/bin/sh
# The topic of the fleet. Once, on a machine with Kafka's tools: ./topic.sh kafka1.example:9092 [REPLICAS]
#
# Six partitions: as many as the database has consumers at most (20-kafka.sql). Three days: as long
# as the database may be away. What the routers compressed stays as it is.
set -eu
kafka-topics.sh --bootstrap-server "$1" --create --if-not-exists --topic dnstap --partitions 6 \
	--replication-factor "${2:-1}" --config retention.ms=259200000 --config compression.type=producer \
	--config min.insync.replicas="$([ "${2:-1}" -gt 2 ] && echo 2 || echo 1)"
