# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A deployment in simulated time: the delays of cameras, inference and transport, without ROS.

The commands come from the stack's own timeline and limiter. What is modelled is only when things
happen: frames come at the camera's rate and reach the policy late, one inference at a time runs at
most so often, and its chunk is usable only after a latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import ActionChunk, Hole, Timeline, make_strategy
from bc_runtime.safety.limiter import Limiter
from bc_runtime.safety.limits import limits_of
from bc_runtime.sim import task
from bc_runtime.sim.arm import ArmSim, GeometrySnapshot, SimState
from bc_runtime.sim.demonstrations import DRIVER_HZ, shrink_image
from bc_runtime.sim.painter import Painter
from bc_runtime.spec import PolicySpec, RobotConfig

TICK_NS: Final = round(1e9 / DRIVER_HZ)
_SUCCESS_EVERY_TICKS: Final = 5

#: Sets the time of an observation; the other cameras' frames are of their own phases, as on a
#: robot whose cameras are not triggered together.
_REFERENCE_CAMERA: Final = task.CAMERAS[0]

#: Tensors of one observation -> chunk (chunk_size, 7).
ChunkFunction = Callable[[Mapping[str, NDArray[np.generic]]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """When things happen in a deployment.

    Attributes:
        strategy: Name for `execution.make_strategy`.
        options: Its options.
        latency_s: From the camera's frame to a usable chunk.
        jitter_s: Uniform addition to the latency, drawn for each inference.
        inference_hz: At most so many inferences per second; never two at a time.
        camera_hz: Frames per second; an observation is of the newest frame.
        skew_s: Uniform age of the images against the joint states, drawn for each inference.
        timeout_s: A trial ends here at the latest.
    """

    strategy: str = 'temporal_ensemble'
    options: Mapping[str, float]
    latency_s: float = 0.05
    jitter_s: float = 0.01
    inference_hz: float = 15.0
    camera_hz: float = 30.0
    skew_s: float = 0.0
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One observation, and how the robot was at its time.

    Attributes:
        tensors: As the policy gets them.
        joints: Measured positions, (7,).
        state: Of the simulation at the time of the observation.
        velocity: Of the command at that time, (7,).
    """

    tensors: Mapping[str, NDArray[np.generic]]
    joints: NDArray[np.float64]
    state: SimState
    velocity: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What one trial gave.

    Attributes:
        seed: Of the scene.
        instruction: What was asked for.
        success: Whether the named cube rests in the tray and no other was touched wrongly.
        wrong_cube: Whether another cube was lifted or put in the tray.
        duration_s: Simulated time until success or timeout.
        holes: Ticks without a plan after the first chunk.
        command: Of every tick, (ticks, 7) rad and m; not compared.
        measured: Joint positions at every tick, (ticks, 7) rad and m; not compared.
    """

    seed: int
    instruction: str
    success: bool
    wrong_cube: bool
    duration_s: float
    holes: int
    command: NDArray[np.float64] = field(compare=False, repr=False)
    measured: NDArray[np.float64] = field(compare=False, repr=False)


class DeploymentModel:
    """Runs trials of one policy under given conditions.

    Args:
        spec: Of the policy.
        infer: The policy.
        robot: Gives the limits.
        conditions: When things happen.
        visited: Is told of an observation at every policy step, asked for or not.
    """

    def __init__(
        self,
        *,
        spec: PolicySpec,
        infer: ChunkFunction,
        robot: RobotConfig,
        conditions: Conditions,
        visited: Callable[[Visit], None] | None = None,
    ) -> None:
        self._spec = spec
        self._infer = infer
        self._limits = limits_of(robot.joints)
        self._conditions = conditions
        self._visited = visited
        self._sim = ArmSim()
        self._painter = Painter(self._sim.model)

    def run(self, seed: int) -> TrialResult:
        """Run the scene of a seed to its end."""
        conditions, sim = self._conditions, self._sim
        scene = sim.reset(seed)
        rng = np.random.default_rng((seed, 2))
        timeline = Timeline(make_strategy(conditions.strategy, dict(conditions.options)))
        limiter = Limiter(self._limits, TICK_NS * 1e-9)
        limiter.seed([float(v) for v in sim.setpoint])
        frame_ns = round(1e9 / conditions.camera_hz)
        # Frames have any phase against the control ticks, as on a robot.
        phases = {camera: rng.random() for camera in task.CAMERAS}
        sensors = _Sensors(sim, self._painter, frame_ns=frame_ns, phases=phases)
        pending: ActionChunk | None = None
        commands: list[Sequence[float]] = []
        measured: list[NDArray[np.float64]] = []
        next_start_ns, next_visit_ns, sequence, holes, success = 0, 0, 0, 0, False
        for tick in range(round(conditions.timeout_s * DRIVER_HZ)):
            now_ns = tick * TICK_NS
            sensors.tick(now_ns, limiter.velocity)
            if pending is not None and now_ns >= pending.received_ns:
                timeline.add(pending)
                pending = None
            if pending is None and now_ns >= next_start_ns and sensors.ready:
                seen = sensors.observe(skew_ns=round(rng.random() * conditions.skew_s * 1e9))
                latency_s = conditions.latency_s + rng.random() * conditions.jitter_s
                pending = self._chunk(
                    seen,
                    instruction=scene.instruction,
                    received_ns=now_ns + round(latency_s * 1e9),
                    sequence=sequence,
                )
                sequence += 1
                next_start_ns = now_ns + round(1e9 / conditions.inference_hz)
            if self._visited is not None and now_ns >= next_visit_ns and sensors.ready:
                self._visited(self._visit(sensors.observe(), scene.instruction))
                next_visit_ns += self._spec.dt_ns
            answer = timeline.at(now_ns)
            if isinstance(answer, Hole):
                holes += len(timeline) > 0
                command = limiter.brake()
            else:
                command = limiter.step(
                    [float(v) for v in answer.values], [float(v) for v in answer.velocities]
                )
            commands.append(command.position)
            measured.append(sim.joint_positions)
            sim.command(command.position)
            sim.step(TICK_NS * 1e-9)
            if tick % _SUCCESS_EVERY_TICKS == 0 and sim.success():
                success = True
                break
        return TrialResult(
            seed=seed,
            instruction=scene.instruction,
            success=success and not sim.wrong_cube(),
            wrong_cube=sim.wrong_cube(),
            duration_s=sim.time_s,
            holes=holes,
            command=np.array(commands),
            measured=np.array(measured),
        )

    def _chunk(
        self, seen: _Seen, *, instruction: str, received_ns: int, sequence: int
    ) -> ActionChunk:
        spec = self._spec
        return ActionChunk(
            stamp_ns=seen.stamp_ns,
            dt_ns=spec.dt_ns,
            values=self._infer(self._tensors(seen, instruction)),
            names=spec.action_names,
            kinds=spec.action_kinds,
            references=spec.action_references,
            stamp_index=spec.stamp_index,
            sequence=sequence,
            received_ns=received_ns,
        )

    def _tensors(self, seen: _Seen, instruction: str) -> dict[str, NDArray[np.generic]]:
        spec = self._spec
        tensors: dict[str, NDArray[np.generic]] = {}
        for state in spec.state_inputs:
            order = [task.JOINT_NAMES.index(name) for name in state.joints]
            tensors[state.name] = seen.joints[order].astype(np.float32).reshape(state.shape)
        for image in spec.image_inputs:
            tensors[image.name] = seen.images[image.camera].reshape(image.shape)
        for words in spec.instruction_inputs:
            row = np.asarray(words.encode(instruction), dtype=words.dtype)
            tensors[words.name] = row.reshape(words.shape)
        return tensors

    def _visit(self, seen: _Seen, instruction: str) -> Visit:
        return Visit(
            tensors=self._tensors(seen, instruction),
            joints=seen.joints,
            state=seen.state,
            velocity=seen.velocity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One observation: joints (7,) and reduced images by camera, at a stamp."""

    stamp_ns: int
    joints: NDArray[np.float64]
    images: Mapping[str, NDArray[np.uint8]]
    state: SimState
    velocity: tuple[float, ...]


class _Sensors:
    """Frames at the cameras' rate, each camera with a phase of its own, and joint states."""

    def __init__(
        self, sim: ArmSim, painter: Painter, *, frame_ns: int, phases: Mapping[str, float]
    ) -> None:
        self._sim = sim
        self._painter = painter
        self._frame_ns = frame_ns
        self._next_ns = {camera: round(phase * frame_ns) for camera, phase in phases.items()}
        self._newest: dict[str, GeometrySnapshot] = {}
        self._frames: Mapping[str, GeometrySnapshot] = {}
        self._joints: list[tuple[int, NDArray[np.float64]]] = []
        self._state = sim.state()
        self._velocity: tuple[float, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a frame of every camera has come."""
        return bool(self._frames)

    def tick(self, now_ns: int, velocity: tuple[float, ...]) -> None:
        """Measure.

        Args:
            now_ns: Time since the scene's start.
            velocity: Of the last command, (7,).
        """
        for camera, due_ns in self._next_ns.items():
            if now_ns >= due_ns:
                self._newest[camera] = self._sim.snapshot()
                self._next_ns[camera] += self._frame_ns
                if camera == _REFERENCE_CAMERA:
                    self._joints = []
                    self._state, self._velocity = self._sim.state(), velocity
        if not self._joints and len(self._newest) == len(self._next_ns):
            self._frames = dict(self._newest)
        self._joints.append((now_ns, self._sim.joint_positions))

    def observe(self, *, skew_ns: int = 0) -> _Seen:
        """Return the newest reference frame with what the others had shown by then.

        The joints are those of `skew_ns` later, as far as known.
        """
        images = {
            camera: shrink_image(self._painter.render(self._frames[camera], camera))
            for camera in task.CAMERAS
        }
        stamp_ns, joints = self._joints[min(skew_ns // TICK_NS, len(self._joints) - 1)]
        return _Seen(
            stamp_ns=stamp_ns,
            joints=joints,
            images=images,
            state=self._state,
            velocity=self._velocity,
        )
