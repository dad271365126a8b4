# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""JointPlausibility: can the joints have got from the last joint state to this one?

A failed bus read gives zeros, and a second publisher gives the joints of another robot. Both are
well-formed joint states. What gives them away is that no joint can move so far in so short a time:

    |q - q_last| <= slack + speed · velocity limit · (time since + jitter)

A sample beyond that is refused and counted. What is refused again and again, each time near the
refused one before, is where the robot has been put (a simulator was reset, or a hand was quicker
than the limits): it is believed once it has lasted, unless the robot is being moved.

The controller and the observation node judge by this one rule, so that the policy sees what the
controller believes. Nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import pi, remainder

from bc_runtime.spec.robot_config import RobotConfig

#: Messages may be stamped or come so much too early or too late [s].
_JITTER_S = 0.02
#: Samples that agree must do so for this long at least: at 1 kHz a few of them are no time [s].
_AGREE_S = 0.04
#: A jump must have lasted for this long before it is believed [s].
_JUMP_S = 0.25
#: How long a refused sample counts [ns].
WINDOW_NS = 1_000_000_000


class Verdict(Enum):
    """What became of a sample."""

    BELIEVED = 'believed'
    REFUSED = 'refused'
    JUMPED = 'jumped'
    """Believed, although the robot cannot have moved there by itself: it was put there."""


@dataclass(frozen=True, slots=True)
class _Sample:
    values: tuple[float, ...]
    stamp_ns: int
    arrival_ns: int | None

    @property
    def t_ns(self) -> int:
        return self.stamp_ns if self.arrival_ns is None else self.arrival_ns


class JointPlausibility:
    """Judges joint states, one after the other; see the module's docstring.

    Args:
        robot: Gives the limits of the joints and the tolerances.
        joints: In the order of the values. Grippers are not judged: some are open or closed, with
            nothing in between.
    """

    def __init__(self, robot: RobotConfig, joints: Sequence[str]) -> None:
        configs = [robot.joint(name) for name in joints]
        self._names = tuple(joints)
        self._watched = [not one.gripper for one in configs]
        self._speeds = [robot.tolerances.jump_speed * one.velocity for one in configs]
        self._turning = [one.continuous for one in configs]
        self._slack = robot.tolerances.jump
        self._agreeing = robot.tolerances.agreeing
        self._max_age_ns = round(robot.joint_states.max_age_s * 1e9)
        self._refusals: deque[int] = deque()
        self.refused = 0
        """Samples that were refused since the beginning."""
        self.why = ''
        """Why the last one was refused; empty if it was believed."""
        self.last_refusal = ''
        """Why the last one of these was."""
        self.reset()

    def reset(self) -> None:
        """Forget where the robot is; the next sample is the first."""
        self._last: _Sample | None = None
        self._heard_ns = 0
        self._chain: _Sample | None = None
        self._chain_ns = 0
        self._chained = 0
        self._agreed = 0
        self._since_ns = 0
        self.settled = False
        """Whether several samples have agreed since the first, or since a pause or a jump."""

    def watch(self, watched: Sequence[bool]) -> None:
        """Judge only these joints."""
        self._watched = list(watched)

    @property
    def agreed(self) -> bool:
        """Whether the newest samples agree with each other, and none was refused among them."""
        last = self._last
        return (
            last is not None
            and self._agreed >= self._agreeing
            and (last.t_ns - self._since_ns) * 1e-9 >= _AGREE_S
        )

    @property
    def progress(self) -> str:
        """How many samples agree, for people."""
        return f'{self._agreed} joint states in a row agree, needed {self._agreeing}'

    def recent(self, now_ns: int) -> int:
        """Return how many samples were refused within the last second."""
        while self._refusals and now_ns - self._refusals[0] > WINDOW_NS:
            self._refusals.popleft()
        return len(self._refusals)

    def judge(
        self,
        values: Sequence[float],
        *,
        stamp_ns: int,
        arrival_ns: int | None,
        may_jump: bool = True,
    ) -> Verdict:
        """Take a sample that is newer than the one before.

        Args:
            values: Positions [rad or m], finite, in the order of the joints.
            stamp_ns: Of the sender; 0: unknown.
            arrival_ns: Monotonic; None offline, where the stamps are the time.
            may_jump: The robot is not being moved, so that it may have been put somewhere else.
        """
        sample = _Sample(tuple(values), stamp_ns, arrival_ns)
        silent_ns = sample.t_ns - self._heard_ns
        undisturbed = self._last is not None and self._heard_ns == self._last.t_ns
        self._heard_ns = sample.t_ns
        if self._last is None or (may_jump and silent_ns > self._max_age_ns):
            # After a pause the robot may be anywhere.
            self._begin(sample)
            return Verdict.BELIEVED
        self.why = self._too_far(self._last, sample, capped=not undisturbed)
        if not self.why:
            self._believe(sample)
            return Verdict.BELIEVED
        self.refused += 1
        self.last_refusal = self.why
        self._refusals.append(sample.t_ns)
        self.recent(sample.t_ns)
        self._agreed = 0
        if self._chain is None or self._too_far(self._chain, sample, capped=True):
            self._chained, self._chain_ns = 0, sample.t_ns
        self._chain = sample
        self._chained += 1
        lasting = (sample.t_ns - self._chain_ns) * 1e-9 >= _JUMP_S
        if not (may_jump and lasting and self._chained >= self._agreeing):
            return Verdict.REFUSED
        chained, since_ns = self._chained, self._chain_ns
        self._begin(sample)
        self._agreed, self._since_ns, self.settled = chained, since_ns, True
        self._refusals.clear()
        return Verdict.JUMPED

    def _begin(self, sample: _Sample) -> None:
        self._agreed, self._since_ns, self.settled = 0, sample.t_ns, False
        self._believe(sample)

    def _believe(self, sample: _Sample) -> None:
        if not self._agreed:
            self._since_ns = sample.t_ns
        self._last, self._chain, self.why = sample, None, ''
        self._agreed += 1
        self.settled = self.settled or self.agreed

    def _too_far(self, before: _Sample, sample: _Sample, *, capped: bool) -> str:
        """Return which joints cannot have moved so far; empty if all can.

        `capped`: samples were refused meanwhile. Then the time since the one that was believed
        counts up to the age at which it would be too old only: whoever waits long enough could
        have moved anywhere.
        """
        # Samples that waited come at once, with the right stamps; stamps alone may be wrong.
        stamps_ns = sample.stamp_ns - before.stamp_ns if before.stamp_ns else 0
        if sample.arrival_ns is None or before.arrival_ns is None:
            elapsed_ns = stamps_ns
        else:
            elapsed_ns = max(
                sample.arrival_ns - before.arrival_ns, min(stamps_ns, self._max_age_ns)
            )
        if capped:
            elapsed_ns = min(elapsed_ns, self._max_age_ns)
        span_s = max(elapsed_ns, 0) * 1e-9 + _JITTER_S
        for name, q, p, speed, turns, watched in zip(
            self._names,
            sample.values,
            before.values,
            self._speeds,
            self._turning,
            self._watched,
            strict=True,
        ):
            gap = abs(remainder(q - p, 2.0 * pi) if turns else q - p)
            if watched and gap > self._slack + speed * span_s:
                return (
                    f'{name} moved by {gap:.3g} within {max(elapsed_ns, 0) * 1e-9:.3g} s, '
                    f'{self._slack + speed * span_s:.3g} is possible'
                )
        return ''
