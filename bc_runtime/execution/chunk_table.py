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

#: Rows of the table: a slice where they are neighbours, which is nearly always, and much faster.
Rows = slice | NDArray[np.intp]

_FIELDS = 13
_ZERO, _KNOTS_END = 1, 4  # a shift moves the fields from ... to

#: Rows of `pieces` beside those of a chunk: one before and one after, see `insert`.
_BESIDE = 2

#: Grids that are this much off each other from chunk to chunk [ns] count as one grid: stamps and
#: steps are rounded to whole nanoseconds. Over all live chunks this stays below the snap.
_SAME_GRID_NS = 2


class ChunkTable:
    """One row per live chunk, oldest observation first; actions of all chunks in one array.

    Rows are ordered by (stamp, sequence, policy id), whatever order the chunks came in, so that
    everything computed from the table is the same to the last bit for the same set of chunks.
    A query at one time is then a few vectorised operations, however many chunks are live.

    The first `count` entries of each column are live; int64, times in ns on the ROS clock.

    Attributes:
        keys: (stamp, sequence, policy id) of each row.
        stamp: Observation stamp.
        zero: Time of action 0, shift included.
        open: First time that the chunk may be executed at, shift included.
        close: End of the last step that may be executed, shift included.
        knots_end: Time of the last action, shift included; `close` for chunks of one action.
        first: Row of action 0 in `pieces`.
        last: Index of the last action.
        received: When the chunk became usable.
        sequence: The chunk's sequence number.
        dt: Step. `common_dt` is the step of all rows if they agree.
        grid: Number of the grid point that action 0 is on, within one run.
        run: Equal for neighbouring rows on one grid.
        pieces: (m, rows, inner_dim) float64, what `interpolation` makes of each action.
        dropped_until_ns: Latest end of the chunks that ended and were dropped.
    """

    def __init__(self, max_chunks: int) -> None:
        """Reserve space for `max_chunks` rows; pieces are reserved with the first chunk."""
        self.max_chunks = max_chunks
        self._columns = np.zeros((_FIELDS, max_chunks), dtype=np.int64)
        (
            self.stamp,
            self.zero,
            self.open,
            self.close,
            self.knots_end,
            self.first,
            self.last,
            self.received,
            self.sequence,
            self.dt,
            self.grid,
            self.run,
            self.offset,  # first - grid
        ) = self._columns
        self._stride = 0  # rows of `pieces` per chunk
        self.pieces: Array = np.zeros((0, 0, 0))
        self.clear()

    def clear(self) -> None:
        """Forget every chunk."""
        self.keys: list[Key] = []
        self._free = list(range(self.max_chunks - 1, -1, -1))
        self.rest_until_ns: int | None = None
        self.common_dt: int | None = None
        self.dropped_until_ns: int | None = None
        self._in_order = True

    @property
    def count(self) -> int:
        """Number of live chunks."""
        return len(self.keys)

    def find(self, key: Key) -> tuple[int, bool]:
        """Return the row that `key` has or would have, and whether it is there."""
        keys = self.keys
        if not keys or keys[-1] < key:  # the newest observation, as nearly always
            return len(keys), False
        row = bisect_left(keys, key)
        return row, keys[row] == key

    def insert(
        self,
        row: int,
        key: Key,
        chunk: ActionChunk,
        open_ns: int,
        close_ns: int,
        shape: tuple[int, int],
    ) -> Array:
        """Put a chunk in front of `row`. The caller made room and knows that the key is new.

        Args:
            row: Where `find` says that the key belongs.
            key: (stamp, sequence, policy id).
            chunk: Gives the times.
            open_ns: First executable time, without shift.
            close_ns: End of the last executable step, without shift.
            shape: Terms m and inner_dim of `pieces`.

        Returns:
            The chunk's (m, K + 2, inner_dim) part of `pieces`, for the caller to write: a row for
            each action, and a copy of the first and the last around them, as a time may be a
            rounding of nanoseconds outside of a chunk that covers it.
        """
        chunk_size, dt = chunk.chunk_size, chunk.dt_ns
        self._reserve(chunk_size + _BESIDE, *shape)
        first = self._free.pop() * self._stride + 1
        n = len(self.keys)
        if row < n:
            self._columns[:, row + 1 : n + 1] = self._columns[:, row:n]
        shift = self.shift_of(chunk.stamp_ns)
        zero = chunk.time_of(0)
        last = chunk_size - 1
        knots_end = zero + last * dt if last else close_ns
        grid, run = self._grid_after(row - 1, zero + shift, dt) if row else (0, 0)
        self._columns[:, row] = (
            chunk.stamp_ns,
            zero + shift,
            open_ns + shift,
            close_ns + shift,
            knots_end + shift,
            first,
            last,
            chunk.received_ns,
            chunk.sequence,
            dt,
            grid,
            run,
            first - grid,
        )
        self.keys.insert(row, key)
        self.common_dt = dt if n == 0 or self.common_dt == dt else None
        if row < n:
            self._find_grids()
        if self._in_order and n:
            before = max(row - 1, 0)
            self._in_order = _ascending(self._columns[2:5, before : min(row + 2, n + 1)])
        return self.pieces[:, first - 1 : first + chunk_size + 1]

    def drop_ended(self, t_ns: int) -> None:
        """Drop the chunks whose executable span ended at `t_ns` or before."""
        n = len(self.keys)
        if self._in_order:
            gone = int(self.close[:n].searchsorted(t_ns, 'right'))
            if gone:
                self._remember(int(self.close[gone - 1]))
                self._drop_first(gone)
            return
        ended = self.close[:n] <= t_ns
        if ended.any():
            self._remember(int(self.close[:n][ended].max()))
            self._drop(ended)

    def drop_oldest(self) -> None:
        """Drop the chunk with the oldest observation."""
        self._drop_first(1)

    def rest_until(self, t_ns: int) -> None:
        """Say that the robot stood still until `t_ns`: chunks observed before start there.

        The time only ever becomes earlier. What it makes end before it could be used is dropped,
        as it would have been refused had it come second.
        """
        before = self.shift()
        self.rest_until_ns = t_ns
        n = len(self.keys)
        self._columns[_ZERO : _KNOTS_END + 1, :n] += self.shift() - before
        self._in_order = _ascending(self._columns[2:5, :n])
        self._find_grids()
        self._drop(self.close[:n] <= self.received[:n])

    def shift(self) -> Ints:
        """Return how far each live row is moved later by `rest_until` [ns]."""
        stamps = self.stamp[: len(self.keys)]
        if self.rest_until_ns is None:
            return np.zeros_like(stamps)
        return np.maximum(self.rest_until_ns - stamps, 0)

    def shift_of(self, stamp_ns: int) -> int:
        """Return how far a chunk of this stamp is moved later by `rest_until` [ns]."""
        rest_ns = self.rest_until_ns
        return 0 if rest_ns is None else max(rest_ns - stamp_ns, 0)

    def covering(self, t_ns: int) -> tuple[Rows, int]:
        """Return the rows that may be executed at a time, and their number."""
        n, t = len(self.keys), t_ns + SNAP_NS
        if self._in_order:
            begin = int(self.close[:n].searchsorted(t, 'right'))
            end = int(self.open[:n].searchsorted(t, 'right'))
            return slice(begin, end), max(end - begin, 0)
        rows = np.flatnonzero((self.open[:n] <= t) & (self.close[:n] > t))
        return rows, rows.size

    def with_actions_around(self, rows: Rows, n: int, t_ns: int) -> tuple[Rows, int]:
        """Leave out chunks in their last step where others still have actions on both sides.

        The last action can only be held, which lags behind a moving plan.
        """
        t = t_ns - SNAP_NS
        if isinstance(rows, slice):
            begin = max(int(self.knots_end[: rows.stop].searchsorted(t)), rows.start)
            kept = rows.stop - begin
            return (slice(begin, rows.stop), kept) if kept else (rows, n)
        some = rows[self.knots_end[rows] >= t]
        return (some, some.size) if some.size else (rows, n)

    def _remember(self, close_ns: int) -> None:
        self.dropped_until_ns = max(close_ns, self.dropped_until_ns or close_ns)

    def on_one_grid(self, rows: Rows) -> Ints | None:
        """Return where in `pieces` the chunks are when the newest of them is at its action 0.

        None if the chunks of the rows do not have their actions at the same times.
        """
        if isinstance(rows, slice):
            newest = rows.stop - 1
            if self.run[rows.start] != self.run[newest]:
                return None
            return np.add(self.offset[rows], self.grid[newest])
        # The same for rows with others in between, which must not count.
        dt = self.dt[rows]
        steps, off = np.divmod(np.diff(self.zero[rows]) + _SAME_GRID_NS, dt[0])
        if (off > 2 * _SAME_GRID_NS).any() or (dt != dt[0]).any():
            return None
        before_newest = np.append(np.cumsum(steps[::-1])[::-1], 0)
        return np.add(self.first[rows], before_newest)

    def _grid_after(self, row: int, zero: int, dt: int) -> tuple[int, int]:
        """Return the grid number and run of a chunk that follows a row."""
        run = int(self.run[row])
        steps, off = divmod(zero - int(self.zero[row]) + _SAME_GRID_NS, dt)
        if off > 2 * _SAME_GRID_NS or dt != self.dt[row]:
            return 0, run + 1
        return int(self.grid[row]) + steps, run

    def _find_grids(self) -> None:
        """Number grids and runs anew, after a change elsewhere than at the end."""
        self.grid[:1] = self.run[:1] = 0
        for row in range(1, len(self.keys)):
            self.grid[row], self.run[row] = self._grid_after(
                row - 1, int(self.zero[row]), int(self.dt[row])
            )
        self.offset[:] = self.first - self.grid

    def _drop_first(self, gone: int) -> None:
        n = len(self.keys)
        self._free.extend((self.first[:gone] // self._stride).tolist())
        self._columns[:, : n - gone] = self._columns[:, gone:n]
        del self.keys[:gone]
        self._dropped()

    def _drop(self, gone: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(~gone)
        if len(rows) == len(gone):
            return
        self._free.extend((self.first[: len(gone)][gone] // self._stride).tolist())
        self._columns[:, : len(rows)] = self._columns[:, rows]
        self.keys = [self.keys[row] for row in rows.tolist()]
        self._find_grids()
        self._dropped()

    def _dropped(self) -> None:
        n = len(self.keys)
        if self.common_dt is None and n and (self.dt[:n] == self.dt[0]).all():
            self.common_dt = int(self.dt[0])
        self._in_order = self._in_order or _ascending(self._columns[2:5, :n])

    def _reserve(self, rows: int, terms: int, dim: int) -> None:
        stride, n = self._stride, len(self.keys)
        if self.pieces.shape[2] == dim and stride >= rows:
            return
        self._stride = max(rows, stride)
        grown = np.zeros((terms, self.max_chunks, self._stride, dim))
        if n:  # live chunks have the same terms and dim, the timeline sees to that
            old = self.pieces.reshape(terms, self.max_chunks, stride, dim)
            grown[:, :, :stride] = old
            moved = self.first[:n] // stride * self._stride + 1
            self.offset[:n] += moved - self.first[:n]
            self.first[:n] = moved
        self.pieces = grown.reshape(terms, -1, dim)


def _ascending(columns: Ints) -> bool:
    return bool((columns[:, 1:] >= columns[:, :-1]).all())
