# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The controller node and `Pipeline` decide the same when they get the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from test_failed_node_ticks import Node

from bc_msgs import msg as bc_msg
from bc_runtime.control import ControlLoop, ControlOptions, TickResult
from bc_runtime.observation import RawImage
from bc_runtime.pipeline import Pipeline, PipelineOptions
from bc_runtime.policy import Inference
from bc_runtime.ros import convert
from bc_runtime.ros.tick_thread import Tick
from bc_runtime.safety import Event, Flag, State
from bc_runtime.spec import PolicySpec, RobotConfig

DT = 10_000_000
HZ = 15.0
JOINTS = ['a', 'b']
ROBOT = RobotConfig.from_yaml("""
schema_version: 1
name: two
joints:
  - {name: a, unit: rad, position: [-2, 2], velocity: 3.0, acceleration: 50.0}
  - {name: b, unit: rad, position: [-2, 2], velocity: 3.0, acceleration: 50.0}
joint_states: {topic: joint_states, max_age_s: 0.1}
cameras:
  front: {topic: front, rate_hz: 20.0, max_age_s: 0.3}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [a, b], rate_hz: 100.0}
tolerances: {max_observation_age_s: 1.0}
""")
SPEC = PolicySpec.from_dict(
    {
        'schema_version': 1,
        'name': 'sway',
        'family': 'mlp',
        'control_hz': HZ,
        'chunk_size': 12,
        'inputs': [
            {
                'kind': 'state',
                'name': 'state',
                'shape': [1, 2],
                'joints': JOINTS,
                'units': ['rad', 'rad'],
            },
            {
                'kind': 'image',
                'name': 'front',
                'shape': [1, 8, 8, 3],
                'camera': 'front',
                'height': 8,
                'width': 8,
                'layout': 'HWC',
                'dtype': 'uint8',
                'color': 'rgb',
                'resize': {'mode': 'stretch', 'interpolation': 'area'},
            },
        ],
        'output': {
            'name': 'action',
            'groups': [{'kind': 'joint_position', 'names': JOINTS, 'units': ['rad', 'rad']}],
        },
        'training_ranges': {
            f'state.{name}': {'min': -0.3, 'max': 0.3, 'mean': 0.0, 'std': 0.1} for name in JOINTS
        },
    }
)


@dataclass
class SwayPolicy:
    """Plans from where it sees the robot to a goal that sways."""

    spec: PolicySpec = SPEC
    policy_id: str = 'd' * 64
    backend: str = 'test'
    provider: str = 'test'
    path: str = ''
    warmup_s: float = 0.0
    self_test_error: float = 0.0
    reach: float = 0.2
    calls: int = 0

    def infer(self, tensors: Mapping[str, np.ndarray], *, prefix: object = None) -> Inference:
        self.calls += 1
        phase = (self.calls + np.arange(SPEC.chunk_size)) / HZ
        goal = self.reach * np.sin(phase)[:, None]
        share = np.linspace(0.0, 1.0, SPEC.chunk_size)[:, None]
        values = (1.0 - share) * tensors['state'][0] + share * goal
        return Inference(
            values=values.astype(np.float32), inference_ns=1000, seed=0, index=self.calls
        )

    def reset(self, *, seed: int | None = None) -> None:
        pass


#: Time of a reply [ns], whether it accepts, and its text.
Told = tuple[int, bool, str]


@dataclass
class Recording:
    """What went into `Pipeline` before each tick, and what came out of it."""

    inputs: list[list[Callable[[NodeSide], None]]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    results: list[TickResult] = field(default_factory=list)
    flags: set[Flag] = field(default_factory=set)
    replies: list[Told] = field(default_factory=list)


def outcome(result: TickResult, loop: ControlLoop) -> str:
    """Return everything that a tick decided, as text: NaN equals NaN there."""
    return f'{result!r} {loop.conditions!r}'


class NodeSide:
    """The callbacks and the tick of the controller node, which is not spun."""

    def __init__(self, policy: SwayPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.t = DT
        self.loop = ControlLoop(ROBOT, ControlOptions())
        self.results: list[TickResult] = []
        self.outputs: list[str] = []
        self.replies: list[Told] = []
        self.node = node = Node(self)
        node._robot = ROBOT
        node._inference = SimpleNamespace(on_policy_info=lambda _msg: None)
        node._swap = SimpleNamespace(attend=lambda: None)
        node._report = SimpleNamespace(publish=self._publish)
        node.get_clock = lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.t))
        module = 'bc_runtime.ros.controller_node'
        monkeypatch.setattr(f'{module}.time.monotonic_ns', lambda: self.t)
        monkeypatch.setattr(f'{module}.answer_of', self._answer_of)
        node._on_policy_info(
            bc_msg.PolicyInfo(name=SPEC.name, policy_id=policy.policy_id, spec_json=SPEC.to_json())
        )
        self.loop.post(Event.CONFIGURED)
        self.loop.post(Event.ACTIVATE)

    def send(self, _message: object) -> None:
        """Take a message for the driver."""

    def _publish(self, result: TickResult, loop: ControlLoop, *_: object, **__: object) -> None:
        self.results.append(result)
        self.outputs.append(outcome(result, loop))

    def _answer_of(
        self, post: Callable[..., object], lock: threading.Lock, **_: object
    ) -> tuple[bool, str]:
        with lock:
            post(lambda ok, text: self.replies.append((self.t, ok, text)))
        return True, ''

    def request(self, event: Event) -> None:
        """Call a service of the node."""
        self.node._on_request(event, None, SimpleNamespace())

    def tick(self, index: int) -> None:
        """Let the node tick at its deadline."""
        self.node._tick(Tick(due_ns=self.t, late_ns=0, index=index, missed=0))


class PipelineSide:
    """`Pipeline` with a robot that follows at once; records what it gets."""

    def __init__(self, policy: SwayPolicy) -> None:
        self.t = 0
        self.position = [0.0, 0.0]
        self.silent = self.dark = False
        self.recording = Recording()
        self.pipeline = Pipeline(policy, ROBOT, PipelineOptions())
        self._waiting: list[Callable[[NodeSide], None]] = []
        loop = self.pipeline.control
        self._wrap(loop, 'on_chunk', self._chunk_msg)
        self._wrap(loop, 'on_observation', self._observation_msg)

    def _wrap(self, loop: ControlLoop, name: str, record: Callable[..., None]) -> None:
        inner = getattr(loop, name)

        def call(*args: Any, **fields: Any) -> object:
            record(*args)
            return inner(*args, **fields)

        setattr(loop, name, call)

    def _chunk_msg(self, chunk: Any) -> None:
        msg = convert.chunk_to_msg(chunk, SPEC, start_ns=0, end_ns=0, inference_s=0.0)
        self._waiting.append(lambda side: side.node._on_chunk(msg))

    def _observation_msg(self) -> None:
        msg = convert.observation_status(
            convert.observation_to_msg(
                self.pipeline.observation,
                sequence=1,
                epoch=0,
                policy_id='',
                anchor={},
                assembly_s=0.0,
            )
        )
        self._waiting.append(lambda side: side.node._on_observation(msg))

    def request(self, event: Event) -> None:
        """Ask for something, on both sides."""
        self._waiting.append(lambda side: side.request(event))
        self.pipeline.control.post(
            event, lambda ok, text: self.recording.replies.append((self.t, ok, text))
        )

    def estop(self, pressed: bool) -> None:
        """Press or release the emergency stop, on both sides."""
        self._waiting.append(lambda side: side.node._on_estop(pressed))
        self.pipeline.control.on_estop(pressed)

    def joint_state(self, position: list[float], *, stamp_ns: int | None = None) -> None:
        """Send a joint state, to both sides."""
        stamp_ns = self.t if stamp_ns is None else stamp_ns
        msg = JointState(name=JOINTS, position=position, velocity=[0.0, 0.0])
        msg.header.stamp = convert.to_time(stamp_ns)
        self._waiting.append(lambda side: side.node._on_joint_state(msg))
        self.pipeline.push_joint_state(stamp_ns, JOINTS, position, [0.0, 0.0])

    def run(self, seconds: float) -> TickResult:
        """Let time pass."""
        for _ in range(round(seconds * 100)):
            self.t += DT
            if not self.silent:
                self.joint_state(self.position)
            if self.t % (5 * DT) == 0:
                pixels = np.zeros((8, 8, 3), np.uint8)
                if not self.dark:
                    pixels += np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
                    pixels[0, 0, 0] = self.t // DT % 200
                image = RawImage(
                    height=8,
                    width=8,
                    encoding='rgb8',
                    step=24,
                    is_bigendian=False,
                    data=pixels.tobytes(),
                )
                self.pipeline.push_image(self.t, 'front', image)
            result = self.pipeline.tick(self.t)
            self.note(result)
            if result.command is not None:
                self.position = list(result.command.position)
        return self.recording.results[-1]

    def note(self, result: TickResult) -> None:
        """Record a tick."""
        loop = self.pipeline.control
        self.recording.inputs.append(self._waiting)
        self.recording.outputs.append(outcome(result, loop))
        self.recording.results.append(result)
        self.recording.flags.update(loop.conditions.flags)
        self._waiting = []


def started(side: PipelineSide) -> PipelineSide:
    side.run(0.3)
    side.request(Event.START)
    assert side.run(1.5).state is State.AUTO
    return side


def policy_moves(side: PipelineSide) -> Flag:
    """Leave what was trained, and stop."""
    started(side).pipeline.policy.reach = 1.0
    assert side.run(2.0).state is State.SLOW
    side.request(Event.STOP)
    assert side.run(1.0).state is State.READY
    return Flag.OUT_OF_DISTRIBUTION


def emergency_stop(side: PipelineSide) -> Flag:
    started(side).estop(True)
    side.run(0.02)
    side.estop(False)
    assert side.run(0.3).state is State.ESTOP
    side.request(Event.RESET)
    side.run(0.1)
    side.request(Event.START)
    assert side.run(1.5).state is State.AUTO
    return Flag.ESTOP


def joints_outside(side: PipelineSide) -> Flag:
    side.position = [2.5, 0.0]
    side.run(0.5)
    side.request(Event.START)
    assert side.run(0.5).state is State.READY
    assert 'outside its limits' in side.recording.replies[-1][2]
    return Flag.OUT_OF_DISTRIBUTION


def dark_camera(side: PipelineSide) -> Flag:
    started(side).dark = True
    side.run(0.6)
    return Flag.CAMERA_DARK


def silent_joints(side: PipelineSide) -> Flag:
    started(side).silent = True
    side.run(0.5)
    side.silent = False
    side.run(0.5)
    side.request(Event.RESUME)
    side.run(1.0)
    return Flag.JOINT_STATES_STALE


def repeated_joint_states(side: PipelineSide) -> Flag:
    """The same stamp again says nothing new: the robot stops as if nobody sent."""
    started(side).silent = True
    stamp_ns, position = side.t, side.position
    for _ in range(30):
        side.joint_state(position, stamp_ns=stamp_ns)
        side.run(0.01)
    assert side.pipeline.control.passed_over['repeated or late'] == 30
    return Flag.JOINT_STATES_STALE


def fast_policy(side: PipelineSide) -> Flag:
    """Ask for more than the limiter lets through."""
    started(side).pipeline.policy.reach = 4.0
    side.run(5.0)
    return Flag.LIMITER_ACTIVE


@pytest.mark.parametrize(
    'story',
    [
        policy_moves,
        emergency_stop,
        joints_outside,
        dark_camera,
        silent_joints,
        repeated_joint_states,
        fast_policy,
    ],
    ids=lambda story: story.__name__,
)
def test_both_decide_the_same(
    story: Callable[[PipelineSide], Flag], monkeypatch: pytest.MonkeyPatch
):
    """Every command, flag, transition and reply of each tick is the same on both sides."""
    policy = SwayPolicy()
    side = PipelineSide(policy)
    flag = story(side)
    side.pipeline.close()
    recording = side.recording
    assert flag in recording.flags
    node = NodeSide(policy, monkeypatch)
    for index, (inputs, expected) in enumerate(
        zip(recording.inputs, recording.outputs, strict=True)
    ):
        node.t = (index + 1) * DT
        for give in inputs:
            give(node)
        node.tick(index)
        assert node.outputs[-1] == expected
    assert node.replies == recording.replies
