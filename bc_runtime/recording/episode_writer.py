# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Record one episode without ever holding up the one who records it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import enum
import os
from pathlib import Path
import threading
import time

from bc_runtime.recording.bag_writer import BagWriter
from bc_runtime.recording.disk import DiskLevel, DiskLimits, DiskSpace, Statvfs, check_writable
from bc_runtime.recording.errors import DiskSpaceLow
from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.mcap_file import DEFAULT_CHUNK_BYTES
from bc_runtime.recording.metadata import replace_custom_data
from bc_runtime.recording.topic import RecordedTopic
from bc_runtime.recording.topic_flow import TopicAudit, dump_audit
from bc_runtime.spec.errors import RecordingError, available

DEFAULT_QUEUE_BYTES = 64 * 1024 * 1024
# The thread is woken for this much data or after this long, not for each message: every wake-up
# takes the interpreter lock from the thread that receives messages.
_WAKE_BYTES = 512 * 1024
_WAKE_S = 0.1
_MESSAGE_OVERHEAD = 200  # bytes that a queued message costs beside its data, roughly


class WriterState(enum.Enum):
    """What a writer is doing."""

    RECORDING = 'recording'
    STOPPED = 'stopped'  # the disk ran low; the bag is closed and readable
    FAILED = 'failed'  # writing failed; the bag is closed with what had been written
    CLOSED = 'closed'


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStatus:
    """A writer's state at one moment.

    Attributes:
        messages: Messages on the file (not those queued or in the unfinished chunk).
        bytes_written: Size of the MCAP file [bytes].
        dropped: Messages that came but are not, and will not be, in the bag.
        queued: Messages that wait for the writer thread.
        disk: Newest measurement of the free space.
        error: Why the writer stopped or failed, else empty.
    """

    state: WriterState
    path: Path
    messages: int
    bytes_written: int
    dropped: int
    dropped_by_topic: Mapping[str, int]
    queued: int
    disk: DiskSpace
    error: str = ''


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    data: bytes
    log_time_ns: int
    publish_time_ns: int
    sequence: int


class EpisodeWriter:
    """One episode's bag, filled by a thread of its own.

    `write` only appends to a bounded queue; when the disk is too slow the newest messages are
    dropped and counted. The thread finishes a chunk at least every `flush_period_s`, which bounds
    what a `kill -9` can take.

    Thread-safe. Use as a context manager or call `close`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        labels: EpisodeLabels,
        topics: Iterable[RecordedTopic] = (),
        queue_bytes: int = DEFAULT_QUEUE_BYTES,
        flush_period_s: float = 1.0,
        drain_s: float = 0.5,
        disk_limits: DiskLimits | None = None,
        statvfs: Statvfs = os.statvfs,
        ros_distro: str = '',
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    ) -> None:
        """Open `<directory>/<labels.id>` and start the thread.

        Args:
            directory: Where bags go; made if it is not there.
            labels: What is known at the start; `id` names the bag.
            topics: Topics known at the start; more may be added.
            queue_bytes: Bound of the queue [bytes of message data].
            flush_period_s: Longest time that a message waits before it is on the file [s].
            drain_s: How long `close` goes on writing queued messages [s].
            disk_limits: When to warn and to stop; default 10 and 2 GB.
            statvfs: Measures the free space; tests put a full disk here.
            ros_distro: Distribution to name in metadata.yaml.
            chunk_bytes: Size at which a chunk goes to the file [bytes].

        Raises:
            DirectoryUnusable: Nothing can be written there.
            DiskSpaceLow: The disk is already below the stop limit.
            BagExists: There is a bag of this name.
        """
        self._limits = disk_limits or DiskLimits()
        self._statvfs = statvfs
        check_writable(directory)
        self._disk = self._limits.check(directory, statvfs)
        if self._disk.level is DiskLevel.FULL:
            raise DiskSpaceLow(
                f'{_low_disk(directory, self._disk, self._limits)}; free some space or record to '
                'another directory'
            )
        self.labels = labels
        self._stored_labels: EpisodeLabels | None = None  # those that the closed bag holds
        self._audits: Mapping[str, TopicAudit] = {}
        self._flush_s = flush_period_s
        self._drain_s = drain_s
        self._queue_limit = queue_bytes
        self._bag = BagWriter(
            directory / labels.id,
            custom_data={**labels.to_custom_data(), 'bc.closed': 'no'},
            ros_distro=ros_distro,
            chunk_bytes=chunk_bytes,
        )
        self._wake = threading.Condition()
        self._queue: deque[_Message | RecordedTopic] = deque()
        self._queue_bytes = 0
        self._batch_bytes = 0  # taken from the queue, not yet on the file
        self._declared: dict[str, str] = {}
        self._sequence: dict[str, int] = {}
        self._dropped: dict[str, int] = {}
        self._state = WriterState.RECORDING
        self._error = ''
        self._closing = False
        self._deadline = 0.0
        for topic in topics:
            self.add_topic(topic)
        self._thread = threading.Thread(
            target=self._run, name=f'episode writer {labels.id}', daemon=True
        )
        self._thread.start()

    @property
    def path(self) -> Path:
        """Directory of the bag."""
        return self._bag.path

    @property
    def status(self) -> WriterStatus:
        """Return counters and state."""
        with self._wake:
            return WriterStatus(
                state=self._state,
                path=self.path,
                messages=self._bag.message_count,
                bytes_written=self._bag.size,
                dropped=sum(self._dropped.values()) + self._bag.lost,
                dropped_by_topic=dict(self._dropped),
                queued=len(self._queue),
                disk=self._disk,
                error=self._error,
            )

    def add_topic(self, topic: RecordedTopic) -> None:
        """Declare a topic; declaring it again changes nothing.

        Raises:
            RecordingError: The topic is already there with another type.
        """
        with self._wake:
            present = self._declared.setdefault(topic.name, topic.type)
            if present != topic.type:
                raise RecordingError(
                    f'topic {topic.name} is recorded as {present} and came again as {topic.type}; '
                    'a topic of a bag has one type'
                )
            if topic.name not in self._sequence:
                self._sequence[topic.name] = 0
                self._dropped[topic.name] = 0
                self._queue.append(topic)

    def write(
        self, topic: str, data: bytes, *, log_time_ns: int, publish_time_ns: int = 0
    ) -> bool:
        """Queue a message; return at once.

        Args:
            topic: A declared topic.
            data: CDR bytes with their encapsulation header. They are not copied.
            log_time_ns: Time of reception, ROS clock [ns].
            publish_time_ns: Source time stamp [ns]; 0 if unknown, then `log_time_ns` is stored.

        Returns:
            False if the message was dropped: queue full, or the writer has stopped.

        Raises:
            RecordingError: The topic was not declared.
        """
        with self._wake:
            if topic not in self._sequence:
                raise RecordingError(
                    f'topic {topic!r} was not declared with add_topic; declared are: '
                    f'{available(self._sequence)}'
                )
            # Dropped messages are numbered too: a gap in the bag's sequence shows where.
            self._sequence[topic] += 1
            size = len(data) + _MESSAGE_OVERHEAD
            waiting = self._queue_bytes + self._batch_bytes
            full = waiting + size > self._queue_limit and waiting > 0
            if full or self._closing or self._state is not WriterState.RECORDING:
                self._dropped[topic] += 1
                return False
            self._queue.append(
                _Message(
                    topic,
                    data,
                    log_time_ns,
                    publish_time_ns or log_time_ns,
                    self._sequence[topic],
                )
            )
            before = self._queue_bytes
            self._queue_bytes += size
            if before < _WAKE_BYTES <= self._queue_bytes:
                self._wake.notify()
            return True

    def close(
        self,
        labels: EpisodeLabels | None = None,
        *,
        audits: Mapping[str, TopicAudit] | None = None,
    ) -> WriterStatus:
        """Write what is queued, close the bag, and return the final status.

        Also after STOPPED or FAILED, where only the labels are still written. A second call
        changes nothing unless it brings labels.

        Args:
            labels: Final labels, with the outcome; their id stays that of the bag.
            audits: What came of each topic, and what was lost before it came here.
        """
        with self._wake:
            if audits is not None:
                self._audits = audits
            if labels is not None:
                self.labels = labels
            if not self._closing:
                self._closing = True
                self._deadline = time.monotonic() + self._drain_s
                self._wake.notify()
        self._thread.join()
        if self.labels is not self._stored_labels:
            # The bag had ended by itself, or did so while this call came in.
            replace_custom_data(self.path, self._final_custom_data())
        return self.status

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        """Write until closed, stopped or failed; then close the bag."""
        outcome, error = WriterState.CLOSED, ''
        try:
            error = self._write_queue()
            if error:
                outcome = WriterState.STOPPED
        except Exception as problem:  # noqa: BLE001
            # Whatever it is, the recording is over; the messages on the file must stay readable.
            outcome, error = WriterState.FAILED, f'writing {self.path} failed: {problem}'
        with self._wake:
            for item in self._queue:
                if isinstance(item, _Message):
                    self._dropped[item.topic] += 1
            self._queue.clear()
            self._queue_bytes = 0
            self._error = error
            self._closing = True  # from here on `write` refuses
        try:
            self._bag.close(self._final_custom_data())
        except Exception as problem:  # noqa: BLE001 - nobody joins a thread for its exception
            outcome = WriterState.FAILED
            error = error or f'closing {self.path} failed: {problem}'
        with self._wake:
            self._state = outcome
            self._error = error

    def _write_queue(self) -> str:
        """Return why the recording must stop, or an empty text once `close` was called."""
        next_flush = time.monotonic() + self._flush_s
        while True:
            with self._wake:
                if not self._closing and self._queue_bytes < _WAKE_BYTES:
                    self._wake.wait(min(_WAKE_S, self._flush_s))
                batch, self._queue = self._queue, deque()
                self._batch_bytes, self._queue_bytes = self._queue_bytes, 0
                closing, deadline = self._closing, self._deadline
            try:
                while batch and not (closing and time.monotonic() > deadline):
                    self._store(batch.popleft())
            finally:
                with self._wake:
                    self._batch_bytes = 0
                    self._queue.extendleft(reversed(batch))  # left over only at the end
            if closing:
                return ''
            if time.monotonic() >= next_flush:
                self._bag.flush()
                next_flush = time.monotonic() + self._flush_s
                disk = self._limits.check(self.path, self._statvfs)
                with self._wake:
                    self._disk = disk
                if disk.level is DiskLevel.FULL:
                    return _low_disk(self.path, disk, self._limits)

    def _store(self, item: _Message | RecordedTopic) -> None:
        if isinstance(item, RecordedTopic):
            self._bag.add_topic(item)
        else:
            self._bag.write(
                item.topic,
                item.data,
                log_time_ns=item.log_time_ns,
                publish_time_ns=item.publish_time_ns,
                sequence=item.sequence,
            )

    def _final_custom_data(self) -> dict[str, str]:
        with self._wake:
            self._stored_labels = self.labels
            return {
                **self.labels.to_custom_data(),
                'bc.closed': self._error or 'yes',
                'bc.dropped': str(sum(self._dropped.values()) + self._bag.lost),
                'bc.lost': str(sum(audit.lost for audit in self._audits.values())),
                'bc.audit': dump_audit(self._audits, self._dropped),
            }


def _low_disk(path: Path, disk: DiskSpace, limits: DiskLimits) -> str:
    return (
        f'only {disk.free_bytes / 1e9:.2f} GB are free at {path}, less than the limit of '
        f'{limits.stop_bytes / 1e9:.2f} GB'
    )
