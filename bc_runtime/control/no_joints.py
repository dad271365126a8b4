# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""NoJoints: stands for the joint monitor of a robot that is commanded without joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from types import MappingProxyType

from bc_runtime.safety import Flag


class NoJoints:
    """Has nothing to measure and nothing to say; the interface is that of `JointMonitor`."""

    measured: tuple[float, ...] | None = None
    arrival_ns = 0
    error = 0.0
    still = True
    agreed = True
    passed_over: Mapping[str, int] = MappingProxyType({})

    def update(self, *_message: object, **_times: object) -> bool:
        """Take a joint state and look away."""
        return True

    def commanded(self, position: Sequence[float], velocity: Sequence[float], now: int) -> None:
        """Note a command; there is nothing to compare it with."""

    def reset(self) -> None:
        """Begin to compare anew."""

    def unsettle(self) -> None:
        """Forget for how long nothing has moved."""

    def age_s(self, mono_ns: int) -> float:
        """Return NaN: there are no joint states."""
        return math.nan

    def take_jump(self) -> bool:
        """Return no: nobody can tell."""
        return False

    def set_grippers(self, names: frozenset[str]) -> None:
        """Say which joints are grippers; there are none."""

    def beginning(self, command: tuple[float, ...] | None) -> tuple[float, ...] | None:
        """Return where a command begins anew; nothing is measured."""
        return None

    def distance(self, position: Sequence[float]) -> float:
        """Return 0: the robot is where it is."""
        return 0.0

    def blockers(self) -> tuple[str, ...]:
        """Return nothing: no joint state is waited for."""
        return ()

    def start_blockers(self) -> tuple[str, ...]:
        """Return nothing: no joint state is waited for."""
        return ()

    def flags(self, mono_ns: int) -> Mapping[Flag, str]:
        """Return nothing: no joint can be wrong."""
        return {}
