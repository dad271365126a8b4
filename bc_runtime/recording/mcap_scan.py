# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read an MCAP file from front to end, as far as it goes.

Needs no summary, so it reads files whose writer was killed. The `mcap` library's StreamReader is
not used for this: it takes the short read at the end of a torn file for a whole record and would
hand out a message with its last bytes missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import io
from pathlib import Path
import struct
from typing import BinaryIO, TypeAlias

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Header, Message, Metadata, Schema
from mcap.stream_reader import get_chunk_data_stream

from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.mcap_file import MAGIC

_RECORD_HEAD = struct.Struct('<BQ')
_MESSAGE_FIELDS = 22  # bytes of a message record before its data
_CHUNK_FIELDS = 32  # bytes of a chunk record before the name of its compression

ScanRecord: TypeAlias = Header | Schema | Channel | Message | Metadata


@dataclass(slots=True)
class ScanReport:
    """What a scan found; filled while it runs.

    Attributes:
        complete: The file has its end: footer and closing magic.
        torn_bytes: Length of the last record's remains, 0 if the file ends with a whole record.
        problems: Damaged places that were skipped, in words.
    """

    complete: bool = False
    torn_bytes: int = 0
    problems: list[str] = field(default_factory=list)


def has_end(path: Path) -> bool:
    """Return whether the file ends with the closing magic, i.e. was closed."""
    with path.open('rb') as stream:
        size = stream.seek(0, io.SEEK_END)
        if size < 2 * len(MAGIC):
            return False
        stream.seek(-len(MAGIC), io.SEEK_END)
        return stream.read() == MAGIC


def scan(path: Path, report: ScanReport) -> Iterator[ScanRecord]:
    """Yield header, schemas, channels, metadata and messages in file order.

    Only whole records are yielded. Of a chunk that is cut off, or whose check sum is wrong, the
    messages that stand complete before the cut are yielded if the chunk is not compressed and
    merely cut; a chunk with a wrong check sum is skipped and named in the report.

    Raises:
        BagDamaged: The file does not begin as an MCAP file.
    """
    with path.open('rb') as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise BagDamaged(
                f'{path} does not begin with the MCAP magic; it is another kind of file, or its '
                'beginning is lost'
            )
        size = path.stat().st_size
        while True:
            offset = stream.tell()
            head = stream.read(_RECORD_HEAD.size)
            if len(head) < _RECORD_HEAD.size:
                report.torn_bytes = len(head)
                return
            opcode, length = _RECORD_HEAD.unpack(head)
            if opcode == Opcode.FOOTER or opcode == Opcode.DATA_END:
                # Behind the data there is only the summary, which repeats what was read.
                report.complete = has_end(path)
                return
            if offset + len(head) + length > size:
                report.torn_bytes = size - offset
                if opcode == Opcode.CHUNK:
                    yield from _torn_chunk(stream.read())
                return
            if opcode == 0 or opcode > Opcode.DATA_END:
                # A block of the file that never reached the disk reads as zeros.
                report.problems.append(f'no record at byte {offset}; the rest is skipped')
                report.torn_bytes = size - offset
                return
            yield from _record(opcode, stream, length, offset, report)


def _record(
    opcode: int, stream: BinaryIO, length: int, offset: int, report: ScanReport
) -> Iterator[ScanRecord]:
    if opcode == Opcode.CHUNK:
        yield from _chunk(stream.read(length), offset, report)
    elif opcode in _PARSERS or opcode == Opcode.MESSAGE:
        record = _parse(opcode, stream.read(length))
        if record is None:
            report.problems.append(f'unreadable record at byte {offset} skipped')
        else:
            yield record
    else:
        stream.seek(length, io.SEEK_CUR)


def _chunk(body: bytes, offset: int, report: ScanReport) -> Iterator[ScanRecord]:
    try:
        chunk = Chunk.read(ReadDataStream(io.BytesIO(body)))
        stream, length = get_chunk_data_stream(chunk, validate_crc=True)
        data = stream.read(length)
    except Exception as error:  # noqa: BLE001 - the errors of the codecs share no base class
        report.problems.append(f'chunk at byte {offset} skipped: {error}')
        return
    yield from _records_in(data)


def _torn_chunk(body: bytes) -> Iterator[ScanRecord]:
    """Yield what stands complete in the remains of an uncompressed chunk."""
    if len(body) < _CHUNK_FIELDS:
        return
    (name_length,) = struct.unpack_from('<I', body, _CHUNK_FIELDS - 4)
    if name_length == 0:  # compressed remains cannot be trusted
        yield from _records_in(body[_CHUNK_FIELDS + 8 :])


def _records_in(data: bytes) -> Iterator[ScanRecord]:
    position = 0
    while position + _RECORD_HEAD.size <= len(data):
        opcode, length = _RECORD_HEAD.unpack_from(data, position)
        start = position + _RECORD_HEAD.size
        position = start + length
        if position > len(data):
            return
        record = _parse(opcode, data[start:position])
        if record is not None:
            yield record


def _parse(opcode: int, body: bytes) -> ScanRecord | None:
    try:
        if opcode == Opcode.MESSAGE:
            if len(body) < _MESSAGE_FIELDS:
                return None
            channel_id, sequence, log_time, publish_time = struct.unpack_from('<HIQQ', body)
            return Message(
                channel_id=channel_id,
                sequence=sequence,
                log_time=log_time,
                publish_time=publish_time,
                data=body[_MESSAGE_FIELDS:],
            )
        parser = _PARSERS.get(opcode)
        record: ScanRecord | None = parser(ReadDataStream(io.BytesIO(body))) if parser else None
    except (McapError, ValueError, struct.error):
        return None
    return record


_PARSERS: dict[int, Callable[[ReadDataStream], ScanRecord]] = {
    Opcode.HEADER: Header.read,
    Opcode.SCHEMA: Schema.read,
    Opcode.CHANNEL: Channel.read,
    Opcode.METADATA: Metadata.read,
}
