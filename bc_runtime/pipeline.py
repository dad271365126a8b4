# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pipeline: the whole loop in one process with an injected clock.

The same objects as in the nodes - assembler, inference loop, control loop - with the caller's time
instead of a clock and a chosen delay instead of a network. For tests, replay, benchmarks and
evaluation: a run depends on what is pushed and on nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
import math

import numpy as np
from numpy.typing import ArrayLike

from bc_runtime.binding import check_binding
from bc_runtime.control import ControlLoop, ControlOptions, TickResult
from bc_runtime.execution import ActionChunk, CommittedPrefix
from bc_runtime.inference_loop import InferenceLoop, PolicyInputs, TriggerOptions
from bc_runtime.observation import CompressedImage, Observation, ObservationAssembler, RawImage
from bc_runtime.policy import Policy, PolicySlot, accepts_prefix
from bc_runtime.safety import Event
from bc_runtime.spec import ExecutionError, RobotConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Options of a pipeline.

    Attributes:
        delay_s: From an observation's stamp until its chunk is at the controller [s]; a number or
            a function of the inference's index.
        observation_hz: Highest rate of observations; 0: the policy's rate.
        seed: Seed of the sampling noise.
    """

    control: ControlOptions = field(default_factory=ControlOptions)
    trigger: TriggerOptions = field(default_factory=TriggerOptions)
    delay_s: float | Callable[[int], float] = 0.03
    observation_hz: float = 0.0
    seed: int = 0


class Pipeline:
    """One policy on one robot, driven by `tick(t_ns)`.

    Push sensor samples as they come (stamps and ticks on one time axis), and call `tick` for every
    control period; its result holds the command for that tick.
    """

    def __init__(
        self, policy: Policy, robot: RobotConfig, options: PipelineOptions | None = None
    ) -> None:
        """Make a pipeline that is ready to start.

        Raises:
            BindingError: policy and robot do not fit together.
        """
        check_binding(policy.spec, robot)
        self.options = options or PipelineOptions()
        self.policy = policy
        self.robot = robot
        self.control = ControlLoop(robot, self.options.control)
        self.assembler = ObservationAssembler(spec=policy.spec, robot=robot)
        self.observation: Observation | None = None
        self._slot = PolicySlot()
        self._slot.load(lambda: policy, requested=policy.spec.name)
        self._slot.wait()
        self._inference = InferenceLoop(self._slot, self.options.trigger)
        self.control.set_policy(policy.policy_id, policy.spec)
        self.control.post(Event.CONFIGURED)
        self.control.post(Event.ACTIVATE)
        rate = self.options.observation_hz or policy.spec.control_hz
        self._period_ns = round(1e9 / rate)
        self._due_ns: int | None = None
        self._observations = 0
        self._under_way: deque[tuple[int, ActionChunk]] = deque()
        self._inferences = 0
        self._epoch = 0

    def close(self) -> None:
        """Let go of the policy."""
        self._slot.close()

    # Sensors ----------------------------------------------------------------------------------

    def push_joint_state(
        self, t_ns: int, names: Sequence[str], position: Sequence[float], velocity: ArrayLike = ()
    ) -> None:
        """Take a joint state measured at a time [ns]."""
        self.assembler.push_joint_state(
            stamp_ns=t_ns, arrival_ns=t_ns, names=names, position=position, velocity=velocity
        )
        stamp_ns = t_ns if self.robot.joint_states.clock == 'header' else 0
        self.control.on_joint_state(
            names,
            position,
            np.asarray(velocity, dtype=np.float64).tolist(),
            arrival_ns=t_ns,
            ros_ns=t_ns,
            stamp_ns=stamp_ns,
        )

    def push_image(self, t_ns: int, camera: str, image: RawImage | CompressedImage) -> None:
        """Take a picture made at a time [ns]."""
        self.assembler.push_image(camera, stamp_ns=t_ns, arrival_ns=t_ns, image=image)

    def set_instruction(self, text: str) -> None:
        """Take an instruction; see `ObservationAssembler.set_instruction`."""
        self.assembler.set_instruction(text)

    # Operator ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for motion; the next tick decides.

        Raises:
            ExecutionError: at that tick, with the reasons.
        """
        self.control.post(Event.START, _insist)

    def stop(self) -> None:
        """Ask the robot to come to rest."""
        self.control.post(Event.STOP)

    # Time -------------------------------------------------------------------------------------

    def tick(self, t_ns: int) -> TickResult:
        """Do what is due until now and return this control tick."""
        self._deliver(t_ns)
        self._observe(t_ns)
        self._infer(t_ns)
        self._deliver(t_ns)
        result = self.control.tick(mono_ns=t_ns, ros_ns=t_ns)
        self._epoch = result.epoch
        self._inference.on_execution_state(
            epoch=result.epoch,
            accepting=result.accepting,
            remaining_s=result.remaining_s,
            committed=self._committed(t_ns),
            seed=self.options.seed,
        )
        return result

    def _committed(self, t_ns: int) -> CommittedPrefix | None:
        spec = self.policy.spec
        if not accepts_prefix(spec):
            return None
        return self.control.plan.committed(t_ns, dt_ns=spec.dt_ns, steps=spec.chunk_size)

    def _observe(self, t_ns: int) -> None:
        stamp_ns = self.assembler.reference_time()
        if stamp_ns is None or (self._due_ns is not None and stamp_ns < self._due_ns):
            return
        due_ns = stamp_ns if self._due_ns is None else self._due_ns
        self._due_ns = max(due_ns + self._period_ns, stamp_ns + self._period_ns // 2)
        observation = self.assembler.assemble(stamp_ns, now_ns=t_ns, now_mono_ns=t_ns)
        self.observation = observation
        self._observations += 1
        self.control.on_observation(
            valid=observation.valid,
            reasons=[str(reason) for reason in observation.reasons],
            arrival_ns=t_ns,
            streams={report.name: report.reason for report in observation.streams},
            ages_s={
                report.name: math.nan if report.age_ns is None else report.age_ns * 1e-9
                for report in observation.streams
            },
        )
        if observation.valid:
            self._inference.on_observation(
                PolicyInputs(
                    stamp_ns=stamp_ns,
                    sequence=self._observations,
                    epoch=self._epoch,
                    policy_id=self.policy.policy_id,
                    tensors=observation.tensors,
                    anchor=observation.anchor,
                )
            )

    def _infer(self, t_ns: int) -> None:
        if self._under_way:
            return
        inputs = self._inference.take(now_ns=t_ns)
        if inputs is None:
            return
        result = self._inference.infer(inputs)
        delay = self.options.delay_s
        delay_s = delay(self._inferences) if callable(delay) else delay
        self._inferences += 1
        if not (math.isfinite(delay_s) and delay_s >= 0.0):
            raise ExecutionError(f'expected a delay of at least 0 s, got {delay_s}')
        arrival_ns = max(t_ns, inputs.stamp_ns + round(delay_s * 1e9))
        self._under_way.append((arrival_ns, replace(result.chunk, received_ns=arrival_ns)))

    def _deliver(self, t_ns: int) -> None:
        while self._under_way and self._under_way[0][0] <= t_ns:
            arrival_ns, chunk = self._under_way.popleft()
            self._inference.delivered(now_ns=arrival_ns)
            self.control.on_chunk(chunk)


def _insist(accepted: bool, text: str) -> None:
    if not accepted:
        raise ExecutionError(f'the robot may not start: {text}')
