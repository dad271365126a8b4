# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What one control tick gives to the outside."""

from __future__ import annotations

from dataclasses import dataclass
import math

from bc_runtime.safety import LimiterStep, Reason, Source, State, SupervisorStep, Transition

#: States in which chunks are wanted.
_ACCEPTING = frozenset({State.ALIGN, State.AUTO, State.SLOW, State.HANDBACK})


def accepting(step: SupervisorStep) -> bool:
    """Return whether chunks are wanted: also while a hole in the plan may still be filled."""
    recovering = step.state is State.BRAKING and step.memory.then is State.ALIGN
    return recovering or step.state in _ACCEPTING


@dataclass(frozen=True, slots=True, kw_only=True)
class TickResult:
    """One tick.

    Attributes:
        reasons: Facts that count in this state.
        stop_code: What led to BRAKING, HELD, FAULT or ESTOP; empty otherwise.
        command: What to send, joints in the order of the robot's command; None: send nothing.
        setpoint: What the plan wanted before any safety, same order: positions, or velocities
            where the robot takes velocities; None without a plan.
        latency_s: In the first tick that uses a new chunk: tick - observation stamp; else NaN.
        observation_age_s: Tick - observation stamp of the newest chunk in use; NaN without.
        deviation: Largest |setpoint - command| [rad or m]; 0 without a set-point.
        accepting: Whether chunks are wanted.
        finished: The process may end.
    """

    state: State
    source: Source
    reasons: tuple[Reason, ...]
    stop_code: str
    stop_text: str
    transitions: tuple[Transition, ...]
    epoch: int
    command: LimiterStep | None
    setpoint: tuple[float, ...] | None
    speed_scale: float
    accepting: bool
    finished: bool
    chunk_sequence: int = 0
    live_chunks: int = 0
    remaining_s: float = 0.0
    latency_s: float = math.nan
    observation_age_s: float = math.nan
    joint_state_age_s: float = math.inf
    tracking_error: float = 0.0
    deviation: float = 0.0
