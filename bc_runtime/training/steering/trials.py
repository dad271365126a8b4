# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rounds of a steering policy on roads it never saw, in simulated time and without ROS.

The commands come from the stack's own timeline and limiter; cameras at 30 Hz, one inference at
every policy step, its answer usable after a latency.
`bc trials` runs them from the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bc_runtime.execution import ActionChunk, Hole, Timeline, make_strategy
from bc_runtime.policy import Policy
from bc_runtime.safety.limiter import Limiter
from bc_runtime.safety.limits import limits_of
from bc_runtime.sim.car import CarSim
from bc_runtime.sim.car_expert import POLICY_HZ, shrink_image
from bc_runtime.sim.car_painter import CarPainter
from bc_runtime.spec import RobotConfig

#: Tracks from here on are never demonstrated (see `SteeringRecipe.first_track`).
FIRST_UNSEEN_TRACK: Final = 10_000

_CAMERA_NS: Final = round(1e9 / 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one trial gave.

    Attributes:
        seed: Of the track.
        success: Whether a whole round was driven inside the lane.
        laps: Rounds driven when the trial ended.
        worst_offset_m: Largest distance from the lane's middle.
        duration_s: Simulated time.
    """

    seed: int
    success: bool
    laps: float
    worst_offset_m: float
    duration_s: float


def drive_round(
    policy: Policy,
    seed: int,
    *,
    robot: RobotConfig,
    latency_s: float = 0.05,
    timeout_s: float = 60.0,
) -> Round:
    """Let a policy drive on the track of a seed until a round is done or the lane is left."""
    spec = policy.spec
    sim = CarSim()
    sim.reset(seed)
    policy.reset(seed=seed)
    painter = CarPainter(sim.track)
    timeline = Timeline(make_strategy('latest', {}))
    tick_ns = round(1e9 / robot.command.rate_hz)
    limiter = Limiter(limits_of(robot.commanded), tick_ns * 1e-9)
    limiter.seed([0.0, 0.0])
    order = [spec.action_names.index(name) for name in robot.command.joints]
    (camera,) = spec.image_inputs
    pending: ActionChunk | None = None
    frame_ns, next_frame_ns, next_start_ns, sequence, worst = 0, 0, 0, 0, 0.0
    pose = sim.pose
    for tick in range(round(timeout_s * 1e9) // tick_ns):
        now_ns = tick * tick_ns
        if now_ns >= next_frame_ns:
            pose, frame_ns = sim.pose, now_ns
            next_frame_ns += _CAMERA_NS
        if pending is not None and now_ns >= pending.received_ns:
            timeline.add(pending)
            pending = None
        if pending is None and now_ns >= next_start_ns:
            image = shrink_image(painter.render(pose))
            pending = ActionChunk(
                stamp_ns=frame_ns,
                dt_ns=spec.dt_ns,
                values=policy.infer({camera.name: image.reshape(camera.shape)}).values,
                names=spec.action_names,
                kinds=spec.action_kinds,
                sequence=sequence,
                received_ns=now_ns + round(latency_s * 1e9),
            )
            sequence += 1
            next_start_ns = now_ns + round(1e9 / POLICY_HZ)
        answer = timeline.at(now_ns)
        if isinstance(answer, Hole):
            command = limiter.brake()
        else:
            command = limiter.step_velocity([float(answer.values[i]) for i in order])
        sim.command(*command.velocity)
        sim.step(tick_ns * 1e-9)
        worst = max(worst, abs(sim.offset))
        if sim.left_lane or sim.success():
            break
    return Round(
        seed=seed,
        success=sim.success(),
        laps=sim.laps,
        worst_offset_m=worst,
        duration_s=sim.time_s,
    )
