# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot itself: builds the network of a checkpoint, and gives its actions to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from bc_runtime.export.lerobot.contract import INSTRUCTION, input_name
from bc_runtime.export.lerobot.vlm import Vlm, building_with, load_vlm
from bc_runtime.spec.errors import available

#: Policy type -> (module, class) in LeRobot.
POLICIES: Final = {
    'act': ('lerobot.policies.act.modeling_act', 'ACTPolicy'),
    'vqbet': ('lerobot.policies.vqbet.modeling_vqbet', 'VQBeTPolicy'),
    'diffusion': ('lerobot.policies.diffusion.modeling_diffusion', 'DiffusionPolicy'),
    'smolvla': ('lerobot.policies.smolvla.modeling_smolvla', 'SmolVLAPolicy'),
}
# LeRobot's names of a sentence's tokens and of which of them count.
_WORDS: Final = ('observation.language.tokens', 'observation.language.attention_mask')
# What keeps LeRobot and its hub client away from the network.
_OFFLINE: Final = {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_OFFLINE': '1', 'HF_DATASETS_OFFLINE': '1'}


def load_lerobot_policy(checkpoint: LeRobotCheckpoint, vlm: Vlm | None = None) -> Any:
    """Return LeRobot's own policy object with the checkpoint's weights, on the CPU, offline.

    Args:
        checkpoint: What to load.
        vlm: Of a SmolVLA; None: where `load_vlm` finds it.

    Raises:
        ExportError: LeRobot is missing, does not know the policy, or refuses the checkpoint.
    """
    if checkpoint.policy not in POLICIES:
        raise ExportError(
            f'{checkpoint.directory}: LeRobot policies of type {checkpoint.policy!r} cannot be '
            f'exported; known: {available(POLICIES)}'
        )
    module_name, class_name = POLICIES[checkpoint.policy]
    if checkpoint.policy == 'smolvla' and vlm is None:
        vlm = load_vlm(checkpoint)
    with no_network(), contextlib.ExitStack() as stack:
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
            if vlm is not None:
                stack.enter_context(building_with(vlm))
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
    if checkpoint.policy == 'smolvla':
        # Real-time chunking is a way of executing; `select_action` refuses to run with it.
        policy.config.rtc_config = policy.rtc_processor = policy.model.rtc_processor = None
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
        vlm: Of a SmolVLA, for its tokenizer.
        sentences: What a SmolVLA may be told; the graph's input `instruction` is an index of it.
    """

    def __init__(
        self,
        policy: Any,
        checkpoint: LeRobotCheckpoint,
        vlm: Vlm | None = None,
        sentences: Sequence[str] = (),
    ) -> None:
        from lerobot.policies.factory import make_pre_post_processors

        self.policy = policy
        self.sentences = tuple(sentences)
        self._checkpoint = checkpoint
        overrides: dict[str, dict[str, Any]] = {'device_processor': {'device': 'cpu'}}
        if vlm is not None:
            # Without a name there is nothing to look for on the hub. What would be cut is seen.
            overrides['tokenizer_processor'] = {
                'tokenizer': vlm.tokenizer,
                'tokenizer_name': None,
                'truncation': False,
            }
        with no_network():
            self.preprocess, self.postprocess = make_pre_post_processors(
                policy.config,
                pretrained_path=str(checkpoint.directory),
                preprocessor_overrides=overrides,
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
        if not self.sentences:
            processed = self.preprocess(result)
            # The pipeline adds empty entries for everything that a transition may hold.
            return {key: processed[key] for key in result}
        index = int(np.asarray(tensors[INSTRUCTION]).reshape(-1)[0])
        processed = self.preprocess({**result, 'task': self.sentences[index]})
        return {key: processed[key] for key in (*result, *_WORDS)}

    def tokens(self, sentence: str) -> list[int]:
        """Return the tokens of a sentence without padding.

        Raises:
            ExportError: LeRobot would cut the sentence, or nothing of it is left.
        """
        nowhere = {f.key: torch.zeros(1, *f.shape) for f in self._checkpoint.inputs}
        processed = self.preprocess({**nowhere, 'task': sentence})
        ids, told = (processed[key][0] for key in _WORDS)
        kept: list[int] = ids[told].tolist()
        most = self._checkpoint.max_tokens
        if not 1 <= len(kept) <= most:
            raise ExportError(
                f'{sentence!r} is {len(kept)} tokens, and the checkpoint was trained with 1 to '
                f'{most} (max_length of its tokenizer step); LeRobot would cut the rest off. Use '
                'the sentences of the data set'
            )
        return kept


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
    if checkpoint.policy == 'smolvla':
        # The VLM's weights are in the checkpoint as well; compiling is for many inferences.
        overrides += ['--load_vlm_weights=false', '--compile_model=false']
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
