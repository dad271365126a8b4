# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials of a policy on unseen scenes, under several delays and strategies.

A validation loss says little about a policy that acts on its own errors; what counts is how often
the task is done. `python -m bc_runtime.training.evaluate --model models/sim_arm_act.onnx`
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import sys
from types import MappingProxyType
from typing import Final

from bc_runtime.policy import Policy, load_policy
from bc_runtime.resources import robot_file
from bc_runtime.spec import BcError, RobotConfig
from bc_runtime.spec.errors import available
from bc_runtime.training.deployment_model import Conditions, DeploymentModel, TrialResult

#: Scenes from here on are never demonstrated (see `Recipe.first_scene`).
FIRST_UNSEEN_SCENE: Final = 10_000

_ENSEMBLE: Final = {'coeff': 0.01}

#: What a policy is tried under, by name.
CONDITIONS: Final[Mapping[str, Conditions]] = MappingProxyType(
    {
        'ensemble_50ms': Conditions(options=_ENSEMBLE),
        'ensemble_30ms_30hz': Conditions(options=_ENSEMBLE, latency_s=0.03, inference_hz=30.0),
        'ensemble_80ms_skewed': Conditions(
            options=_ENSEMBLE, latency_s=0.08, jitter_s=0.03, skew_s=0.033
        ),
        'ensemble_150ms': Conditions(options=_ENSEMBLE, latency_s=0.15, jitter_s=0.05),
        'latest_50ms': Conditions(strategy='latest', options={}),
        'receding_6_no_delay': Conditions(
            strategy='receding_horizon',
            options={'n_action_steps': 6, 'overrun_steps': 3},
            latency_s=0.0,
            jitter_s=0.0,
            inference_hz=2.5,
        ),
        'receding_6_50ms': Conditions(
            strategy='receding_horizon',
            options={'n_action_steps': 6, 'overrun_steps': 3},
            inference_hz=2.5,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Trials under one set of conditions."""

    name: str
    trials: tuple[TrialResult, ...]

    @property
    def successes(self) -> int:
        """Number of trials in which the task was done and no other cube touched wrongly."""
        return sum(trial.success for trial in self.trials)

    @property
    def wrong_cubes(self) -> int:
        """Number of trials in which another cube was lifted or put in the tray."""
        return sum(trial.wrong_cube for trial in self.trials)

    def __str__(self) -> str:
        failed = ' '.join(str(trial.seed) for trial in self.trials if not trial.success)
        durations = sorted(trial.duration_s for trial in self.trials if trial.success)
        median = f'{durations[len(durations) // 2]:.1f}' if durations else '-'
        return (
            f'{self.name}: {self.successes}/{len(self.trials)} successes, '
            f'{self.wrong_cubes} wrong cube, median {median} s, '
            f'{sum(trial.holes for trial in self.trials)} holes'
            + (f'; failed scenes: {failed}' if failed else '')
        )


def evaluate(
    policy: Policy,
    *,
    robot: RobotConfig,
    names: Sequence[str],
    episodes: int,
    first_scene: int = FIRST_UNSEEN_SCENE,
    say: Callable[[str], None],
) -> list[Score]:
    """Run trials on the scenes `first_scene` ... under each named set of conditions.

    Raises:
        BcError: There are no such conditions; lists those that exist.
    """
    unknown = [name for name in names if name not in CONDITIONS]
    if unknown:
        raise BcError(
            f'unknown conditions {available(unknown)}; available: {available(CONDITIONS)}'
        )
    scores = []
    for name in names:
        model = DeploymentModel(
            spec=policy.spec,
            infer=lambda tensors: policy.infer(tensors).values,
            robot=robot,
            conditions=CONDITIONS[name],
        )
        trials = [model.run(seed) for seed in range(first_scene, first_scene + episodes)]
        score = Score(name=name, trials=tuple(trials))
        say(str(score))
        scores.append(score)
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate a model from the command line."""
    parser = argparse.ArgumentParser(description='Closed-loop trials of a policy, without ROS.')
    parser.add_argument('--model', default='models/sim_arm_act.onnx', help='policy file')
    parser.add_argument('--episodes', type=int, default=50, help='scenes per set of conditions')
    parser.add_argument('--first-scene', type=int, default=FIRST_UNSEEN_SCENE)
    parser.add_argument(
        '--conditions', nargs='+', default=list(CONDITIONS), help='default: all of them'
    )
    arguments = parser.parse_args(argv)
    try:
        policy = load_policy(Path(arguments.model), threads=1)
        evaluate(
            policy,
            robot=RobotConfig.from_file(robot_file('sim_arm')),
            names=arguments.conditions,
            episodes=arguments.episodes,
            first_scene=arguments.first_scene,
            say=lambda line: print(line, flush=True),
        )
    except BcError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
