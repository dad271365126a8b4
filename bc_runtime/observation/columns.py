# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Readers that turn one message of named numbers into one row of columns; never by index.

A row holds exactly what the policy needs of the stream, in float64. What a message lacks is a
`Defect`, never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bc_runtime.observation.reasons import ReasonCode
from bc_runtime.observation.stream_buffer import Defect
from bc_runtime.spec.errors import available

Row = NDArray[np.float64]

#: So many orders of names are remembered: a topic is shared by few publishers.
_KNOWN_ORDERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class JointColumn:
    """One number of a joint state: `position`, `velocity` or `effort` of a joint."""

    quantity: str
    joint: str


class JointReader:
    """Picks columns out of `sensor_msgs/JointState`-like data, by joint name.

    The order of names in a message may change at any time; more joints than needed are fine.
    Messages of several publishers may take turns.
    """

    def __init__(self, columns: Sequence[JointColumn]) -> None:
        self.columns = tuple(columns)
        self.joints = tuple(dict.fromkeys(column.joint for column in self.columns))
        self._quantities = tuple(dict.fromkeys(column.quantity for column in self.columns))
        # No entry stands for a message before the first: an empty list of names is one, too.
        self._orders: dict[tuple[str, ...], dict[str, NDArray[np.intp]] | Defect] = {}
        self._targets = {
            quantity: np.array(
                [i for i, column in enumerate(self.columns) if column.quantity == quantity],
                dtype=np.intp,
            )
            for quantity in self._quantities
        }

    def read(
        self,
        names: Sequence[str],
        position: ArrayLike,
        velocity: ArrayLike = (),
        effort: ArrayLike = (),
    ) -> Row | Defect:
        """Return the columns (n,) of one message, or why it cannot be used."""
        names = tuple(names)
        found = self._orders.get(names)
        if found is None:
            if len(self._orders) >= _KNOWN_ORDERS:
                self._orders.clear()
            found = self._orders[names] = self._find(names)
        if isinstance(found, Defect):
            return found
        given = {'position': position, 'velocity': velocity, 'effort': effort}
        row = np.full(len(self.columns), np.nan)  # what nothing fills must not look like a value
        for quantity, order in found.items():
            values = np.asarray(given[quantity], dtype=np.float64)
            if values.shape != (len(names),):
                return Defect(
                    code=ReasonCode.MISSING_JOINT,
                    text=f'the message has {len(names)} names but {values.size} {quantity} values',
                )
            row[self._targets[quantity]] = values[order]
        return _finite(row, [f'{c.quantity} of {c.joint}' for c in self.columns])

    def _find(self, names: tuple[str, ...]) -> dict[str, NDArray[np.intp]] | Defect:
        missing = [joint for joint in self.joints if joint not in names]
        if missing:
            return Defect(
                code=ReasonCode.MISSING_JOINT,
                text=(
                    f'the message lacks {available(missing)}; it has {available(names)}; '
                    f'the policy needs {available(self.joints)}'
                ),
            )
        twice = [joint for joint in self.joints if names.count(joint) > 1]
        if twice:
            return Defect(
                code=ReasonCode.MISSING_JOINT,
                text=f'the message names {available(twice)} more than once',
            )
        return {
            quantity: np.array(
                [names.index(c.joint) for c in self.columns if c.quantity == quantity],
                dtype=np.intp,
            )
            for quantity in self._quantities
        }


class VectorReader:
    """Picks columns out of the named fields of a vector stream.

    Args:
        columns: What the policy needs.
        fields: What the robot YAML gives, in its order.
    """

    def __init__(self, columns: Sequence[str], *, fields: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._fields = tuple(fields)

    def read(self, values: Mapping[str, float] | Sequence[float]) -> Row | Defect:
        """Return the columns (n,), or why the message cannot be used.

        Args:
            values: By field name, or one per field in the order of the robot YAML.
        """
        if not isinstance(values, Mapping):
            if len(values) != len(self._fields):
                return Defect(
                    code=ReasonCode.MISSING_FIELD,
                    text=(
                        f'expected {len(self._fields)} values ({", ".join(self._fields)}), '
                        f'got {len(values)}'
                    ),
                )
            values = dict(zip(self._fields, values, strict=True))
        missing = [name for name in self.columns if name not in values]
        if missing:
            return Defect(
                code=ReasonCode.MISSING_FIELD,
                text=f'the message lacks {available(missing)}; it has {available(values)}',
            )
        return _finite(np.array([float(values[name]) for name in self.columns]), self.columns)


def _finite(row: Row, names: Sequence[str]) -> Row | Defect:
    # The graph takes float32: what overflows there is not finite either.
    with np.errstate(over='ignore'):
        finite = np.isfinite(row.astype(np.float32))
    if finite.all():
        row.flags.writeable = False
        return row
    bad = [f'{name} = {row[i]}' for i, name in enumerate(names) if not finite[i]]
    return Defect(code=ReasonCode.NOT_FINITE, text=f'not finite: {", ".join(bad)}')
