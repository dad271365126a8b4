# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os

from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
import pytest

from bc_runtime.recording.mcap_file import McapFile
from bc_runtime.recording.mcap_scan import ScanReport, has_end, scan


def open_file(path, chunk_bytes=1000):
    file = McapFile(path, chunk_bytes=chunk_bytes)
    schema = file.add_schema(name='std_msgs/msg/String', encoding='ros2msg', data=b'string data')
    channels = [
        file.add_channel(topic=topic, schema_id=schema, metadata={'topic_type_hash': 'RIHS01_x'})
        for topic in ('/a', '/b')
    ]
    return file, channels


def read(path):
    with path.open('rb') as stream:
        reader = make_reader(stream, validate_crcs=True)
        found = [
            (c.topic, m.log_time, m.publish_time, m.sequence, m.data)
            for _, c, m in reader.iter_messages()
        ]
        return found, reader.get_summary()


def test_mcap_library_reads_everything_and_check_sums_hold(tmp_path):
    file, (a, b) = open_file(tmp_path / 'x.mcap')
    expected = []
    for index in range(50):
        data = bytes([index]) * (index * 7 % 90)
        channel, topic = ((a, '/a'), (b, '/b'))[index % 2]
        file.write(
            channel, data, log_time_ns=100 + index, publish_time_ns=90 + index, sequence=index
        )
        expected.append((topic, 100 + index, 90 + index, index, data))
    file.add_metadata('rosbag2', {'serialized_metadata': 'x'})
    file.close()

    found, summary = read(file.path)

    assert found == expected
    assert summary.statistics.message_count == 50
    assert summary.statistics.message_start_time == 100
    assert summary.statistics.message_end_time == 149
    assert summary.statistics.channel_message_counts == {a: 25, b: 25}
    assert len(summary.chunk_indexes) == summary.statistics.chunk_count > 1
    with file.path.open('rb') as stream:
        (record,) = make_reader(stream).iter_metadata()
    assert record.metadata == {'serialized_metadata': 'x'}
    with file.path.open('rb') as stream:  # the sequential reader checks every chunk's CRC as well
        assert sum(1 for _ in StreamReader(stream, validate_crcs=True).records) > 50


def test_mcap_index_leads_to_one_topic_and_to_a_time(tmp_path):
    file, (a, b) = open_file(tmp_path / 'x.mcap', chunk_bytes=200)
    for index in range(40):
        file.write((a, b)[index % 2], b'12345678', log_time_ns=index, publish_time_ns=index)
    file.close()
    with file.path.open('rb') as stream:
        reader = make_reader(stream)
        times = [
            m.log_time for _, _, m in reader.iter_messages('/b', starting_at=11, ending_before=20)
        ]
    assert times == [11, 13, 15, 17, 19]


def test_mcap_empty_file_is_readable(tmp_path):
    file = McapFile(tmp_path / 'x.mcap')
    file.close()
    file.close()
    found, summary = read(file.path)
    assert found == []
    assert summary.statistics.message_count == 0


def test_mcap_full_disk_loses_whole_chunks_and_the_file_stays_readable(tmp_path, monkeypatch):
    file, (a, _) = open_file(tmp_path / 'x.mcap', chunk_bytes=10_000)
    real_writev = os.writev
    broken = {'on': False}

    def writev(descriptor, buffers):
        if not broken['on']:
            return real_writev(descriptor, buffers)
        os.write(descriptor, b''.join(buffers)[:37])  # a full disk takes the beginning
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('bc_runtime.recording.mcap_file.os.writev', writev)
    for index in range(10):
        file.write(a, b'x' * 50, log_time_ns=index, publish_time_ns=index)
    file.flush()
    size = file.size
    broken['on'] = True
    for index in range(10, 15):
        file.write(a, b'x' * 50, log_time_ns=index, publish_time_ns=index)
    with pytest.raises(OSError, match='No space'):
        file.flush()
    assert file.path.stat().st_size == size
    assert file.lost == 5
    broken['on'] = False
    for index in range(15, 18):
        file.write(a, b'x' * 50, log_time_ns=index, publish_time_ns=index)
    file.close()

    found, summary = read(file.path)

    assert [m[1] for m in found] == [*range(10), 15, 16, 17]
    assert summary.statistics.message_count == 13


def test_mcap_short_write_is_continued(tmp_path, monkeypatch):
    file, (a, _) = open_file(tmp_path / 'x.mcap')
    monkeypatch.setattr(
        'bc_runtime.recording.mcap_file.os.writev',
        lambda descriptor, buffers: os.write(descriptor, b''.join(buffers)[:5]),
    )
    file.write(a, b'hello', log_time_ns=1, publish_time_ns=1)
    file.close()
    assert [m[4] for m in read(file.path)[0]] == [b'hello']


def payload(index):
    return f'this is message {index:02d}'.encode()


@pytest.fixture(scope='module')
def closed_file(tmp_path_factory):
    file, (a, b) = open_file(tmp_path_factory.mktemp('closed') / 'x.mcap', chunk_bytes=300)
    for index in range(30):
        file.write((a, b)[index % 2], payload(index), log_time_ns=index, publish_time_ns=0)
    file.close()
    return file.path


def messages_of(path, report):
    return [r.data for r in scan(path, report) if hasattr(r, 'log_time')]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_scan_of_a_file_cut_anywhere_gives_whole_messages_property(
    data, closed_file, tmp_path_factory
):
    content = closed_file.read_bytes()
    cut = data.draw(st.integers(8, len(content) - 1))
    path = tmp_path_factory.mktemp('cut') / 'cut.mcap'
    path.write_bytes(content[:cut])
    report = ScanReport()

    found = messages_of(path, report)

    assert found == [payload(index) for index in range(len(found))]
    assert not has_end(path)
    assert not report.complete
    # Every message whose last byte is in the file is found.
    whole = sum(1 for index in range(30) if payload(index) in content[:cut])
    assert len(found) == whole


def test_scan_skips_a_damaged_chunk_and_says_where(closed_file, tmp_path):
    content = bytearray(closed_file.read_bytes())
    place = content.index(payload(12))
    content[place] ^= 0xFF
    path = tmp_path / 'bad.mcap'
    path.write_bytes(content)
    report = ScanReport()

    found = messages_of(path, report)

    assert payload(12) not in found
    assert 20 <= len(found) < 30
    assert found[-1] == payload(29)
    assert report.complete
    assert len(report.problems) == 1
    assert 'chunk at byte' in report.problems[0]


def test_scan_stops_at_zeros_that_a_power_cut_leaves(closed_file, tmp_path):
    content = closed_file.read_bytes()
    path = tmp_path / 'zeros.mcap'
    path.write_bytes(content[:700] + bytes(5000))
    report = ScanReport()
    found = messages_of(path, report)
    assert found == [payload(index) for index in range(len(found))]
    assert found
