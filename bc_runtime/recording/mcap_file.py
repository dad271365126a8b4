# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One MCAP file in the making, always one step away from being readable.

The `mcap` library's own writer keeps its state inside: when the disk is full it has already
forgotten what it could not write. Here each chunk is appended in one system call and counted only
once it is on the file; a failed append cuts the file back to the end of the last whole record, so
that `close` can always write a summary that agrees with the data. Messages are gathered without
copying until their chunk is full.

Format: https://mcap.dev/spec. Schemas and channels stand outside the chunks, so that a damaged
chunk takes no other chunk's meaning with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import struct
import zlib

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from bc_runtime import __version__

MAGIC = b'\x89MCAP0\r\n'
PROFILE = 'ros2'
DEFAULT_CHUNK_BYTES = 1024 * 1024

_MESSAGE = struct.Struct('<BQHIQQ')  # opcode, record length, channel, sequence, log, publish
# Pieces of a chunk that go to writev as they are: below IOV_MAX (1024 on Linux). A chunk of
# more pieces holds small messages, whose joining costs little.
_MAX_PIECES = 1000
_MESSAGE_FIELDS = _MESSAGE.size - 9  # the record length counts neither opcode nor itself
_CHUNK = struct.Struct('<BQQQQIIQ')  # ..., start, end, size, crc, len(compression) = 0, size


class McapFile:
    """Appends messages to a new MCAP file: chunked, uncompressed, indexed.

    Not thread-safe. Raises `OSError` when the file system refuses; the file is then cut back to
    its last whole record and `close` still works. Messages of a refused chunk are in `lost`.
    """

    def __init__(self, path: Path, *, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> None:
        """Create the file (it must not exist) and write its header."""
        self.path = path
        self._chunk_bytes = chunk_bytes
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._end = 0  # everything before this offset is whole records
        self._closed = False
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._chunk_indexes: list[ChunkIndex] = []
        self._metadata_indexes: list[MetadataIndex] = []
        self._counts: dict[int, int] = {}
        self.lost = 0
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self._chunk_start = 0
        self._chunk_end = 0
        self._reset_chunk()
        header = _encode(Header(profile=PROFILE, library=f'bc_runtime {__version__}'))
        self._append([MAGIC, header])

    @property
    def counts(self) -> Mapping[int, int]:
        """Messages on the file by channel id; those of the unfinished chunk are not counted."""
        return self._counts

    @property
    def message_count(self) -> int:
        """Messages on the file."""
        return sum(self._counts.values())

    @property
    def size(self) -> int:
        """Bytes on the file."""
        return self._end

    def add_schema(self, *, name: str, encoding: str, data: bytes) -> int:
        """Write a schema and return its id (from 1)."""
        schema = Schema(id=len(self._schemas) + 1, name=name, encoding=encoding, data=data)
        self._append([_encode(schema)])
        self._schemas[schema.id] = schema
        return len(self._schemas)

    def add_channel(self, *, topic: str, schema_id: int, metadata: Mapping[str, str]) -> int:
        """Write a channel of CDR messages and return its id (from 1)."""
        channel = Channel(
            id=len(self._channels) + 1,
            topic=topic,
            message_encoding='cdr',
            metadata=dict(metadata),
            schema_id=schema_id,
        )
        self._append([_encode(channel)])
        self._channels[channel.id] = channel
        self._counts[channel.id] = 0
        return len(self._channels)

    def write(
        self,
        channel_id: int,
        data: bytes | memoryview,
        *,
        log_time_ns: int,
        publish_time_ns: int,
        sequence: int = 0,
    ) -> None:
        """Add a message to the chunk; the chunk goes to the file when it is full.

        Args:
            channel_id: As `add_channel` gave it.
            data: CDR bytes with their encapsulation header; kept by reference until flushed.
            log_time_ns: Time of reception [ns].
            publish_time_ns: Time of publication [ns].
            sequence: Publisher's or recorder's message counter, 0 if there is none.
        """
        if channel_id not in self._chunk_messages:
            self._chunk_messages[channel_id] = []
        self._chunk_messages[channel_id].append((log_time_ns, self._chunk_size))
        self._chunk_start = min(self._chunk_start, log_time_ns)
        self._chunk_end = max(self._chunk_end, log_time_ns)
        head = _MESSAGE.pack(
            Opcode.MESSAGE,
            _MESSAGE_FIELDS + len(data),
            channel_id,
            sequence & 0xFFFFFFFF,
            log_time_ns,
            publish_time_ns,
        )
        self._pieces += (head, data)
        self._chunk_size += len(head) + len(data)
        if self._chunk_size >= self._chunk_bytes:
            self.flush()

    def flush(self) -> None:
        """Put the unfinished chunk, if any, on the file (into the page cache: no fsync)."""
        if not self._chunk_messages:
            return
        messages, start, end = self._chunk_messages, self._chunk_start, self._chunk_end
        pieces, size = self._pieces, self._chunk_size
        # Whatever happens below, the next message begins a new chunk.
        self._reset_chunk()
        if len(pieces) > _MAX_PIECES:
            pieces = [b''.join(pieces)]
        crc = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
        head = _CHUNK.pack(Opcode.CHUNK, _CHUNK.size - 9 + size, start, end, size, crc, 0, size)
        offset = self._end
        chunk_length = len(head) + size
        index = RecordBuilder()
        index_offsets: dict[int, int] = {}
        for channel_id, records in messages.items():
            index_offsets[channel_id] = offset + chunk_length + index.count
            MessageIndex(channel_id=channel_id, records=records).write(index)
        index_bytes = index.end()
        try:
            self._append([head, *pieces, index_bytes])
        except OSError:
            self.lost += sum(len(records) for records in messages.values())
            raise
        self._chunk_indexes.append(
            ChunkIndex(
                message_start_time=start,
                message_end_time=end,
                chunk_start_offset=offset,
                chunk_length=chunk_length,
                message_index_offsets=index_offsets,
                message_index_length=len(index_bytes),
                compression='',
                compressed_size=size,
                uncompressed_size=size,
            )
        )
        for channel_id, records in messages.items():
            self._counts[channel_id] += len(records)
        self.start_ns = start if self.start_ns is None else min(self.start_ns, start)
        self.end_ns = end if self.end_ns is None else max(self.end_ns, end)

    def add_metadata(self, name: str, entries: Mapping[str, str]) -> None:
        """Write a metadata record at once."""
        record = _encode(Metadata(name=name, metadata=dict(entries)))
        offset = self._end
        self._append([record])
        self._metadata_indexes.append(MetadataIndex(offset=offset, length=len(record), name=name))

    def close(self) -> None:
        """Flush, write the summary, close the file. A second call does nothing.

        Raises:
            OSError: The file system refused even the summary. The file then has no end and
                `recover_bag` can rebuild it.
        """
        if self._closed:
            return
        self._closed = True
        try:
            try:
                self.flush()
            finally:
                self._append([_encode(DataEnd(data_section_crc=0)), self._summary()])
        finally:
            os.close(self._fd)

    def _summary(self) -> bytes:
        """Return summary section, summary offsets, footer and end magic."""
        start = self._end + len(_encode(DataEnd(data_section_crc=0)))
        groups: Sequence[tuple[Opcode, Sequence[McapRecord]]] = (
            (Opcode.SCHEMA, list(self._schemas.values())),
            (Opcode.CHANNEL, list(self._channels.values())),
            (Opcode.STATISTICS, [self._statistics()]),
            (Opcode.CHUNK_INDEX, self._chunk_indexes),
            (Opcode.METADATA_INDEX, self._metadata_indexes),
        )
        summary = RecordBuilder()
        offsets: list[SummaryOffset] = []
        for opcode, records in groups:
            group_start = summary.count
            for record in records:
                record.write(summary)
            if records:
                offsets.append(
                    SummaryOffset(
                        group_opcode=opcode,
                        group_start=start + group_start,
                        group_length=summary.count - group_start,
                    )
                )
        offset_start = start + summary.count
        for offset in offsets:
            offset.write(summary)
        # The summary CRC covers the section and the footer up to the CRC field itself.
        footer = _encode(
            Footer(summary_start=start, summary_offset_start=offset_start, summary_crc=0)
        )
        body = bytes(summary.end()) + footer[:-4]
        return body + struct.pack('<I', zlib.crc32(body)) + MAGIC

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts={k: n for k, n in self._counts.items() if n},
            chunk_count=len(self._chunk_indexes),
            message_count=self.message_count,
            metadata_count=len(self._metadata_indexes),
            message_start_time=self.start_ns or 0,
            message_end_time=self.end_ns or 0,
            schema_count=len(self._schemas),
        )

    def _reset_chunk(self) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._chunk_size = 0
        self._chunk_messages: dict[int, list[tuple[int, int]]] = {}
        self._chunk_start = 2**63 - 1
        self._chunk_end = 0

    def _append(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append all pieces or none of them."""
        total = sum(len(piece) for piece in pieces)
        try:
            written = os.writev(self._fd, pieces)
            if written < total:
                # A signal or a nearly full disk makes a short write; the rest is tried once more
                # as a whole and fails with the reason.
                rest = memoryview(b''.join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self._end)
            os.lseek(self._fd, self._end, os.SEEK_SET)
            raise
        self._end += total


def _encode(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return bytes(builder.end())
