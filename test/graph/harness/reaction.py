# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How fast and how did the deployment react: from stamps of messages, never from receive times."""

from __future__ import annotations

from dataclasses import dataclass
import time
from typing import Any

from harness.deployment import DeploymentUnderTest
from harness.wire import NS
from harness.witness import stamp_ns

#: Control period [s].
DT_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """One stop.

    Attributes:
        code: What the controller says was the reason.
        detect_s: From the fault to the tick that begins to brake [s].
        brake_s: From that tick to the first command at rest [s].
        travel: Largest way of a joint in between [rad or m].
    """

    code: str
    detect_s: float
    brake_s: float
    travel: float

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f'{self.code} after {self.detect_s * 1e3:.0f} ms, at rest {self.brake_s * 1e3:.0f} ms '
            f'later'
        )


def clock_offset_ns() -> int:
    """Return system clock - monotonic clock [ns]."""
    return time.time_ns() - time.monotonic_ns()


def stop_after(
    deployment: DeploymentUnderTest,
    fault_ns: int,
    *,
    events: int,
    then: tuple[str, ...] = ('HELD',),
) -> Reaction:
    """Wait for the stop that a fault causes and measure it.

    Args:
        deployment: Moving when the fault came.
        fault_ns: When the fault came, monotonic clock.
        events: Index into the witness's events from which on to look.
        then: States of which one must follow the braking.
    """
    w = deployment.witness
    braking = w.until_event('BRAKING', start=events)
    begin = w.events.index(braking)
    end = w.until(
        lambda: next((e for e in w.events[begin + 1 :] if e.state != 'BRAKING'), None),
        'the end of the braking',
    )
    assert end.state in then, f'{w.transitions(events)}'
    w.drain()
    at_ns = stamp_ns(braking.stamp)
    after = [c for c in w.wire.commands if c.sent_ns >= at_ns - round(0.2 * DT_S * NS)]
    rest = next((c for c in after if not c.moving), None)
    assert rest is not None, 'no command at rest was sent'
    first = after[0]
    return Reaction(
        code=braking.code,
        detect_s=(braking.monotonic_ns - fault_ns) / NS,
        brake_s=(rest.sent_ns - first.sent_ns) / NS,
        travel=float(abs(rest.positions[0] - first.positions[0]).max()),
    )


def newest_sample_ns(deployment: DeploymentUnderTest, stream: str) -> int:
    """Return the stamp of the newest sample of a stream that came to be used, monotonic clock."""
    stamps = [
        stamp_ns(report.stamp)
        for status in deployment.witness.observations
        for report in status.streams
        if report.name == stream
    ]
    return max(stamps) - clock_offset_ns()


def last_joint_state_ns(deployment: DeploymentUnderTest) -> int:
    """Return when the newest joint state was sent, monotonic clock."""
    deployment.witness.drain()
    return deployment.witness.joint_states[-1][0] - clock_offset_ns()


def stands_still(deployment: DeploymentUnderTest, ticks: int) -> Any:
    """Watch for some ticks; the command must not move meanwhile."""
    w = deployment.witness
    before = len(w.wire.commands)
    w.ticks(ticks)
    w.drain()
    moving = [c for c in w.wire.commands[before:] if c.moving]
    assert not moving, f'{len(moving)} commands move although nobody asked for it'
    return w.status
