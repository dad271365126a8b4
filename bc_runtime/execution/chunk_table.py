# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The live chunks in preallocated arrays, ordered by observation stamp."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution.action_store import ActionStore, Array, CellShape, Ints
from bc_runtime.execution.chunk import SNAP_NS, ActionChunk

Key = tuple[int, int, str]

#: Of one row: run, zero, grid, step and steps per second, see `ChunkTable.marks`.
Mark = tuple[int, int, int, int, Array]

#: Rows of the table: a slice where they are neighbours, which is nearly always, and much faster.
Rows = slice | NDArray[np.intp]

#: Grids that are this much off each other from chunk to chunk [ns] count as one grid: stamps and
#: steps are rounded to whole nanoseconds. Over all live chunks this stays below the snap.
_SAME_GRID_NS = 2
#: The beginning of a step that is the grid point itself, counted from SNAP_NS before it.
_SNAPPED_NS = 2 * SNAP_NS
_FIRST_ROWS = 32


class ChunkTable:
    """One row per live chunk, oldest observation first; their actions in an `ActionStore`.

    Rows are ordered by (stamp, sequence, policy id), whatever order the chunks came in, so that
    everything computed from the table is the same to the last bit for the same set of chunks.
    A query at one time is then a few vectorised operations, however many chunks are live.

    Columns are int64, times in ns on the ROS clock; the rows `live` of them count. Lists hold live
    values only: `opens`, `ends` and `closes` for bisection, `marks` for questions about one row,
    as a number out of an array costs four times as much as one out of a list.

    Attributes:
        keys: (stamp, sequence, policy id) of each live row.
        opens: First time that the chunk may be executed at, shift included.
        ends: Time of the last action, shift included; the close for chunks of one action.
        closes: End of the last step that may be executed, shift included.
        marks: (run, zero, grid, dt, per_s); the run is equal for neighbouring rows on one grid.
        zero: Time of action 0, shift included.
        open: As `opens`.
        close: As `closes`.
        received: When the chunk became usable.
        sequence: The chunk's sequence number, read-only: setpoints hold views. What was written
            once is not written again; a new array takes its place.
        dt: Step. `common_dt` is the step of all rows if they agree.
        grid: Number of the grid point that action 0 is on, within one run.
        store: The actions by row and grid point.
        dropped_until_ns: Latest end of the chunks that ended and were dropped.
    """

    def __init__(self, max_chunks: int) -> None:
        """Reserve space for `max_chunks` rows; actions are reserved with the first chunk."""
        self.max_chunks = max_chunks
        # Twice the live rows or more: they wander upwards as old ones go, and rarely move.
        self._rows = _FIRST_ROWS
        self._name(tuple(np.zeros(self._rows, dtype=np.int64) for _ in range(6)))
        self.store = ActionStore(self._rows)
        self.clear()

    def clear(self) -> None:
        """Forget every chunk."""
        self.keys: list[Key] = []
        self.opens: list[int] = []
        self.ends: list[int] = []
        self.closes: list[int] = []
        self.marks: list[Mark] = []
        self._begin = 0
        self.rest_until_ns: int | None = None
        self.common_dt: int | None = None
        self.dropped_until_ns: int | None = None
        self._in_order = True
        self._list_sequences()

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
        zero_ns: int,
        open_ns: int,
        close_ns: int,
        shape: CellShape,
    ) -> tuple[int, int]:
        """Put a chunk in front of another. The caller made room and knows that the key is new.

        Args:
            place: Where `find` says that the key belongs.
            key: (stamp, sequence, policy id).
            chunk: Gives stamp, step and size.
            zero_ns: Time of action 0, without shift.
            open_ns: First executable time, without shift.
            close_ns: End of the last executable step, without shift.
            shape: What is kept of a step.

        Returns:
            The new row and the grid point of its action 0; the caller fills `store.block` and
            writes it there: a cell for each action, and a copy of the first and the last around
            them, as a time may be a rounding of nanoseconds outside of a chunk that covers it.
        """
        size, dt, n = chunk.chunk_size, chunk.dt_ns, len(self.keys)
        if not self.store.fits(size, shape):
            self.store.reserve(size, shape, self.live, self.grid[self.live])
        if self._begin + n == self._rows:
            self._make_room()
        row, end = self._begin + place, self._begin + n
        if row < end:
            for column in self._columns:
                column[row + 1 : end + 1] = column[row:end]
            self.store.move(slice(row, end), row + 1)
        shift = self.shift_of(chunk.stamp_ns)
        zero, opens, closes = zero_ns + shift, open_ns + shift, close_ns + shift
        run, grid = _place_after(self.marks[place - 1], zero, dt) if place else (0, 0)
        self.zero[row], self.dt[row], self.grid[row] = zero, dt, grid
        self.open[row], self.close[row] = opens, closes
        self.received[row] = chunk.received_ns
        ends = zero + (size - 1) * dt if size > 1 else closes
        if self._in_order and n:
            self._in_order = (
                self.opens[-1] <= opens and self.ends[-1] <= ends and self.closes[-1] <= closes
            )
        self.keys.insert(place, key)
        self.opens.insert(place, opens)
        self.ends.insert(place, ends)
        self.closes.insert(place, closes)
        self.marks.insert(place, (run, zero, grid, dt, _per_second(dt)))
        self.common_dt = dt if n == 0 or self.common_dt == dt else None
        if row == end:
            self._sequence[row] = chunk.sequence
        else:
            self._find_grids(written=row)
            self._list_sequences()
            self._in_order = self._ascending()
            grid = self.marks[place][2]
        return row, grid

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

    def drop_all(self) -> None:
        """Drop every chunk; since when the robot moves is still known."""
        self._drop_first(self.count)
        self.common_dt = None

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
        stamps = np.array([key[0] for key in self.keys], dtype=np.int64)
        if self.rest_until_ns is None:
            return np.zeros_like(stamps)
        return np.maximum(self.rest_until_ns - stamps, 0)

    def shift_of(self, stamp_ns: int) -> int:
        """Return how far a chunk of this stamp is moved later by `rest_until` [ns]."""
        rest_ns = self.rest_until_ns
        return 0 if rest_ns is None else max(rest_ns - stamp_ns, 0)

    def covering(self, t_ns: int, *, actions_around: bool = False) -> tuple[Rows, int]:
        """Return the rows that may be executed at a time, and their number.

        Args:
            t_ns: The time.
            actions_around: Leave out chunks in their last step where others still have actions on
                both sides: the last action can only be held, which lags behind a moving plan.
        """
        t, ends = t_ns + SNAP_NS, self.ends
        if self._in_order:
            opens, closes = self.opens, self.closes
            # Bisection only where the nearly certain answer, all of them, is wrong.
            first = bisect_right(closes, t) if closes and closes[0] <= t else 0
            stop = bisect_right(opens, t) if opens and opens[-1] > t else len(opens)
            if first >= stop:
                return slice(0, 0), 0
            if actions_around and ends[first] < t_ns - SNAP_NS:
                around = bisect_left(ends, t_ns - SNAP_NS, first, stop)
                first = around if around < stop else first
            return slice(self._begin + first, self._begin + stop), stop - first
        live = self.live
        rows = np.flatnonzero((self.open[live] <= t) & (self.close[live] > t)) + live.start
        if actions_around:
            some = [row for row in rows.tolist() if ends[row - live.start] >= t_ns - SNAP_NS]
            rows = np.array(some, np.intp) if some else rows
        return rows, rows.size

    def cells_at(self, rows: Rows, t_ns: int) -> tuple[Array, float | Array, Array]:
        """Return what is kept of the present step of each row, and where in it a time is.

        Args:
            rows: Rows that cover the time.
            t_ns: The time.

        Returns:
            (n, cell); the part of the step that has passed, one number if the rows share a grid,
            else (n,); steps per second, () if the rows share a step, else (n,).
        """
        # Whole numbers until the last division: no rounding can move a time to another action.
        t, store, marks, begin = t_ns + SNAP_NS, self.store, self.marks, self._begin
        if isinstance(rows, slice):
            run, zero, grid, dt, per_s = marks[rows.stop - 1 - begin]
            if marks[rows.start - begin][0] == run:
                k, past = divmod(t - zero, dt)
                u = (past - SNAP_NS) / dt if past > _SNAPPED_NS else 0.0
                return store.window(rows, grid + k), u, per_s
            numbers = np.arange(rows.start, rows.stop)
        else:
            numbers = rows
            ahead = self._ahead_of_newest(rows)
            if ahead is not None:
                _, zero, _, dt, per_s = marks[int(rows[-1]) - begin]
                k, past = divmod(t - zero, dt)
                u = (past - SNAP_NS) / dt if past > _SNAPPED_NS else 0.0
                return store.gather(numbers, self.grid[rows] + (ahead + k)), u, per_s
        steps: int | Ints = self.common_dt or self.dt[rows]
        ks, pasts = np.divmod(t - self.zero[rows], steps)
        us = (pasts - SNAP_NS) / steps
        us[pasts <= _SNAPPED_NS] = 0.0
        per_s = _per_second(steps) if isinstance(steps, int) else 1e9 / steps
        return store.gather(numbers, self.grid[rows] + ks), us, per_s

    def _ahead_of_newest(self, rows: NDArray[np.intp]) -> Ints | None:
        """Return how many steps each row begins before the newest; None if not on one grid.

        As the runs say it, for rows with others in between, which must not count.
        """
        dt = self.dt[rows]
        steps, off = np.divmod(np.diff(self.zero[rows]) + _SAME_GRID_NS, dt[0])
        if (off > 2 * _SAME_GRID_NS).any() or (dt != dt[0]).any():
            return None
        ahead = np.zeros(len(rows), dtype=np.int64)
        ahead[:-1] = np.cumsum(steps[::-1])[::-1]
        return ahead

    def _make_room(self) -> None:
        """Move the live rows to the front, of twice the rows if half of them are live."""
        live, n = self.live, len(self.keys)
        if 2 * n > self._rows:
            self._rows *= 2
            grown = tuple(np.zeros(self._rows, dtype=np.int64) for _ in self._columns)
            for new, old in zip(grown, self._columns, strict=True):
                new[:n] = old[live]
            self._name(grown)
            self.store.move(live, 0, rows=self._rows)
        else:
            for column in self._columns:
                column[:n] = column[live]
            self.store.move(live, 0)
        self._begin = 0
        self._list_sequences()

    def _name(self, columns: tuple[Ints, ...]) -> None:
        self._columns = columns
        (
            self.zero,
            self.open,
            self.close,
            self.received,
            self.dt,
            self.grid,
        ) = columns

    def _find_grids(self, written: int | None = None) -> None:
        """Number grids and runs anew, after a change elsewhere than at an end.

        Args:
            written: Row whose actions are yet to be written.
        """
        live = self.live
        marks: list[Mark] = []
        zeros, steps, grids = (x[live].tolist() for x in (self.zero, self.dt, self.grid))
        for row, zero, dt, before in zip(
            range(live.start, live.stop), zeros, steps, grids, strict=True
        ):
            run, grid = _place_after(marks[-1], zero, dt) if marks else (0, 0)
            if grid != before and row != written:
                self.store.turn(row, grid - before)
            marks.append((run, zero, grid, dt, _per_second(dt)))
        self.marks = marks
        self.grid[live] = [mark[2] for mark in marks]

    def _list_sequences(self) -> None:
        self._sequence = np.zeros(self._rows, dtype=np.int64)
        self._sequence[self.live] = [key[1] for key in self.keys]
        self.sequence = self._sequence.view()
        self.sequence.setflags(write=False)

    def _remember(self, close_ns: int) -> None:
        self.dropped_until_ns = max(close_ns, self.dropped_until_ns or close_ns)

    def _drop_first(self, gone: int) -> None:
        self._begin += gone
        del self.keys[:gone], self.opens[:gone], self.ends[:gone]
        del self.closes[:gone], self.marks[:gone]
        self._dropped()

    def _keep(self, places: list[int]) -> None:
        begin = self._begin
        rows = [begin + place for place in places]
        for column in self._columns:
            column[begin : begin + len(rows)] = column[rows]
        self.store.pick(begin, rows)
        self.keys = [self.keys[i] for i in places]
        self.opens = [self.opens[i] for i in places]
        self.ends = [self.ends[i] for i in places]
        self.closes = [self.closes[i] for i in places]
        self._in_order = self._ascending()
        self._find_grids()
        self._list_sequences()
        self._dropped()

    def _dropped(self) -> None:
        if self.common_dt is None and self.keys:
            steps = self.dt[self.live]
            if (steps == steps[0]).all():
                self.common_dt = int(steps[0])
        self._in_order = self._in_order or self._ascending()

    def _ascending(self) -> bool:
        return all(x == sorted(x) for x in (self.opens, self.ends, self.closes))


def _place_after(mark: Mark, zero: int, dt: int) -> tuple[int, int]:
    """Return the run and grid number of a chunk that follows a row."""
    run, zero_before, grid, dt_before, _ = mark
    steps, off = divmod(zero - zero_before + _SAME_GRID_NS, dt)
    if off > 2 * _SAME_GRID_NS or dt != dt_before:
        return run + 1, 0
    return run, grid + steps


@lru_cache(maxsize=256)
def _per_second(dt: int) -> Array:
    """Return steps per second as an array (): numpy multiplies by it sooner than by a float."""
    return np.array(1e9 / dt)
