# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A control loop with an injected clock, a robot and a policy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bc_runtime.control import ControlLoop, TickResult
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Event, State
from bc_runtime.spec import ActionKind, PolicySpec, RobotConfig

POLICY = 'a' * 64
S = 1_000_000_000
DT = 10_000_000

ROBOT = RobotConfig.from_yaml("""
schema_version: 1
name: two
joints:
  - {name: a, unit: rad, position: [-1, 1], velocity: 1.0, acceleration: 10.0, margin: 0.02}
  - {name: b, unit: rad, position: [-1, 1], velocity: 1.0, acceleration: 10.0, margin: 0.02}
joint_states: {topic: joint_states, max_age_s: 0.1}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [a, b], rate_hz: 100.0}
tolerances: {tracking: 0.2, tracking_s: 0.2, max_observation_age_s: 0.3}
""")

SPEC = PolicySpec.from_dict(
    {
        'schema_version': 1,
        'name': 'straight',
        'family': 'mlp',
        'control_hz': 15.0,
        'chunk_size': 12,
        'inputs': [
            {
                'kind': 'state',
                'name': 'state',
                'shape': [1, 2],
                'joints': ['a', 'b'],
                'units': ['rad', 'rad'],
            }
        ],
        'output': {
            'name': 'action',
            'groups': [{'kind': 'joint_position', 'names': ['a', 'b'], 'units': ['rad', 'rad']}],
        },
    }
)


@dataclass
class Rig:
    """A loop with a robot that follows at once and a policy that goes on with a constant speed."""

    loop: ControlLoop = field(default_factory=lambda: ControlLoop(ROBOT))
    t: int = 1000 * S
    position: list[float] = field(default_factory=lambda: [0.0, 0.0])
    sequence: int = 0
    speed: float = 0.2
    driver: bool = True
    camera: bool = True
    policy: bool = True
    results: list[TickResult] = field(default_factory=list)
    replies: list[tuple[bool, str]] = field(default_factory=list)

    def post(self, event: Event) -> None:
        self.loop.post(event, lambda ok, text: self.replies.append((ok, text)))

    def chunk(self, **changes: object) -> ActionChunk:
        self.sequence += 1
        steps = np.arange(12)[:, None] * self.speed / 15.0
        values = np.asarray(self.position, dtype=np.float32) + steps.astype(np.float32)
        fields: dict[str, object] = {
            'stamp_ns': self.t,
            'dt_ns': round(S / 15),
            'values': values,
            'names': ('a', 'b'),
            'kinds': (ActionKind.JOINT_POSITION,) * 2,
            'policy_id': POLICY,
            'sequence': self.sequence,
            'epoch': self.loop.epoch,
            'received_ns': self.t,
        }
        return ActionChunk(**{**fields, **changes})

    def run(self, seconds: float) -> TickResult:
        for _ in range(round(seconds * 100)):
            self.t += DT
            if self.driver:
                self.loop.on_joint_state(['b', 'a'], self.position[::-1], arrival_ns=self.t)
            if self.camera:
                self.loop.on_observation(valid=True, reasons=(), arrival_ns=self.t)
                if self.policy and self.results and self.results[-1].accepting:
                    self.loop.on_chunk(self.chunk(stamp_ns=self.t - DT))
            result = self.loop.tick(mono_ns=self.t, ros_ns=self.t)
            if result.command is not None and self.driver:
                self.position = list(result.command.position)
            self.results.append(result)
        return self.results[-1]

    def ready(self) -> Rig:
        self.loop.set_policy(POLICY, SPEC)
        self.run(0.05)
        self.post(Event.CONFIGURED)
        self.post(Event.ACTIVATE)
        assert self.run(0.02).state is State.READY
        return self

    def auto(self) -> Rig:
        self.ready().post(Event.START)
        assert self.run(0.5).state is State.AUTO
        return self
