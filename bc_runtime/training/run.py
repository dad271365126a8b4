# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""From demonstrations and corrections to a verified policy file, in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.export.proof import Tensors
from bc_runtime.policy import load_policy
from bc_runtime.sim import task
from bc_runtime.spec import RobotConfig
from bc_runtime.training.checkpoint import Checkpoint, save_checkpoint
from bc_runtime.training.collection import demonstrations
from bc_runtime.training.correction import correct
from bc_runtime.training.demonstration_set import DemonstrationSet
from bc_runtime.training.deployment_model import Conditions
from bc_runtime.training.network import ChunkPolicy
from bc_runtime.training.optimiser import Trained
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.samples import SamplePool, Samples
from bc_runtime.training.sim_arm import NAME, make_spec
from bc_runtime.training.trainer import train, train_further

_COMPARED_OBSERVATIONS = 16
_ROUND_SEEDS = 1000
_CORRECTED_S = 14.0

#: What the policy acts under while it is corrected: every way of executing chunks leads elsewhere,
#: and delays from a fast to a slow machine.
CORRECTED = (
    Conditions(
        strategy='receding_horizon',
        options={'n_action_steps': 6, 'overrun_steps': 3},
        latency_s=0.03,
        jitter_s=0.05,
        inference_hz=2.5,
        timeout_s=_CORRECTED_S,
    ),
    Conditions(
        strategy='latest', options={}, latency_s=0.03, jitter_s=0.05, timeout_s=_CORRECTED_S
    ),
    Conditions(options={'coeff': 0.01}, latency_s=0.03, jitter_s=0.05, timeout_s=_CORRECTED_S),
)


def train_policy(
    recipe: Recipe,
    *,
    robot: RobotConfig,
    out: Path,
    folder: Path,
    say: Callable[[str], None],
) -> ExportReport:
    """Collect demonstrations, train, let the expert correct the policy, and export.

    The policy of every round but the last is left in the folder, complete, as if there had been
    no further round.

    Args:
        recipe: How to train.
        robot: Gives the limits of all motion.
        out: The ONNX file.
        folder: Where demonstrations, corrections and checkpoints are kept.
        say: Takes lines of progress.
    """
    data = demonstrations(
        episodes=recipe.episodes,
        first_scene=recipe.first_scene,
        robot=robot,
        folder=folder,
        say=say,
    )
    course = _Course(data=data, samples=[data.samples(recipe.chunk_size)], rounds=[])
    result = train(data, recipe, say=say)
    report = _finish(result, course, recipe, out=out, folder=folder, say=say)
    for number in range(1, recipe.rounds + 1):
        first = recipe.first_trial + (number - 1) * recipe.round_trials
        say(f'round {number}: the policy acts, the expert corrects, from scene {first} on')
        corrections = correct(
            load_policy(report.path, threads=1),
            robot=robot,
            scenes=range(first, first + recipe.round_trials),
            conditions=CORRECTED,
            say=say,
        )
        corrections.samples.save(folder / f'{NAME}_{recipe.seed}_round_{number}.npz')
        course.samples.append(corrections.samples)
        course.rounds.append(corrections.counts())
        result = train_further(
            result.network,
            SamplePool(course.samples),
            recipe,
            seed=recipe.seed + number * _ROUND_SEEDS,
            steps=recipe.round_steps,
            rate=recipe.learning_rate / 2,
            say=say,
        )
        report = _finish(result, course, recipe, out=out, folder=folder, say=say)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What was learned from so far."""

    data: DemonstrationSet
    samples: list[Samples]
    rounds: list[dict[str, int]]


def _finish(
    result: Trained[ChunkPolicy],
    course: _Course,
    recipe: Recipe,
    *,
    out: Path,
    folder: Path,
    say: Callable[[str], None],
) -> ExportReport:
    """Keep a checkpoint of a round and export it, to `out` if it is the last."""
    number, data = len(course.rounds), course.data
    last = number == recipe.rounds
    recipe = replace(recipe, rounds=number)
    spec = make_spec(
        chunk_size=recipe.chunk_size,
        training_ranges=SamplePool(course.samples).ranges(),
        source={
            'command': recipe.command(NAME),
            'recipe': asdict(recipe),
            'demonstrations': {
                'episodes': len(data.lengths),
                'steps': len(data),
                'first_scene': int(data.seeds[0]),
                'last_scene': int(data.seeds[-1]),
            },
            'rounds': course.rounds,
            'training': {
                'joint_loss': round(result.losses['joints'], 5),
                'gripper_loss': round(result.losses['gripper'], 5),
                'parameters': sum(p.numel() for p in result.network.parameters()),
            },
            'trained_with': f'torch {torch.__version__.split("+")[0]}',
        },
    )
    kept = folder / f'{NAME}_{recipe.seed}_after_round_{number}'
    path = kept.with_suffix('.npz')
    save_checkpoint(Checkpoint(recipe=recipe, spec=spec, policy=result.network), path)
    say(f'checkpoint: {path}')
    report = export_module(
        result.network,
        spec,
        out if last else kept.with_suffix('.onnx'),
        observations=some_observations(data),
    )
    say(
        f'exported: {report.path} ({report.size_bytes / 1e6:.2f} MB, {report.nodes} nodes, '
        f'torch and ONNX Runtime agree to {report.max_abs_error:.1e})'
    )
    return report


def some_observations(data: DemonstrationSet) -> list[Tensors]:
    """Return demonstrated observations spread over the set, as tensors of the graph."""
    instructions = data.instructions()
    steps = np.linspace(0, len(data) - 1, min(_COMPARED_OBSERVATIONS, len(data))).astype(int)
    return [
        {
            'state': data.state[step][None],
            **{f'image_{c}': data.images[c][step][None] for c in task.CAMERAS},
            'instruction': instructions[step][None],
        }
        for step in steps
    ]
