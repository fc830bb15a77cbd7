"""Deletes all records that one partition has. delete_records.py BOOTSTRAP TOPIC PARTITION"""

import sys

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

import lakes

bootstrap, topic, partition = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": bootstrap})
for future in admin.delete_records([TopicPartition(topic, int(partition), -1)]).values():
    future.result(30)
lakes.finish()
