# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Features of every image of the demonstrations, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import hashlib
from pathlib import Path
import time

import numpy as np
from numpy.typing import NDArray
import torch

from bc_runtime.sim import task
from bc_runtime.training.families.recipe import FamilyRecipe
from bc_runtime.training.families.vision import Vision
from bc_runtime.training.samples import Samples

_IMAGES_AT_ONCE = 256
# For the digest that names a file of features: so many images are looked at.
_LOOKED_AT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTable:
    """n observations as features, with what is to be predicted.

    Attributes:
        features: (views, n, f) float32; the first view is of the images as they are.
        state: (n, 7) float32, rad and m.
        instruction: (n, 3) float32, one-hot.
        actions: Chunks, (n, k, 7) float32; element 0 is for the time of the observation.
        weights: (n, k) float32, 0 where the target counts for nothing.
        lengths: Steps of the episodes that the first observations make up, (e,); observations
            after them are in no order.
    """

    features: NDArray[np.float32]
    state: NDArray[np.float32]
    instruction: NDArray[np.float32]
    actions: NDArray[np.float32]
    weights: NDArray[np.float32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of observations."""
        return len(self.state)


def make_table(
    parts: Sequence[Samples],
    lengths: NDArray[np.int64],
    vision: Vision,
    recipe: FamilyRecipe,
    *,
    folder: Path | None,
    say: Callable[[str], None],
) -> FeatureTable:
    """Compute the features of all samples, or read them from disk if they were computed before.

    Args:
        parts: Samples; those with order first.
        lengths: Of the episodes at the beginning, (e,).
        vision: The encoders.
        recipe: Gives the seed, the number of views and their colours.
        folder: Where features are kept; None keeps nothing.
        say: Takes lines of progress.
    """
    features = [_features(part, vision, recipe, folder=folder, say=say) for part in parts]
    return FeatureTable(
        features=np.concatenate(features, axis=1),
        state=np.concatenate([part.state for part in parts]),
        instruction=np.concatenate([part.instruction for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        lengths=lengths,
    )


def _features(
    part: Samples,
    vision: Vision,
    recipe: FamilyRecipe,
    *,
    folder: Path | None,
    say: Callable[[str], None],
) -> NDArray[np.float32]:
    path = None if folder is None else folder / f'features_{_digest(part, vision, recipe)}.npy'
    if path is not None and path.is_file():
        say(f'features: {path} (computed before)')
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    begin = time.process_time()
    found = np.stack([_view(part, vision, recipe, view) for view in range(recipe.views)])
    say(
        f'features of {len(part)} observations in {recipe.views} views: '
        f'{time.process_time() - begin:.0f} CPU s'
    )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + '.partial')
        with partial.open('wb') as file:
            np.save(file, found, allow_pickle=False)
        partial.replace(path)
    return found


def _view(part: Samples, vision: Vision, recipe: FamilyRecipe, view: int) -> NDArray[np.float32]:
    rng = np.random.Generator(np.random.PCG64((recipe.view_seed, view)))
    found = []
    for begin in range(0, len(part), _IMAGES_AT_ONCE):
        rows = slice(begin, begin + _IMAGES_AT_ONCE)
        count = len(part.state[rows])
        images = []
        for camera in task.CAMERAS:
            gain = 2.0 * rng.random((count, 1, 1, 1), dtype=np.float32) - 1.0
            shift = 2.0 * rng.random((count, 1, 1, 3), dtype=np.float32) - 1.0
            # The first view is of the images as they are.
            gain = 1.0 + (view > 0) * recipe.brightness * gain
            shift = (view > 0) * recipe.colour_shift * shift
            image = torch.from_numpy(part.images[camera][rows]).to(torch.float32)
            images.append(
                torch.addcmul(
                    2.0 * torch.from_numpy(shift) - 1.0, image, torch.from_numpy(gain / 127.5)
                ).contiguous(memory_format=torch.contiguous_format)
            )
        with torch.no_grad():
            words = torch.from_numpy(part.instruction[rows])
            found.append(vision(images, words).numpy())
    return np.concatenate(found)


def _digest(part: Samples, vision: Vision, recipe: FamilyRecipe) -> str:
    settings = (
        recipe.view_seed,
        recipe.views,
        recipe.brightness,
        recipe.colour_shift,
        vision.source,
        vision.coarser,
    )
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(part.state.tobytes())
    digest.update(part.instruction.tobytes())
    for index in np.linspace(0, len(part) - 1, _LOOKED_AT).astype(int):
        for camera in task.CAMERAS:
            digest.update(part.images[camera][index].tobytes())
    return digest.hexdigest()[:16]
