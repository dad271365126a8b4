# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Where the actions of the live chunks lie: so that those of one time are one block of memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Of a cell: actions (the present one, or the next one too), terms of each, and dimensions.
CellShape = tuple[int, int, int]

#: Cells of a chunk beside those of its actions: one before and one after.
_BESIDE = 2


class ActionStore:
    """One cell per grid point and chunk, the cells of one grid point side by side.

    Chunks whose grids agree have the cells for one time in one block of memory, so that a question
    about a time is a product with what lies there already; nothing is gathered, and the processor
    reads ahead. A cell is what `interpolation` keeps of a step. Grid points are in a ring: point g
    is at g modulo its size, which is at least a chunk and the two cells beside it.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._shape = (0, 0, 0)
        self._ring = 0
        self._use(np.zeros((0, rows + 1, 1)))
        self._scratch: Array = np.zeros((0, 0, 0))
        self._steps: NDArray[np.void] = np.zeros(0, dtype='V1')

    @property
    def nbytes(self) -> int:
        """Bytes that are reserved."""
        return self._cells.nbytes

    def fits(self, chunk_size: int, shape: CellShape) -> bool:
        """Return whether there is room for chunks of this size."""
        return self._ring >= chunk_size + _BESIDE and self._shape == shape

    def reserve(self, chunk_size: int, shape: CellShape, live: slice, grids: Ints) -> None:
        """Make room for chunks of this size; what lies in the live rows stays.

        Args:
            chunk_size: Number of actions K.
            shape: Of a cell; live rows have the same.
            live: Rows in use.
            grids: Grid point of action 0 of each live row.
        """
        old, old_ring = self._cells, self._ring
        self._ring, self._shape = max(chunk_size + _BESIDE, old_ring), shape
        actions, terms, dim = shape
        self._scratch = np.zeros((self._ring + actions - 1, terms, dim))
        # A cell of two actions reaches into the next one.
        cell = self._scratch.reshape(-1)[: actions * terms * dim]
        self._steps = np.lib.stride_tricks.as_strided(
            _whole(cell), (self._ring,), self._scratch.strides[:1]
        )
        self._use(self._made(self._rows))
        for row, grid in zip(range(live.start, live.stop), grids.tolist(), strict=True):
            # All that the old ring holds; cells that belong to no action are never asked for.
            points = np.arange(grid - 1, grid - 1 + old_ring)
            self._cells[points % self._ring, row] = old[points % old_ring, row]

    def block(self, chunk_size: int) -> Array:
        """Return (1 + K + `actions`, terms, dim) to fill: the actions, those before and behind.

        Terms above the first are 0 in what is before.
        """
        return self._scratch[: chunk_size + 1 + self._shape[0]]

    def write(self, row: int, grid: int, chunk_size: int) -> None:
        """Put what `block` was filled with into a row; action 0 is at a grid point."""
        size, column = chunk_size + _BESIDE, self._whole[:, row]
        begin = (grid - 1) % self._ring
        left = self._ring - begin
        if left >= size:
            column[begin : begin + size] = self._steps[:size]
        else:
            column[begin:] = self._steps[:left]
            column[: size - left] = self._steps[left:size]

    def turn(self, row: int, steps: int) -> None:
        """Move the cells of a row by some grid points, because its grid is counted anew."""
        self._whole[:, row] = np.roll(self._whole[:, row], steps)

    def move(self, source: slice, start: int, rows: int | None = None) -> None:
        """Move whole rows; with `rows`, into a larger store, and forget the others."""
        moved = self._cells[:, source]
        if rows is not None:
            self._rows = rows
            self._use(self._made(rows))
        self._cells[:, start : start + moved.shape[1]] = moved

    def _made(self, rows: int) -> Array:
        actions, terms, dim = self._shape
        # One row more: points a power of two apart would share few lines of the cache.
        return np.zeros((self._ring, rows + 1, actions * terms * dim))

    def _use(self, cells: Array) -> None:
        self._cells = cells
        self._flat: Array = cells.reshape(-1, cells.shape[2])
        self._whole = _whole(cells)

    def pick(self, start: int, rows: list[int]) -> None:
        """Keep some rows, in order, from a row on."""
        self._cells[:, start : start + len(rows)] = self._cells[:, rows]

    def window(self, rows: slice, point: int) -> Array:
        """Return (n, cell): neighbouring rows on one grid, at a grid point; a view."""
        return self._cells[point % self._ring, rows]

    def gather(self, rows: NDArray[np.intp], points: Ints) -> Array:
        """Return (n, cell): the same of any rows, each at a grid point of its own."""
        found: Array = self._flat.take(points % self._ring * self._cells.shape[1] + rows, 0)
        return found


def _whole(cells: Array) -> NDArray[np.void]:
    """Return the same memory with one item for each cell, which numpy copies in one go."""
    items: NDArray[np.void] = cells.view(np.dtype((np.void, cells.shape[-1] * cells.itemsize)))
    return items[..., 0]
