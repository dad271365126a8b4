# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""StreamBuffer: the last samples of one stream, stamped, in order, undecoded and bounded."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from bc_runtime.observation.alignment import Alignment, Selection, Unserved, align
from bc_runtime.observation.reasons import ReasonCode

T = TypeVar('T')

#: After this many samples in a row that are older than the newest one, but in order among
#: themselves, the sender's clock was set back: the buffer starts again with the new time.
STEPPED_BACK_AFTER = 3


class PushResult(StrEnum):
    """What became of a sample that was pushed."""

    ACCEPTED = 'ACCEPTED'
    DUPLICATE = 'DUPLICATE'
    OUT_OF_ORDER = 'OUT_OF_ORDER'
    CLOCK_STEPPED_BACK = 'CLOCK_STEPPED_BACK'
    MISSING_JOINT = 'MISSING_JOINT'
    MISSING_FIELD = 'MISSING_FIELD'
    NOT_FINITE = 'NOT_FINITE'
    NOT_NEEDED = 'NOT_NEEDED'
    IMPLAUSIBLE = 'IMPLAUSIBLE'


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Why a sample that arrived must not be used; it keeps its place in time.

    Without it, neighbours would be interpolated across a message that was there and was bad.
    """

    code: ReasonCode
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Generic[T]):
    """One sample.

    Attributes:
        stamp_ns: ROS time of the physical event: the stamp that was pushed, minus the latency.
        arrival_ns: Monotonic time of arrival; None offline.
        sequence: Counts accepted samples of the stream, from 1; never used twice.
        unchanged_ns: For how long the payload has been the same, by stamps; 0 if it just changed.
        payload: As it arrived, undecoded; a `Defect` if it must not be used.
    """

    stamp_ns: int
    arrival_ns: int | None
    sequence: int
    unchanged_ns: int
    payload: T | Defect


@dataclass(slots=True, kw_only=True)
class StreamCounters:
    """What became of all samples of a stream since the start.

    Attributes:
        partial: Joint states without all joints that the policy needs.
        foreign: Joint states about other joints only.
        implausible: Joint states that no joint could have got to since the one before.
    """

    accepted: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    clock_stepped_back: int = 0
    defective: int = 0
    partial: int = 0
    foreign: int = 0
    implausible: int = 0
    unchanged: int = 0
    decoded: int = 0

    def copy(self) -> StreamCounters:
        """Return a copy that does not count on."""
        return replace(self)


class StreamBuffer(Generic[T]):
    """A ring of samples, ordered by stamp. Not thread-safe: its owner has the lock.

    Attributes:
        counters: What became of all samples.
        first_stamp_ns: Stamp of the first sample since the start or `clear`, kept or not.

    Args:
        horizon_ns: Samples older than the newest one by more than this are forgotten, except the
            last of them (so that `last_before` can be answered over the whole horizon).
        latency_ns: Measured time from the physical event to the stamp; subtracted.
        same: Tells whether two payloads are identical; without it, `unchanged_ns` stays 0.
        capacity: Hard bound on the number of samples, whatever the stamps say.
    """

    def __init__(
        self,
        *,
        horizon_ns: int,
        latency_ns: int = 0,
        same: Callable[[T, T], bool] | None = None,
        capacity: int = 4096,
    ) -> None:
        self._horizon_ns = horizon_ns
        self._latency_ns = latency_ns
        self._same = same
        self._capacity = capacity
        self._stamps: list[int] = []
        self._samples: list[Sample[T]] = []
        self._sequence = 0
        self.first_stamp_ns: int | None = None
        self._late_ns: int | None = None
        self._late_count = 0
        self._refused = 0
        self._refused_ns: int | None = None
        self.counters = StreamCounters()

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def newest(self) -> Sample[T] | None:
        """The sample with the greatest stamp."""
        return self._samples[-1] if self._samples else None

    def is_newer(self, stamp_ns: int) -> bool:
        """Return whether a stamp (as for `push`) is newer than that of every sample."""
        return not self._stamps or stamp_ns - self._latency_ns > self._stamps[-1]

    def refused_ns(self) -> int | None:
        """Return when the newest of several samples arrived that were refused in a row, or None.

        One or two are what a repeating network makes; more, and the stamps are of no use.
        """
        return self._refused_ns if self._refused >= STEPPED_BACK_AFTER else None

    def stamp_at_or_before(self, t_ns: int) -> int | None:
        """Return the greatest stamp that is not after `t_ns`."""
        index = bisect_right(self._stamps, t_ns)
        return self._stamps[index - 1] if index else None

    def adopt(self, other: StreamBuffer[T]) -> None:
        """Take over the samples of a buffer of the same stream; latencies must be the same."""
        for sample in other._samples:
            self.push(sample.stamp_ns + self._latency_ns, sample.arrival_ns, sample.payload)

    def clear(self) -> None:
        """Forget all samples; the counters stay."""
        self._stamps.clear()
        self._samples.clear()
        self.first_stamp_ns = None
        self._late_ns, self._late_count = None, 0

    def push(self, stamp_ns: int, arrival_ns: int | None, payload: T | Defect) -> PushResult:
        """Add a sample; drop and count it if its stamp is not newer than all before it.

        Args:
            stamp_ns: ROS time (see `choose_stamp`).
            arrival_ns: Time of arrival on the monotonic clock; None offline.
            payload: Kept as it is; must not be changed by the caller afterwards.
        """
        stamp = stamp_ns - self._latency_ns
        result = PushResult.ACCEPTED
        if self._stamps and stamp <= self._stamps[-1]:
            self._refused, self._refused_ns = self._refused + 1, arrival_ns
            if stamp == self._stamps[-1] or self._has(stamp):
                self.counters.duplicate += 1
                return PushResult.DUPLICATE
            if not self._stepped_back(stamp):
                self.counters.out_of_order += 1
                return PushResult.OUT_OF_ORDER
            self.clear()
            self.counters.clock_stepped_back += 1
            result = PushResult.CLOCK_STEPPED_BACK
        self._late_ns, self._late_count, self._refused = None, 0, 0
        self._append(stamp, arrival_ns, payload)
        return result

    def select(self, t_ns: int, alignment: Alignment) -> Selection[Sample[T]] | Unserved:
        """Return the samples that stand for time `t_ns`, or why there are none."""
        if not self._samples:
            return Unserved(code=ReasonCode.MISSING, text='nothing has arrived')
        right = bisect_left(self._stamps, t_ns)
        after = self._samples[right] if right < len(self._samples) else None
        if after is not None and after.stamp_ns == t_ns:
            return align(t_ns, after, after, alignment)
        before = self._samples[right - 1] if right else None
        return align(t_ns, before, after, alignment)

    def _has(self, stamp: int) -> bool:
        index = bisect_left(self._stamps, stamp)
        return index < len(self._stamps) and self._stamps[index] == stamp

    def _stepped_back(self, stamp: int) -> bool:
        in_order = self._late_ns is not None and stamp > self._late_ns
        self._late_count = self._late_count + 1 if in_order else 1
        self._late_ns = stamp
        return self._late_count >= STEPPED_BACK_AFTER

    def _append(self, stamp: int, arrival_ns: int | None, payload: T | Defect) -> None:
        self._sequence += 1
        sample = Sample(
            stamp_ns=stamp,
            arrival_ns=arrival_ns,
            sequence=self._sequence,
            unchanged_ns=self._unchanged(stamp, payload),
            payload=payload,
        )
        if self.first_stamp_ns is None:
            self.first_stamp_ns = stamp
        self._stamps.append(stamp)
        self._samples.append(sample)
        self.counters.accepted += 1
        self.counters.unchanged += sample.unchanged_ns > 0
        self.counters.defective += isinstance(payload, Defect)
        # The last sample at or before the horizon stays: it is `last_before` of the horizon.
        cut = max(bisect_right(self._stamps, stamp - self._horizon_ns) - 1, 0)
        cut = max(cut, len(self._stamps) - self._capacity)
        if cut > 0:
            del self._stamps[:cut]
            del self._samples[:cut]

    def _unchanged(self, stamp: int, payload: T | Defect) -> int:
        last = self.newest
        if self._same is None or last is None:
            return 0
        if isinstance(payload, Defect) or isinstance(last.payload, Defect):
            return 0
        if not self._same(last.payload, payload):
            return 0
        return last.unchanged_ns + stamp - last.stamp_ns
