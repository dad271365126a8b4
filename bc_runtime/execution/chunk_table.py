# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The live chunks in preallocated arrays, ordered by observation stamp."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution.chunk import SNAP_NS, ActionChunk

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Key = tuple[int, int, str]

#: Rows of the table: a slice where they are neighbours, which is nearly always, and much faster.
Rows = slice | NDArray[np.intp]

_FIELDS = 11

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

    Columns are int64, times in ns on the ROS clock; the rows `live` of them count. `opens`, `ends`
    and `closes` hold the live values of three columns as lists, for bisection.

    Attributes:
        keys: (stamp, sequence, policy id) of each live row.
        opens: First time that the chunk may be executed at, shift included.
        ends: Time of the last action, shift included; the close for chunks of one action.
        closes: End of the last step that may be executed, shift included.
        stamp: Observation stamp.
        zero: Time of action 0, shift included.
        open: As `opens`.
        close: As `closes`.
        first: Row of action 0 in `pieces`.
        received: When the chunk became usable.
        sequence: The chunk's sequence number.
        dt: Step. `common_dt` is the step of all rows if they agree.
        grid: Number of the grid point that action 0 is on, within one run.
        run: Equal for neighbouring rows on one grid.
        offset: first - grid.
        pieces: (m, rows, inner_dim) float64, what `interpolation` makes of each action.
        planes: The m parts of `pieces`.
        dropped_until_ns: Latest end of the chunks that ended and were dropped.
    """

    def __init__(self, max_chunks: int) -> None:
        """Reserve space for `max_chunks` rows; pieces are reserved with the first chunk."""
        self.max_chunks = max_chunks
        # Twice the rows: live ones wander upwards as old ones go, and rarely have to be moved.
        self._columns = np.zeros((_FIELDS, 2 * max_chunks), dtype=np.int64)
        (
            self.stamp,
            self.zero,
            self.open,
            self.close,
            self.first,
            self.received,
            self.sequence,
            self.dt,
            self.grid,
            self.run,
            self.offset,
        ) = self._columns
        self._stride = 0  # rows of `pieces` per chunk
        self.pieces: Array = np.zeros((0, 0, 0))
        self.planes: tuple[Array, ...] = ()
        self.clear()

    def clear(self) -> None:
        """Forget every chunk."""
        self.keys: list[Key] = []
        self.opens: list[int] = []
        self.ends: list[int] = []
        self.closes: list[int] = []
        self._begin = 0
        self._free = list(range(self.max_chunks - 1, -1, -1))
        self.rest_until_ns: int | None = None
        self.common_dt: int | None = None
        self.dropped_until_ns: int | None = None
        self._in_order = True

    @property
    def count(self) -> int:
        """Number of live chunks."""
        return len(self.keys)

    @property
    def live(self) -> slice:
        """Rows of the live chunks."""
        return slice(self._begin, self._begin + len(self.keys))

    def find(self, key: Key) -> tuple[int, bool]:
        """Return which of the live chunks `key` is or would be, and whether it is there."""
        keys = self.keys
        if not keys or keys[-1] < key:  # the newest observation, as nearly always
            return len(keys), False
        place = bisect_left(keys, key)
        return place, keys[place] == key

    def insert(
        self,
        place: int,
        key: Key,
        chunk: ActionChunk,
        open_ns: int,
        close_ns: int,
        shape: tuple[int, int],
    ) -> Array:
        """Put a chunk in front of another. The caller made room and knows that the key is new.

        Args:
            place: Where `find` says that the key belongs.
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
        size, dt, n = chunk.chunk_size, chunk.dt_ns, len(self.keys)
        self._reserve(size + _BESIDE, *shape)
        if self._begin + n == self._columns.shape[1]:
            self._columns[:, :n] = self._columns[:, self.live]
            self._begin = 0
        row, end = self._begin + place, self._begin + n
        if row < end:
            self._columns[:, row + 1 : end + 1] = self._columns[:, row:end]
        first = self._free.pop() * self._stride + 1
        shift = self.shift_of(chunk.stamp_ns)
        zero, opens, closes = chunk.time_of(0) + shift, open_ns + shift, close_ns + shift
        grid, run = self._grid_after(row - 1, zero, dt) if place else (0, 0)
        self._columns[:, row] = (
            chunk.stamp_ns,
            zero,
            opens,
            closes,
            first,
            chunk.received_ns,
            chunk.sequence,
            dt,
            grid,
            run,
            first - grid,
        )
        ends = zero + (size - 1) * dt if size > 1 else closes
        if self._in_order and n:
            last = self.opens[-1], self.ends[-1], self.closes[-1]
            self._in_order = last[0] <= opens and last[1] <= ends and last[2] <= closes
        self.keys.insert(place, key)
        self.opens.insert(place, opens)
        self.ends.insert(place, ends)
        self.closes.insert(place, closes)
        self.common_dt = dt if n == 0 or self.common_dt == dt else None
        if row < end:
            self._find_grids()
            self._in_order = self._ascending()
        return self.pieces[:, first - 1 : first + size + 1]

    def drop_ended(self, t_ns: int) -> None:
        """Drop the chunks whose executable span ended at `t_ns` or before."""
        closes = self.closes
        if self._in_order:
            gone = bisect_right(closes, t_ns)
            if gone:
                self._remember(closes[gone - 1])
                self._drop_first(gone)
            return
        ended = [close for close in closes if close <= t_ns]
        if ended:
            self._remember(max(ended))
            self._keep([i for i, close in enumerate(closes) if close > t_ns])

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
        change = self.shift() - before
        for column in (self.zero, self.open, self.close):
            column[self.live] += change
        self.opens, self.closes = self.open[self.live].tolist(), self.close[self.live].tolist()
        self.ends = [end + moved for end, moved in zip(self.ends, change.tolist(), strict=True)]
        usable = (self.close[self.live] > self.received[self.live]).nonzero()[0]
        self._keep(usable.tolist())

    def shift(self) -> Ints:
        """Return how far each live row is moved later by `rest_until` [ns]."""
        stamps = self.stamp[self.live]
        if self.rest_until_ns is None:
            return np.zeros_like(stamps)
        return np.maximum(self.rest_until_ns - stamps, 0)

    def shift_of(self, stamp_ns: int) -> int:
        """Return how far a chunk of this stamp is moved later by `rest_until` [ns]."""
        rest_ns = self.rest_until_ns
        return 0 if rest_ns is None else max(rest_ns - stamp_ns, 0)

    def covering(self, t_ns: int) -> tuple[Rows, int]:
        """Return the rows that may be executed at a time, and their number."""
        t = t_ns + SNAP_NS
        if self._in_order:
            begin, end = bisect_right(self.closes, t), bisect_right(self.opens, t)
            return slice(self._begin + begin, self._begin + end), max(end - begin, 0)
        live = self.live
        rows = np.flatnonzero((self.open[live] <= t) & (self.close[live] > t)) + live.start
        return rows, rows.size

    def with_actions_around(self, rows: Rows, n: int, t_ns: int) -> tuple[Rows, int]:
        """Leave out chunks in their last step where others still have actions on both sides.

        The last action can only be held, which lags behind a moving plan.
        """
        t, begin = t_ns - SNAP_NS, self._begin
        if isinstance(rows, slice):
            first = max(begin + bisect_left(self.ends, t, hi=rows.stop - begin), rows.start)
            kept = rows.stop - first
            return (slice(first, rows.stop), kept) if kept else (rows, n)
        some = np.array([row for row in rows.tolist() if self.ends[row - begin] >= t], np.intp)
        return (some, some.size) if some.size else (rows, n)

    def on_one_grid(self, rows: Rows, newest: int) -> Ints | None:
        """Return where in `pieces` the chunks are when the newest of the rows is at its action 0.

        None if the chunks of the rows do not have their actions at the same times.
        """
        if isinstance(rows, slice):
            if self.run[rows.start] != self.run[newest]:
                return None
            result: Ints = self.offset[rows] + self.grid[newest]
            return result
        # The same for rows with others in between, which must not count.
        dt = self.dt[rows]
        steps, off = np.divmod(np.diff(self.zero[rows]) + _SAME_GRID_NS, dt[0])
        if (off > 2 * _SAME_GRID_NS).any() or (dt != dt[0]).any():
            return None
        result = self.first[rows]
        result[:-1] += np.cumsum(steps[::-1])[::-1]
        return result

    def _grid_after(self, row: int, zero: int, dt: int) -> tuple[int, int]:
        """Return the grid number and run of a chunk that follows a row."""
        run = int(self.run[row])
        steps, off = divmod(zero - int(self.zero[row]) + _SAME_GRID_NS, dt)
        if off > 2 * _SAME_GRID_NS or dt != self.dt[row]:
            return 0, run + 1
        return int(self.grid[row]) + steps, run

    def _find_grids(self) -> None:
        """Number grids and runs anew, after a change elsewhere than at an end."""
        live = self.live
        for row in range(live.start, live.stop):
            number = (0, 0)
            if row > live.start:
                number = self._grid_after(row - 1, int(self.zero[row]), int(self.dt[row]))
            self.grid[row], self.run[row] = number
        self.offset[live] = self.first[live] - self.grid[live]

    def _remember(self, close_ns: int) -> None:
        self.dropped_until_ns = max(close_ns, self.dropped_until_ns or close_ns)

    def _drop_first(self, gone: int) -> None:
        begin = self._begin
        self._free.extend((self.first[begin : begin + gone] // self._stride).tolist())
        self._begin = begin + gone
        for values in (self.keys, self.opens, self.ends, self.closes):
            del values[:gone]
        self._dropped()

    def _keep(self, places: list[int]) -> None:
        n, begin = len(self.keys), self._begin
        gone = sorted(set(range(n)) - set(places))
        self._free.extend((self.first[begin : begin + n][gone] // self._stride).tolist())
        self._columns[:, begin : begin + len(places)] = self._columns[:, begin : begin + n][
            :, places
        ]
        self.keys = [self.keys[i] for i in places]
        self.opens = [self.opens[i] for i in places]
        self.ends = [self.ends[i] for i in places]
        self.closes = [self.closes[i] for i in places]
        self._in_order = self._ascending()
        self._find_grids()
        self._dropped()

    def _dropped(self) -> None:
        steps = self.dt[self.live]
        if self.common_dt is None and steps.size and (steps == steps[0]).all():
            self.common_dt = int(steps[0])
        self._in_order = self._in_order or self._ascending()

    def _ascending(self) -> bool:
        return all(x == sorted(x) for x in (self.opens, self.ends, self.closes))

    def _reserve(self, rows: int, terms: int, dim: int) -> None:
        stride, live = self._stride, self.live
        if self.pieces.shape[2] == dim and stride >= rows:
            return
        self._stride = max(rows, stride)
        grown = np.zeros((terms, self.max_chunks, self._stride, dim))
        if self.keys:  # live chunks have the same terms and dim, the timeline sees to that
            old = self.pieces.reshape(terms, self.max_chunks, stride, dim)
            grown[:, :, :stride] = old
            moved = self.first[live] // stride * self._stride + 1
            self.offset[live] += moved - self.first[live]
            self.first[live] = moved
        self.pieces = grown.reshape(terms, -1, dim)
        self.planes = tuple(self.pieces)
