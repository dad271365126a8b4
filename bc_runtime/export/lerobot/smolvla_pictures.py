# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of SmolVLA: from a camera's pixels to tokens of the language model.

Facts: `SmolVLAPolicy.prepare_images` of LeRobot 0.4.4 and `SmolVLMVisionEmbeddings` of
transformers 4.57, whose layers are used. The places of the patches depend on the picture's size
alone, so they are looked up once, at export.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class PictureTokens(nn.Module):  # type: ignore[misc]
    """A picture (1, 3, H, W) in [0, 1] -> tokens (1, count, width).

    Args:
        vlm: The SmolVLM of a LeRobot policy.
        size: Width and height that pictures are brought to; None: they stay as they are.
        sizes: Height and width of each camera's pictures, in order.
    """

    def __init__(
        self, vlm: Any, size: Sequence[int] | None, sizes: Sequence[tuple[int, int]]
    ) -> None:
        super().__init__()
        vision = vlm.vision_model
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.patches = vision.embeddings.patch_embedding
        self.encoder = vision.encoder
        self.norm = vision.post_layernorm
        self.connector = vlm.connector
        for number, (height, width) in enumerate(sizes):
            if self.size is not None:
                width, height = self.size
            place = _places(vision.embeddings, height, width)
            self.register_buffer(f'place_{number}', place.detach().clone())

    def forward(self, picture: Any, number: int) -> Any:
        """Return the tokens of camera `number`."""
        if self.size is not None:
            picture = resize_with_pad(picture, *self.size)
        patches = self.patches(picture * 2.0 - 1.0).flatten(2).transpose(1, 2)
        hidden = patches + getattr(self, f'place_{number}')
        # All patches are there, so none is masked.
        hidden = self.encoder(inputs_embeds=hidden, attention_mask=None).last_hidden_state
        tokens = self.connector(self.norm(hidden))
        return tokens * tokens.shape[-1] ** 0.5


def resize_with_pad(picture: Any, width: int, height: int) -> Any:
    """Return (1, 3, height, width): scaled to fit, black on the left and at the top.

    Args:
        picture: (1, 3, H, W) in [0, 1]; black is -1 for the network, after its scaling.
        width: Wanted.
        height: Wanted.
    """
    now_height, now_width = int(picture.shape[2]), int(picture.shape[3])
    ratio = max(now_width / width, now_height / height)
    new_height, new_width = int(now_height / ratio), int(now_width / ratio)
    if (new_height, new_width) != (now_height, now_width):
        picture = F.interpolate(
            picture, size=(new_height, new_width), mode='bilinear', align_corners=False
        )
    left, top = max(0, width - new_width), max(0, height - new_height)
    return F.pad(picture, (left, 0, top, 0)) if left or top else picture


def _places(embeddings: Any, height: int, width: int) -> Any:
    """Return the position embedding (1, patches, width) of a picture without masked patches."""
    side = embeddings.num_patches_per_side
    edges = torch.arange(1 / side, 1.0, 1 / side)
    rows, columns = (
        torch.bucketize(torch.arange(count).float() / count * (1 - 1e-6), edges, right=True)
        for count in (height // embeddings.patch_size, width // embeddings.patch_size)
    )
    index = (rows[:, None] * side + columns).flatten()
    return embeddings.position_embedding(index)[None]
