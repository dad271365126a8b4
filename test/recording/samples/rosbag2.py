# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Bags as rosbag2 writes them: storage and compression; made by `rosbags` and `mcap`."""

from __future__ import annotations

import sqlite3

from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

COUNT = 50
START_NS = 1_790_000_000_000_000_000
STORAGES = {
    'mcap': (StoragePlugin.MCAP, CompressionMode.NONE),
    'mcap, message zstd': (StoragePlugin.MCAP, CompressionMode.MESSAGE),
    'mcap, chunk zstd': (StoragePlugin.MCAP, CompressionMode.STORAGE),
    'mcap, chunk lz4': (StoragePlugin.MCAP, None),
    'mcap, no chunks': (StoragePlugin.MCAP, None),
    'mcap, file zstd': (StoragePlugin.MCAP, CompressionMode.FILE),
    'sqlite': (StoragePlugin.SQLITE3, CompressionMode.NONE),
    'sqlite, message zstd': (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    'sqlite, file zstd': (StoragePlugin.SQLITE3, CompressionMode.FILE),
    'sqlite of humble': (StoragePlugin.SQLITE3, CompressionMode.NONE),
}


def expected(ros_types):
    return [
        (
            ('/joint_states', START_NS + n, ros_types.joint_state(n, [n, -n, 0.5]))
            if n % 3
            else ('/text', START_NS + n, ros_types.string(f'text {n}'))
        )
        for n in range(COUNT)
    ]


def write_bag(path, storage, ros_types):
    """Write a bag with other people's writers."""
    plugin, compression = STORAGES[storage]
    writer = Writer(path, version=9, storage_plugin=plugin)
    if compression:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    types = {'/joint_states': 'sensor_msgs/msg/JointState', '/text': 'std_msgs/msg/String'}
    messages = expected(ros_types)
    with writer:
        connections = {
            name: writer.add_connection(name, kind, typestore=ros_types.store)
            for name, kind in types.items()
        }
        for topic, time_ns, data in messages:
            writer.write(connections[topic], time_ns, data)
    if storage in ('mcap, chunk lz4', 'mcap, no chunks'):
        (file,) = path.glob('*.mcap')
        with file.open('wb') as stream:
            out = McapWriter(
                stream,
                chunk_size=1000,
                compression=CompressionType.LZ4,
                use_chunking='lz4' in storage,
            )
            out.start(profile='ros2')
            ids = {}
            for name, kind in types.items():
                text, _ = ros_types.store.generate_msgdef(kind, ros_version=2)
                schema = out.register_schema(kind, 'ros2msg', text.encode())
                ids[name] = out.register_channel(name, 'cdr', schema)
            # Not in the order of time, as a recorder of several threads writes.
            for at in (*range(1, COUNT, 2), *range(0, COUNT, 2)):
                topic, time_ns, data = messages[at]
                out.add_message(ids[topic], time_ns, data, time_ns)
            out.finish()
    if storage == 'sqlite of humble':
        (file,) = path.glob('*.db3')
        make_humble(file)
    return messages


def make_humble(file):
    """Make schema 3 of a SQLite file: no definitions, no hashes."""
    database = sqlite3.connect(file)
    database.executescript(
        """
        DROP TABLE message_definitions;
        ALTER TABLE topics DROP COLUMN type_description_hash;
        UPDATE schema SET schema_version = 3, ros_distro = 'humble';
        """
    )
    database.close()
