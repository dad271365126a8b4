# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Success of the execution strategies under inference delay, on the simulated arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bc_runtime.policy import Policy
from bc_runtime.spec import RobotConfig
from bc_runtime.training.claims.result import Claim, Count
from bc_runtime.training.deployment_model import Conditions, DeploymentModel

DELAYS_S: Final = (0.05, 0.2, 0.4)
_JITTER_S: Final = 0.01
_FIRST_SCENE: Final = 20_000

#: Strategy by name, its options (a receding horizon executes as many steps as the policy says),
#: inferences per second.
_STRATEGIES: Final[Mapping[str, tuple[str, Mapping[str, float], float]]] = MappingProxyType(
    {
        'newest chunk': ('latest', {}, 15.0),
        'receding horizon, 0.4 s': ('receding_horizon', {}, 2.5),
        'temporal ensembling, 0.01': ('temporal_ensemble', {'coeff': 0.01}, 15.0),
        'weighted average, 0.3': ('weighted_average', {'old_share': 0.3}, 15.0),
        'real-time chunking, blend': ('real_time_chunking', {'execution_horizon': 1}, 15.0),
    }
)


def strategies_under_delay(
    policy: Policy, *, robot: RobotConfig, trials: int, say: Callable[[str], None]
) -> Claim:
    """Try every strategy under every delay on the same scenes.

    Args:
        policy: A chunking policy of the simulated arm.
        robot: Gives the limits.
        trials: Scenes per cell.
        say: Takes a line per cell.
    """
    steps = policy.spec.n_action_steps
    counts: dict[str, tuple[Count, ...]] = {}
    for name, (strategy, options, rate) in _STRATEGIES.items():
        if strategy == 'receding_horizon':
            options = {'n_action_steps': steps, 'overrun_steps': steps}
        row = []
        for delay in DELAYS_S:
            model = DeploymentModel(
                spec=policy.spec,
                infer=lambda tensors: policy.infer(tensors).values,
                robot=robot,
                conditions=Conditions(
                    strategy=strategy,
                    options=options,
                    latency_s=delay,
                    jitter_s=_JITTER_S,
                    inference_hz=rate,
                ),
            )
            done = 0
            for scene in range(_FIRST_SCENE, _FIRST_SCENE + trials):
                policy.reset(seed=scene)
                done += model.run(scene).success
            say(f'  {name}, {delay * 1e3:g} ms: {done} of {trials}')
            row.append(Count(successes=done, trials=trials))
        counts[name] = tuple(row)
    return Claim(
        key=f'delay_{policy.spec.family}',
        title=f'Strategies under inference delay: {policy.spec.name}',
        claim='Averaging overlapping chunks makes motion smoother and success higher (Zhao et '
        'al., RSS 2023), but fails under delay, where continuing the running chunk holds up '
        '(Black et al., "Real-time execution of action chunking flow policies", 2025).',
        setting=f'{policy.spec.name} in the deployment model, {trials} unseen scenes in each '
        'cell, the same in all. The policy does not take the committed actions, so real-time '
        "chunking is the timeline's soft-mask blend. The next inference begins when one has come.",
        variable='from observation to usable chunk, s',
        columns=DELAYS_S,
        counts=MappingProxyType(counts),
        values=MappingProxyType({}),
    )
