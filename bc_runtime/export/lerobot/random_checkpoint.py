# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot checkpoints with random weights and statistics, to test the export with."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from bc_runtime.export.lerobot.random_vlm import write_vlm
from bc_runtime.export.lerobot.source import POLICIES, no_network, prepare_torchvision
from bc_runtime.export.lerobot.vlm import BESIDE, building_with, read_vlm

_CONFIGS: Final = {
    'act': ('lerobot.policies.act.configuration_act', 'ACTConfig'),
    'vqbet': ('lerobot.policies.vqbet.configuration_vqbet', 'VQBeTConfig'),
    'diffusion': ('lerobot.policies.diffusion.configuration_diffusion', 'DiffusionConfig'),
    'smolvla': ('lerobot.policies.smolvla.configuration_smolvla', 'SmolVLAConfig'),
}
_KINDS: Final = {'state': 'STATE', 'environment_state': 'ENV', 'images': 'VISUAL'}


def make_random_checkpoint(
    policy: str,
    directory: Path,
    *,
    features: Mapping[str, tuple[int, ...]],
    action_dim: int,
    seed: int = 0,
    **config: Any,
) -> None:
    """Write a checkpoint directory as LeRobot's training does, with random weights.

    A SmolVLA lies on the VLM of the folder `vlm/` in the directory; without one, a tiny one is
    made there.

    Args:
        policy: `act`, `diffusion`, `vqbet` or `smolvla`.
        directory: To write.
        features: Input key, as `observation.state`, -> shape.
        action_dim: Action dimensions.
        seed: Of weights and statistics.
        **config: Further keys of LeRobot's policy config.
    """
    prepare_torchvision()
    with no_network(), contextlib.ExitStack() as stack:
        from lerobot.configs.types import FeatureType, PolicyFeature
        from lerobot.policies.factory import make_pre_post_processors

        inputs = {
            key: PolicyFeature(FeatureType[_KINDS[key.split('.')[1]]], shape)
            for key, shape in features.items()
        }
        outputs = {'action': PolicyFeature(FeatureType.ACTION, (action_dim,))}
        if policy == 'smolvla':
            config = {'vlm_model_name': str(_vlm(directory, stack)), **config}
        else:
            config = {'pretrained_backbone_weights': None, **config}
        settings = _class(_CONFIGS[policy])(
            input_features=inputs,
            output_features=outputs,
            push_to_hub=False,
            device='cpu',
            **config,
        )
        torch.manual_seed(seed)
        network = _class(POLICIES[policy])(settings).eval()
        if policy == 'vqbet':  # as after the first phase of its training
            network.vqbet.action_head.vqvae_model.discretized = torch.tensor(True)
        with torch.no_grad():
            # Biases start at zero, where a mistake in their handling would not be seen.
            for parameter in network.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.05 * torch.randn_like(parameter))
                elif policy == 'smolvla':
                    # transformers starts so small that sentence and picture hardly matter.
                    parameter.normal_(std=parameter[0].numel() ** -0.5)
        stats = _statistics({**inputs, **outputs}, seed)
        before, after = make_pre_post_processors(settings, dataset_stats=stats)
        network.save_pretrained(directory)
        before.save_pretrained(directory)
        after.save_pretrained(directory)


def _vlm(directory: Path, stack: contextlib.ExitStack) -> Path:
    """Make the VLM of a checkpoint, and let LeRobot build on it while the stack is open."""
    folder = directory / BESIDE
    if not (folder / 'config.json').is_file():
        write_vlm(folder)
    stack.enter_context(building_with(read_vlm(folder)))
    return folder


def _class(where: tuple[str, str]) -> Any:
    return getattr(importlib.import_module(where[0]), where[1])


def _statistics(features: Mapping[str, Any], seed: int) -> dict[str, dict[str, Any]]:
    generator = np.random.default_rng(seed)
    result = {}
    for key, feature in features.items():
        picture = feature.type.value == 'VISUAL'
        shape = (3, 1, 1) if picture else feature.shape
        low = np.zeros(shape) if picture else generator.uniform(-2.0, -0.5, shape)
        high = np.ones(shape) if picture else low + generator.uniform(0.5, 2.0, shape)
        values = {
            'min': low,
            'max': high,
            'mean': low + (high - low) * generator.uniform(0.4, 0.6, shape),
            'std': (high - low) * generator.uniform(0.2, 0.35, shape),
        }
        result[key] = {
            name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()
        }
    return result


def register_tiny_backbone() -> str:
    """Add a residual network of 30 thousand weights to torchvision's models; return its name.

    LeRobot looks its picture encoder up there by name, and the smallest of torchvision has 11
    million weights.
    """
    prepare_torchvision()
    import torchvision
    from torchvision.models.resnet import BasicBlock

    class Tiny(nn.Module):  # type: ignore[misc]
        def __init__(
            self, weights: object = None, norm_layer: Any = nn.BatchNorm2d, **_: object
        ) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 7, stride=4, padding=3, bias=False)
            self.bn1 = norm_layer(16)
            self.relu = nn.ReLU(inplace=True)
            shortcut = nn.Sequential(nn.Conv2d(16, 32, 1, stride=2, bias=False), norm_layer(32))
            self.layer4 = nn.Sequential(
                BasicBlock(16, 32, stride=2, downsample=shortcut, norm_layer=norm_layer)
            )
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(32, 10)

    torchvision.models.resnet_tiny = Tiny
    return 'resnet_tiny'
