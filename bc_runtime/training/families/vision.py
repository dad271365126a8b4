# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders with the weights of an exported policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnx
import torch
from torch import Tensor, nn

from bc_runtime.sim import task
from bc_runtime.sim.demonstrations import IMAGE_HEIGHT, IMAGE_WIDTH
from bc_runtime.spec.errors import ConfigError, available
from bc_runtime.training.network import ImageEncoder

# Of their tensors in a policy of the family chunk, and of another family.
_PREFIXES = ('encoders.', 'vision.encoders.')


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Layout of what one camera gives: where features are, and coarse feature maps.

    Attributes:
        points: Numbers that tell where features are.
        channels: Of the maps.
        rows: Of the maps.
        columns: Of the maps.
    """

    points: int
    channels: int
    rows: int
    columns: int

    @property
    def features(self) -> int:
        """Numbers of one camera."""
        return self.points + self.channels * self.rows * self.columns

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (batch, points) and maps (batch, channels, rows, columns)."""
        maps = features[:, self.points :]
        return features[:, : self.points], maps.reshape(-1, self.channels, self.rows, self.columns)


class Vision(nn.Module):  # type: ignore[misc]
    """One encoder per camera; their weights are not trained further.

    Args:
        channels: Of the encoders' first layer.
        instructions: Size of the instruction's embedding.
        source: Digest of the file that the weights come from.
        coarser: Cells of the feature maps that are averaged, each way, to be features too; 0: the
            features are only where things are.
    """

    def __init__(
        self, *, channels: int, instructions: int, source: str = '', coarser: int = 0
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            ImageEncoder(
                height=IMAGE_HEIGHT,
                width_px=IMAGE_WIDTH,
                channels=channels,
                instructions=instructions,
            )
            for _ in task.CAMERAS
        )
        self.coarser = coarser
        scale = 4 * max(1, coarser)
        self.grid = Grid(
            points=6 * channels,
            channels=2 * channels if coarser else 0,
            rows=IMAGE_HEIGHT // scale,
            columns=IMAGE_WIDTH // scale,
        )
        self.features = len(self.encoders) * self.grid.features
        self.instructions = instructions
        self.source = source
        self.requires_grad_(False)

    def forward(self, images: list[Tensor], instruction: Tensor) -> Tensor:
        """Return features (batch, features) of images (batch, height, width, 3) in [-1, 1]."""
        parts = []
        for encoder, image in zip(self.encoders, images, strict=True):
            maps = encoder.see(image.permute(0, 3, 1, 2), instruction)
            parts.append(encoder.locate(maps))
            if self.coarser:
                parts.append(nn.functional.avg_pool2d(maps, self.coarser).flatten(1))
        return torch.cat(parts, dim=1)


def load_vision(path: Path, *, coarser: int = 0) -> Vision:
    """Read the encoders of a policy that `bc train` exported; see `Vision` for `coarser`.

    Raises:
        ConfigError: The file cannot be read, or has no such encoders.
    """
    try:
        model = onnx.load(str(path))
    # What onnx and protobuf raise depends on what is wrong with the file.
    except Exception as error:  # noqa: BLE001
        raise ConfigError(f'cannot be read as ONNX: {error}', source=str(path)) from None
    tensors: Mapping[str, NDArray[np.generic]] = {
        each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer
    }
    tensors = {
        name.removeprefix('vision.'): tensor
        for name, tensor in tensors.items()
        if name.startswith(_PREFIXES)
    }
    stem, film = (f'encoders.0.{name}.weight' for name in ('stem', 'film'))
    if stem not in tensors or film not in tensors:
        raise ConfigError(
            f'expected the image encoders of a policy of bc train ({stem}, {film}, ...); '
            f'the file holds: {available(sorted(tensors))}',
            source=str(path),
        )
    vision = Vision(
        channels=int(tensors[stem].shape[0]),
        instructions=int(tensors[film].shape[1]),
        source=hashlib.sha256(path.read_bytes()).hexdigest(),
        coarser=coarser,
    )
    weights = {
        name: torch.from_numpy(np.array(tensors[name]))
        for name in vision.state_dict()
        if name in tensors
    }
    try:
        vision.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f'its image encoders are others: {error}', source=str(path)) from None
    vision.eval()
    return vision
