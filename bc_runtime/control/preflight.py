# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Preflight: is everything there for a start, and if not, what is to be done?

Pure judgement of facts that the node has gathered while the robot stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import math

from bc_runtime.control.grippers import grippers_of
from bc_runtime.control.loop import ControlLoop
from bc_runtime.control.surroundings import SLACK
from bc_runtime.safety import DEFAULT_RULES, Severity, State
from bc_runtime.spec import PolicySpec, RobotConfig

#: A camera must come at this share of its rate, joint states at this share of the control rate.
CAMERA_SHARE = 0.7
JOINT_STATES_HZ = 20.0
#: Stamps may be off the clock of this machine by this much [s].
CLOCK_TOLERANCE_S = 0.1
#: Actions of the rehearsal may be this old when they come, as a share of the chunk.
LATE_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightItem:
    """One condition of a start.

    Attributes:
        name: What was looked at.
        text: What was found; if not ok, also what to do.
    """

    name: str
    ok: bool
    text: str

    def __str__(self) -> str:
        """Return one line."""
        return f'{self.name}: {self.text}'


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What came of one stream while it was watched.

    Attributes:
        name: As in the robot's YAML: `joint_states`, `cameras/front`.
        expected_hz: Rate that is needed.
        rate_hz: Rate that came.
        offset_s: Stamp minus time of receipt of the last message; NaN without stamps.
        foreign_clock: Which other clock its stamps are of, and what to do; empty for this one.
        content: Of pictures: size and encoding.
        problem: Why the last message is of no use; empty if it is.
    """

    name: str
    topic: str
    expected_hz: float
    rate_hz: float
    offset_s: float = math.nan
    foreign_clock: str = ''
    content: str = ''
    problem: str = ''


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """What the inference node says about its policy; see `bc_msgs/msg/PolicyInfo`."""

    name: str
    policy_id: str
    provider: str
    self_test_error: float
    spec: PolicySpec
    refused: str = ''


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What inference gave while the robot stood still.

    Attributes:
        first: First action of the plan by joint (rates left out); None if no chunk was accepted.
        latency_s: From observation to accepted chunk.
        inference_s: Of it, the policy's own time.
        rejection: Why a chunk was not accepted.
    """

    first: Mapping[str, float] | None = None
    latency_s: float = math.nan
    inference_s: float = math.nan
    rejection: str = ''


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFacts:
    """Everything that is judged.

    Attributes:
        state: Of the controller.
        refusals: Why a start would be refused now, by the controller itself.
        measured: Joint -> position; None without joint states.
        streams: Joint states and cameras that were watched.
        clock: Why the ROS clock does not go; empty where it does.
        qos: Topic -> why the middleware will not connect it; empty where it does.
        senders: Sensor topic -> nodes that send the same joints or pictures there.
        commanders: Other nodes that publish on the command topic.
        listeners: How many listen to the command and may be the driver.
        onlookers: Nodes that listen and only record or show.
        policy: None: none is loaded.
        rehearsal: None where there was none.
    """

    state: State
    refusals: Sequence[str]
    measured: Mapping[str, float] | None
    streams: Sequence[StreamFacts] = ()
    qos: Mapping[str, str] = field(default_factory=dict)
    clock: str = ''
    senders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    commanders: Sequence[str] = ()
    listeners: int = 0
    onlookers: Sequence[str] = ()
    policy: PolicyFacts | None = None
    rehearsal: Rehearsal | None = None


def refusals(loop: ControlLoop) -> list[str]:
    """Return why the controller would refuse a start, as of its last tick."""
    conditions = loop.conditions
    if conditions is None:
        return ['the control loop has not ticked yet']
    flags = [
        f'{flag}: {DEFAULT_RULES[flag].text}' + (f' ({text})' if text else '')
        for flag, text in conditions.flags.items()
        if State.ALIGN in DEFAULT_RULES[flag].states
        and DEFAULT_RULES[flag].severity >= Severity.HOLD
    ]
    return [*flags, *conditions.start_blockers]


def judge(facts: PreflightFacts, robot: RobotConfig, *, dry_run: bool) -> list[PreflightItem]:
    """Return every condition, met or not, in the order in which one would mend them."""
    return [
        *_controller(facts),
        *_joints(facts, robot),
        *(_stream(each) for each in facts.streams),
        *_clocks(facts.streams, facts.clock),
        *_topics(facts, robot, dry_run=dry_run),
        *_policy(facts.policy),
        *_rehearsal(facts, robot),
    ]


def _item(name: str, ok: bool, good: str, bad: str) -> PreflightItem:
    return PreflightItem(name=name, ok=ok, text=good if ok else bad)


def _controller(facts: PreflightFacts) -> Iterator[PreflightItem]:
    hint = {
        State.FAULT: 'remove the cause, then call controller/reset',
        State.ESTOP: 'release the emergency stop, then call controller/reset',
        State.INACTIVE: 'it becomes READY once joint states come',
        State.HELD: 'call controller/resume or controller/stop',
    }.get(facts.state, 'call controller/stop first')
    ready = facts.state is State.READY
    yield _item('state', ready, 'READY', f'{facts.state}; {hint}')
    for text in facts.refusals:
        yield PreflightItem(name='start', ok=False, text=text)


def _joints(facts: PreflightFacts, robot: RobotConfig) -> Iterator[PreflightItem]:
    if not robot.joint_states.topic or robot.command.is_twist:
        return
    if facts.measured is None:
        yield PreflightItem(
            name='joints',
            ok=False,
            text=f'no message with all of {", ".join(robot.command.joints)} came on '
            f'{robot.joint_states.topic}; start the driver, or correct the names in the YAML',
        )
        return
    yield PreflightItem(name='joints', ok=True, text=f'all {len(facts.measured)} are there')
    grippers = grippers_of(robot, None if facts.policy is None else facts.policy.spec)
    outside = [
        f'{joint.name} at {facts.measured[joint.name]:.3f} {joint.unit}, allowed '
        f'[{joint.lower:g}, {joint.upper:g}]'
        for joint in robot.commanded
        if joint.name not in grippers
        and not joint.lower - SLACK <= facts.measured[joint.name] <= joint.upper + SLACK
    ]
    yield _item(
        'limits',
        not outside,
        'every joint is inside',
        f'{"; ".join(outside)}; move the robot inside by hand, or correct units and limits in the '
        'robot YAML',
    )
    if facts.policy is None:
        return
    ranges = facts.policy.spec.training_ranges
    strange = []
    for name, at in facts.measured.items():
        known = ranges.get(f'state.{name}')
        if known is None or name in grippers:
            continue
        room = 0.05 * (known.maximum - known.minimum)
        if not known.minimum - room <= at <= known.maximum + room:
            strange.append(
                f'{name} at {at:.3f}, trained [{known.minimum:.3f}, {known.maximum:.3f}]'
            )
    yield _item(
        'training range',
        not strange,
        'the pose is one that the policy knows' if ranges else 'the policy does not say it',
        f'{"; ".join(strange)}; bring the robot to where demonstrations begin, or check the units',
    )


def _stream(stream: StreamFacts) -> PreflightItem:
    came = f'{stream.rate_hz:.1f} Hz on {stream.topic}'
    if stream.problem:
        slow = stream.rate_hz < stream.expected_hz
        needed = f', needed {stream.expected_hz:.1f} Hz' if slow else ''
        return PreflightItem(name=stream.name, ok=False, text=f'{came}{needed}; {stream.problem}')
    content = f', {stream.content}' if stream.content else ''
    return _item(
        stream.name,
        stream.rate_hz >= stream.expected_hz,
        came + content,
        f'{came}, needed {stream.expected_hz:.1f} Hz; see that its driver runs and that QoS and '
        'network let it through',
    )


def _clocks(streams: Sequence[StreamFacts], problem: str) -> Iterator[PreflightItem]:
    foreign = [f'{each.name}: {each.foreign_clock}' for each in streams if each.foreign_clock]
    if problem or foreign:
        yield PreflightItem(name='clocks', ok=False, text=problem or '; '.join(foreign))
        return
    stamped = [each for each in streams if math.isfinite(each.offset_s)]
    if not stamped:
        return
    ahead = [each for each in stamped if each.offset_s > CLOCK_TOLERANCE_S / 10.0]
    behind = [each for each in stamped if each.offset_s < -CLOCK_TOLERANCE_S]
    worst = max(stamped, key=lambda each: abs(each.offset_s))
    yield _item(
        'clocks',
        not (ahead or behind),
        f'stamps agree within {abs(worst.offset_s) * 1e3:.0f} ms',
        f'{worst.name} is stamped {worst.offset_s:+.3f} s off this clock; synchronise the '
        'machines (chrony), or set clock: arrival for the stream',
    )


def _topics(
    facts: PreflightFacts, robot: RobotConfig, *, dry_run: bool
) -> Iterator[PreflightItem]:
    bad = [f'{topic}: {why}' for topic, why in facts.qos.items() if why]
    yield _item(
        'QoS',
        not bad,
        f'{len(facts.qos)} topics connect',
        f'{"; ".join(bad)}; change the reliability or durability of the other side',
    )
    twice = [f'{" and ".join(n)} send the same on {t}' for t, n in facts.senders.items() if n[1:]]
    yield _item(
        'sensors',
        not twice,
        'each is sent by one node',
        f'{"; ".join(twice)}; stop all but one',
    )
    if dry_run:
        yield PreflightItem(name='command', ok=True, text='dry run: nothing is sent')
        return
    yield _item(
        'commander',
        not facts.commanders,
        f'nobody else publishes on {robot.command.topic}',
        f'{", ".join(facts.commanders)} also publishes on {robot.command.topic}; stop it',
    )
    yield _item(
        'command',
        facts.listeners > 0,
        f'{facts.listeners} listening on {robot.command.topic}',
        f'nobody but {", ".join(facts.onlookers)} listens on {robot.command.topic}; start the '
        'driver, or correct command.topic'
        if facts.onlookers
        else f'nobody listens on {robot.command.topic}; start the driver, or correct '
        'command.topic',
    )


def _policy(policy: PolicyFacts | None) -> Iterator[PreflightItem]:
    if policy is None:
        yield PreflightItem(
            name='policy', ok=False, text='none is loaded; see the log of the inference node'
        )
        return
    yield _item(
        'policy',
        not policy.refused,
        f'{policy.name}, {policy.policy_id[:12]}; names and units fit the robot',
        policy.refused,
    )
    stored = policy.spec.self_test is not None
    error = policy.self_test_error
    yield PreflightItem(
        name='self-test',
        ok=True,
        text=f'passed, largest deviation {error:.2g}'
        if stored
        else 'the file stores none; bc wrap adds one',
    )
    yield PreflightItem(name='provider', ok=True, text=f'{policy.provider} is really in use')


def _rehearsal(facts: PreflightFacts, robot: RobotConfig) -> Iterator[PreflightItem]:
    rehearsal = facts.rehearsal
    if rehearsal is None:
        return
    if rehearsal.first is None:
        why = rehearsal.rejection or 'no chunk came'
        yield PreflightItem(
            name='inference',
            ok=False,
            text=f'{why}; see the observation above and the log of the inference node',
        )
        return
    spec = facts.policy.spec if facts.policy is not None else None
    lasts = math.inf if spec is None else spec.chunk_size / spec.control_hz
    times = f'{rehearsal.latency_s * 1e3:.0f} ms after its observation'
    yield _item(
        'inference',
        rehearsal.latency_s <= LATE_SHARE * lasts,
        f'a chunk came {times}',
        f'a chunk came {times} and lasts {lasts * 1e3:.0f} ms; use a faster provider, fewer '
        'threads elsewhere, or a policy with longer chunks',
    )
    if facts.measured is None:
        return
    grippers = grippers_of(robot, spec)
    gaps = {
        name: _distance(at, facts.measured[name], turns=robot.joint(name).continuous)
        for name, at in rehearsal.first.items()
        if name in facts.measured and name not in grippers
    }
    far = [
        f'{name} by {gap:.2f} {robot.joint(name).unit}'
        for name, gap in gaps.items()
        if gap > robot.tolerances.start
    ]
    yield _item(
        'first action',
        not far,
        f'at most {max(gaps.values(), default=0.0):.3f} from the pose',
        f'away from the pose: {"; ".join(far)}, allowed {robot.tolerances.start:g}; bring the '
        'robot nearer to where demonstrations begin',
    )


def _distance(one: float, other: float, *, turns: bool) -> float:
    gap = one - other
    return abs(math.remainder(gap, 2.0 * math.pi) if turns else gap)
