# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a damaged chunk of an MCAP file as far as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
import mmap
import re
import struct
from typing import TypeAlias
import zlib

from mcap.opcode import Opcode
from mcap.records import Channel, Message, Metadata, Schema

from bc_runtime.recording.compression import decompress_chunk, decompress_torn_chunk
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.known_topics import KnownTopics
from bc_runtime.recording.mcap_records import (
    HEAD,
    MESSAGE,
    ChunkHead,
    parse,
    split_records,
)

ScanRecord: TypeAlias = Schema | Channel | Message | Metadata
ChunkEntries: TypeAlias = list[tuple[int, int, int]]  # offset in the chunk, channel, log time

_MESSAGE_START = re.compile(rb'\x05.{4}\x00{4}', re.DOTALL)
# A record of a chunk's index: its head, channel and length; then time and place of each message.
_INDEX_BYTES = HEAD.size + 2 + 4
_ENTRY_BYTES = 16
_IN_CHUNKS = frozenset({Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE})


@dataclass(slots=True)
class ScanReport:
    """What a scan found; filled while it runs.

    Attributes:
        complete: The file has its end: footer and closing magic.
        torn_bytes: Length of the last record's remains, 0 if the file ends with a whole record.
        problems: Damaged places in which messages are lost, in words.
        repairs: Damaged places that cost no message, in words.
        expected: Messages by topic as the file itself counts them; None if it does not.
        lost: Messages by channel id that are known to be lost.
        suspect: Messages by channel id that stand in a chunk with a wrong check sum: one of them
            is damaged, and nothing says which.
        uncounted: Something is lost, and nothing says how many messages that is.
    """

    complete: bool = False
    torn_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    expected: dict[str, int] | None = None
    lost: Counter[int] = field(default_factory=Counter)
    suspect: Counter[int] = field(default_factory=Counter)
    uncounted: bool = False


class ChunkScanner:
    """Yields the records of chunks.

    Args:
        report: Takes what is lost.
        known: Schemas and channels of the file.
        keep_suspect: Also yield the messages of chunks with a wrong check sum.
    """

    def __init__(self, report: ScanReport, known: KnownTopics, *, keep_suspect: bool) -> None:
        self._report = report
        self._known = known
        self._keep_suspect = keep_suspect
        self._expected: dict[int, int] = {}  # channel -> length of its index, if not yet seen

    def expect_index(self, channels: Counter[int] | None = None) -> None:
        """Expect the index of a chunk next, which has a record for each channel.

        Args:
            channels: Messages of the chunk by channel; None where no index can follow.
        """
        self._expected = {}
        if channels is not None:
            # Some writers also write an empty record for a channel that the chunk lacks.
            for channel in {*self._known.channels, *channels}:
                self._expected[channel] = _INDEX_BYTES + _ENTRY_BYTES * channels[channel]

    def see_index(self, channel: int) -> None:
        """Take note of a record of the expected index."""
        self._expected.pop(channel, None)

    def may_be_index(self, length: int) -> bool:
        """Return whether records of the expected index take exactly this many bytes.

        Whatever is longer or shorter holds something else as well, perhaps a chunk.
        """
        sums = 1  # bit n: some of the records are n bytes long together
        for size in self._expected.values():
            sums |= sums << size
        return bool(sums >> length & 1)

    def whole(
        self, head: ChunkHead, stored: bytes, index: ChunkEntries | None, position: int
    ) -> Iterator[ScanRecord]:
        """Yield the records of a chunk that stands whole on the file.

        Args:
            head: Its fields.
            stored: Its records, perhaps compressed.
            index: Its index; None if it has none or a damaged one.
            position: Where it begins in the file [byte].
        """
        place = f'the chunk at byte {position}'
        size = len(stored) if not head.compression else head.size
        try:
            data = decompress_chunk(head.compression, stored, size)
        except BagDamaged as error:
            self._lose(index, f'{place}: {error}')
            if self._keep_suspect:
                yield from self._walk(decompress_torn_chunk(head.compression, stored), None, place)
            return
        if head.check_sum and zlib.crc32(data) == head.check_sum:
            yield from self._walk(data, None, place)
            return
        if head.check_sum:
            mended = self._mend_gaps(data) if index is None else _mend(data, index, trust=True)
            if zlib.crc32(mended) != head.check_sum:
                yield from self._suspect(data, index, place)
                return
        else:
            mended = _mend(data, index, trust=False)
        if mended != data:
            self._report.repairs.append(f'heads of messages in {place} are mended')
        yield from self._walk(mended, index, place)

    def _suspect(
        self, data: bytes, index: ChunkEntries | None, place: str
    ) -> Iterator[ScanRecord]:
        report = self._report
        records = list(self._walk(_mend(data, index, trust=False), index, place))
        channels = Counter(r.channel_id for r in records if isinstance(r, Message))
        report.suspect += channels
        if self._keep_suspect:
            report.problems.append(f'{place}: its check sum is wrong; its messages are kept')
            yield from records
            return
        yield from (record for record in records if not isinstance(record, Message))
        report.lost += channels
        report.problems.append(
            f'{place}: its check sum is wrong, so that one of its {channels.total()} messages is '
            'damaged and nothing says which; none is kept'
        )

    def torn(self, head: ChunkHead, stored: bytes) -> Iterator[ScanRecord]:
        """Yield what stands complete in the remains of a chunk."""
        data = decompress_torn_chunk(head.compression, stored)
        end = 0
        for _, records, stop in self._in_chunk(data, 0):
            yield from records
            end = stop
        if end < len(data) or len(data) < head.size:
            self._report.uncounted = True

    def _lose(self, index: ChunkEntries | None, problem: str) -> None:
        self._report.problems.append(problem)
        if index is None:
            self._report.uncounted = True
        else:
            self._report.lost.update(channel for _, channel, _ in index)

    def _walk(self, data: bytes, index: ChunkEntries | None, place: str) -> Iterator[ScanRecord]:
        """Yield the records of a chunk; go on at the next one after a bad one."""
        left = Counter(channel for _, channel, _ in index or ())
        indexed = {offset: (channel, time) for offset, channel, time in index or ()}
        messages: Counter[int] = Counter()
        position = 0
        while position < len(data):
            for offset, records, stop in self._in_chunk(data, position):
                position = stop
                for record in records:
                    if isinstance(record, Message):
                        messages[record.channel_id] += 1
                        own = (record.channel_id, record.log_time)
                        if indexed.get(offset, own) != own and not self._doubtful(record, place):
                            continue
                        left[record.channel_id] -= 1
                    yield record
            if position >= len(data):
                break
            following = self._next_message(data, position + 1, index)
            self._report.problems.append(
                f'{place}: no record can be read from byte {position} to {following} of it'
            )
            self._report.uncounted |= index is None
            position = following
        self.expect_index(messages)
        self._report.lost += +left

    def _mend_gaps(self, data: bytes) -> bytes:
        """Return the records of a chunk with a length for each that has none: up to the next."""
        mended = bytearray(data)
        position = 0
        while position < len(data):
            for _, _, stop in self._in_chunk(data, position):
                position = stop
            following = self._next_message(data, position + 1, None)
            if following - position >= MESSAGE.size:
                HEAD.pack_into(mended, position, Opcode.MESSAGE, following - position - HEAD.size)
            position = following
        return bytes(mended)

    def _doubtful(self, message: Message, place: str) -> bool:
        """Report a message that the index has under another topic or time; may it be kept?"""
        self._report.suspect[message.channel_id] += 1
        self._report.problems.append(
            f'{place}: a message and its index name different topics or times'
        )
        return self._keep_suspect

    def _in_chunk(self, data: bytes, position: int) -> Iterator[tuple[int, list[ScanRecord], int]]:
        """Yield (place, records, place behind them) up to the first bad record."""
        while position + HEAD.size <= len(data):
            opcode, length = HEAD.unpack_from(data, position)
            stop = position + HEAD.size + length
            if opcode not in _IN_CHUNKS or stop > len(data):
                return
            if not _begins(data, stop) and (
                is_blank(data, stop) or self._next_message(data, position + 1, None) < stop
            ):
                return  # a bad length, and not only the next record
            if opcode == Opcode.MESSAGE:
                message = message_at(data, position, stop)
                if message is None:
                    return
                yield position, [message], stop
            else:
                try:
                    record = parse(opcode, data[position + HEAD.size : stop])
                except ValueError:
                    return
                yield position, list(self._known.learn(record)), stop
            position = stop

    def _next_message(self, data: bytes, position: int, index: ChunkEntries | None) -> int:
        if index is not None:
            return next((offset for offset, _, _ in index if offset >= position), len(data))
        while match := _MESSAGE_START.search(data, position):
            place = match.start()
            if place + MESSAGE.size <= len(data):
                _, length, channel, *_ = MESSAGE.unpack_from(data, place)
                stop = place + HEAD.size + length
                if channel in self._known.channels and stop <= len(data) and _begins(data, stop):
                    return place
            position = place + 1
        return len(data)


def message_at(data: mmap.mmap | bytes, position: int, stop: int) -> Message | None:
    """Return the message whose record stands there, None if it is too short for one."""
    if stop - position < MESSAGE.size:
        return None
    _, _, channel, sequence, log_time, publish_time = MESSAGE.unpack_from(data, position)
    return Message(
        channel_id=channel,
        sequence=sequence,
        log_time=log_time,
        publish_time=publish_time,
        data=data[position + MESSAGE.size : stop],
    )


def _begins(data: bytes, position: int) -> bool:
    """Return whether a record of a chunk can begin here, or the chunk ends here."""
    if position + HEAD.size > len(data):
        return True  # the end, or remains of a record that is cut off
    opcode, length = HEAD.unpack_from(data, position)
    return opcode in _IN_CHUNKS and length < 2**32


def is_blank(data: mmap.mmap | bytes, position: int) -> bool:
    """Return whether a stretch of zeros covers this place: blocks that never reached the disk."""
    return not any(data[position - 4 : position + HEAD.size])


def _mend(data: bytes, index: ChunkEntries | None, *, trust: bool) -> bytes:
    """Return the records of a chunk with the heads of its messages as its index has them.

    Args:
        data: Records of a chunk.
        index: Where its messages begin.
        trust: Take topics and times from the index as well as lengths; a check sum must then
            prove it right.
    """
    if index is None or (not trust and _are_records(data)):
        return data  # records that follow one another without a gap need no index
    mended = bytearray(data)
    ends = [*(entry[0] for entry in index[1:]), len(data)]
    for (offset, channel, log_time), end in zip(index, ends, strict=True):
        if offset + MESSAGE.size > min(end, len(data)):
            return data  # the index itself is damaged
        head = MESSAGE.unpack_from(data, offset)
        stop = offset + HEAD.size + head[1]
        if stop > end or (stop < end and not _are_records(data[stop:end])):
            stop = end
        if not trust:
            channel, log_time = head[2], head[4]
        MESSAGE.pack_into(
            mended,
            offset,
            Opcode.MESSAGE,
            stop - offset - HEAD.size,
            channel,
            head[3],
            log_time,
            head[5],
        )
    return bytes(mended)


def _are_records(data: bytes) -> bool:
    """Return whether these are whole records that can stand in a chunk, one after the other."""
    try:
        return all(
            opcode in _IN_CHUNKS and (opcode == Opcode.MESSAGE or parse(opcode, body) is not None)
            for opcode, body in split_records(data)
        )
    except (ValueError, struct.error):
        return False
