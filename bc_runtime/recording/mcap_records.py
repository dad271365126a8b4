# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The records of an MCAP file that reading and repairing have in common.

Format: https://mcap.dev/spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
import io
import mmap
from pathlib import Path
import struct
from typing import Any, BinaryIO, TypeAlias
import zlib

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    ChunkIndex,
    Header,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)

from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.mcap_file import MAGIC
from bc_runtime.recording.qos import QosProfile, read_profiles

HEAD = struct.Struct('<BQ')  # opcode, length of what follows
MESSAGE = struct.Struct('<BQHIQQ')  # opcode, length, channel, sequence, log time, publish time
MESSAGE_FIELDS = MESSAGE.size - HEAD.size
CHUNK = struct.Struct('<QQQII')  # start, end, size, check sum, length of the compression's name
FOOTER_LENGTH = 20
_FOOTER = struct.Struct('<QQI')  # start of the summary, of its offsets, check sum
#: Name of the metadata record in which rosbag2 keeps a copy of metadata.yaml.
METADATA_RECORD = 'rosbag2'

Record: TypeAlias = (
    Header | Schema | Channel | Metadata | MessageIndex | ChunkIndex | MetadataIndex | Statistics
)

_PARSERS: Mapping[int, Callable[[ReadDataStream], Record]] = {
    Opcode.HEADER: Header.read,
    Opcode.SCHEMA: Schema.read,
    Opcode.CHANNEL: Channel.read,
    Opcode.METADATA: Metadata.read,
    Opcode.MESSAGE_INDEX: MessageIndex.read,
    Opcode.CHUNK_INDEX: ChunkIndex.read,
    Opcode.METADATA_INDEX: MetadataIndex.read,
    Opcode.STATISTICS: Statistics.read,
}


def parse(opcode: int, body: bytes) -> Record | None:
    """Return the record, None if it is of no kind that matters here.

    Raises:
        ValueError: The body is not a whole record of its kind, or longer than one.
    """
    parser = _PARSERS.get(opcode)
    if parser is None:
        return None
    stream = ReadDataStream(io.BytesIO(body))
    try:
        record = parser(stream)
    except (McapError, ValueError, struct.error, OverflowError, MemoryError) as error:
        raise ValueError(str(error)) from error
    if stream.count != len(body):
        raise ValueError(f'it is {len(body)} bytes long, its fields take {stream.count}')
    return record


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """The fields of a chunk before its records."""

    start_ns: int
    end_ns: int
    size: int
    check_sum: int
    compression: str
    stored_size: int  # of the compressed records
    length: int  # of these fields

    @classmethod
    def read(cls, body: Any) -> ChunkHead:
        """Read from the beginning of a chunk's body.

        Raises:
            ValueError: These are no fields of a chunk.
        """
        if len(body) < CHUNK.size:
            raise ValueError('it breaks off')
        start, end, size, check_sum, name_length = CHUNK.unpack_from(body)
        stop = CHUNK.size + name_length
        if name_length > 32 or len(body) < stop + 8:
            raise ValueError('it names no compression')
        name = bytes(body[CHUNK.size : stop]).decode('ascii', 'replace')
        (stored_size,) = struct.unpack_from('<Q', body, stop)
        return cls(start, end, size, check_sum, name, stored_size, stop + 8)


@dataclass(slots=True)
class McapSummary:
    """The summary section at the end of a file that was closed.

    Attributes:
        start: Offset of the section; the data end before it.
        checked: A check sum covers it.
    """

    start: int
    checked: bool = True
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[ChunkIndex] = field(default_factory=list)
    metadata: list[MetadataIndex] = field(default_factory=list)
    statistics: Statistics | None = None

    @property
    def indexed(self) -> bool:
        """True if it leads to every message and names its topic and type."""
        counts = self.statistics
        if counts is None or counts.channel_count != len(self.channels):
            return False
        if counts.message_count and not counts.chunk_count == len(self.chunks) > 0:
            return False
        return all(
            key in self.channels and self.channels[key].schema_id in {0, *self.schemas}
            for key in counts.channel_message_counts
        )


def has_end(path: Path) -> bool:
    """Return whether the file ends with the closing magic, i.e. was closed."""
    with path.open('rb') as stream:
        size = stream.seek(0, io.SEEK_END)
        if size < 2 * len(MAGIC):
            return False
        stream.seek(-len(MAGIC), io.SEEK_END)
        return stream.read() == MAGIC


def read_summary(stream: BinaryIO) -> McapSummary | None:
    """Read the summary section of a file that has its end.

    Returns:
        None if the file was written without one.

    Raises:
        ValueError: The section is damaged.
    """
    tail_length = HEAD.size + FOOTER_LENGTH + len(MAGIC)
    size = stream.seek(0, io.SEEK_END)
    footer_start = size - tail_length
    if footer_start < len(MAGIC):
        raise ValueError('it is too short')
    stream.seek(footer_start)
    tail = stream.read()
    if HEAD.unpack_from(tail) != (Opcode.FOOTER, FOOTER_LENGTH):
        raise ValueError('its footer is damaged')
    start, offsets_start, check_sum = _FOOTER.unpack_from(tail, HEAD.size)
    if start == 0:
        return None
    if not len(MAGIC) <= start <= footer_start:
        raise ValueError('its footer is damaged')
    stream.seek(start)
    section = stream.read(footer_start - start)
    if check_sum and check_sum != zlib.crc32(section + tail[: HEAD.size + FOOTER_LENGTH - 4]):
        raise ValueError('the check sum of its index is wrong')
    end = offsets_start - start if start <= offsets_start <= footer_start else len(section)
    summary = _parse_summary(section[:end], start)
    summary.checked = bool(check_sum)
    return summary


def find_summary(data: mmap.mmap) -> McapSummary | None:
    """Find the summary section of a file in which bytes were lost or added before it.

    Where it says that chunks stand is wrong then, and left out.

    Returns:
        None if there is none whose check sum is right.
    """
    footer_start = len(data) - HEAD.size - FOOTER_LENGTH - len(MAGIC)
    mark = HEAD.pack(Opcode.DATA_END, 4)
    start = data.rfind(mark, 0, max(footer_start, 0)) + len(mark) + 4
    if start < len(mark) + 4 or start > footer_start:
        return None
    section = data[start : footer_start + HEAD.size + FOOTER_LENGTH - 4]
    (check_sum,) = struct.unpack_from('<I', data, footer_start + HEAD.size + FOOTER_LENGTH - 4)
    if zlib.crc32(section) != check_sum:
        return None
    try:
        summary = _parse_summary(data[start:footer_start], start)
    except ValueError:
        return None
    summary.chunks, summary.metadata = [], []
    return summary


def _parse_summary(section: bytes, start: int) -> McapSummary:
    summary = McapSummary(start)
    for opcode, body in split_records(section):
        record = parse(opcode, body)
        if isinstance(record, Schema):
            summary.schemas[record.id] = record
        elif isinstance(record, Channel):
            summary.channels[record.id] = record
        elif isinstance(record, ChunkIndex):
            summary.chunks.append(record)
        elif isinstance(record, MetadataIndex):
            summary.metadata.append(record)
        elif isinstance(record, Statistics):
            summary.statistics = record
    return summary


def split_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (opcode, body) of consecutive records.

    Raises:
        ValueError: The last one breaks off.
    """
    position = 0
    while position < len(data):
        if position + HEAD.size > len(data):
            raise ValueError(f'the record at byte {position} breaks off')
        opcode, length = HEAD.unpack_from(data, position)
        start = position + HEAD.size
        position = start + length
        if position > len(data):
            raise ValueError(f'the record at byte {start - HEAD.size} breaks off')
        yield opcode, data[start:position]


def definition_of(channel: Channel, schema: Schema | None) -> MessageDefinition:
    """Return the definition of a channel's messages; its text is empty if there is none."""
    encoding, text = '', ''
    if schema is not None and schema.data:
        encoding = {'omgidl': 'ros2idl'}.get(schema.encoding, schema.encoding)
        text = schema.data.decode('utf-8', 'replace')
    if encoding not in {'ros2msg', 'ros2idl'}:  # rosbag2 writes `unknown` for what it did not find
        encoding = text = ''
    return MessageDefinition(
        type=schema.name if schema is not None else '',
        encoding=encoding,
        text=text,
        type_hash=channel.metadata.get('topic_type_hash', ''),
    )


def qos_of(channel: Channel) -> tuple[QosProfile, ...]:
    """Return the profiles that a channel's publishers offered."""
    return read_profiles(channel.metadata.get('offered_qos_profiles'))
