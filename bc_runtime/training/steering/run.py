# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations, training and export of the steering policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
import time

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.sim.car import AXES, CarSim
from bc_runtime.sim.car_expert import IMAGE_HEIGHT, IMAGE_WIDTH, record_drive
from bc_runtime.spec import TrainingRange
from bc_runtime.training.optimiser import OptimiserSettings, Trained, optimise, seed_torch
from bc_runtime.training.steering.contract import CAMERA, ROWS, steering_spec
from bc_runtime.training.steering.network import SteeringPolicy

_WEIGHT_DECAY = 0.01
_COMPARED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringRecipe:
    """How the steering policy is trained; equal recipes give equal weights on one machine.

    Attributes:
        seed: Of the weights, the batches and the augmentation.
        first_track: Seed of the first demonstrated track; the next drives count up from it.
        drives: Tracks that the expert drives on.
        steps_per_drive: Recorded policy steps of a drive.
        steps: Optimiser steps.
        batch: Pictures per step.
        learning_rate: Peak of the schedule (half a cosine to zero).
        brightness: Pictures are scaled by a factor within 1 +- this.
    """

    seed: int = 0
    first_track: int = 100_000
    drives: int = 40
    steps_per_drive: int = 300
    steps: int = 3000
    batch: int = 64
    learning_rate: float = 1e-3
    brightness: float = 0.15


def train_steering(
    recipe: SteeringRecipe,
    *,
    out: Path,
    command: str,
    say: Callable[[str], None],
) -> ExportReport:
    """Let the expert drive, train on what it did, and export.

    Args:
        recipe: Everything that may be chosen.
        out: The ONNX file.
        command: What was typed, for the policy's source.
        say: Takes lines of progress.
    """
    begin = time.process_time()
    sim = CarSim()
    drives = [
        record_drive(sim, seed, steps=recipe.steps_per_drive)
        for seed in range(recipe.first_track, recipe.first_track + recipe.drives)
    ]
    images = np.concatenate([drive.images for drive in drives])
    actions = np.concatenate([drive.action for drive in drives])
    say(f'{len(actions)} steps of {len(drives)} drives, {time.process_time() - begin:.0f} CPU s')
    result = _train(images, actions, recipe, say=say)
    spec = steering_spec(
        training_ranges=_ranges(actions),
        source={
            'command': command,
            'recipe': asdict(recipe),
            'training': {
                'loss': round(result.losses['loss'], 5),
                'parameters': sum(p.numel() for p in result.network.parameters()),
            },
            'trained_with': f'torch {torch.__version__.split("+")[0]}',
        },
    )
    picked = np.linspace(0, len(images) - 1, _COMPARED).astype(int)
    report = export_module(
        result.network,
        spec,
        out,
        observations=[{f'image_{CAMERA}': images[step][None]} for step in picked],
    )
    say(
        f'exported: {report.path} ({report.size_bytes / 1e6:.2f} MB, {report.nodes} nodes, '
        f'torch and ONNX Runtime agree to {report.max_abs_error:.1e})'
    )
    return report


def _train(
    images: NDArray[np.uint8],
    actions: NDArray[np.float32],
    recipe: SteeringRecipe,
    *,
    say: Callable[[str], None],
) -> Trained[SteeringPolicy]:
    seed_torch(recipe.seed)
    rng = np.random.Generator(np.random.PCG64(recipe.seed))
    policy = SteeringPolicy(height=IMAGE_HEIGHT, width=IMAGE_WIDTH, rows=ROWS)
    wanted = torch.from_numpy(actions)
    policy.set_statistics(wanted)
    wanted = (wanted - policy.action_mean) / policy.action_scale
    images_of = torch.from_numpy(images)

    def loss() -> tuple[Tensor, Mapping[str, Tensor]]:
        pick = torch.from_numpy(rng.integers(0, len(images), recipe.batch))
        gain = 1.0 + recipe.brightness * (2.0 * torch.rand(recipe.batch, 1, 1, 1) - 1.0)
        image = images_of[pick].to(torch.float32) * (gain / 127.5) - 1.0
        value = ((policy.predict(image) - wanted[pick]) ** 2).mean()
        return value, {'loss': value}

    settings = OptimiserSettings(
        steps=recipe.steps, learning_rate=recipe.learning_rate, weight_decay=_WEIGHT_DECAY
    )
    return optimise(policy, loss, settings, say=say)


def _ranges(actions: NDArray[np.float32]) -> dict[str, TrainingRange]:
    return {
        f'action.{axis}': TrainingRange(
            minimum=float(column.min()),
            maximum=float(column.max()),
            mean=float(column.mean(dtype=np.float64)),
            std=float(column.std(dtype=np.float64)),
        )
        for axis, column in zip(AXES, actions.T, strict=True)
    }
