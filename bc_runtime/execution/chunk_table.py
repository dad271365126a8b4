# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The live chunks in preallocated arrays, ordered by observation stamp."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution.chunk import SNAP_NS, ActionChunk

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Key = tuple[int, int, str]

_FIELDS = 10


class ChunkTable:
    """One row per live chunk, oldest observation first; actions of all chunks in one array.

    Rows are ordered by (stamp, sequence, policy id), whatever order the chunks came in, so that
    everything computed from the table is the same to the last bit for the same set of chunks.
    A query at one time is then a few vectorised operations, however many chunks are live.

    Attributes (views of the live rows; int64, times in ns on the ROS clock):
        slot: Place of the chunk in `values`.
        stamp: Observation stamp.
        zero: Time of action 0, shift included.
        open: First time that the chunk may be executed at, shift included.
        close: End of the last step that may be executed, shift included.
        knots_end: Time of the last action, shift included; `close` for chunks of one action.
        dt: Step.
        last: Index of the last action.
        received: When the chunk became usable.
        sequence: The chunk's sequence number.
        step_s: Step [s], float64.
        values: (max_chunks, K, inner_dim) float64.
    """

    def __init__(self, max_chunks: int) -> None:
        """Reserve space for `max_chunks` rows; actions are reserved with the first chunk."""
        self.max_chunks = max_chunks
        self._ints = np.zeros((_FIELDS, max_chunks), dtype=np.int64)
        self._step_s = np.zeros(max_chunks)
        self.values: Array = np.zeros((0, 0, 0))
        self.clear()

    def clear(self) -> None:
        """Forget every chunk."""
        self.keys: list[Key] = []
        self._free = list(range(self.max_chunks - 1, -1, -1))
        self._rest_until_ns: int | None = None
        self._refresh()

    @property
    def count(self) -> int:
        """Number of live chunks."""
        return len(self.keys)

    @property
    def rest_until_ns(self) -> int | None:
        """Time until which the robot stood still, see `rest_until`."""
        return self._rest_until_ns

    def find(self, key: Key) -> tuple[int, bool]:
        """Return the row that `key` has or would have, and whether it is there."""
        row = bisect_left(self.keys, key)
        return row, row < len(self.keys) and self.keys[row] == key

    def insert(
        self, row: int, key: Key, chunk: ActionChunk, actions: Array, open_ns: int, close_ns: int
    ) -> None:
        """Put a chunk in front of `row`. The caller made room and knows that the key is new.

        Args:
            row: Where `find` says that the key belongs.
            key: (stamp, sequence, policy id).
            chunk: Gives the times.
            actions: (K, inner_dim) absolute actions.
            open_ns: First executable time, without shift.
            close_ns: End of the last executable step, without shift.
        """
        self._reserve(*actions.shape)
        slot = self._free.pop()
        self.values[slot, : actions.shape[0]] = actions
        n = len(self.keys)
        if row < n:
            self._ints[:, row + 1 : n + 1] = self._ints[:, row:n]
            self._step_s[row + 1 : n + 1] = self._step_s[row:n]
        shift = self._shift_of(chunk.stamp_ns)
        zero = chunk.time_of(0) + shift
        last = chunk.chunk_size - 1
        knots_end = zero + last * chunk.dt_ns if last else close_ns + shift
        self._ints[:, row] = (
            slot,
            chunk.stamp_ns,
            zero,
            open_ns + shift,
            close_ns + shift,
            knots_end,
            chunk.dt_ns,
            last,
            chunk.received_ns,
            chunk.sequence,
        )
        self._step_s[row] = chunk.dt_ns * 1e-9
        self.keys.insert(row, key)
        self._refresh()

    def drop_ended(self, t_ns: int) -> None:
        """Drop the chunks whose executable span ended before `t_ns`."""
        if not self.keys:
            return
        keep = self.close > t_ns
        if not keep.all():
            self._keep(np.flatnonzero(keep))

    def drop_oldest(self) -> None:
        """Drop the chunk with the oldest observation."""
        self._keep(np.arange(1, len(self.keys)))

    def rest_until(self, t_ns: int) -> None:
        """Say that the robot stood still until `t_ns`: chunks observed before start there."""
        self._rest_until_ns = t_ns
        shift = np.maximum(t_ns - self.stamp, 0)
        change = shift - self.shift
        if change.any():
            n = len(self.keys)
            self._ints[2:6, :n] += change

    @property
    def shift(self) -> Ints:
        """How far each row is moved later by `rest_until` [ns]."""
        if self._rest_until_ns is None:
            return np.zeros_like(self.stamp)
        return np.maximum(self._rest_until_ns - self.stamp, 0)

    def covering(self, t_ns: int) -> NDArray[np.intp]:
        """Return the rows that may be executed at a time, oldest observation first."""
        t = t_ns + SNAP_NS
        return np.flatnonzero((self.open <= t) & (self.close > t))

    def _shift_of(self, stamp_ns: int) -> int:
        return 0 if self._rest_until_ns is None else max(self._rest_until_ns - stamp_ns, 0)

    def _keep(self, rows: NDArray[np.intp]) -> None:
        kept = set(rows.tolist())
        slots = self.slot.tolist()
        self._free.extend(slots[i] for i in range(len(slots)) if i not in kept)
        n = len(rows)
        self._ints[:, :n] = self._ints[:, rows]
        self._step_s[:n] = self._step_s[rows]
        self.keys = [self.keys[i] for i in rows]
        self._refresh()

    def _reserve(self, chunk_size: int, inner_dim: int) -> None:
        _, size, dim = self.values.shape
        if dim == inner_dim and size >= chunk_size:
            return
        grown = np.zeros((self.max_chunks, max(chunk_size, size), inner_dim))
        if dim == inner_dim:
            grown[:, :size] = self.values
        self.values = grown

    def _refresh(self) -> None:
        n = len(self.keys)
        (
            self.slot,
            self.stamp,
            self.zero,
            self.open,
            self.close,
            self.knots_end,
            self.dt,
            self.last,
            self.received,
            self.sequence,
        ) = self._ints[:, :n]
        self.step_s: Array = self._step_s[:n]
