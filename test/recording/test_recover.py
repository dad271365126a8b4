# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from bc_runtime.recording.episode_writer import EpisodeWriter
from bc_runtime.recording.errors import BagDamaged, BagExists, BagNotFound, BagTruncated
from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.reader import BagReader, find_bags
from bc_runtime.recording.recover import recover_bag

# Records numbered texts as fast as it can and prints how many are surely on the file.
WRITER = """
import sys
from pathlib import Path
from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.episode_writer import EpisodeWriter
from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.topic import RecordedTopic
topic = RecordedTopic(name='/text', definition=MessageDefinition(
    type='std_msgs/msg/String', encoding='ros2msg', text='string data', type_hash=sys.argv[2]))
writer = EpisodeWriter(Path(sys.argv[1]), topics=[topic], flush_period_s=0.01,
                       labels=EpisodeLabels(id='killed', instruction='put', seed=3))
number = reported = 0
while True:
    number += 1
    text = f'{number:08d}'.encode() * 20 + bytes(1)
    data = bytes([0, 1, 0, 0]) + len(text).to_bytes(4, 'little') + text
    while not writer.write('/text', data, log_time_ns=number):
        pass
    if number % 100 == 0 and writer.status.messages > reported:
        reported = writer.status.messages
        print(reported, flush=True)
"""


def record_until_killed(directory, messages, ros_types):
    """Kill -9 a recorder once it reports so many messages; return the last number it reported."""
    type_hash = ros_types.store.hash_rihs01('std_msgs/msg/String')
    process = subprocess.Popen(
        [sys.executable, '-c', WRITER, str(directory), type_hash],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    reported = 0
    try:
        while reported < messages:
            line = process.stdout.readline()
            assert line, f'the recorder ended by itself: {process.wait()}'
            reported = int(line)
    finally:
        process.kill()
        process.wait()
    for line in process.stdout:
        if line.endswith('\n'):
            reported = int(line)
    process.stdout.close()
    return reported


def test_recover_after_kill_9(tmp_path, ros_types):
    reported = record_until_killed(tmp_path, 3000, ros_types)
    bag = tmp_path / 'killed'
    with pytest.raises(BagTruncated, match=f'bc recover {bag}'):
        BagReader(bag)
    before = {path.name: path.read_bytes() for path in bag.iterdir()}

    report = recover_bag(bag)

    assert report.path == tmp_path / 'killed_recovered'
    assert report.messages >= reported >= 3000
    assert not report.was_complete
    assert {path.name: path.read_bytes() for path in bag.iterdir()} == before
    with BagReader(report.path) as reader:
        assert reader.labels == EpisodeLabels(id='killed', instruction='put', seed=3)
        assert reader.custom_data['bc.closed'] == 'recovered'
        texts = [m.decode().data for m in reader.messages()]
    assert texts == [f'{n:08d}' * 20 for n in range(1, report.messages + 1)]
    with AnyReader([report.path]) as independent:
        assert independent.message_count == report.messages


def test_recover_without_metadata_file_takes_labels_from_the_mcap(tmp_path, ros_types):
    record_until_killed(tmp_path, 100, ros_types)
    (tmp_path / 'killed' / 'metadata.yaml').unlink()
    report = recover_bag(tmp_path / 'killed', tmp_path / 'saved')
    with BagReader(report.path) as reader:
        assert reader.labels.instruction == 'put'
        assert reader.message_count == report.messages >= 100


def test_recover_whole_bag_that_lost_only_its_metadata(tmp_path, ros_types, topics, labels):
    with EpisodeWriter(tmp_path, labels=labels, topics=topics) as writer:
        writer.write('/instruction', ros_types.string('a'), log_time_ns=5, publish_time_ns=4)
    (writer.path / 'metadata.yaml').write_text('rosbag2_bagfile_information: {half')
    with pytest.raises(BagDamaged, match='YAML'):
        BagReader(writer.path)
    report = recover_bag(writer.path)
    assert report.was_complete
    assert report.problems == ()
    with BagReader(report.path) as reader:
        assert reader.labels == labels
        assert reader.topics['/instruction'].qos == topics[1].qos
        assert reader.message_count == 1


@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_recover_bag_of_another_recorder(tmp_path, ros_types, compression):
    """rosbags writes channels inside the chunks, and compresses them if asked to."""
    path = tmp_path / 'foreign'
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    if compression == 'zstd':
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(
            '/text', 'std_msgs/msg/String', typestore=ros_types.store
        )
        for number in range(1, 101):
            writer.write(connection, number, ros_types.string(str(number)))
    (storage,) = path.glob('*.mcap')
    with storage.open('r+b') as stream:
        stream.truncate(storage.stat().st_size - 30)  # the end of the summary
    report = recover_bag(path)
    assert report.messages == 100
    with BagReader(report.path) as reader:
        assert [m.decode().data for m in reader.messages()] == [str(n) for n in range(1, 101)]


def test_recover_never_overwrites_and_needs_a_bag(tmp_path, labels):
    EpisodeWriter(tmp_path, labels=labels).close()
    recover_bag(tmp_path / 'episode_7')
    with pytest.raises(BagExists):
        recover_bag(tmp_path / 'episode_7')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(BagNotFound, match='nothing to recover'):
        recover_bag(tmp_path / 'empty')
    (tmp_path / 'wrong.mcap').write_bytes(b'not an mcap file at all')
    with pytest.raises(BagDamaged, match='magic'):
        recover_bag(tmp_path / 'wrong.mcap')


def test_reader_of_what_is_no_bag_lists_the_bags_nearby(tmp_path, labels):
    EpisodeWriter(tmp_path, labels=labels).close()
    assert find_bags(tmp_path) == [tmp_path / 'episode_7']
    with pytest.raises(BagNotFound, match=r'Bags in .*: episode_7'):
        BagReader(tmp_path)
    with pytest.raises(BagNotFound, match='episode_7'):
        BagReader(tmp_path / 'episode_8')


def test_reader_takes_sqlite_bags_of_ros2_bag_record(tmp_path, ros_types):
    path = tmp_path / 'sqlite'
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection(
            '/text', 'std_msgs/msg/String', typestore=ros_types.store
        )
        writer.write(connection, 1, ros_types.string('old'))
    with BagReader(path) as reader:
        assert reader.labels.id == 'sqlite'
        assert [m.decode().data for m in reader.messages(['/text'])] == ['old']
    assert recover_bag(path).messages == 1
