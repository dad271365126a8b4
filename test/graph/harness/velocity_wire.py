# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""VelocityAuditor: judge every velocity command on the wire by its content and its time.

A velocity stands until the next one comes. So beside the limits one thing counts above all: nobody
falls silent while the robot moves, unless the process was killed or suspended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.safety import limits_of
from bc_runtime.safety.audit import audit_commands
from bc_runtime.spec import RobotConfig
from harness.wire import NS, REST_SPEED, WireReport

Floats = NDArray[np.float64]

#: A driver of velocities has stopped by itself after this time [s].
TIMEOUT_S = 0.1
#: A measured position may lie outside by the noise of the sensor and the servo's overshoot.
_BEYOND = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityCommand:
    """One command as it was on the wire; `velocities` of shape (1, n), like a trajectory's."""

    sequence: int
    sent_ns: int
    velocities: Floats

    @property
    def moving(self) -> bool:
        """Whether it moves the robot."""
        return bool(np.abs(self.velocities[0]).max() > REST_SPEED)


class VelocityAuditor:
    """Collects `std_msgs/Float64MultiArray` and judges them against a robot's YAML."""

    def __init__(self, robot: RobotConfig) -> None:
        self._joints = tuple(robot.command.joints)
        limits = limits_of([robot.joint(name) for name in self._joints])
        self._low = np.array([one.low for one in limits]) - _BEYOND
        self._high = np.array([one.high for one in limits]) + _BEYOND
        # Where the velocities lead is judged by what is measured.
        free = {'lower': -np.inf, 'upper': np.inf, 'margin': 0.0, 'continuous': True}
        self._limits = [replace(one, **free) for one in limits]
        self._dt_s = 1.0 / robot.command.rate_hz
        self.commands: list[VelocityCommand] = []
        self.measured: list[tuple[int, Floats]] = []
        self.excused: list[tuple[int, int]] = []
        """From when to when (system clock) the controller was suspended or dead."""

    def take(self, msg: Any, info: dict[str, Any]) -> None:
        """Keep a message; the callback of a subscription."""
        self.commands.append(
            VelocityCommand(
                sequence=int(info['publication_sequence_number']),
                sent_ns=int(info['source_timestamp']),
                velocities=np.array([list(msg.data)], dtype=np.float64),
            )
        )

    def measure(self, at_ns: int, msg: Any) -> None:
        """Keep a joint state."""
        at = dict(zip(msg.name, msg.position, strict=False))
        if all(name in at for name in self._joints):
            self.measured.append((at_ns, np.array([at[name] for name in self._joints])))

    def driver_began(self, at_ns: int) -> None:
        """Take note that another driver was started: nothing here depends on where it stands."""

    def report(self, start: int = 0) -> WireReport:
        """Judge the messages from an index on."""
        commands = self.commands[start:]
        report = WireReport(commands=len(commands))
        run: list[VelocityCommand] = []
        from_rest = False  # what came before is not known
        for c in commands:
            if c.velocities.shape != (1, len(self._joints)) or not np.isfinite(c.velocities).all():
                report.violations.append(f'command {c.sequence}: {c.velocities.tolist()}')
                continue
            how = self._follows(run[-1], c, report) if run else 'on'
            if how != 'on':
                self._judge_run(run, report, from_rest=from_rest)
                run, from_rest = [], how == 'rest'
            run.append(c)
        self._judge_run(run, report, from_rest=from_rest)
        for at_ns, q in self.measured:
            if (q < self._low).any() or (q > self._high).any():
                report.violations.append(f'at {at_ns / NS:.2f}: measured outside: {q.tolist()}')
                break
        return report

    def _follows(self, before: VelocityCommand, c: VelocityCommand, report: WireReport) -> str:
        """Return whether a command goes `on`, begins from `rest`, or follows on `lost` ones."""
        if c.sequence <= before.sequence:  # another process
            return 'rest'
        lost = c.sequence - before.sequence - 1
        report.lost += lost
        gap_s = (c.sent_ns - before.sent_ns) / NS
        excused = False
        if before.moving and not lost:
            report.longest_gap_s = max(report.longest_gap_s, gap_s)
            excused = any(a <= c.sent_ns and before.sent_ns <= b for a, b in self.excused)
            if gap_s > TIMEOUT_S and not excused:
                report.violations.append(
                    f'command {before.sequence}: left moving, nothing was said for {gap_s:.3f} s'
                )
        if lost:
            return 'lost'
        if gap_s <= TIMEOUT_S:
            return 'on'
        # A process that was suspended does not know whether the driver has stopped meanwhile, and
        # brakes from what it said last.
        return 'lost' if excused else 'rest'

    def _judge_run(
        self, run: list[VelocityCommand], report: WireReport, *, from_rest: bool
    ) -> None:
        """Judge consecutive commands."""
        if not run:
            return
        report.streams += 1
        v = np.vstack([c.velocities for c in run])
        q = np.cumsum(v, axis=0) * self._dt_s
        first = np.zeros_like(v[0]) if from_rest else v[0]
        before = np.array([-first * self._dt_s, np.zeros_like(first)])
        verdict = audit_commands(q, self._limits, self._dt_s, before=before)
        report.velocity_ratio = max(report.velocity_ratio, verdict.velocity_ratio)
        report.acceleration_ratio = max(report.acceleration_ratio, verdict.acceleration_ratio)
        if not verdict.ok:
            report.violations.append(f'from command {run[0].sequence} on: {verdict.first}')
