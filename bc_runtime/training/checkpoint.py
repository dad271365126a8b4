# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Weights and facts of a training in one npz, without pickled objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import zipfile

import numpy as np
import torch

from bc_runtime.sim import task
from bc_runtime.sim.demonstrations import IMAGE_HEIGHT, IMAGE_WIDTH
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.errors import ConfigError
from bc_runtime.training.network import ChunkPolicy
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.sim_arm import EMBEDDINGS

_SPEC = 'spec'
_RECIPE = 'recipe'
_WEIGHTS = 'weights/'


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained policy that can be exported.

    Attributes:
        recipe: How it was trained.
        spec: Its contract, not yet with a self-test.
        policy: The network, in inference mode.
    """

    recipe: Recipe
    spec: PolicySpec
    policy: ChunkPolicy


def make_policy(recipe: Recipe) -> ChunkPolicy:
    """Return the network of a recipe, with random weights and without statistics."""
    return ChunkPolicy(
        cameras=task.CAMERAS,
        height=IMAGE_HEIGHT,
        width_px=IMAGE_WIDTH,
        joints=len(task.ARM_JOINT_NAMES),
        instructions=len(EMBEDDINGS),
        chunk_size=recipe.chunk_size,
        channels=recipe.width,
        hidden=recipe.hidden,
        gripper_max_m=task.GRIPPER_MAX_M,
    )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; the file appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    weights = {
        _WEIGHTS + name: value.detach().cpu().numpy()
        for name, value in checkpoint.policy.state_dict().items()
    }
    with partial.open('wb') as file:
        np.savez(
            file,
            allow_pickle=False,
            **{
                _SPEC: np.array(checkpoint.spec.to_json()),
                _RECIPE: np.array(json.dumps(asdict(checkpoint.recipe))),
            },
            **weights,
        )
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        ConfigError: The file is missing, damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in (_SPEC, _RECIPE):
                if name not in file:
                    raise ConfigError(
                        f'expected a checkpoint of bc train with the entry {name!r}; '
                        f'it holds: {", ".join(sorted(file.files)) or "(nothing)"}',
                        source=str(path),
                    )
            spec = PolicySpec.from_json(str(file[_SPEC]), source=str(path))
            recipe = Recipe(**json.loads(str(file[_RECIPE])))
            weights = {
                name.removeprefix(_WEIGHTS): torch.from_numpy(file[name])
                for name in file.files
                if name.startswith(_WEIGHTS)
            }
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f'cannot be read as a checkpoint of bc train: {error}', source=str(path)
        ) from None
    policy = make_policy(recipe)
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f'its weights do not fit the network of its recipe: {error}', source=str(path)
        ) from None
    return Checkpoint(recipe=recipe, spec=spec, policy=policy.eval())
