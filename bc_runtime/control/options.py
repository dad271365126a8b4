# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about the control loop besides the robot and the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import math

from bc_runtime.safety.human import HumanMode


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOptions:
    """Options of the control loop.

    Attributes:
        strategy: How chunks that cover the same time are combined, see `make_strategy`.
        strategy_options: Options of the strategy.
        interpolation: Between the actions of a chunk: hold, linear or cubic.
        coordinated: Scale all joints together when one is limited, so that the direction is kept.
        reseed_distance: At a start, a robot that is farther than this from the last command is
            taken from where it is [rad or m]. Nearer, the last command goes on: a robot that sags
            under its weight must not be told to hold the sag.
        observation_patience_s: Invalid observations for longer than this stop the robot [s].
        max_plan_age_s: A plan that rests on an older observation stops the robot [s]. Without it a
            plan is followed to its end, which bounds how long the robot goes on blindly.
        rejected_limit: This many rejected chunks in a row stop the robot.
        human_mode: `absolute` (the leader's pose is the target, aligned first) or `relative` (its
            motion since the takeover is).
        dry_run: Nothing is sent, so the robot is not expected to follow.
        auto_resume: After a takeover the policy goes on without being asked.
    """

    strategy: str = 'temporal_ensemble'
    strategy_options: Mapping[str, object] = field(default_factory=lambda: {'coeff': 0.01})
    interpolation: str = 'linear'
    coordinated: bool = False
    reseed_distance: float = 0.05
    observation_patience_s: float = 0.3
    max_plan_age_s: float = math.inf
    rejected_limit: int = 3
    human_mode: HumanMode = 'absolute'
    auto_resume: bool = False
    dry_run: bool = False
