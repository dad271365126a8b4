# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The attention of SmolVLA: rotary positions, and queries that share keys in groups.

Formulas: `apply_rope` and `eager_attention_forward` of LeRobot 0.4.4
(lerobot/policies/smolvla/smolvlm_with_expert.py); rotary embedding: Su et al. 2021
(https://arxiv.org/abs/2104.09864). Tensors are (1, length, heads, width of a head).
"""

from __future__ import annotations

from typing import Any, Final

import torch

#: Added to the score of what must not be seen; its share is then zero in float32.
HIDDEN: Final = -1e9
_LONGEST_WAVE: Final = 10_000.0


def rope_angles(positions: Any, width: int) -> Any:
    """Return cosine and sine (2, length, width / 2) of positions (length,)."""
    exponents = (2.0 / width) * torch.arange(width // 2, dtype=torch.float32)
    angles = positions.float()[:, None] / (_LONGEST_WAVE**exponents)[None]
    return torch.stack((torch.cos(angles), torch.sin(angles)))


def rotate(x: Any, angles: Any) -> Any:
    """Turn each pair of `x` by its angle; `angles` as from `rope_angles`."""
    cos, sin = angles[0][None, :, None], angles[1][None, :, None]
    first, second = x.split(x.shape[-1] // 2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def heads(x: Any, width: int) -> Any:
    """(1, length, heads * width) -> (1, length, heads, width)."""
    return x.reshape(1, x.shape[1], -1, width)


def attend(query: Any, key: Any, value: Any, bias: Any) -> Any:
    """Return (1, queries, query heads * width).

    Args:
        query: (1, queries, heads, width).
        key: (1, keys, groups, width); each group serves heads / groups neighbouring heads.
        value: As `key`.
        bias: 0 or `HIDDEN`, broadcast to (queries, keys).
    """
    _, count, all_heads, width = query.shape
    groups = key.shape[2]
    each = all_heads // groups
    # (groups, each, queries, width) with broadcast keys, so that none is copied. No reshape stands
    # before or behind a product: onnxscript 0.7.2 takes such pairs away where it must not.
    query = query[0].reshape(count, groups, each, width).permute(1, 2, 0, 3)
    scores = torch.matmul(query, key[0].permute(1, 2, 0)[:, None]) * width**-0.5
    shares = torch.softmax(scores + bias, dim=-1)
    seen = torch.matmul(shares, value[0].permute(1, 0, 2)[:, None])
    return seen.permute(2, 0, 1, 3).reshape(1, count, all_heads * width)
