# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about the control loop besides the robot and the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import math

from bc_runtime.execution import BlendOptions
from bc_runtime.safety import IngressConfig
from bc_runtime.safety.human import HumanMode


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOptions:
    """Options of the control loop.

    Attributes:
        strategy: How chunks that cover the same time are combined, see `make_strategy`.
        strategy_options: Options of the strategy.
        interpolation: Between the actions of a chunk: hold, linear or cubic.
        coordinated: Scale all joints together when one is limited, so that the direction is kept.
        jerk: Bound the jerk of approaches, not of stops; every joint needs a jerk limit.
        reseed_distance: At a start, a robot that is farther than this from the last command is
            taken from where it is [rad or m]. Nearer, the last command goes on: a robot that sags
            under its weight must not be told to hold the sag.
        observation_patience_s: Without a valid observation for longer than this the robot stops
            [s]. None: as long as the policy's rate asks for, see `ObservationMonitor`.
        max_plan_age_s: A plan that rests on an older observation stops the robot [s]. Without it a
            plan is followed to its end, which bounds how long the robot goes on blindly.
        blending: How grippers and binary actions of several chunks are decided.
        ingress: Which checks a chunk must pass, and what a failed one does.
        rollback: A new policy whose first chunks are rejected gives way to the one before.
        human_mode: `absolute` (the leader's pose is the target, aligned first) or `relative` (its
            motion since the takeover is).
        recover: A robot that stands outside its limits may start; it moves inwards only.
        dry_run: Nothing is sent, so the robot is not expected to follow.
        auto_resume: After a takeover the policy goes on without being asked.
    """

    strategy: str = 'temporal_ensemble'
    strategy_options: Mapping[str, object] = field(default_factory=lambda: {'coeff': 0.01})
    interpolation: str = 'linear'
    coordinated: bool = False
    jerk: bool = False
    reseed_distance: float = 0.05
    observation_patience_s: float | None = None
    max_plan_age_s: float = math.inf
    blending: BlendOptions = field(default_factory=BlendOptions)
    ingress: IngressConfig = field(default_factory=IngressConfig)
    rollback: bool = True
    human_mode: HumanMode = 'absolute'
    auto_resume: bool = False
    recover: bool = False
    dry_run: bool = False
