# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""From demonstrations to a verified policy file, in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.export.proof import Tensors
from bc_runtime.sim import task
from bc_runtime.training.checkpoint import Checkpoint, save_checkpoint
from bc_runtime.training.collection import demonstrations
from bc_runtime.training.demonstration_set import DemonstrationSet
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.sim_arm_act import NAME, make_spec
from bc_runtime.training.trainer import train

_COMPARED_OBSERVATIONS = 16


def train_policy(
    recipe: Recipe,
    *,
    out: Path,
    folder: Path,
    command: str,
    say: Callable[[str], None],
) -> ExportReport:
    """Collect demonstrations, train, keep a checkpoint and export.

    Args:
        recipe: How to train.
        out: The ONNX file.
        folder: Where demonstrations and the checkpoint are kept.
        command: What was typed, for the policy's source.
        say: Takes lines of progress.
    """
    data = demonstrations(
        episodes=recipe.episodes, first_scene=recipe.first_scene, folder=folder, say=say
    )
    result = train(data, recipe, say=say)
    say(f'trained in {result.cpu_s / 60:.1f} CPU minutes')
    spec = make_spec(
        chunk_size=recipe.chunk_size,
        training_ranges=data.ranges(),
        source={
            'command': command,
            'recipe': asdict(recipe),
            'demonstrations': {
                'episodes': len(data.lengths),
                'steps': len(data),
                'first_scene': int(data.seeds[0]),
                'last_scene': int(data.seeds[-1]),
            },
            'training': {
                'joint_loss': round(result.joint_loss, 5),
                'gripper_loss': round(result.gripper_loss, 5),
                'parameters': sum(p.numel() for p in result.policy.parameters()),
            },
            'trained_with': f'torch {torch.__version__.split("+")[0]}',
        },
    )
    checkpoint = Checkpoint(recipe=recipe, spec=spec, policy=result.policy)
    path = folder / f'{NAME}_{recipe.seed}.npz'
    save_checkpoint(checkpoint, path)
    say(f'checkpoint: {path}')
    report = export_module(result.policy, spec, out, observations=some_observations(data))
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
