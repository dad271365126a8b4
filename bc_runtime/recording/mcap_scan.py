# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a damaged MCAP file as far as it goes, and say what is lost.

Needs no index, so it reads files whose writer was killed; where there is one it is used: it says
where each chunk begins, and in a chunk where each message begins. Every record is checked against
itself and against what follows. After a bad one reading goes on at the next that can be one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
import mmap
from pathlib import Path
import re
import struct

from mcap.opcode import Opcode
from mcap.records import ChunkIndex, Message, MessageIndex

from bc_runtime.recording.compression import (
    CHUNK_COMPRESSIONS,
)
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.known_topics import KnownTopics
from bc_runtime.recording.mcap_chunk_scan import (
    ChunkEntries,
    ChunkScanner,
    ScanRecord,
    ScanReport,
    is_blank,
    message_at,
)
from bc_runtime.recording.mcap_file import MAGIC
from bc_runtime.recording.mcap_records import (
    FOOTER_LENGTH,
    HEAD,
    MESSAGE,
    MESSAGE_FIELDS,
    ChunkHead,
    McapSummary,
    find_summary,
    has_end,
    parse,
    read_summary,
)

__all__ = ['ScanRecord', 'ScanReport', 'has_end', 'scan']

# What a record can begin with: its opcode, and a length below 4 GiB.
_RECORD_START = re.compile(rb'[\x03-\x0f].{4}\x00{4}', re.DOTALL)
# Records that may stand in a file and hold nothing of a bag: attachments and their index, summary
# offsets, private ones.
_OTHERS = frozenset({0x09, 0x0A, 0x0E, *range(0x80, 0x100)})
# The first record of a file, which names the program that wrote it, is shorter than this.
_HEADER_BYTES = 150


def scan(path: Path, report: ScanReport, *, keep_suspect: bool = False) -> Iterator[ScanRecord]:
    """Yield schemas, channels, metadata and messages in the order of the file.

    Args:
        path: The file; it is only read.
        report: Filled while the scan runs.
        keep_suspect: Also yield the messages of chunks with a wrong check sum.

    Raises:
        BagDamaged: Nothing in the file is a record of an MCAP file.
    """
    with path.open('rb') as stream:
        if path.stat().st_size == 0:
            raise BagDamaged(f'{path} is empty; nothing was written into it')
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            report.complete = has_end(path)
            summary = None
            try:
                summary = read_summary(stream)
            except ValueError as error:
                if report.complete:
                    report.repairs.append(f'the index is damaged ({error}); a new one is made')
                    summary = find_summary(data)
            yield from _Scanner(path, data, summary, report, keep_suspect).run()


class _Scanner:
    def __init__(
        self,
        path: Path,
        data: mmap.mmap,
        summary: McapSummary | None,
        report: ScanReport,
        keep_suspect: bool,
    ) -> None:
        self._path = path
        self._data = data
        self._size = len(data)
        self._report = report
        self._summary = summary
        self._known = KnownTopics(summary)
        self._keep_suspect = keep_suspect
        self._chunk_scan = ChunkScanner(report, self._known, keep_suspect=keep_suspect)
        self._anchors: list[int] = []  # where a chunk begins or the data end, known beforehand
        self._chunks: dict[int, ChunkIndex] = {}
        if summary is not None:
            self._anchors = [summary.start]
            # One wrong entry would hide a chunk: then all are found by reading.
            if summary.checked or all(map(self._is_likely, summary.chunks)):
                self._chunks = {c.chunk_start_offset: c for c in summary.chunks}
            self._anchors = sorted({*self._chunks, summary.start})

    def run(self) -> Iterator[ScanRecord]:
        """Yield the records of the file, the definitions of a message before it."""
        yield from self._known.begin()
        for record in self._records():
            if isinstance(record, Message):
                yield from self._known.before(record.channel_id)
                if record.channel_id in self._known.doubtful and not self._may_be_kept(record):
                    continue
            yield record
        yield from self._known.rest()
        self._report.problems += self._known.doubtful.values()

    def _may_be_kept(self, message: Message) -> bool:
        """Count a message of a channel in doubt."""
        self._report.suspect[message.channel_id] += 1
        self._report.lost[message.channel_id] += not self._keep_suspect
        return self._keep_suspect

    def _records(self) -> Iterator[ScanRecord]:
        data, report = self._data, self._report
        if self._summary is not None:
            self._expect(self._summary)
        position = len(MAGIC)
        if data[: len(MAGIC)] != MAGIC:
            report.repairs.append('the beginning of the file is damaged')
            position = position if self._plausible(position) else self._next_record(0)
            if position == self._size:
                raise BagDamaged(
                    f'{self._path} does not begin with the MCAP magic, and nothing in it is a '
                    'record of an MCAP file'
                )
            if position > len(MAGIC):
                self._skip(0, position)
        while position < self._size:
            found = self._record(position)
            if found is None:
                following = self._next_record(position + 1)
                self._skip(position, following)
                position = following
                continue
            records, position = found
            yield from records
            if position < 0:
                return

    def _expect(self, summary: McapSummary) -> None:
        """Take note of how many messages the summary counts."""
        if summary.statistics is not None:
            counts: Counter[str] = Counter()
            for key, count in summary.statistics.channel_message_counts.items():
                if key in summary.channels:
                    counts[summary.channels[key].topic] += count
            self._report.expected = dict(counts)

    # Records of the file ---------------------------------------------------------------------

    def _record(self, position: int) -> tuple[Iterator[ScanRecord], int] | None:
        """Return the records at a place and where they end; None if there is none.

        The end is -1 behind the last of the data.
        """
        if position + HEAD.size > self._size:
            self._report.torn_bytes = self._size - position
            return iter(()), -1
        opcode, length = HEAD.unpack_from(self._data, position)
        start, stop = position + HEAD.size, position + HEAD.size + length
        if self._is_end(opcode, length, position):
            return iter(()), -1
        if opcode == Opcode.CHUNK or position in self._chunks:
            return self._chunk_at(position)
        if stop > self._limit(position):
            return self._torn(position, opcode, length)
        if opcode == Opcode.MESSAGE:
            self._chunk_scan.expect_index()
            message = message_at(self._data, position, stop)
            if message is None:
                return None
            # A bad length shows in what follows, unless the next record is the damaged one.
            if not self._plausible(stop) and (
                is_blank(self._data, stop) or self._next_record(position + 1) < stop
            ):
                return None
            return iter((message,)), stop
        try:
            record = parse(opcode, self._data[start:stop])
        except ValueError:
            record = None
        other = opcode in _OTHERS and not self._is_chunk(start, length)
        if record is not None or other:
            if isinstance(record, MessageIndex):
                self._chunk_scan.see_index(record.channel_id)
            return self._known.learn(record), stop
        if self._is_chunk(start, length):
            return self._chunk_at(position)  # only the opcode is damaged
        if not self._plausible(stop):
            return None
        self._skip(position, stop)
        return iter(()), stop

    def _is_end(self, opcode: int, length: int, position: int) -> bool:
        if self._summary is not None:
            end = self._summary.start - (HEAD.size + 4 if opcode == Opcode.DATA_END else 0)
            return position >= end
        return (opcode == Opcode.DATA_END and length == 4) or (
            opcode == Opcode.FOOTER and length == FOOTER_LENGTH
        )

    def _limit(self, position: int) -> int:
        """Return the byte at which a record from here must have ended."""
        after = bisect_right(self._anchors, position)
        return self._anchors[after] if after < len(self._anchors) else self._size

    def _torn(
        self, position: int, opcode: int, length: int
    ) -> tuple[Iterator[ScanRecord], int] | None:
        """Tell the last record of a file that breaks off from one with a bad length."""
        torn = (
            self._summary is None
            and 0 < opcode <= Opcode.DATA_END
            and length < 2**32
            and self._next_record(position + 1) == self._size
        )
        if not torn:
            return None
        self._report.torn_bytes = self._size - position
        if opcode == Opcode.MESSAGE and self._size - position >= HEAD.size + 2:
            (channel,) = struct.unpack_from('<H', self._data, position + HEAD.size)
            self._report.lost[channel] += 1
        return iter(()), -1

    def _plausible(self, position: int, *, torn: bool = True) -> bool:
        """Return whether a record can begin here, or the file ends here.

        Args:
            position: Byte of the file.
            torn: Also say so of a last record that breaks off.
        """
        if position == self._size or position in self._anchors:
            return True
        torn &= self._summary is None
        if position + HEAD.size > self._size:
            return torn
        opcode, length = HEAD.unpack_from(self._data, position)
        start, stop = position + HEAD.size, position + HEAD.size + length
        if self._is_end(opcode, length, position):
            return True
        if opcode == Opcode.CHUNK:
            return self._is_chunk(start, length)
        if stop > self._size:  # perhaps the last record of a file that breaks off
            return torn and 0 < opcode < Opcode.DATA_END and length < 2**32
        if opcode == Opcode.MESSAGE:
            if length < MESSAGE_FIELDS:
                return False
            return MESSAGE.unpack_from(self._data, position)[2] in self._known.channels
        try:
            return parse(opcode, self._data[start:stop]) is not None
        except ValueError:
            return False

    def _is_chunk(self, start: int, length: int) -> bool:
        """Return whether a body is that of a chunk: its lengths agree with each other."""
        try:
            head = ChunkHead.read(self._data[start : start + 128])
        except ValueError:
            return False
        return (
            head.compression in CHUNK_COMPRESSIONS
            and head.length + head.stored_size == length
            and (head.compression != '' or head.size == head.stored_size)
        )

    def _is_likely(self, entry: ChunkIndex) -> bool:
        """Return whether a chunk stands where an entry without a check sum says."""
        start, length = entry.chunk_start_offset, entry.chunk_length
        end = start + length
        if start + HEAD.size > end or end > self._size:
            return False
        opcode, body = HEAD.unpack_from(self._data, start)
        if opcode == Opcode.CHUNK and self._is_chunk(start + HEAD.size, body):
            head = ChunkHead.read(self._data[start + HEAD.size : start + HEAD.size + 128])
            return (HEAD.size + body, head.compression, head.stored_size, head.size) == (
                length,
                entry.compression,
                entry.compressed_size,
                entry.uncompressed_size,
            )
        fields = HEAD.size + 40 + len(entry.compression)
        return length == fields + entry.compressed_size and self._plausible(end)

    def _next_record(self, position: int) -> int:
        """Return where the next record begins, or the size of the file."""
        if self._anchors:
            limit = self._limit(position - 1)
            if self._chunks:  # everything of worth stands in chunks, and those are known
                return limit
        else:
            limit = self._size
        while match := _RECORD_START.search(self._data, position, limit):
            if self._plausible(match.start()):
                return match.start()
            position = match.start() + 1
        return limit

    def _skip(self, position: int, following: int) -> None:
        """Report what stands between two records that can be read."""
        # A message that follows stands in a chunk whose head is among the bytes that are skipped.
        outside = following < self._size and self._data[following] != Opcode.MESSAGE
        header = position <= len(MAGIC) and following < _HEADER_BYTES
        index = self._chunk_scan.may_be_index(following - position)
        if self._chunks or (outside and (header or index)):
            # Behind a chunk stands its index; between all chunks there is nothing else of worth.
            self._report.repairs.append(f'a damaged record at byte {position} is left out')
            return
        if following == self._size:
            self._report.torn_bytes = self._size - position
        self._report.uncounted = True
        self._report.problems.append(
            f'no record can be read from byte {position} to {following} '
            f'({following - position} bytes)'
        )

    # Chunks ----------------------------------------------------------------------------------

    def _chunk_at(self, position: int) -> tuple[Iterator[ScanRecord], int] | None:
        self._chunk_scan.expect_index()
        opcode, length = HEAD.unpack_from(self._data, position)
        start = position + HEAD.size
        known = self._chunks.get(position)
        try:
            head = ChunkHead.read(self._data[start : start + 128])
        except ValueError:
            head = ChunkHead(0, 0, 0, 0, '', 0, 40)
        ends = [start + length, start + head.length + head.stored_size]
        if known is not None:
            ends.insert(0, position + known.chunk_length)
            name = known.compression
            head = ChunkHead(
                known.message_start_time,
                known.message_end_time,
                known.uncompressed_size,
                head.check_sum,
                name,
                known.compressed_size,
                40 + len(name),
            )
            stop: int | None = ends[0]
        else:
            stop = next(
                (
                    end
                    for end in ends
                    if end <= self._size and (ends[0] == ends[1] or self._plausible(end))
                ),
                None,
            )
        if stop is not None and stop < start + head.length:
            return None
        if stop is None:
            consistent = head.compression in CHUNK_COMPRESSIONS and ends[0] == ends[1]
            if not consistent or ends[0] <= self._size or self._summary is not None:
                return None
            self._report.torn_bytes = self._size - position
            return self._chunk_scan.torn(head, self._data[start + head.length :]), -1
        if stop != start + length or opcode != Opcode.CHUNK:
            self._report.repairs.append(f'the head of the chunk at byte {position} is damaged')
        index = self._index_behind(stop)
        return self._chunk_scan.whole(
            head, self._data[start + head.length : stop], index, position
        ), stop

    def _index_behind(self, position: int) -> ChunkEntries | None:
        """Return the index of a chunk, which follows it; None if there is none or a bad one."""
        entries: ChunkEntries = []
        while position + HEAD.size <= self._size:
            opcode, length = HEAD.unpack_from(self._data, position)
            stop = position + HEAD.size + length
            if opcode != Opcode.MESSAGE_INDEX or stop > self._size:
                break
            try:
                record = parse(opcode, self._data[position + HEAD.size : stop])
            except ValueError:
                return None
            if isinstance(record, MessageIndex):
                entries += ((offset, record.channel_id, t) for t, offset in record.records)
            position = stop
        # Behind a part of an index stands something that is no record.
        return sorted(entries) if entries and self._plausible(position, torn=False) else None
