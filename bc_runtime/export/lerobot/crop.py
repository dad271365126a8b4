# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The centre crop of LeRobot's picture encoders, at places that are known before."""

from __future__ import annotations

from typing import Any

from torch import nn

from bc_runtime.export.errors import ExportError


class StaticCrop(nn.Module):  # type: ignore[misc]
    """A crop at fixed places, as torchvision's CenterCrop rounds them."""

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        super().__init__()
        self.rows = (top, top + height)
        self.columns = (left, left + width)

    def forward(self, x: Any) -> Any:
        """Crop the last two dimensions."""
        return x[..., self.rows[0] : self.rows[1], self.columns[0] : self.columns[1]]


def make_crop_static(encoder: Any, config: Any) -> None:
    """Replace the crop of a picture encoder, which the legacy exporter cannot trace.

    Raises:
        ExportError: the crop is larger than the picture.
    """
    if not encoder.do_crop:
        return
    first = next(iter(config.image_features.values()))
    resized = getattr(config, 'resize_shape', None)
    height, width = resized if resized is not None else first.shape[1:]
    crop_height, crop_width = config.crop_shape
    if crop_height > height or crop_width > width:
        raise ExportError(
            f'expected a crop inside the picture of {width}x{height}, '
            f'got {crop_width}x{crop_height}'
        )
    top, left = round((height - crop_height) / 2.0), round((width - crop_width) / 2.0)
    encoder.center_crop = StaticCrop(top, left, crop_height, crop_width)
