# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot itself: builds the network of a checkpoint, and gives its actions to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import importlib
import importlib.metadata
import io
import logging
import os
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import torch

from bc_runtime.export.errors import ExportError
from bc_runtime.export.lerobot.checkpoint import PREPROCESSOR, LeRobotCheckpoint
from bc_runtime.export.lerobot.contract import input_name
from bc_runtime.spec.errors import available

#: Policy type -> (module, class) in LeRobot.
POLICIES: Final = {
    'act': ('lerobot.policies.act.modeling_act', 'ACTPolicy'),
    'vqbet': ('lerobot.policies.vqbet.modeling_vqbet', 'VQBeTPolicy'),
    'diffusion': ('lerobot.policies.diffusion.modeling_diffusion', 'DiffusionPolicy'),
}
# What keeps LeRobot and its hub client away from the network.
_OFFLINE: Final = {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_OFFLINE': '1', 'HF_DATASETS_OFFLINE': '1'}


def load_lerobot_policy(checkpoint: LeRobotCheckpoint) -> Any:
    """Return LeRobot's own policy object with the checkpoint's weights, on the CPU, offline.

    Raises:
        ExportError: LeRobot is missing, does not know the policy, or refuses the checkpoint.
    """
    if checkpoint.policy not in POLICIES:
        raise ExportError(
            f'{checkpoint.directory}: LeRobot policies of type {checkpoint.policy!r} cannot be '
            f'exported; known: {available(POLICIES)}'
        )
    module_name, class_name = POLICIES[checkpoint.policy]
    with no_network():
        prepare_torchvision()
        try:
            cls = getattr(importlib.import_module(module_name), class_name)
        except ImportError as error:
            raise ExportError(
                f'LeRobot checkpoints need LeRobot, in the version that trained them: {error}. '
                'Make its environment: make test-lerobot (docs/how-to/export_lerobot.md)'
            ) from None
        try:
            config = _read_config(cls.config_class, checkpoint)
            policy = cls.from_pretrained(
                str(checkpoint.directory), config=config, local_files_only=True, strict=True
            )
        # LeRobot, draccus and torch raise what they like; all of it means the same to the caller.
        except Exception as error:
            raise ExportError(
                f'{checkpoint.directory}: LeRobot {lerobot_version()} does not accept this '
                f'checkpoint: {type(error).__name__}: {error}. Export with the LeRobot version '
                'that trained it'
            ) from error
    return policy.to('cpu').float().eval()


def lerobot_version() -> str:
    """Return the installed version."""
    try:
        return importlib.metadata.version('lerobot')
    except importlib.metadata.PackageNotFoundError:
        return 'unknown'


class LeRobotPipeline:
    """LeRobot's own preprocessor, network and postprocessor for raw observations.

    Args:
        policy: From `load_lerobot_policy`, untouched by the graphs (they take layers out).
        checkpoint: Where it came from.
    """

    def __init__(self, policy: Any, checkpoint: LeRobotCheckpoint) -> None:
        from lerobot.policies.factory import make_pre_post_processors

        self.policy = policy
        self._checkpoint = checkpoint
        with no_network():
            self.preprocess, self.postprocess = make_pre_post_processors(
                policy.config,
                pretrained_path=str(checkpoint.directory),
                preprocessor_overrides={'device_processor': {'device': 'cpu'}},
                preprocessor_config_filename=PREPROCESSOR,
            )

    def observation(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return one time step in LeRobot's form: pictures (1, 3, H, W) float in [0, 1].

        Args:
            tensors: Graph inputs of one time step, without batch dimension.
        """
        result = {}
        for feature in self._checkpoint.inputs:
            value = torch.from_numpy(np.array(tensors[input_name(feature.key)]))
            if feature.kind == 'VISUAL':
                value = value.permute(2, 0, 1).float() / 255.0
            result[feature.key] = value[None]
        processed = self.preprocess(result)
        # The pipeline adds empty entries for everything that a transition may hold.
        return {key: processed[key] for key in result}


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Keep LeRobot off the network, and its progress notes off the terminal."""
    before = {name: os.environ.get(name) for name in _OFFLINE}
    os.environ.update(_OFFLINE)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read_config(config_class: Any, checkpoint: LeRobotCheckpoint) -> Any:
    from lerobot.configs.policies import PreTrainedConfig

    overrides = ['--device=cpu']
    if 'pretrained_backbone_weights' in checkpoint.config:
        # The weights are in the checkpoint; LeRobot would download the ImageNet ones first.
        overrides.append('--pretrained_backbone_weights=null')
    config = PreTrainedConfig.from_pretrained(
        str(checkpoint.directory), local_files_only=True, cli_overrides=overrides
    )
    if not isinstance(config, config_class):
        raise ExportError(f'expected a {config_class.__name__}, got {type(config).__name__}')
    return config


def prepare_torchvision() -> None:
    """Declare two operators that torchvision registers shapes for.

    Its wheels are built for CUDA; beside a CPU build of torch their compiled part does not load,
    and the import fails on the missing operators, which no policy uses.
    """
    schema = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    for name in ('torchvision::nms', 'torchvision::qnms'):
        try:
            torch.library.define(name, schema)
        except RuntimeError:  # there already
            return
