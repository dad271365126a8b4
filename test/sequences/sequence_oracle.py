# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What must hold in every sequence of events: the invariants of the control loop, in one place.

The oracle sees what a driver sees (the commands that were sent, and when none were) and what a
person in the room knows (where the robot is, who pressed what). It shares no code with limiter,
checker and auditor. Each invariant is one method, named after it:

    LIMITS      Seen from where the driver is, no command asks for more than the limits of
                position, velocity and acceleration allow, and from each the driver can stop
                inside them. That includes the first command after silence, missed ticks and tails.
    TAKEN UP    The only jump that is allowed is to where the robot really stands, while it
                stands.
    NO WORD     Without an operator's word nothing moves. A stop, an e-stop, a protective stop, a
                fault, a hold takes the word back; a start, a resume, a takeover gives it. Without
                one, no joint speeds up or turns round, and after the braking time all joints rest.
    IN PLACE    Joints that are commanded by velocities stay inside their position limits, but for
                the way that nobody could measure.
    STANDING    While ROS time stands still the plan does, too, and so does the robot after a
                while.
    LEFT ALONE  A driver of velocities is never left with one when commands cease on purpose.
    A PERSON    States that need a person are left by an accepted request only; an e-stop and a
                fault last until they are reset. Who deactivates gets that, whatever comes in
                between.
    OLD PLAN    Nothing is executed that was computed before the present epoch began, nor what a
                foreign policy has computed.
    COUNTED     Every chunk that was handed over is counted as accepted or as dropped.
    NO BUG      The checker has nothing to refuse, no brake runs out of time, and no tick raises
                unless the test made it.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import TYPE_CHECKING

from bc_runtime.safety import Event, State

if TYPE_CHECKING:
    from sequence_robot import Joint, PositionDriver, VelocityDriver
    from sequence_world import World

    from bc_runtime.control import TickResult
    from bc_runtime.execution import ActionChunk

MOVING = {'ALIGN', 'AUTO', 'SLOW', 'TAKEOVER', 'HUMAN', 'HANDBACK'}
POLICY = {'ALIGN', 'AUTO', 'SLOW'}
#: Only a person leads out of these.
RESTING = {'UNCONFIGURED', 'INACTIVE', 'READY', 'HELD', 'FAULT', 'ESTOP'}
#: Requests that lead from one state to another.
WAYS = {
    ('UNCONFIGURED', 'INACTIVE'): {'CONFIGURED'},
    ('INACTIVE', 'UNCONFIGURED'): {'CLEANUP'},
    ('INACTIVE', 'READY'): {'ACTIVATE'},
    ('INACTIVE', 'FAULT'): {'ACTIVATE'},
    ('READY', 'ALIGN'): {'START'},
    ('HELD', 'ALIGN'): {'START', 'RESUME'},
    ('HELD', 'READY'): {'STOP', 'EPISODE_END', 'TIME_JUMP'},
    ('FAULT', 'READY'): {'RESET'},
    ('ESTOP', 'READY'): {'RESET'},
}
GIVES_THE_WORD = {Event.START, Event.RESUME, Event.TAKEOVER_PRESS}
TAKES_IT_BACK = {
    Event.STOP,
    Event.EPISODE_END,
    Event.DEACTIVATE,
    Event.SHUTDOWN,
    Event.TIME_JUMP,
    Event.CLEANUP,
}
BUGS = {'CHECKER_VIOLATION', 'BRAKE_TIMEOUT'}
#: A robot that is taken up where it stands may be measured this far beside it [rad or m].
BESIDE = 0.02
#: Periods that a velocity acts before it is seen what it did.
SLACK_PERIODS = 2.0
#: Rounding.
TINY = 1e-7


class Broken(AssertionError):
    """An invariant does not hold."""


class Oracle:
    """Watches one world; see the module's docstring."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._joints = world.joints
        self._dt = world.dt_s
        self.word = False
        """Whether somebody has asked for motion, and nobody has stopped it."""
        self._before = [0.0] * len(world.joints)
        self._slowing = 0
        self._patience = 2 + max(
            math.ceil(one.velocity / (one.deceleration * self._dt)) for one in world.joints
        )
        self.estop_held = False
        self._estopped = self._faulted = False
        self._leaving = 0
        """Ticks since a deactivation was accepted."""
        self._stopped_now = False
        self._state: State | None = None
        self._epoch = -1
        self._epoch_ns = 0
        self._clock_steps = 0
        self._birth: dict[int, tuple[int, int, int, str]] = {}
        self._joined = 0
        self._excused = 0
        self._blind = [0.0] * len(world.joints)
        """How far each joint went in periods without a tick."""
        self._was_silent = True
        self._failed = False

    def _broken(self, invariant: str, text: str) -> Broken:
        world = self._world
        return Broken(f'{invariant}: {text} [tick {world.ticks}, {world.loop.state}]')

    # What the world tells -----------------------------------------------------------------------

    def on_estop(self) -> None:
        """The emergency stop is pressed."""
        self._estopped = True

    def on_robot_stopped(self) -> None:
        """The robot has stopped itself."""
        self._stopped_now = True

    def on_clock_step(self, _step_ms: int) -> None:
        """ROS time is another one from here on."""
        self._clock_steps += 1

    def on_chunk(self, chunk: ActionChunk) -> None:
        """A policy has made a chunk, from what it saw now."""
        world = self._world
        self._birth[chunk.sequence] = (
            world.mono, world.loop.epoch, self._clock_steps, chunk.policy_id
        )  # fmt: skip

    def on_answer(self, chunk: ActionChunk, refused: str) -> None:
        """COUNTED, and who may join a plan."""
        plan = self._world.loop.plan
        dropped = getattr(plan, 'dropped', {})
        counted = plan.accepted + plan.rejected + sum(dropped.values())
        if hasattr(plan, 'dropped') and counted != self._world.chunks:
            raise self._broken(
                'COUNTED', f'{self._world.chunks} chunks came, {counted} are counted ({refused!r})'
            )
        if not refused:
            self._joined += 1

    # Each period --------------------------------------------------------------------------------

    def period(self) -> None:
        """NO WORD, as the driver moves."""
        driver = self._world.driver
        speed = driver.speed
        self._in_place()
        if self._waits(driver):
            return
        before, self._before = self._before, list(speed)
        if self.word:
            self._slowing = 0
            return
        self._slowing += 1
        for one, v, w in zip(self._joints, before, speed, strict=True):
            if abs(w) > abs(v) + TINY or v * w < 0.0:
                raise self._broken(
                    'NO WORD', f'{one.name} goes from {v:.6g} to {w:.6g} and nobody asked for it'
                )
        if self._slowing > self._patience + self._excused and any(speed):
            raise self._broken(
                'NO WORD', f'still moving {self._slowing} periods after the stop: {speed}'
            )

    def _in_place(self) -> None:
        world = self._world
        if world.setup.kind != 'velocity':
            return
        if world.driver.rests:
            self._blind = [0.0] * len(self._joints)
        for one, q, v, blind in zip(
            self._joints, world.q, world.driver.speed, self._blind, strict=True
        ):
            unseen = abs(v) * self._dt * SLACK_PERIODS + blind + 0.002
            if (v > 0.0 and q > one.high + unseen) or (v < 0.0 and q < one.low - unseen):
                raise self._broken('IN PLACE', f'{one.name} is at {q:.6g}, at {v:.6g} per second')

    def _waits(self, driver: PositionDriver | VelocityDriver) -> bool:
        """Whether a driver of set-points has got none, although it was meant to get one."""
        return self._world.setup.kind == 'set-point' and driver.alone and not self._was_silent

    def missed(self) -> None:
        """A period without a tick: a driver of velocities goes on meanwhile."""
        self._excused += 1
        self._blind = [
            way + abs(v) * self._dt
            for way, v in zip(self._blind, self._world.driver.speed, strict=True)
        ]

    # What is sent -------------------------------------------------------------------------------

    def sent(self, position: Sequence[float], velocity: Sequence[float]) -> None:
        """LIMITS and TAKEN UP."""
        world = self._world
        if not world.places:
            for one, v, w in zip(self._joints, world.driver.speed, velocity, strict=True):
                self._within(one, v, w)
            return
        driver = world.driver
        # A driver of set-points has waited; what counts is what it was asked for before.
        was = driver.speed
        if self._waits(driver):
            was = driver.told_speed
        for one, q, v, c, w, truth in zip(
            self._joints, driver.place, was, position, velocity, world.q, strict=True
        ):
            step = (c - q) / self._dt
            try:
                self._within(one, v, step)
                self._can_stop(one, q, c, step)
                if abs(step - w) > 1e-6 + 1e-9 / self._dt:
                    raise self._broken('LIMITS', f'{one.name} says {w:.6g}, and goes {step:.6g}')
            except Broken as problem:
                self._taken_up(one, truth, c, w, problem)

    def _within(self, one: Joint, v: float, w: float) -> None:
        if abs(w) > one.velocity * (1.0 + 1e-6) + TINY:
            raise self._broken('LIMITS', f'{one.name}: velocity {w:.6g} of {one.velocity:g}')
        if v * w >= 0.0:
            change = abs(w) - abs(v)
            needed = change / one.acceleration if change > 0.0 else -change / one.deceleration
        else:
            needed = abs(v) / one.deceleration + abs(w) / one.acceleration
        if needed > self._dt * (1.0 + 1e-5) + 1e-8:
            raise self._broken(
                'LIMITS', f'{one.name}: from {v:.6g} to {w:.6g} takes {needed:.6g} s'
            )

    def _can_stop(self, one: Joint, q: float, c: float, w: float) -> None:
        loss = one.deceleration * self._dt
        steps = int(abs(w) / loss)
        travel = self._dt * steps * (abs(w) - loss * (steps + 1) / 2.0)
        end = c + math.copysign(travel, w)
        excess, had = max(end - one.high, one.low - end), max(q - one.high, one.low - q, 0.0)
        if excess > had + 1e-6:
            raise self._broken('LIMITS', f'{one.name}: {c:.6g} at {w:.6g} ends at {end:.6g}')

    def _taken_up(self, one: Joint, q: float, c: float, w: float, problem: Broken) -> None:
        if not self._world.driver.rests:
            raise problem
        gap = math.remainder(c - q, math.tau) if one.continuous else c - q
        most = one.acceleration * self._dt
        beside = BESIDE + self._world.unseen + most * self._dt
        if abs(gap) > beside or abs(w) > most * (1.0 + 1e-6):
            text = f'{one.name} is at {q:.6g}, the command at {c:.6g}; {problem}'
            raise self._broken('TAKEN UP', text) from problem

    # Each tick ----------------------------------------------------------------------------------

    def before_tick(self) -> None:
        """Note what the tick begins with."""
        world = self._world
        self._state = world.loop.state
        stale_s = (world.mono - world.js_good_ns) * 1e-9
        stale = world.setup.kind != 'twist' and stale_s > 0.1 + 1e-6
        if self._state in MOVING and (stale or self._stopped_now):
            self.word = False
        if self._estopped or self._failed:
            self.word = False
        self._failed = False

    def after_tick(self, result: TickResult | None, *, failed: bool) -> None:
        """Everything about decisions."""
        world = self._world
        if result is None:
            self.missed()
            self.word = False
            return
        self._was_silent = result.command is None
        if failed:
            # What this tick has decided was sent; the next one knows of the failure.
            self._failed = True
            self.missed()
        self._no_bug(result)
        self._a_person(result)
        self._who_has_the_word(result)
        self._left_alone(result, failed)
        self._standing(result)
        self._old_plan(result)
        self._stopped_now = False
        if world.driver.rests:
            self._excused = 0

    def _no_bug(self, result: TickResult) -> None:
        for transition in result.transitions:
            if transition.code in BUGS:
                raise self._broken('NO BUG', f'{transition.code}: {transition.text}')

    def _a_person(self, result: TickResult) -> None:
        accepted = {str(event) for event, ok, _ in self._world.replies if ok}
        for one in result.transitions:
            before, after = str(one.previous), str(one.state)
            self._faulted = self._faulted or after == 'FAULT'
            if (
                before not in RESTING
                or before == after
                or after in ('ESTOP', 'BRAKING', 'FINALIZING')
            ):
                continue
            if after == 'FAULT' and before in ('READY', 'HELD', 'INACTIVE'):
                continue
            wanted = WAYS.get((before, after), set())
            if after == 'INACTIVE' and before != 'UNCONFIGURED':
                wanted = {'DEACTIVATE'}
            if after == 'TAKEOVER':
                wanted = {'TAKEOVER_PRESS'}
            if not wanted & accepted:
                raise self._broken('A PERSON', f'{before} -> {after} [{one.code}], by {accepted}')
        for event, ok, _ in self._world.replies:
            if ok and event is Event.RESET:
                self._estopped = self._estopped and self.estop_held
                self._faulted = False
            elif ok and event is Event.DEACTIVATE:
                self._leaving = 1
            elif ok and event is Event.ACTIVATE:
                self._leaving = 0
        quiet = ('INACTIVE', 'UNCONFIGURED', 'FINALIZING')
        if self._estopped and result.state not in (*quiet, 'ESTOP'):
            raise self._broken('A PERSON', f'the emergency stop is forgotten in {result.state}')
        if self._faulted and result.state not in (*quiet, 'ESTOP', 'FAULT', 'BRAKING'):
            raise self._broken('A PERSON', f'the fault is forgotten in {result.state}')
        self._leaving += self._leaving > 0
        if self._leaving > self._patience + self._excused and result.state not in quiet:
            raise self._broken('A PERSON', f'it was deactivated, and is in {result.state}')

    def _who_has_the_word(self, result: TickResult) -> None:
        for event, ok, _ in self._world.replies:
            if not ok:
                continue
            if event in GIVES_THE_WORD:
                self.word = True
            elif event in TAKES_IT_BACK or (
                event is Event.TAKEOVER_RELEASE and result.state not in ('ALIGN', 'AUTO', 'SLOW')
            ):
                self.word = False
        if result.state in RESTING or self._estopped:
            self.word = False

    def _left_alone(self, result: TickResult, failed: bool) -> None:
        if self._world.places or failed or result.command is not None:
            return
        if not self._world.driver.rests:
            raise self._broken('LEFT ALONE', f'{self._world.driver.speed} stands in the driver')

    def _standing(self, result: TickResult) -> None:
        world = self._world
        if world.paused_s > 1.5 and result.state in ('AUTO', 'SLOW') and any(world.driver.speed):
            raise self._broken('STANDING', f'{world.driver.speed}, the clock stands still')

    def _old_plan(self, result: TickResult) -> None:
        world = self._world
        if result.epoch != self._epoch:
            self._epoch, self._epoch_ns, self._joined = result.epoch, world.mono, 0
        if not result.chunk_sequence or result.command is None:
            return
        born, epoch, _, policy = self._birth[result.chunk_sequence]
        if epoch != result.epoch or born < self._epoch_ns - world.dt_ns:
            raise self._broken('OLD PLAN', f'chunk {result.chunk_sequence} of epoch {epoch}')
        if policy == 'f' * 64:
            raise self._broken('OLD PLAN', 'a foreign policy moves the robot')
        if result.live_chunks > self._joined:
            raise self._broken('OLD PLAN', f'{result.live_chunks} of {self._joined} chunks live')
