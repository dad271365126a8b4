# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations, training and export of the steering policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
import math
from pathlib import Path
import time

import numpy as np
from numpy.typing import NDArray
import torch

from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.sim.car import AXES, CarSim
from bc_runtime.sim.car_expert import IMAGE_HEIGHT, IMAGE_WIDTH, record_drive
from bc_runtime.spec import TrainingRange
from bc_runtime.training.steering.contract import CAMERA, ROWS, steering_spec
from bc_runtime.training.steering.network import SteeringPolicy

_LINES = 5
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
    policy, loss = _train(images, actions, recipe, say=say)
    spec = steering_spec(
        training_ranges=_ranges(actions),
        source={
            'command': command,
            'recipe': asdict(recipe),
            'training': {
                'loss': round(loss, 5),
                'parameters': sum(p.numel() for p in policy.parameters()),
            },
            'trained_with': f'torch {torch.__version__.split("+")[0]}',
        },
    )
    picked = np.linspace(0, len(images) - 1, _COMPARED).astype(int)
    report = export_module(
        policy,
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
) -> tuple[SteeringPolicy, float]:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    rng = np.random.Generator(np.random.PCG64(recipe.seed))
    policy = SteeringPolicy(height=IMAGE_HEIGHT, width=IMAGE_WIDTH, rows=ROWS)
    wanted = torch.from_numpy(actions)
    policy.set_statistics(wanted)
    wanted = (wanted - policy.action_mean) / policy.action_scale
    pictures = torch.from_numpy(images)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=recipe.learning_rate)
    begin, recent = time.process_time(), math.nan
    for step in range(1, recipe.steps + 1):
        rate = 0.5 * (1.0 + math.cos(math.pi * step / recipe.steps))
        for group in optimiser.param_groups:
            group['lr'] = recipe.learning_rate * rate
        pick = torch.from_numpy(rng.integers(0, len(images), recipe.batch))
        gain = 1.0 + recipe.brightness * (2.0 * torch.rand(recipe.batch, 1, 1, 1) - 1.0)
        image = pictures[pick].to(torch.float32) * (gain / 127.5) - 1.0
        loss = ((policy.predict(image) - wanted[pick]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        value = float(loss.detach())
        recent = value if math.isnan(recent) else recent + 0.02 * (value - recent)
        if step % max(1, recipe.steps // _LINES) == 0:
            say(
                f'  update {step}/{recipe.steps}: loss {recent:.4f}, '
                f'{(time.process_time() - begin) / 60:.1f} CPU min'
            )
    policy.eval()
    return policy, recent


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
