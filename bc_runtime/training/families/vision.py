# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders with the weights of an exported policy."""

from __future__ import annotations

from collections.abc import Mapping
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

_PREFIX = 'encoders.'


class Vision(nn.Module):  # type: ignore[misc]
    """One encoder per camera; their weights are not trained further.

    Args:
        channels: Of the encoders' first layer.
        instructions: Size of the instruction's embedding.
        source: Digest of the file that the weights come from.
    """

    def __init__(self, *, channels: int, instructions: int, source: str = '') -> None:
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
        self.features = sum(encoder.features for encoder in self.encoders)
        self.instructions = instructions
        self.source = source
        self.requires_grad_(False)

    def forward(self, images: list[Tensor], instruction: Tensor) -> Tensor:
        """Return features (batch, features) of images (batch, height, width, 3) in [-1, 1]."""
        parts = [
            encoder(image.permute(0, 3, 1, 2), instruction)
            for encoder, image in zip(self.encoders, images, strict=True)
        ]
        return torch.cat(parts, dim=1)


def load_vision(path: Path) -> Vision:
    """Read the encoders of a policy that `bc train` exported.

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
    stem, film = (f'{_PREFIX}0.{name}.weight' for name in ('stem', 'film'))
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
