# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials of any policy of the simulated arm, under the conditions that fit its family.

`bc trials` runs them from the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bc_runtime.policy import Policy
from bc_runtime.spec import BcError, RobotConfig
from bc_runtime.spec.errors import available
from bc_runtime.training.deployment_model import Conditions, DeploymentModel, TrialResult

#: Scenes from here on are never demonstrated (see `Recipe.first_scene`).
FIRST_UNSEEN: Final = 10_000

_RECEDING: Final = MappingProxyType({'n_action_steps': 6, 'overrun_steps': 3})
_ENSEMBLE: Final = MappingProxyType({'coeff': 0.01})

#: What policies are tried under, by name. The latency from observation to command is 50 to 60 ms
#: unless the name says more.
CONDITIONS: Final[Mapping[str, Conditions]] = MappingProxyType(
    {
        # A chunk's first 6 steps, three more if the next one is late: one inference in 0.4 s.
        'receding_6': Conditions(strategy='receding_horizon', options=_RECEDING, inference_hz=2.5),
        'receding_6_no_delay': Conditions(
            strategy='receding_horizon',
            options=_RECEDING,
            latency_s=0.0,
            jitter_s=0.0,
            inference_hz=2.5,
        ),
        # The same times for a policy of 50 Hz.
        'receding_20': Conditions(
            strategy='receding_horizon',
            options=MappingProxyType({'n_action_steps': 20, 'overrun_steps': 10}),
            inference_hz=2.5,
        ),
        # The newest chunk, one at every policy step.
        'newest': Conditions(strategy='latest', options={}),
        # The newest chunk, one at every frame of the cameras.
        'newest_30hz': Conditions(strategy='latest', options={}, inference_hz=30.0),
        'ensemble': Conditions(options=_ENSEMBLE),
        'ensemble_30hz': Conditions(options=_ENSEMBLE, latency_s=0.03, inference_hz=30.0),
        # As in the graph: a fast machine, a chunk from every observation of a 50 Hz policy.
        'ensemble_50hz': Conditions(
            options=_ENSEMBLE, latency_s=0.015, jitter_s=0.005, inference_hz=50.0
        ),
        'ensemble_80ms_skewed': Conditions(
            options=_ENSEMBLE, latency_s=0.08, jitter_s=0.03, skew_s=0.033
        ),
        'ensemble_150ms': Conditions(options=_ENSEMBLE, latency_s=0.15, jitter_s=0.05),
    }
)

#: The first is how the family is meant to be deployed. A recurrent policy counts its steps by
#: inferences, so that it has to be asked at the policy's rate, no slower and no faster.
CONDITIONS_OF: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        'act': ('receding_6', 'newest', 'ensemble', 'ensemble_30hz'),
        'chunk': ('receding_6', 'newest', 'ensemble', 'ensemble_30hz'),
        'diffusion': ('receding_6', 'newest'),
        'flow': ('receding_6', 'newest'),
        'mlp': ('newest', 'newest_30hz'),
        'rt1': ('newest', 'newest_30hz'),
        'gmm': ('newest',),
    }
)
# ACT as published: 100 steps at 50 Hz.
_ACT_HZ: Final = 50.0
_ACT_CONDITIONS: Final = ('ensemble', 'ensemble_50hz', 'receding_20', 'newest')


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Trials under one set of conditions."""

    conditions: str
    trials: tuple[TrialResult, ...]

    @property
    def successes(self) -> int:
        """Trials in which the task was done and no other cube was touched wrongly."""
        return sum(trial.success for trial in self.trials)

    @property
    def wrong_cubes(self) -> int:
        """Trials in which another cube was lifted or put in the tray."""
        return sum(trial.wrong_cube for trial in self.trials)


def conditions_for(policy: Policy) -> tuple[str, ...]:
    """Return the names of the conditions that fit a policy's family.

    Raises:
        BcError: The family is not one of the simulated arm's.
    """
    family = policy.spec.family
    if family == 'act' and policy.spec.control_hz == _ACT_HZ:
        return _ACT_CONDITIONS
    if family not in CONDITIONS_OF:
        raise BcError(
            f'there are no trials for policies of the family {family!r}; '
            f'families: {available(CONDITIONS_OF)}'
        )
    return CONDITIONS_OF[family]


def run_trials(
    policy: Policy,
    *,
    robot: RobotConfig,
    conditions: str,
    scenes: Sequence[int],
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Try a policy in scenes, its noise seeded and its hidden state reset with each.

    Args:
        policy: Of the simulated arm.
        robot: Gives the limits.
        conditions: A name of `CONDITIONS`.
        scenes: Seeds.
        say: Takes a line after each trial.

    Raises:
        BcError: There are no such conditions; lists those that exist.
    """
    if conditions not in CONDITIONS:
        raise BcError(f'unknown conditions {conditions!r}; available: {available(CONDITIONS)}')
    model = DeploymentModel(
        spec=policy.spec,
        infer=lambda tensors: policy.infer(tensors).values,
        robot=robot,
        conditions=CONDITIONS[conditions],
    )
    trials = []
    for scene in scenes:
        policy.reset(seed=scene)
        trials.append(model.run(scene))
        done = sum(trial.success for trial in trials)
        say(f'  {conditions} scene {scene}: {done} of {len(trials)}')
    return Outcome(conditions=conditions, trials=tuple(trials))
