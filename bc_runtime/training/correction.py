# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DAgger: let the policy act, and write down what the expert would do from where it gets to.

Ross, Gordon and Bagnell, 'A Reduction of Imitation Learning and Structured Prediction to No-Regret
Online Learning', AISTATS 2011. The policy acts in the deployment model, under the delays and the
limits that it will be deployed with; what it meets there - a cube it has turned, a grasp that it
missed - no demonstration shows. The expert is asked for a whole chunk: from every observation a
copy of the simulation goes on under the expert, and its commands are the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy import Policy
from bc_runtime.sim import task
from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.demonstrations import drive
from bc_runtime.sim.expert import Expert
from bc_runtime.spec import RobotConfig
from bc_runtime.training.deployment_model import Conditions, DeploymentModel, Visit
from bc_runtime.training.limited import Follower
from bc_runtime.training.samples import Samples

# The arm cannot pick a cube that was pushed farther away than this from its base, m.
_REACH_M = 0.43
_TRIALS_PER_LINE = 10


class ExpertChunks:
    """What the expert would do from a state of the robot.

    Args:
        robot: Gives the limits under which the expert's commands are carried out.
        chunk_size: Length of a chunk, policy steps.
    """

    def __init__(self, robot: RobotConfig, chunk_size: int) -> None:
        self._follower = Follower(robot)
        self._chunk_size = chunk_size
        self._sim = ArmSim()
        self._expert = Expert(self._sim)

    def chunk(self, visit: Visit) -> NDArray[np.float32] | None:
        """Return the expert's commands (chunk_size, 7) from an observation's time on.

        Element 0 is the command that is held at that time. None if there is nothing to show: the
        cube is out of reach.
        """
        sim = self._sim
        sim.restore(visit.state)
        cube = sim.cube_position(sim.scene.target)
        if np.hypot(*cube[:2]) > _REACH_M or cube[2] < 0.0:
            return None
        follow = self._follower(sim, visit.velocity)
        commands = [sim.setpoint]
        for _ in range(self._chunk_size - 1):
            commands.append(self._expert.act())
            drive(sim, step=0, start=commands[-2], end=commands[-1], follow=follow)
        return np.asarray(commands, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """What one round of trials gave.

    Attributes:
        samples: Observations with the expert's chunks.
        successes: Trials in which the policy did the task.
        trials: Trials in all.
    """

    samples: Samples
    successes: int
    trials: int

    def counts(self) -> dict[str, int]:
        """Return the numbers that are kept with a policy."""
        return {
            'trials': self.trials,
            'successes': self.successes,
            'observations': len(self.samples),
        }


def correct(
    policy: Policy,
    *,
    robot: RobotConfig,
    scenes: Sequence[int],
    conditions: Sequence[Conditions],
    say: Callable[[str], None],
) -> Corrections:
    """Let a policy act in scenes and label what it observed.

    Args:
        policy: Of the simulated arm.
        robot: Gives the limits.
        scenes: Seeds, one trial each.
        conditions: Taken in turn.
        say: Takes lines of progress.
    """
    spec = policy.spec
    expert = ExpertChunks(robot, spec.chunk_size)
    seen: list[Visit] = []
    chunks: list[NDArray[np.float32]] = []

    def visited(visit: Visit) -> None:
        chunk = expert.chunk(visit)
        if chunk is not None:
            seen.append(visit)
            chunks.append(chunk)

    models = [
        DeploymentModel(
            spec=spec,
            infer=lambda tensors: policy.infer(tensors).values,
            robot=robot,
            conditions=each,
            visited=visited,
        )
        for each in conditions
    ]
    successes = 0
    for index, scene in enumerate(scenes):
        successes += models[index % len(models)].run(scene).success
        if (index + 1) % _TRIALS_PER_LINE == 0 or index + 1 == len(scenes):
            say(
                f'  {index + 1}/{len(scenes)} trials, {successes} successes, '
                f'{len(chunks)} observations'
            )
    return Corrections(samples=_samples(seen, chunks), successes=successes, trials=len(scenes))


def _samples(seen: Sequence[Visit], chunks: Sequence[NDArray[np.float32]]) -> Samples:
    actions = np.stack(chunks)
    colours = [task.COLOURS.index(visit.state.scene.target) for visit in seen]
    return Samples(
        images={
            camera: np.concatenate(
                [np.asarray(visit.tensors[f'image_{camera}'], dtype=np.uint8) for visit in seen]
            )
            for camera in task.CAMERAS
        },
        state=np.stack([visit.joints for visit in seen]).astype(np.float32),
        instruction=np.eye(len(task.COLOURS), dtype=np.float32)[colours],
        actions=actions,
        weights=np.ones(actions.shape[:2], dtype=np.float32),
    )
