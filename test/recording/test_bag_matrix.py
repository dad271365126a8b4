# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every bag that rosbag2 writes is read and recovered: storage, compression, metadata, path."""

from __future__ import annotations

from pathlib import Path
import sqlite3

from mcap.writer import Writer as McapWriter
import numpy as np
import pytest
from samples.rosbag2 import COUNT, START_NS, STORAGES, write_bag
import yaml

from bc_runtime.cli.main import main
from bc_runtime.recording.errors import BagDamaged, DefinitionNotFound
from bc_runtime.recording.reader import BagReader
from bc_runtime.recording.recover import recover_bag
from bc_runtime.spec.errors import RecordingError

QOS = [
    {
        'history': 3, 'depth': 0, 'reliability': 1, 'durability': 2,
        'deadline': {'sec': 9223372036, 'nsec': 854775807},
        'lifespan': {'sec': 9223372036, 'nsec': 854775807},
        'liveliness': 1, 'liveliness_lease_duration': {'sec': 9223372036, 'nsec': 854775807},
        'avoid_ros_namespace_conventions': False,
    }
]  # fmt: skip


def _good(information):
    pass


def _empty_id(information):
    information['storage_identifier'] = ''


def _wrong_id(information):
    kinds = {'mcap': 'sqlite3', 'sqlite3': 'mcap'}
    information['storage_identifier'] = kinds[information['storage_identifier']]


def _wrong_qos(information):
    for topic in information['topics_with_message_count']:
        topic['topic_metadata']['offered_qos_profiles'] = QOS


def _unreadable_qos(information):
    for topic in information['topics_with_message_count']:
        topic['topic_metadata']['offered_qos_profiles'] = '- history: {'


def _wrong_counts(information):
    information['message_count'] = 7
    for topic in information['topics_with_message_count']:
        topic['message_count'] = 3


def _wrong_compression(information):
    information['compression_mode'] = information['compression_format'] = ''


def _reindexed(information):
    """As `ros2 bag reindex` of Humble leaves it."""
    information.update(
        version=5, storage_identifier='', compression_mode='', compression_format=''
    )
    for key in ('custom_data', 'ros_distro'):
        information.pop(key, None)
    for topic in information['topics_with_message_count']:
        topic['topic_metadata'].pop('type_description_hash')
        topic['topic_metadata']['offered_qos_profiles'] = yaml.safe_dump(QOS)
    information['relative_file_paths'] = [
        f'bag/{name}' for name in information['relative_file_paths']
    ]


METADATA = {
    'good': _good,
    'missing': None,
    'empty id': _empty_id,
    'wrong id': _wrong_id,
    'wrong QoS': _wrong_qos,
    'unreadable QoS': _unreadable_qos,
    'wrong counts': _wrong_counts,
    'wrong compression': _wrong_compression,
    'reindexed': _reindexed,
}


def change_metadata(path, change):
    file = path / 'metadata.yaml'
    if change is None:
        file.unlink()
        return
    document = yaml.safe_load(file.read_text())
    change(document['rosbag2_bagfile_information'])
    file.write_text(yaml.safe_dump(document))


def read(path):
    with BagReader(path) as bag:
        messages = list(bag.messages())
        for message in messages:
            message.decode()
        counts = {name: topic.message_count for name, topic in bag.topics.items()}
        assert bag.message_count == len(messages)
        assert (bag.start_ns, bag.end_ns) == (START_NS, START_NS + COUNT - 1)
        some = list(bag.messages(['/text'], start_ns=START_NS + 10, end_ns=START_NS + 20))
        assert [m.log_time_ns - START_NS for m in some] == [12, 15, 18]
    return [(m.topic, m.log_time_ns, m.data) for m in messages], counts


@pytest.mark.parametrize(
    ('metadata', 'form'), [*((name, 'folder') for name in METADATA), ('good', 'file')]
)
@pytest.mark.parametrize('storage', STORAGES)
def test_every_bag_is_read_and_recovered(storage, metadata, form, tmp_path, ros_types, capsys):
    """Regressions pinned: message compression copied as it was by `bc recover` (nothing could be
    decoded, exit 0); QoS in metadata unlike the storage read 0 of 50 messages silently; an
    empty storage id, a .db3 path and a bag without metadata were refused as something else; a
    Humble bag could not be decoded."""
    bag = tmp_path / 'bag'
    messages = write_bag(bag, storage, ros_types)
    change_metadata(bag, METADATA[metadata])
    path = bag
    if form == 'file':
        (path,) = (f for f in bag.iterdir() if f.name != 'metadata.yaml')
    before = {file: file.read_bytes() for file in bag.iterdir()}
    kept = {'/joint_states': sum(t == '/joint_states' for t, _, _ in messages)}
    kept['/text'] = COUNT - kept['/joint_states']

    assert read(path) == (messages, kept)

    assert main(['recover', str(path), '-o', str(tmp_path / 'new')]) == 0
    assert f'{COUNT} of {COUNT} messages' in capsys.readouterr().out
    assert read(tmp_path / 'new') == (messages, kept)
    assert {file: file.read_bytes() for file in bag.iterdir()} == before


def test_reader_says_where_metadata_contradicts_the_files(tmp_path, ros_types):
    write_bag(tmp_path / 'bag', 'mcap', ros_types)
    change_metadata(tmp_path / 'bag', _wrong_counts)
    with BagReader(tmp_path / 'bag') as bag:
        assert len(bag.notes) == 2
        assert 'metadata.yaml counts 3 messages of /joint_states, the files hold 33' in bag.notes
    report = recover_bag(tmp_path / 'bag')
    assert report.whole
    assert any('counts 6 messages, its files hold 50' in note for note in report.notes)


@pytest.mark.parametrize('text', ['', 'rosbag2_bagfile_information: {half', '- 1', 'a: b'])
def test_half_a_metadata_file_is_an_error_that_names_the_command(text, tmp_path, ros_types):
    messages = write_bag(tmp_path / 'bag', 'sqlite', ros_types)
    (tmp_path / 'bag' / 'metadata.yaml').write_text(text)
    with pytest.raises(BagDamaged, match=r'A new one is written by: bc recover .*bag'):
        BagReader(tmp_path / 'bag')
    report = recover_bag(tmp_path / 'bag')
    assert (report.messages, report.whole) == (len(messages), True)


def test_a_split_bag_that_lost_a_file(tmp_path, ros_types):
    """The rest is saved, and the loss is told from the counts of metadata.yaml."""
    messages = write_bag(tmp_path / 'bag', 'mcap', ros_types)
    bag = tmp_path / 'bag'
    (bag / 'bag.mcap').rename(bag / 'bag_0.mcap')

    def split(information):
        information['relative_file_paths'] = ['bag_0.mcap', 'bag_1.mcap']
        for topic in information['topics_with_message_count']:
            topic['message_count'] *= 2

    change_metadata(bag, split)
    with pytest.raises(BagDamaged, match=r'lacks bag_1\.mcap.*bc recover'):
        BagReader(bag)
    assert main(['recover', str(bag), '-o', str(tmp_path / 'new')]) == 3
    report = recover_bag(bag)
    assert (report.messages, report.lost) == (COUNT, COUNT)
    assert report.by_topic['/text'].before == 2 * report.by_topic['/text'].kept
    # The other way round: a file that metadata.yaml does not list.
    (bag / 'bag_1.mcap').write_bytes((bag / 'bag_0.mcap').read_bytes())
    change_metadata(bag, lambda i: i.update(relative_file_paths=['bag_0.mcap']))
    with pytest.raises(BagDamaged, match=r'holds bag_1\.mcap.*does not list'):
        BagReader(bag)
    assert recover_bag(bag, tmp_path / 'both').messages == 2 * len(messages)


def test_messages_of_a_type_that_nobody_defines(tmp_path, ros_types, capsys):
    """One sentence says what is missing and what helps; other topics are read all the same."""
    bag = tmp_path / 'bag'
    write_bag(bag, 'sqlite of humble', ros_types)
    (file,) = bag.glob('*.db3')
    database = sqlite3.connect(file)
    database.execute("UPDATE topics SET type = 'my_msgs/msg/Thing' WHERE name = '/text'")
    database.commit()
    database.close()
    with BagReader(bag) as reader:
        assert len([m.decode() for m in reader.messages(['/joint_states'])]) == 33
        (message, *_) = reader.messages(['/text'])
        with pytest.raises(DefinitionNotFound, match='Install or build the package my_msgs'):
            message.decode()
    assert main(['recover', str(bag)]) == 3
    out = capsys.readouterr().out
    assert '33 of 50 messages' in out
    assert 'my_msgs' in out


def test_formats_of_others_are_named(tmp_path):
    path = tmp_path / 'json.mcap'
    with path.open('wb') as stream:
        out = McapWriter(stream)
        out.start()
        schema = out.register_schema('x', 'jsonschema', b'{}')
        channel = out.register_channel('/x', 'json', schema)
        out.add_message(channel, 1, b'{}', 1)
        out.finish()
    with pytest.raises(RecordingError, match=r"/x in the format 'json'; only 'cdr'"):
        BagReader(path)


def test_rosbag2_bag_of_a_killed_recorder_with_write_ahead_log(tmp_path, ros_types):
    """What SQLite keeps beside the file (`-wal`) is read too, and nothing is written there."""
    bag = tmp_path / 'bag'
    write_bag(bag, 'sqlite', ros_types)
    (bag / 'metadata.yaml').unlink()
    (file,) = bag.glob('*.db3')
    database = sqlite3.connect(file)
    database.execute('PRAGMA journal_mode=WAL')
    database.execute(
        'INSERT INTO messages (topic_id, timestamp, data) VALUES (2, ?, ?)',
        (START_NS + COUNT, ros_types.string('late')),
    )
    database.commit()
    copy = tmp_path / 'killed'
    copy.mkdir()
    for part in bag.iterdir():  # as a kill -9 leaves it: the log is not in the database yet
        (copy / part.name).write_bytes(part.read_bytes())
    database.close()
    before = {part: part.read_bytes() for part in copy.iterdir()}
    assert any(part.name.endswith('-wal') and data for part, data in before.items())
    with BagReader(copy) as reader:
        assert [m.decode().data for m in reader.messages(['/text'])][-1] == 'late'
    assert recover_bag(copy).messages == COUNT + 1
    assert {part: part.read_bytes() for part in copy.iterdir()} == before


def test_numbers_survive_every_way(tmp_path, ros_types):
    write_bag(tmp_path / 'bag', 'sqlite, message zstd', ros_types)
    path = recover_bag(tmp_path / 'bag').path
    with BagReader(Path(path)) as reader:
        state = next(reader.messages(['/joint_states'])).decode()
    assert np.array_equal(state.position, [1, -1, 0.5])
