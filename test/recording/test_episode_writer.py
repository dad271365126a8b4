# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
import errno
import os
from pathlib import Path
import threading

from mcap.reader import make_reader
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
import yaml

from bc_runtime.recording.disk import DiskLevel, DiskLimits
from bc_runtime.recording.episode_writer import EpisodeWriter, WriterState
from bc_runtime.recording.errors import BagExists, DirectoryUnusable, DiskSpaceLow
from bc_runtime.recording.labels import Outcome
from bc_runtime.recording.metadata import read_metadata
from bc_runtime.recording.reader import BagReader
from bc_runtime.spec.errors import RecordingError

SECOND = 1_000_000_000
TIMEOUT_S = 20.0


class FakeDisk:
    """A statvfs whose free space the test sets, and which can be made to hang."""

    def __init__(self, free=100 * 10**9):
        self.free = free
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, path):
        self.asked.set()
        self.open.wait(TIMEOUT_S)
        return self

    @property
    def f_bavail(self):
        return self.free // 4096

    @property
    def f_frsize(self):
        return 4096


def wait_until_ended(writer):
    writer._thread.join(TIMEOUT_S)
    assert not writer._thread.is_alive()


def record(directory, ros_types, topics, labels, count=20, **options):
    """Write `count` joint states after one instruction; return the writer, closed."""
    with EpisodeWriter(directory, labels=labels, topics=topics, **options) as writer:
        writer.write('/instruction', ros_types.string('go'), log_time_ns=10 * SECOND)
        for index in range(count):
            stamp = 10 * SECOND + index * SECOND // 100
            assert writer.write(
                '/joint_states',
                ros_types.joint_state(stamp, [index, 0.5, -1.0]),
                log_time_ns=stamp + 700,
                publish_time_ns=stamp + 300,
            )
        writer.close(replace(labels, outcome=Outcome.SUCCESS, termination='success'))
    return writer


def test_bag_is_read_by_rosbags_with_all_topics(tmp_path, ros_types, topics, labels):
    writer = record(tmp_path, ros_types, topics, labels)
    assert writer.status.state is WriterState.CLOSED
    with AnyReader([writer.path]) as reader:
        assert {c.topic: c.msgcount for c in reader.connections} == {
            '/joint_states': 20,
            '/instruction': 1,
        }
        for connection in reader.connections:
            assert connection.digest == ros_types.store.hash_rihs01(connection.msgtype)
        positions = [
            reader.deserialize(raw, c.msgtype).position[0]
            for c, _, raw in reader.messages()
            if c.topic == '/joint_states'
        ]
    assert positions == list(range(20))


def test_bag_is_read_by_mcap_with_all_topics(tmp_path, ros_types, topics, labels):
    writer = record(tmp_path, ros_types, topics, labels)
    with (writer.path / 'episode_7_0.mcap').open('rb') as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        channels = {c.topic: c for c in summary.channels.values()}
        assert set(channels) == {'/joint_states', '/instruction'}
        (qos,) = yaml.safe_load(channels['/instruction'].metadata['offered_qos_profiles'])
        assert qos['durability'] == 'transient_local'
        joint_states = channels['/joint_states']
        assert joint_states.metadata['topic_type_hash'].startswith('RIHS01_')
        assert joint_states.message_encoding == 'cdr'
        schema = summary.schemas[joint_states.schema_id]
        assert (schema.name, schema.encoding) == ('sensor_msgs/msg/JointState', 'ros2msg')
        messages = [m for _, c, m in reader.iter_messages('/joint_states')]
        assert [m.publish_time for m in messages] == [m.log_time - 400 for m in messages]
        assert [m.sequence for m in messages] == list(range(1, 21))
        record_names = [m.name for m in reader.iter_metadata()]
    assert record_names == ['rosbag2', 'rosbag2']  # one early, one at the end


def test_bag_reader_round_trip(tmp_path, ros_types, topics, labels):
    writer = record(tmp_path, ros_types, topics, labels)
    with BagReader(writer.path) as bag:
        assert bag.labels == replace(labels, outcome=Outcome.SUCCESS, termination='success')
        assert bag.custom_data['bc.closed'] == 'yes'
        assert bag.custom_data['bc.dropped'] == '0'
        assert bag.topics['/joint_states'].message_count == 20
        assert bag.topics['/joint_states'].qos == topics[0].qos
        assert bag.message_count == 21
        assert bag.start_ns == 10 * SECOND
        assert bag.end_ns == 10 * SECOND + 19 * SECOND // 100 + 700
        assert bag.topics_of_type('std_msgs/msg/String') == ['/instruction']
        (instruction,) = bag.messages(['/instruction'])
        assert instruction.decode().data == 'go'
        late = list(bag.messages(['/joint_states'], start_ns=bag.end_ns, end_ns=bag.end_ns))
        assert len(late) == 1
        message = late[0].decode()
        assert message.name == ['joint_1', 'joint_2', 'gripper']
        np.testing.assert_array_equal(message.position, [19.0, 0.5, -1.0])
        with pytest.raises(RecordingError, match='/instruction, /joint_states'):
            next(bag.messages(['/joint_state']))


def test_mcap_file_alone_keeps_labels_and_messages(tmp_path, ros_types, topics, labels):
    writer = record(tmp_path, ros_types, topics, labels)
    (writer.path / 'metadata.yaml').unlink()
    for path in (writer.path, writer.path / 'episode_7_0.mcap'):
        with BagReader(path) as bag:
            assert bag.labels.outcome is Outcome.SUCCESS
            assert bag.message_count == 21


def test_metadata_file_round_trip(tmp_path, ros_types, topics, labels):
    writer = record(tmp_path, ros_types, topics, labels, ros_distro='kilted')
    metadata = read_metadata(writer.path)
    assert metadata.version == 9
    assert metadata.files == ('episode_7_0.mcap',)
    assert metadata.start_ns == 10 * SECOND
    assert metadata.duration_ns == 19 * SECOND // 100 + 700
    assert metadata.ros_distro == 'kilted'
    assert {t.name: (t.type, t.qos, t.type_hash, t.message_count) for t in metadata.topics} == {
        t.name: (t.type, t.qos, t.definition.type_hash, count)
        for t, count in zip(topics, (20, 1), strict=True)
    }
    text = (writer.path / 'metadata.yaml').read_text()
    assert '&id' not in text  # no YAML anchors
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert information['files'][0]['message_count'] == 21
    assert information['compression_mode'] == ''


def test_metadata_is_there_while_recording(tmp_path, ros_types, topics, labels):
    disk = FakeDisk()
    with EpisodeWriter(
        tmp_path, labels=labels, topics=topics, statvfs=disk, flush_period_s=0.0
    ) as writer:
        disk.asked.clear()
        assert disk.asked.wait(TIMEOUT_S)  # the first flush has been
        metadata = read_metadata(writer.path)
    assert [topic.name for topic in metadata.topics] == ['/joint_states', '/instruction']
    assert metadata.custom_data['bc.closed'] == 'no'
    assert metadata.custom_data['bc.seed'] == '7'


def test_queue_overflow_is_counted_and_never_blocks(tmp_path, ros_types, topics, labels):
    disk = FakeDisk()
    writer = EpisodeWriter(
        tmp_path,
        labels=labels,
        topics=topics,
        statvfs=disk,
        flush_period_s=0.0,
        queue_bytes=100_000,
    )
    disk.open.clear()
    disk.asked.clear()
    assert disk.asked.wait(TIMEOUT_S)  # the thread now hangs in the file system
    data = ros_types.string('x' * 1000)
    kept = [writer.write('/instruction', data, log_time_ns=n + 1) for n in range(200)]
    status = writer.status
    assert 50 < sum(kept) < 100
    assert status.dropped == 200 - sum(kept)
    assert status.dropped_by_topic == {'/instruction': 200 - sum(kept), '/joint_states': 0}
    assert status.queued == sum(kept)
    disk.open.set()
    final = writer.close()

    assert final.messages == sum(kept)
    assert final.dropped == 200 - sum(kept)
    with BagReader(writer.path) as bag:
        assert bag.message_count == sum(kept)
        assert bag.custom_data['bc.dropped'] == str(200 - sum(kept))


def test_message_larger_than_the_queue_is_recorded(tmp_path, ros_types, topics, labels):
    with EpisodeWriter(tmp_path, labels=labels, topics=topics, queue_bytes=100) as writer:
        assert writer.write('/instruction', ros_types.string('x' * 5000), log_time_ns=1)
    assert writer.status.messages == 1


def test_low_disk_stops_recording_and_closes_the_bag(tmp_path, ros_types, topics, labels):
    disk = FakeDisk(free=9 * 10**9)
    writer = EpisodeWriter(
        tmp_path, labels=labels, topics=topics, statvfs=disk, flush_period_s=0.01
    )
    assert writer.status.disk.level is DiskLevel.LOW
    writer.write('/instruction', ros_types.string('before'), log_time_ns=1)
    disk.free = 10**9
    wait_until_ended(writer)

    assert not writer.write('/instruction', ros_types.string('after'), log_time_ns=2)
    status = writer.status
    assert status.state is WriterState.STOPPED
    assert '1.00 GB are free' in status.error
    assert '2.00 GB' in status.error
    assert status.dropped == 1
    # The operator's verdict still gets into the bag.
    assert writer.close(replace(labels, outcome=Outcome.FAILURE)).state is WriterState.STOPPED
    with BagReader(writer.path) as bag:
        assert bag.labels.outcome is Outcome.FAILURE
        assert 'GB are free' in bag.custom_data['bc.closed']
        assert [m.decode().data for m in bag.messages()] == ['before']


def test_low_disk_refuses_to_start(tmp_path, labels):
    with pytest.raises(DiskSpaceLow, match='another directory'):
        EpisodeWriter(tmp_path / 'new', labels=labels, statvfs=FakeDisk(free=10**9))
    assert not (tmp_path / 'new').exists()


def test_a_directory_that_cannot_be_written_to_is_called_so(tmp_path, labels):
    """Regressions pinned: it was reported as '0.00 GB free'."""
    file = tmp_path / 'file'
    file.write_text('')
    for directory in (Path('/proc/episodes'), file, file / 'episodes'):
        with pytest.raises(DirectoryUnusable, match='nothing can be written to') as caught:
            EpisodeWriter(directory, labels=labels)
        assert 'GB' not in str(caught.value)


def test_disk_limits_are_parameters(tmp_path, labels):
    limits = DiskLimits(warn_bytes=10, stop_bytes=5)
    disk = FakeDisk(free=8192)
    with EpisodeWriter(tmp_path, labels=labels, disk_limits=limits, statvfs=disk) as writer:
        assert writer.status.disk.level is DiskLevel.OK
    with pytest.raises(RecordingError, match='stop <= warn'):
        DiskLimits(warn_bytes=1, stop_bytes=2)


def test_write_error_closes_the_bag_and_keeps_it_readable(
    tmp_path, ros_types, topics, labels, monkeypatch
):
    real_writev = os.writev
    broken = threading.Event()

    def writev(descriptor, buffers):
        # The disk is full for chunks; what the summary needs still fits.
        if broken.is_set() and sum(len(b) for b in buffers) > 20_000:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real_writev(descriptor, buffers)

    monkeypatch.setattr('bc_runtime.recording.mcap_file.os.writev', writev)
    writer = EpisodeWriter(
        tmp_path, labels=labels, topics=topics, chunk_bytes=30_000, flush_period_s=60
    )
    text = 'x' * 2000
    sent = 0
    while writer.status.messages < 30:  # two chunks are on the file
        sent += writer.write('/instruction', ros_types.string(text), log_time_ns=sent + 1)
    broken.set()
    while writer.status.state is WriterState.RECORDING:
        sent += writer.write('/instruction', ros_types.string(text), log_time_ns=sent + 1)
    final = writer.close()

    assert final.state is WriterState.FAILED
    assert 'No space left' in final.error
    with BagReader(writer.path) as bag:
        assert bag.message_count == final.messages >= 28
        assert 'No space left' in bag.custom_data['bc.closed']
        assert all(m.decode().data == text for m in bag.messages())


def test_recordings_are_never_overwritten(tmp_path, labels):
    EpisodeWriter(tmp_path, labels=labels).close()
    before = (tmp_path / 'episode_7' / 'metadata.yaml').read_bytes()
    with pytest.raises(BagExists, match='another'):
        EpisodeWriter(tmp_path, labels=labels)
    assert (tmp_path / 'episode_7' / 'metadata.yaml').read_bytes() == before


def test_topic_declared_twice_with_another_type_and_unknown_topic(
    tmp_path, ros_types, topics, labels
):
    with EpisodeWriter(tmp_path, labels=labels, topics=topics) as writer:
        writer.add_topic(topics[0])
        with pytest.raises(RecordingError, match='one type'):
            writer.add_topic(ros_types.topic('/instruction', 'sensor_msgs/msg/JointState'))
        with pytest.raises(RecordingError, match='add_topic'):
            writer.write('/other', b'', log_time_ns=1)


def test_topic_may_be_added_while_recording(tmp_path, ros_types, topics, labels):
    with EpisodeWriter(tmp_path, labels=labels, topics=topics[:1]) as writer:
        writer.write('/joint_states', ros_types.joint_state(1, [0.0] * 3), log_time_ns=1)
        writer.add_topic(topics[1])
        writer.write('/instruction', ros_types.string('late'), log_time_ns=2)
    with BagReader(writer.path) as bag:
        assert [m.topic for m in bag.messages()] == ['/joint_states', '/instruction']


def test_bag_without_messages_is_readable(tmp_path, topics, labels):
    EpisodeWriter(tmp_path, labels=labels, topics=topics).close()
    with BagReader(tmp_path / 'episode_7') as bag:
        assert bag.message_count == 0
        assert (bag.start_ns, bag.end_ns) == (0, 0)
        assert set(bag.topics) == {'/joint_states', '/instruction'}
        assert list(bag.messages()) == []


def test_real_statvfs_is_used_by_default(tmp_path):
    space = DiskLimits(warn_bytes=0, stop_bytes=0).check(Path(tmp_path) / 'not' / 'there')
    assert space.free_bytes > 0
    assert space.level is DiskLevel.OK
