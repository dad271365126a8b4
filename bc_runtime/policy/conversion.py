# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""conversion: what stands between a tensor of a spec and that of a graph, where no value is lost.

`bc wrap` writes it into the graph. Converted are floats of other sizes, and shapes that differ by
axes of length 1 (`[T, D]` for `[1, T, D]`). A flat output `[1, T * D]` is converted too, but its
order is not in the file: somebody has to say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from bc_runtime.policy.signature import TensorInfo

_KINDS = (frozenset(('float32', 'float64', 'float16', 'bfloat16')), frozenset(('int32', 'int64')))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How a graph's tensor becomes that of the spec, or the other way.

    Attributes:
        cast: The element types differ.
        shape: Shape that the graph's tensor has, where it differs from the spec's; else None.
        flat: Steps and actions lie in one axis; their order is not known.
    """

    cast: bool = False
    shape: tuple[int, ...] | None = None
    flat: bool = False

    @property
    def needed(self) -> bool:
        """Whether there is anything to convert."""
        return self.cast or self.shape is not None


def conversion(wanted: TensorInfo, found: TensorInfo) -> Conversion | None:
    """Return how a graph's tensor differs from the spec's; None if values would be lost.

    Args:
        wanted: From the spec; every dimension is a number.
        found: From the graph.
    """
    alike = wanted.dtype == found.dtype
    if not alike and not any({wanted.dtype, found.dtype} <= kind for kind in _KINDS):
        return None
    sizes = [int(dim) for dim in wanted.shape if dim is not None]
    fits = len(sizes) == len(found.shape) and all(
        not isinstance(has, int) or has == size
        for has, size in zip(found.shape, sizes, strict=True)
    )
    if fits:
        return Conversion(cast=not alike)
    shape = _assign(found.shape, [size for size in sizes if size != 1])
    if shape is not None:
        return Conversion(cast=not alike, shape=shape)
    shape = _assign(found.shape, [prod(sizes)])
    return None if shape is None else Conversion(cast=not alike, shape=shape, flat=True)


def _assign(found: Sequence[int | str | None], sizes: Sequence[int]) -> tuple[int, ...] | None:
    """Return the sizes of a graph's axes if these sizes lie there in order, 1 elsewhere."""
    if not found:
        return None if sizes else ()
    first, *rest = found
    # A free axis is taken as the batch first, because that is what exporters leave free.
    if first == 1 or not isinstance(first, int):
        after = _assign(rest, sizes)
        if after is not None:
            return (1, *after)
    if sizes and (first == sizes[0] or not isinstance(first, int)):
        after = _assign(rest, sizes[1:])
        if after is not None:
            return (sizes[0], *after)
    return None
