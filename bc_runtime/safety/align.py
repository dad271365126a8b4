# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The approach to the policy's first action, and the pace of its clock.

The first action of a policy is rarely where the robot stands. ALIGN brings the robot there with
the ALIGN limits before the policy gets it. The target is frozen when the approach begins: a plan
that is made anew while the robot moves towards it runs away from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isfinite, pi, remainder

from bc_runtime.safety.limits import JointLimits
from bc_runtime.spec.errors import SafetyError

#: A command this near to the target has arrived [rad or m].
ARRIVED = 1e-3


class Approach:
    """Follows one approach: too far, under way, or aligned.

    Use: `begin` with the first target when ALIGN starts; send `Limiter.step(approach.target)` with
    the ALIGN limits; `update` after each tick.

    Args:
        limits: Full limits of the joints, in command order.
        max_distance: Joint -> largest distance that may be approached [rad or m]; joints that are
            not named get `max_time_s` at their velocity limit.
        max_time_s: See there; the default of half a second is the splice limit of chunks, too.
        tolerance: Distance at which a joint has arrived [rad or m].
        dwell_s: The command must have arrived for this long [s].
    """

    def __init__(
        self,
        limits: Sequence[JointLimits],
        *,
        max_distance: Mapping[str, float] | None = None,
        max_time_s: float = 0.5,
        tolerance: float = ARRIVED,
        dwell_s: float = 0.2,
    ) -> None:
        chosen = {} if max_distance is None else dict(max_distance)
        names = [one.name for one in limits]
        unknown = sorted(set(chosen) - set(names))
        if unknown:
            raise SafetyError(
                f'max_distance names joints that do not exist: {unknown}; joints: {names}'
            )
        self._limits = tuple(limits)
        self._reach = tuple(
            chosen.get(one.name, one.velocity * max_time_s) for one in self._limits
        )
        self._tolerance = tolerance
        self._dwell_ns = round(dwell_s * 1e9)
        self._target: tuple[float, ...] | None = None
        self._arrived_ns: int | None = None
        self._exempt: frozenset[str] = frozenset()
        self.aligned = False
        """Whether the command has been at the target for `dwell_s`."""

    def exempt(self, names: Collection[str]) -> None:
        """Approach these joints from anywhere; grippers open and close over their whole range."""
        self._exempt = frozenset(names)

    @property
    def target(self) -> tuple[float, ...] | None:
        """Frozen target, or None before `begin`."""
        return self._target

    def reset(self) -> None:
        """Forget the target; call it whenever ALIGN is entered."""
        self._target = None
        self._arrived_ns = None
        self.aligned = False

    def begin(self, target: Sequence[float], command: Sequence[float]) -> str:
        """Freeze the target, clipped to the limits.

        Args:
            target: First set-point of the plan, shape (n,).
            command: Last command, shape (n,).

        Returns:
            Empty if the approach may begin, else which joints are too far away (raise
            ALIGN_TOO_FAR with this text).
        """
        n = len(self._limits)
        if len(target) != n or len(command) != n or not all(map(isfinite, target)):
            raise SafetyError(
                f'cannot approach {list(target)!r} from {list(command)!r}: expected {n} finite '
                f'numbers for {[one.name for one in self._limits]}'
            )
        self.reset()
        clipped = self._clipped(target)
        far = self.too_far(clipped, command)
        if not far:
            self._target = clipped
        return far

    def too_far(self, target: Sequence[float], command: Sequence[float]) -> str:
        """Return which joints are too far from a target for an approach; empty if none. (n,)."""
        gaps = self._gaps(self._clipped(target), command)
        return '; '.join(
            f'{one.name}: {gap:.3g} away, allowed {reach:.3g}'
            for gap, reach, one in zip(gaps, self._reach, self._limits, strict=True)
            if gap > reach and one.name not in self._exempt
        )

    def _clipped(self, target: Sequence[float]) -> tuple[float, ...]:
        return tuple(
            min(max(q, one.low), one.high) for q, one in zip(target, self._limits, strict=True)
        )

    def update(self, command: Sequence[float], now_ns: int) -> bool:
        """Take note of this tick's command, shape (n,); return `aligned`.

        Args:
            command: Command that was just made.
            now_ns: Monotonic time [ns].
        """
        if self._target is None:
            return False
        near = max(self._gaps(self._target, command)) <= self._tolerance
        if not near:
            self._arrived_ns = None
            self.aligned = False
        elif self._arrived_ns is None:
            self._arrived_ns = now_ns
        elif now_ns - self._arrived_ns >= self._dwell_ns:
            self.aligned = True
        return self.aligned

    def _gaps(self, target: Sequence[float], command: Sequence[float]) -> list[float]:
        return [
            abs(remainder(q - c, 2.0 * pi) if one.continuous else q - c)
            for q, c, one in zip(target, command, self._limits, strict=True)
        ]


class Pace:
    """The speed of the policy's clock, moved gradually between the supervisor's wishes.

    Args:
        rate_per_s: Change of the scale per second; 2 goes from full to half speed in 0.25 s.
    """

    def __init__(self, rate_per_s: float = 2.0) -> None:
        self._rate = rate_per_s
        self.scale = 1.0
        """Present scale, 0..1."""

    def step(self, wanted: float, dt_s: float) -> float:
        """Move towards the wanted scale for one tick of `dt_s`; return the new scale."""
        most = self._rate * dt_s
        change = min(max(wanted - self.scale, -most), most)
        self.scale = min(max(self.scale + change, 0.0), 1.0)
        return self.scale
