# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations as flat arrays: what is stored on disk and what training reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
import zipfile

import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim import task
from bc_runtime.sim.demonstrations import Demonstration, chunk_mask
from bc_runtime.spec import ConfigError, TrainingRange
from bc_runtime.training.samples import Samples, joint_ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class DemonstrationSet:
    """Episodes one after another; n steps in e episodes, m of them with images.

    A step with images is an observation to learn from; the others only tell what was commanded.

    Attributes:
        images: Per camera, (m, height, width, 3) uint8 RGB.
        state: Measured joint positions, (n, 7) float32, rad and m.
        action: The command at each step's time, (n, 7) float32, rad and m.
        kick: (n,) bool, true where a push begins after the step.
        lengths: Steps of each episode, (e,) int64.
        seeds: Scene of each episode, (e,) int64.
        colours: Index into `task.COLOURS` of each episode's target, (e,) int64.
        image_every: Steps from one image of an episode to the next; the first step has one.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    action: NDArray[np.float32]
    kick: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    seeds: NDArray[np.int64]
    colours: NDArray[np.int64]
    image_every: int = 1

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.state)

    @property
    def observed_lengths(self) -> NDArray[np.int64]:
        """Observations of each episode, (e,)."""
        return -(-self.lengths // self.image_every)

    @property
    def observed(self) -> NDArray[np.int64]:
        """Indices of the steps with images, (m,)."""
        ends = np.cumsum(self.lengths)
        return np.concatenate(
            [
                np.arange(begin, end, self.image_every)
                for begin, end in zip(ends - self.lengths, ends, strict=True)
            ]
        )

    def instructions(self) -> NDArray[np.float32]:
        """Return the one-hot instruction of every step, (n, 3)."""
        rows = np.eye(len(task.COLOURS), dtype=np.float32)[self.colours]
        return np.repeat(rows, self.lengths, axis=0)

    def chunks(self, chunk_size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what is to be predicted from every observation.

        Returns:
            Actions (m, chunk_size, 7), the episode's last one repeated past its end, and weights
            (m, chunk_size): 0 where the observation cannot know the action.
        """
        ends = np.repeat(np.cumsum(self.lengths), self.observed_lengths)
        index = np.minimum(self.observed[:, None] + np.arange(chunk_size), ends[:, None] - 1)
        weights = [
            chunk_mask(kick, step, chunk_size)
            for kick in np.split(self.kick, np.cumsum(self.lengths)[:-1])
            for step in range(0, len(kick), self.image_every)
        ]
        return self.action[index], np.stack(weights).astype(np.float32)

    def samples(self, chunk_size: int) -> Samples:
        """Return every observation as a sample."""
        actions, weights = self.chunks(chunk_size)
        return Samples(
            images=self.images,
            state=self.state[self.observed],
            instruction=self.instructions()[self.observed],
            actions=actions,
            weights=weights,
        )

    def ranges(self) -> dict[str, TrainingRange]:
        """Return the training ranges by dimension: `state.<joint>` and `action.<name>`."""
        return joint_ranges(state=self.state, action=self.action)

    def save(self, path: Path) -> None:
        """Write an npz without pickled objects; the file appears only when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + '.partial')
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f'image_{camera}': stack for camera, stack in self.images.items()}
        with partial.open('wb') as file:
            np.savez(
                file, allow_pickle=False, **arrays, **{_IMAGE_EVERY: np.int64(self.image_every)}
            )
        partial.replace(path)


_ARRAYS = ('state', 'action', 'kick', 'lengths', 'seeds', 'colours')
_IMAGE_EVERY = 'image_every'


def load_demonstrations(path: Path) -> DemonstrationSet:
    """Read what `DemonstrationSet.save` wrote.

    Raises:
        ConfigError: The file is missing, damaged or something else.
    """
    names = (*_ARRAYS, _IMAGE_EVERY, *(f'image_{camera}' for camera in task.CAMERAS))
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in names if name not in file]
            if missing:
                raise ConfigError(
                    f'expected the arrays {", ".join(names)}; missing: {", ".join(missing)}; '
                    'delete the file to collect again',
                    source=str(path),
                )
            arrays = {name: file[name] for name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f'cannot be read as demonstrations: {error}; delete it to collect again',
            source=str(path),
        ) from None
    return DemonstrationSet(
        images=MappingProxyType({camera: arrays[f'image_{camera}'] for camera in task.CAMERAS}),
        **{name: arrays[name] for name in _ARRAYS},
        image_every=int(arrays[_IMAGE_EVERY]),
    )


def join_demonstrations(episodes: Sequence[Demonstration]) -> DemonstrationSet:
    """Put episodes, recorded with images at the same steps, one after another."""
    if not episodes:
        raise ConfigError('expected at least one demonstration, got none', source='demonstrations')
    (image_every,) = {e.image_every for e in episodes}
    colours = [task.COLOURS.index(task.colour_of(e.instruction)) for e in episodes]
    return DemonstrationSet(
        images=MappingProxyType(
            {c: np.concatenate([e.images[c] for e in episodes]) for c in task.CAMERAS}
        ),
        state=np.concatenate([e.state for e in episodes]),
        action=np.concatenate([e.action for e in episodes]),
        kick=np.concatenate([e.kick for e in episodes]),
        lengths=np.array([len(e) for e in episodes], dtype=np.int64),
        seeds=np.array([e.seed for e in episodes], dtype=np.int64),
        colours=np.array(colours, dtype=np.int64),
        image_every=image_every,
    )
