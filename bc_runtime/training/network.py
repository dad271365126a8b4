# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`ChunkPolicy`: two small image encoders and a head that predicts a chunk of actions.

As ACT (`families.act`) it predicts a chunk of absolute targets under an L1 loss, but by a
perceptron that sees no more than where things are. The other families take its image encoders:

* spatial soft-argmax features (Levine et al., 'End-to-End Training of Deep Visuomotor Policies',
  JMLR 2016): where something is matters more than what it is;
* FiLM by the instruction (Perez et al., 'FiLM: Visual Reasoning with a General Conditioning
  Layer', AAAI 2018): the encoders look for the cube that is asked for.

The graph takes raw observations and gives physical actions: statistics are buffers of the module,
NaN until they are set, so that a network without them cannot give a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_SMALLEST_CHANGE_RAD = 0.02


class ImageEncoder(nn.Module):  # type: ignore[misc]
    """Reduce an image to where 2 * width features are, and how strong they are.

    Args:
        height: Of the image, px; divisible by 4.
        width_px: Of the image, px; divisible by 4.
        channels: Of the first layer; the others have twice as many.
        instructions: Size of the instruction's embedding.
    """

    def __init__(self, *, height: int, width_px: int, channels: int, instructions: int) -> None:
        super().__init__()
        deep = 2 * channels
        self.stem = nn.Conv2d(3, channels, 5, stride=2, padding=2)
        self.middle = nn.ModuleList(
            [
                nn.Conv2d(channels, deep, 3, stride=2, padding=1),
                nn.Conv2d(deep, deep, 3, padding=1),
            ]
        )
        self.maps = nn.Conv2d(deep, deep, 3, padding=1)
        self.film = nn.Linear(instructions, 4 * deep)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        self.sharpness = nn.Parameter(torch.ones(()))
        rows, columns = torch.meshgrid(
            torch.linspace(-1.0, 1.0, height // 4),
            torch.linspace(-1.0, 1.0, width_px // 4),
            indexing='ij',
        )
        places = torch.stack([columns.flatten(), rows.flatten()], dim=1)
        self.register_buffer('places', places, persistent=False)
        self.features = 3 * deep

    def forward(self, image: Tensor, instruction: Tensor) -> Tensor:
        """Return features (batch, 6 * channels) of images (batch, 3, height, width) in [-1, 1]."""
        return self.locate(self.see(image, instruction))

    def see(self, image: Tensor, instruction: Tensor) -> Tensor:
        """Return feature maps (batch, 2 * channels, height / 4, width / 4)."""
        gain_1, shift_1, gain_2, shift_2 = self.film(instruction)[:, :, None, None].chunk(4, dim=1)
        x = torch.relu(self.stem(image))
        x = torch.relu(torch.addcmul(shift_1, self.middle[0](x), 1.0 + gain_1))
        return torch.relu(torch.addcmul(shift_2, self.middle[1](x), 1.0 + gain_2))

    def locate(self, x: Tensor) -> Tensor:
        """Return where the features of maps are, and how strong: (batch, 6 * channels)."""
        scores = (self.maps(x) * self.sharpness).flatten(2)
        where = torch.softmax(scores, dim=-1) @ self.places
        strength = 0.1 * torch.logsumexp(scores, dim=-1)
        return torch.cat([where.flatten(1), strength], dim=1)


class ChunkPolicy(nn.Module):  # type: ignore[misc]
    """Predict `chunk_size` actions from joints, camera images and an instruction.

    Args:
        cameras: Names; the graph's inputs are `image_<name>`.
        height: Of the images, px.
        width_px: Of the images, px.
        joints: Arm joints; the gripper comes after them in state and action.
        instructions: Size of the instruction's embedding.
        chunk_size: Predicted steps.
        channels: Of the encoders' first layer.
        hidden: Width of the head.
        gripper_max_m: Opening of the gripper at the head's upper end, m.
    """

    def __init__(
        self,
        *,
        cameras: Sequence[str],
        height: int,
        width_px: int,
        joints: int,
        instructions: int,
        chunk_size: int,
        channels: int,
        hidden: int,
        gripper_max_m: float,
    ) -> None:
        super().__init__()
        self.cameras = tuple(cameras)
        self.joints = joints
        self.chunk_size = chunk_size
        self.gripper_max_m = gripper_max_m
        self.encoders = nn.ModuleList(
            ImageEncoder(
                height=height, width_px=width_px, channels=channels, instructions=instructions
            )
            for _ in self.cameras
        )
        features = sum(encoder.features for encoder in self.encoders) + joints + 1 + instructions
        self.head = nn.Sequential(
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, chunk_size * (joints + 1)),
        )
        unset = float('nan')
        self.register_buffer('state_mean', torch.full((joints + 1,), unset))
        self.register_buffer('state_scale', torch.full((joints + 1,), unset))
        self.register_buffer('change_scale', torch.full((chunk_size, joints), unset))

    def set_statistics(self, *, state: Tensor, actions: Tensor, weights: Tensor) -> None:
        """Take the normalisation from training data.

        Args:
            state: (n, joints + 1), rad and m.
            actions: Chunks, (n, chunk_size, joints + 1).
            weights: (n, chunk_size), 0 where the action counts for nothing.
        """
        self.state_mean.copy_(state.mean(dim=0))
        self.state_scale.copy_(state.std(dim=0) + 1e-3)
        change = actions[..., : self.joints] - state[:, None, : self.joints]
        known = weights[..., None]
        count = known.sum(dim=0).clamp(min=1.0)
        spread = ((change**2 * known).sum(dim=0) / count).sqrt()
        # A joint that the task does not use must not rule the loss.
        self.change_scale.copy_(spread.clamp(min=_SMALLEST_CHANGE_RAD))

    def predict(self, state: Tensor, images: Sequence[Tensor], instruction: Tensor) -> Tensor:
        """Return raw outputs (batch, chunk_size, joints + 1).

        Joint columns are changes to the observed state in units of `change_scale`, the last
        column is the logit of the gripper's opening.

        Args:
            state: (batch, joints + 1), rad and m.
            images: Per camera (batch, height, width, 3), in [-1, 1].
            instruction: (batch, instructions).
        """
        features = [
            encoder(image.permute(0, 3, 1, 2), instruction)
            for encoder, image in zip(self.encoders, images, strict=True)
        ]
        joints = (state - self.state_mean) / self.state_scale
        raw = self.head(torch.cat([*features, joints, instruction], dim=1))
        return raw.reshape(-1, self.chunk_size, self.joints + 1)

    def forward(self, state: Tensor, *rest: Tensor) -> Tensor:
        """Return absolute actions (batch, chunk_size, joints + 1), rad and m.

        Args:
            state: (batch, joints + 1), rad and m.
            rest: One uint8 image per camera (batch, height, width, 3), then the instruction.
        """
        images = [image.to(self.state_mean.dtype) / 127.5 - 1.0 for image in rest[:-1]]
        raw = self.predict(state, images, rest[-1])
        arm = state[:, None, : self.joints] + raw[..., : self.joints] * self.change_scale
        gripper = torch.sigmoid(raw[..., self.joints :]) * self.gripper_max_m
        return torch.cat([arm, gripper], dim=-1)
