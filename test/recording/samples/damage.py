# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files of several writers, and where in them the messages stand.

The map of a file is made here by a walk over the undamaged file, with nothing of the code that
repairs: it says which messages a damage can have touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import struct

from mcap.writer import CompressionType, IndexType, Writer

from bc_runtime.recording.mcap_file import McapFile

TYPE, TEXT = 'std_msgs/msg/String', b'string data'
MAGIC = 8
#: Writer -> options of the mcap library; `ours` is the recorder's own.
WRITERS = {
    'ours': None,
    'check sums': {},
    'no check sums': {'enable_crcs': False},
    'no index': {'index_types': IndexType.NONE, 'enable_crcs': False},
    'no summary': {
        'index_types': IndexType.NONE,
        'use_statistics': False,
        'use_summary_offsets': False,
        'repeat_channels': False,
        'repeat_schemas': False,
    },
    'no chunks': {'use_chunking': False},
    'zstd': {'compression': CompressionType.ZSTD},
    'lz4': {'compression': CompressionType.LZ4},
}


def payload(number: int) -> bytes:
    """Return a std_msgs/String that tells its number in every part."""
    text = f'{number:06d}'.encode() * (3 + number * 7 % 20) + b'\0'
    return bytes([0, 1, 0, 0]) + struct.pack('<I', len(text)) + text


def topic_of(number: int) -> str:
    """Return the topic of a message."""
    return '/a' if number % 3 else '/b'


def time_of(number: int) -> int:
    """Return the log time of a message [ns]."""
    return 1_700_000_000_000_000_000 + number * 1_000_000


def write(path: Path, writer: str, count: int, chunk_bytes: int = 2000) -> None:
    """Write a file of numbered messages."""
    options = WRITERS[writer]
    if options is None:
        file = McapFile(path, chunk_bytes=chunk_bytes)
        schema = file.add_schema(name=TYPE, encoding='ros2msg', data=TEXT)
        ids = {t: file.add_channel(topic=t, schema_id=schema, metadata={}) for t in ('/a', '/b')}
        for number in range(count):
            file.write(
                ids[topic_of(number)],
                payload(number),
                log_time_ns=time_of(number),
                publish_time_ns=time_of(number),
                sequence=number,
            )
        file.close()
        return
    options = {'compression': CompressionType.NONE, **options}
    with path.open('wb') as stream:
        out = Writer(stream, chunk_size=chunk_bytes, **options)
        out.start(profile='ros2', library='test')
        schema = out.register_schema(name=TYPE, encoding='ros2msg', data=TEXT)
        ids = {t: out.register_channel(topic=t, message_encoding='cdr', schema_id=schema)
               for t in ('/a', '/b')}  # fmt: skip
        for number in range(count):
            out.add_message(
                channel_id=ids[topic_of(number)],
                log_time=time_of(number),
                data=payload(number),
                publish_time=time_of(number),
                sequence=number,
            )
        out.finish()


@dataclass(frozen=True)
class Place:
    """Where a message stands.

    Attributes:
        record: First byte and byte behind the last one of its record; of its chunk if that is
            compressed.
        chunk: The same of its chunk, of the record if there is none.
        data: The same of the message's own bytes.
    """

    record: tuple[int, int]
    chunk: tuple[int, int]
    data: tuple[int, int]


def places(data: bytes, count: int) -> list[Place]:
    """Return where each message of an undamaged file stands, in the order of their numbers."""
    found: list[Place] = []
    position = MAGIC
    compressed: list[tuple[int, int]] = []
    while position < len(data) - MAGIC:
        opcode, length = struct.unpack_from('<BQ', data, position)
        stop = position + 9 + length
        if opcode == 5:
            found.append(Place((position, stop), (position, stop), (position + 31, stop)))
        elif opcode == 6:
            (name,) = struct.unpack_from('<I', data, position + 9 + 28)
            inner = position + 9 + 40 + name
            if name:
                compressed.append((position, stop))
            while not name and inner < stop:
                code, size = struct.unpack_from('<BQ', data, inner)
                end = inner + 9 + size
                if code == 5:
                    found.append(Place((inner, end), (position, stop), (inner + 31, end)))
                inner = end
        position = stop
    if compressed:
        # Which messages stand in which chunk cannot be told from outside: any damage of one may
        # cost those of that chunk, and only the number of chunks is known.
        return [Place(c, c, c) for c in compressed]
    assert len(found) == count
    return found
