# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""TickResults: put together what each control tick gives to the outside."""

from __future__ import annotations

import math

from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.control.motion import Motion
from bc_runtime.control.no_joints import NoJoints
from bc_runtime.control.plan import Plan, PlanPoint
from bc_runtime.control.tick import TickResult, accepting
from bc_runtime.safety import LimiterStep, Source, State, SupervisorStep


class TickResults:
    """Makes the result of each tick; it remembers only which chunk was used last."""

    def __init__(self, motion: Motion, plan: Plan, joints: JointMonitor | NoJoints) -> None:
        self._motion = motion
        self._plan = plan
        self._joints = joints
        self._newest_used = 0

    def begin_epoch(self) -> None:
        """Forget which chunk was used last: the next one waits for ALIGN."""
        self._newest_used = 0

    def make(
        self,
        step: SupervisorStep,
        point: PlanPoint | None,
        command: LimiterStep | None,
        *,
        epoch: int,
        rehearsing: bool,
        finished: bool,
        mono_ns: int,
        ros_ns: int,
    ) -> TickResult:
        """Return the result of a tick.

        Args:
            step: What the supervisor decided.
            point: What the plan wanted, None without a plan.
            command: What is sent, None if nothing is.
            epoch: Of the supervisor, after the step.
            rehearsing: Chunks are wanted in READY too.
            finished: The process may end.
            mono_ns: Monotonic time of the tick.
            ros_ns: ROS time of the tick.
        """
        used = point if step.source is Source.POLICY and command is not None else None
        latency_s, deviation = math.nan, 0.0
        if used is not None and command is not None:
            if used.sequence > self._newest_used:
                # The first chunk has waited for ALIGN; that is no latency.
                latency_s = used.age_s if self._newest_used else math.nan
                self._newest_used = used.sequence
            deviation = self._motion.deviation(used, command)
        return TickResult(
            state=step.state,
            source=step.source,
            reasons=step.reasons,
            stop_code=step.memory.reason,
            stop_text=step.memory.reason_text,
            transitions=step.transitions,
            epoch=epoch,
            command=command,
            setpoint=None if point is None else self._motion.wanted(point),
            speed_scale=step.speed_scale,
            accepting=accepting(step) or (rehearsing and step.state is State.READY),
            finished=finished,
            chunk_sequence=0 if used is None else used.sequence,
            live_chunks=0 if point is None else point.chunks,
            remaining_s=0.0 if point is None else self._plan.remaining_s(ros_ns),
            latency_s=latency_s,
            observation_age_s=math.nan if point is None else point.age_s,
            joint_state_age_s=self._joints.age_s(mono_ns),
            tracking_error=self._joints.error,
            deviation=deviation,
        )
