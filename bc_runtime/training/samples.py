# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a training step reads: observations, each with the chunk that should be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import zipfile

import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim import task
from bc_runtime.spec import ConfigError, TrainingRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """n observations of the simulated arm and their targets.

    Attributes:
        images: Per camera, (n, height, width, 3) uint8 RGB.
        state: Measured joint positions, (n, 7) float32, rad and m.
        instruction: One-hot, (n, 3) float32.
        actions: Chunks, (n, chunk_size, 7) float32, rad and m; element 0 is meant for the time of
            the observation.
        weights: (n, chunk_size) float32, 0 where the target counts for nothing.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    instruction: NDArray[np.float32]
    actions: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of observations."""
        return len(self.state)

    def save(self, path: Path) -> None:
        """Write an npz without pickled objects; the file appears only when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + '.partial')
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {_IMAGE + camera: stack for camera, stack in self.images.items()}
        with partial.open('wb') as file:
            np.savez(file, allow_pickle=False, **arrays)
        partial.replace(path)


_ARRAYS = ('state', 'instruction', 'actions', 'weights')
_IMAGE = 'image_'


def load_samples(path: Path) -> Samples:
    """Read what `Samples.save` wrote.

    Raises:
        ConfigError: The file is missing, damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _ARRAYS if name not in file]
            if missing:
                raise ConfigError(
                    f'expected the arrays {", ".join(_ARRAYS)}; missing: {", ".join(missing)}',
                    source=str(path),
                )
            images = {n.removeprefix(_IMAGE): file[n] for n in file if n.startswith(_IMAGE)}
            return Samples(images=images, **{name: file[name] for name in _ARRAYS})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f'cannot be read as samples: {error}', source=str(path)) from None


class SamplePool:
    """Several sets of samples as one, without copying their images together.

    Args:
        parts: At least one set.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.state = np.concatenate([part.state for part in self._parts])
        self.instruction = np.concatenate([part.instruction for part in self._parts])
        self.actions = np.concatenate([part.actions for part in self._parts])
        self.weights = np.concatenate([part.weights for part in self._parts])

    def __len__(self) -> int:
        """Return the number of observations."""
        return len(self.state)

    def images(self, camera: str, pick: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images of the picked observations, (len(pick), height, width, 3)."""
        part_of = np.searchsorted(self._ends, pick, side='right')
        found = np.empty((len(pick), *self._parts[0].images[camera].shape[1:]), dtype=np.uint8)
        for index, part in enumerate(self._parts):
            here = part_of == index
            found[here] = part.images[camera][pick[here] - (self._ends[index] - len(part))]
        return found

    def ranges(self) -> dict[str, TrainingRange]:
        """Return the training ranges by dimension; see `joint_ranges`."""
        return joint_ranges(
            state=self.state, action=self.actions.reshape(-1, self.actions.shape[-1])
        )


def joint_ranges(
    *, state: NDArray[np.float32], action: NDArray[np.float32]
) -> dict[str, TrainingRange]:
    """Return the ranges of `state.<joint>` and `action.<joint>`, from arrays (n, 7), (m, 7)."""
    return {
        f'{kind}.{name}': TrainingRange(
            minimum=float(values[:, i].min()),
            maximum=float(values[:, i].max()),
            mean=float(values[:, i].mean(dtype=np.float64)),
            std=float(values[:, i].std(dtype=np.float64)),
        )
        for kind, values in (('state', state), ('action', action))
        for i, name in enumerate(task.JOINT_NAMES)
    }
