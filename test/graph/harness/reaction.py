# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How fast and how did the deployment react: from stamps of messages, never from receive times."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
import functools
import time
from typing import Any

from harness.deployment import ATTEMPTS, DeploymentUnderTest
from harness.robots import DT_S
from harness.starvation import starvation
from harness.wire import NS
from harness.witness import Witness, stamp_ns

#: A robot that moves no farther than this [rad or m] for this long [s] is at rest.
_STILL, _STILL_S = 0.005, 0.3
#: What a busy machine causes by itself: data that really came late.
STARVATION = frozenset(
    {'CAMERA_STALE', 'JOINT_STATES_STALE', 'OBSERVATION_STALE', 'COVERAGE_HOLE', 'TICK_STALLED'}
)


class Disturbed(AssertionError):
    """The robot stopped because the machine was too busy, not because of the fault."""


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


def disturbed_if(event: Any, flags: Collection[str] = ()) -> None:
    """Raise `Disturbed` if an event tells of a machine that was too busy, not of the fault."""
    if event.code in STARVATION and event.code not in flags:
        raise Disturbed(f'{event.code}: {event.text}')


def goes_on(deployment: DeploymentUnderTest, events: int) -> None:
    """The motion must have gone on since an index into the witness's events."""
    w = deployment.witness
    w.drain()
    for event in w.events[events:]:
        disturbed_if(event)
    assert w.transitions(events) == [], w.tell()
    assert w.state == 'AUTO'


def undisturbed(test: Callable[..., None]) -> Callable[..., None]:
    """Try a test that takes `moving` again when the machine was too busy for the robot.

    An attempt that failed is void, neither passed nor failed, when the robot stopped for want of
    data that nobody withheld, or when the controller missed ticks, or the driver's joint states
    had gaps, that the test did not cause. What fails on a machine that gave the nodes their time
    has failed. What was void is named at the end of the run (`attempt.void`, for conftest.py).
    """

    void: list[str] = []

    @functools.wraps(test)
    def attempt(*self: Any, moving: DeploymentUnderTest, **others: Any) -> None:
        void.clear()
        for number in range(ATTEMPTS):
            begin_ns = time.monotonic_ns()
            recorded = len(others['faults'].rows) if 'faults' in others else 0
            try:
                moving.auto_again()  # a busy machine may have stopped it since the fixture
                return test(*self, moving=moving, **others)
            except AssertionError as failure:
                why = f'{failure}' if isinstance(failure, Disturbed) else ''
                why = why or starvation(moving, begin_ns)
                if not why or number == ATTEMPTS - 1:
                    raise
                print(f'void, once more: {why}; it failed with: {failure}')
                void.append(f'{why}; it failed with: {failure}')
                if 'faults' in others:
                    del others['faults'].rows[recorded:]
                    others['faults'].void(test.__name__, why)
                _begin_again(moving)
        return None

    attempt.void = void  # type: ignore[attr-defined]
    return attempt


def _begin_again(moving: DeploymentUnderTest) -> None:
    """Bring a robot back to AUTO after an attempt, wherever that has left it."""
    moving.calm()
    try:
        moving.auto()
    except AssertionError as failure:
        if 'too far' not in f'{failure}':
            raise
        moving.calm()
        moving.reset()  # it jumps, which no joint can
        moving.witness.watch(1.5)
        moving.auto()


def stop_after(
    deployment: DeploymentUnderTest,
    fault_ns: int,
    *,
    events: int,
    flags: Collection[str],
    then: tuple[str, ...] = ('HELD',),
) -> Reaction:
    """Wait for the stop that a fault causes and measure it.

    Args:
        deployment: Moving when the fault came.
        fault_ns: When the fault came, monotonic clock.
        events: Index into the witness's events from which on to look.
        flags: What the fault may be called.
        then: States of which one must follow the braking.
    """
    w = deployment.witness
    # A controller that stood still itself finds the robot at rest: the driver has braked along the
    # points that it was given, and no braking is left to tell of.
    braking = w.until(
        lambda: next((e for e in w.events[events:] if e.state in ('BRAKING', *then)), None),
        'a stop',
    )
    begin = w.events.index(braking)
    end = w.until(
        lambda: next((e for e in w.events[begin:] if e.state != 'BRAKING'), None),
        'the end of the braking',
    )
    disturbed_if(braking, flags)
    assert end.state in then, f'{w.transitions(events)}'
    # Nothing more may come: what is held is not repeated to a driver that does not answer.
    w.until(lambda: not w.wire.commands[-1].moving, 'a command at rest')
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


def plan_end_ns(deployment: DeploymentUnderTest) -> int:
    """Return when the newest plan that was seen ends, monotonic clock."""
    w = deployment.witness
    epoch = w.status.epoch
    ends = [
        stamp_ns(c.header.stamp) + (c.steps - c.stamp_index) * (c.dt.sec * NS + c.dt.nanosec)
        for c in w.chunks
        if c.epoch == epoch
    ]
    return max(ends) - clock_offset_ns()


def robot_rest_ns(witness: Witness) -> int:
    """Return since when the robot itself has been at rest, system clock; 0 if it is not.

    At rest: every joint stays within `_STILL` of where it is now, for `_STILL_S` at least.
    """
    samples = witness.joint_states
    now_ns, newest = samples[-1]
    at = dict(zip(newest.name, newest.position, strict=True))
    since_ns = now_ns
    for sent_ns, msg in reversed(samples):
        off = max(abs(q - at[name]) for name, q in zip(msg.name, msg.position, strict=True))
        if off > _STILL:
            break
        since_ns = sent_ns
    return since_ns if now_ns - since_ns > _STILL_S * NS else 0


def stands_still(deployment: DeploymentUnderTest, seconds: float) -> Any:
    """Watch for a time; the command must not move meanwhile."""
    w = deployment.witness
    before = len(w.wire.commands)
    w.watch(seconds)
    w.drain()
    moving = [c for c in w.wire.commands[before:] if c.moving]
    assert not moving, f'{len(moving)} commands move although nobody asked for it'
    return w.status
