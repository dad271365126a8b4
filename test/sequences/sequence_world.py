# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The world around a `ControlLoop` in the sequence fuzz: clocks, robot, policy, human, and a node.

Everything that happens is a word with arguments, `('wait', 20)` or `('post', 'START')`, so that a
sequence can be written down, shortened and repeated. `World.act` does one word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math
import random

from sequence_oracle import Broken, Oracle
from sequence_policy import PolicyProcess
from sequence_robot import (
    MAX_AGE_S,
    PositionDriver,
    Setup,
    VelocityDriver,
    draw_joints,
    robot_of,
)

from bc_runtime.control import ControlLoop, ControlOptions, TickResult
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Event, Flag, LimiterStep, State

S = 1_000_000_000
Word = tuple[object, ...]
#: Messages that the middleware keeps for a process that stands still.
QUEUE = 5


class Injected(Exception):
    """An exception that the test put there."""


def _boom(*_: object, **__: object) -> None:
    raise Injected('on purpose')


class World:
    """One robot, its surroundings and the loop that moves it; see the module's docstring."""

    def __init__(self, setup: Setup, seed: int) -> None:
        rng = self._rng = random.Random(f'{setup.name}/{seed}')
        self.setup = setup
        self.joints = draw_joints(setup, rng)
        self.names = [one.name for one in self.joints]
        self.robot = robot_of(setup, self.joints)
        self.loop = ControlLoop(self.robot, self._options(rng))
        self.dt_ns = self.loop.dt_ns
        self.dt_s = self.dt_ns * 1e-9
        self.mono, self.ros = 1000 * S, 5_000_000 * S
        self.q = [0.0] * setup.joints
        """Where the robot is; a base is nowhere."""
        self.places = setup.kind in ('trajectory', 'set-point')
        self.driver: PositionDriver | VelocityDriver = (
            PositionDriver(self.joints, self.q, self.dt_s, setup.kind == 'trajectory')
            if self.places
            else VelocityDriver(self.joints)
        )
        lag_s = rng.choice([0.0, 0.0, 0.03, 0.08]) if self.places else 0.0
        self._follow = 1.0 - math.exp(-self.dt_s / lag_s) if lag_s else 1.0
        self.free = False
        """Somebody has moved the robot; it stays there until it is commanded."""
        self.unseen = 0.0
        """How far it was moved since the last joint state."""
        self.stuck: set[int] = set()
        self._js_every = max(1, round(rng.choice([0.0, 0.02, 0.05]) / self.dt_s))
        self._stamped = rng.random() < 0.5
        self._js_on, self._js_late, self._js_queue = True, 0, []
        self.js_good_ns = self.mono
        """When the last joint state came that nobody can take for a wrong one."""
        self._js_came_ns = self._js_right_ns = self.mono
        self._glitches: list[str] = []
        self._paused = 0
        self.paused_s = 0.0
        self.policy = PolicyProcess(self)
        self._phases = [rng.uniform(0.0, 6.0) for _ in self.joints]
        self._latency = max(1, round(rng.choice([0.0, 0.03]) / self.dt_s))
        self._coming: list[tuple[int, ActionChunk]] = []
        self._period, self._last_seen = 0, -(10**9)
        self.chunks = 0
        """Chunks that were handed to the loop."""
        self._hand, self._beats, self._dark = '', False, False
        self._raising: dict[str, int] = {}
        self._deadline = 0
        self.replies: list[tuple[Event, bool, str]] = []
        self.result: TickResult | None = None
        self.ticks = 0
        self.done: list[Word] = []
        self.oracle = Oracle(self)
        self.loop.set_policy(self.policy.policy_id, self.policy.spec)

    def _options(self, rng: random.Random) -> ControlOptions:
        strategy = rng.choice(['temporal_ensemble', 'latest', 'receding_horizon'])
        return ControlOptions(
            strategy=strategy,
            strategy_options={},
            jerk=self.setup.jerk,
            coordinated=not self.setup.jerk and rng.random() < 0.2,
            human_mode=rng.choice(['absolute', 'relative']),
        )

    # Words ------------------------------------------------------------------------------------

    def act(self, word: Word) -> None:
        """Do one word of a sequence."""
        self.done.append(word)
        what, *arguments = word
        getattr(self, f'_do_{what}')(*arguments)

    def _do_wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.pass_period()
            self.tick()

    def _do_until(self, state: str, ticks: int = 2000) -> None:
        """Wait for a state; only for sequences that were written by hand."""
        for _ in range(ticks):
            if self.loop.state == state:
                return
            self._do_wait(1)
        raise Broken(f'{state} was never reached: {self.loop.state}, {self.result}')

    def _do_post(self, event: str) -> None:
        self.post(Event(event))

    def _do_estop(self, pressed: bool) -> None:
        if pressed:
            self.oracle.on_estop()
        self.oracle.estop_held = pressed
        self.loop.on_estop(pressed)

    def _do_stopped(self, stopped: bool, source: str = 'robot') -> None:
        if stopped:
            self.oracle.on_robot_stopped()
        self.loop.surroundings.on_robot_stopped(stopped, source)

    def _do_hold(self, hand: str) -> None:
        """A human holds the button; the leader is near, far, moving or silent."""
        self._hand, self._beats = hand, True

    def _do_hand_dies(self) -> None:
        self._beats = False

    def _do_let_go(self) -> None:
        self._hand, self._beats = '', False
        self.loop.on_takeover(
            False, arrival_ns=self.mono, reply=self._reply(Event.TAKEOVER_RELEASE)
        )

    def _do_swap(self, policy: int) -> None:
        self.policy.current = policy % len(self.policy.specs)
        self.loop.set_policy(self.policy.policy_id, self.policy.spec)

    def _do_dark(self, dark: bool) -> None:
        """A camera sees nothing; the policy is slowed down."""
        self._dark = dark

    def _do_plan(self, style: str) -> None:
        self.policy.style = style

    def _do_clock(self, step_ms: int) -> None:
        """The ROS clock is stepped; simulated time may be set back only."""
        if not self.setup.simulated or step_ms < 0:
            self.ros += step_ms * 1_000_000
            self.oracle.on_clock_step(step_ms)
            if self.setup.simulated:
                self.post(Event.TIME_JUMP)

    def _do_pause(self, ticks: int) -> None:
        self._paused = ticks if self.setup.simulated else 0

    def _do_joints(self, on: bool) -> None:
        self._js_on = on

    def _do_joints_every(self, periods: int) -> None:
        self._js_every = periods

    def _do_glitch(self, kind: str) -> None:
        self._glitches.append(kind)

    def _do_late(self, ticks: int) -> None:
        """Joint states wait in a queue for so many ticks."""
        self._js_late = ticks

    def _do_skip(self, ticks: int) -> None:
        """So many ticks are missed."""
        for _ in range(ticks):
            self.pass_period(listening=False)

    def _do_fail(self, where: str, ticks: int) -> None:
        """So many times something raises: deciding, making, sending, braking or reporting.

        A message is lost where `sending` raises; where `leaving` does, a driver of trajectories
        has got it.
        """
        self._raising[where] = ticks

    def _do_interrupted(self, ticks: int) -> None:
        """The process stands still between making a command and sending it."""
        self._raising['interrupted'] = ticks

    def _do_chunk(self, kind: str) -> None:
        """A chunk that is wrong in some way."""
        chunk = self.policy.wrong(kind)
        if chunk is not None:
            self._give(chunk)

    def _do_shove(self, by: float) -> None:
        """Somebody moves a robot that is not commanded, and that rests."""
        if self.result is not None and self.result.command is None and self.driver.rests:
            self.free, self.unseen = True, abs(by)
            self.q = [self._inside(j, q + by) for j, q in enumerate(self.q)]

    def _do_block(self, joint: int, on: bool) -> None:
        joint %= len(self.joints)
        (self.stuck.add if on else self.stuck.discard)(joint)

    # Time -------------------------------------------------------------------------------------

    def pass_period(self, *, listening: bool = True) -> None:
        """Let the world go on for one period, with or without a tick at its end."""
        if not listening:
            self.oracle.missed()
        self.mono += self.dt_ns
        self._period += 1
        if self._paused:
            self._paused -= 1
            self.paused_s += self.dt_s
        else:
            self.ros += self.dt_ns
            self.paused_s = 0.0
        self.driver.advance()
        self._move()
        self.oracle.period()
        if self._js_on and self.setup.kind != 'twist' and self._period % self._js_every == 0:
            self._js_queue = [*self._js_queue, (list(self.q), self.ros, self.mono)][-QUEUE:]
        if self._js_late:
            self._js_late -= 1
        elif listening:
            self._listen()

    def _move(self) -> None:
        if not self.places:
            self.q = [q + v * self.dt_s for q, v in zip(self.q, self.driver.speed, strict=True)]
        elif not self.free:
            place, share = self.driver.place, self._follow
            self.q = [
                q if j in self.stuck else q + (p - q) * share
                for j, (q, p) in enumerate(zip(self.q, place, strict=True))
            ]

    def _listen(self) -> None:
        for q, stamp, _ in self._js_queue:
            names, values = self.names, self._reported(q)
            if self._glitches and self._credible():
                self._glitches = self._glitches[:1]  # nobody could know
            if self._glitches:
                right = values
                names, values = self._glitch(self._glitches.pop(0), values)
                if names == self.names and self._within_reach(right, values):
                    self.js_good_ns, self._glitches = self.mono, []  # nobody could know
            else:
                self.js_good_ns = self._js_right_ns = self.mono
                self.unseen = 0.0
            self._js_came_ns = self.mono
            stamp_ns = stamp if self._stamped else 0
            self.loop.on_joint_state(
                names, values, arrival_ns=self.mono, ros_ns=self.ros, stamp_ns=stamp_ns
            )
        self._js_queue = []

    def _reported(self, places: Sequence[float]) -> list[float]:
        """Return what encoders say: those of continuous joints count no turns."""
        return [
            math.remainder(q, math.tau) if one.continuous else q
            for q, one in zip(places, self.joints, strict=True)
        ]

    def _credible(self) -> bool:
        """Whether joint states that are wrong in the same way must be believed.

        So it is after a pause, and where they go on while nothing is commanded: the robot may have
        been put somewhere else.
        """
        silent = self.result is None or self.result.command is None
        lasting = silent and self.mono - self._js_right_ns > 150_000_000
        return lasting or self.mono - self._js_came_ns > MAX_AGE_S * S

    def _within_reach(self, right: Sequence[float], wrong: Sequence[float]) -> bool:
        """Whether nobody could tell a wrong joint state from a right one."""
        # As far as a joint gets since the last right one, or until that one is too old, and more.
        gap_s = min((self.mono - self.js_good_ns) * 1e-9, MAX_AGE_S)
        return all(
            abs(w - r) <= 4.0 * one.velocity * gap_s + 0.05
            for r, w, one in zip(right, wrong, self.joints, strict=True)
        )

    def _glitch(self, kind: str, values: list[float]) -> tuple[list[str], list[float]]:
        n = len(values)
        if kind == 'zero':
            return self.names, [0.0] * n
        if kind == 'nan':
            return self.names, [math.nan] * n
        if kind == 'foreign':
            return [f'wheel{j}' for j in range(n)], values
        if kind == 'other':
            return self.names, [self._inside(j, q + 0.5) for j, q in enumerate(values)]
        return self.names[:-1], values[:-1]

    def _inside(self, j: int, q: float) -> float:
        one = self.joints[j]
        return min(max(q, one.low), one.high)

    # Policy and human ---------------------------------------------------------------------------

    def _observe(self) -> None:
        """What the other nodes do between two ticks."""
        due_ns = min(100_000_000, self.policy.spec.dt_ns) - 1
        if abs(self.ros - self._last_seen) >= due_ns:  # observations are made by the ROS clock
            self._last_seen = self.ros
            streams = {'cameras/front': 'BLANK' if self._dark else ''}
            self.loop.on_observation(valid=True, reasons=(), arrival_ns=self.mono, streams=streams)
            if self.policy.style != 'off' and self.result is not None and self.result.accepting:
                self._coming.append((self._period + self._latency, self.policy.chunk()))
        while self._coming and self._coming[0][0] <= self._period:
            self._give(self._coming.pop(0)[1])
        if self._beats:
            self.loop.on_takeover(
                True, arrival_ns=self.mono, reply=self._reply(Event.TAKEOVER_PRESS)
            )
            leader = self._leader()
            if leader is not None:
                self.loop.on_teleop(self.names, leader, arrival_ns=self.mono)

    def _leader(self) -> list[float] | None:
        if self._hand == 'silent':
            return None
        if not self.places:
            return [0.7 * one.velocity * self.wave(j) for j, one in enumerate(self.joints)]
        reach = {'near': 0.0, 'far': 0.4, 'moving': 0.3}[self._hand]
        if self._hand == 'moving' and self.loop.state is not State.HUMAN:
            reach = 0.0
        return self._reported([q + reach * self.wave(j) for j, q in enumerate(self.q)])

    def wave(self, j: int) -> float:
        """Return what sways between -1 and 1, for each joint in its own phase."""
        return math.sin(self.mono * 1e-9 + self._phases[j])

    def _give(self, chunk: ActionChunk) -> None:
        received = ActionChunk(
            **{
                name: getattr(chunk, name)
                for name in chunk.__dataclass_fields__
                if name not in ('layout', 'received_ns')
            },
            received_ns=self.ros,
        )
        self.chunks += 1
        self.policy.newest = received
        text = self.loop.on_chunk(received)
        self.oracle.on_answer(received, text)
        back, self.loop.plan.rollback = self.loop.plan.rollback, None
        if back is not None:
            self.policy.current = int(back.back_to[0])

    # The node -----------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        self.loop.post(event, self._reply(event))

    def _reply(self, event: Event) -> Callable[[bool, str], None]:
        return lambda ok, text: self.replies.append((event, ok, text))

    def _raises(self, where: str) -> bool:
        left = self._raising.get(where, 0)
        self._raising[where] = max(0, left - 1)
        return left > 0

    def tick(self) -> None:
        """One control tick, as `ros/controller_node.py` makes it."""
        self._observe()
        self.ticks += 1
        self.replies = []
        wall = self.mono if self.setup.simulated else self.ros
        self.oracle.before_tick()
        result: TickResult | None = None
        done = failed = False
        try:
            if self._raises('deciding'):
                self.loop.plan.at = _boom
            try:
                result = self.loop.tick(
                    mono_ns=self.mono,
                    ros_ns=self.ros,
                    missed=self._period - self._deadline - 1,
                    wall_ns=wall,
                )
            finally:
                self.loop.plan.__dict__.pop('at', None)
            self._deadline = self._period
            if result.command is not None:
                self._send(result.command)
            done = True
            if self._raises('reporting'):
                raise Injected('on purpose')
        except Injected as error:
            failed = True
            self._fail_tick(error, done=done)
        self.result = result or self.result
        self.oracle.after_tick(result, failed=failed)

    def _fail_tick(self, error: Exception, *, done: bool) -> None:
        self.loop.fail(Flag.INTERNAL_ERROR, str(error))
        command = None if done else self.loop.abandon()
        if command is None:
            return
        if self._raises('braking'):
            self.loop.withdraw()
        else:
            self._handed_over(command)

    def _send(self, command: LimiterStep) -> None:
        if self._raises('making'):
            raise Injected('on purpose')
        for _ in range(self._raising.pop('interrupted', 0)):
            self.pass_period(listening=False)
        begin = self.mono
        if not self.loop.in_time(begin):
            self.oracle.missed()
            return
        lost = self._raises('sending')
        # Only a driver of trajectories can be met wherever it is on the way to its end.
        lost = lost or (self.setup.kind != 'trajectory' and self._raises('leaving'))
        if not lost:
            self._handed_over(command)
        if lost or self._raises('leaving'):
            raise Injected('on purpose')
        self.loop.sent(begin, self.mono)

    def _handed_over(self, command: LimiterStep) -> None:
        self.oracle.sent(command.position, command.velocity)
        self.free = False
        self.driver.take(command.position, command.velocity)


def replay(setup: Setup, seed: int, words: Sequence[Word]) -> World:
    """Do a whole sequence; raises `Broken` where an invariant does not hold."""
    world = World(setup, seed)
    for word in words:
        world.act(word)
    return world
