# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The vision-language model under a SmolVLA: its sizes and its tokenizer, from a local folder.

LeRobot asks the hub for both by name each time it builds the network, though the weights are in
the checkpoint. Here they come from a folder: JSON files only, nothing in it can run code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
from copy import deepcopy
from dataclasses import dataclass
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

from bc_runtime.export.errors import ExportError
from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint, read_json
from bc_runtime.spec.errors import available

#: Folder of a checkpoint that is looked into without being asked.
BESIDE: Final = 'vlm'
CONFIG: Final = 'config.json'
TOKENIZER: Final = 'tokenizer.json'
TOKENIZER_CONFIG: Final = 'tokenizer_config.json'
_FILES: Final = (CONFIG, TOKENIZER, TOKENIZER_CONFIG)
# Read by the same fast tokenizer code; others may be slow ones with formats of their own.
_TOKENIZERS: Final = ('GPT2Tokenizer', 'GPT2TokenizerFast', 'PreTrainedTokenizerFast')
_SPECIAL: Final = ('fake_image_token_id', 'global_image_token_id')
# Keys that would make transformers load code, from the folder or from the hub.
_CODE: Final = ('auto_map', 'attn_implementation', '_attn_implementation', 'quantization_config')


@dataclass(frozen=True, slots=True, kw_only=True)
class Vlm:
    """What a SmolVLA needs of its vision-language model, beside weights.

    Attributes:
        directory: Where it was read from.
        config: transformers' SmolVLMConfig.
        tokenizer: transformers' fast tokenizer.
        sha256: Hex digest of the tokenizer's file.
    """

    directory: Path
    config: Any
    tokenizer: Any
    sha256: str


def load_vlm(checkpoint: LeRobotCheckpoint, given: Path | None = None) -> Vlm:
    """Read the VLM of a checkpoint.

    Args:
        checkpoint: Names it.
        given: The folder; None: `vlm/` in the checkpoint, the folder that the config names, or
            the local cache of the hub, whichever comes first.

    Raises:
        ExportError: no folder has the files, transformers is missing, or a file is not as
            expected.
    """
    return read_vlm(_find(checkpoint, given))


def read_vlm(folder: Path) -> Vlm:
    """Read a folder with the config and the tokenizer of a VLM; errors as of `load_vlm`."""
    try:
        from transformers import GPT2TokenizerFast, PreTrainedTokenizerFast
        from transformers.models.smolvlm.configuration_smolvlm import SmolVLMConfig
    except ImportError as error:
        raise ExportError(
            f'SmolVLA checkpoints need transformers: {error}. Make their environment: '
            'make test-lerobot (docs/how-to/export_lerobot.md)'
        ) from None
    sizes = _sizes(folder / CONFIG)
    told = read_json(folder / TOKENIZER_CONFIG)
    name = told.get('tokenizer_class')
    if name not in _TOKENIZERS or 'auto_map' in told:
        raise ExportError(
            f'{folder / TOKENIZER_CONFIG}: expected a tokenizer_class of {available(_TOKENIZERS)} '
            f'without code of its own (auto_map), got {name!r}; give the folder of the VLM that '
            'the checkpoint was trained with'
        )
    read = PreTrainedTokenizerFast if name == 'PreTrainedTokenizerFast' else GPT2TokenizerFast
    # transformers and its Rust part raise what they like; all of it means the same here.
    try:
        config = SmolVLMConfig.from_dict(sizes)
        tokenizer = read.from_pretrained(str(folder), local_files_only=True)
        digest = hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest()
    except Exception as error:
        raise ExportError(
            f'{folder}: cannot be read as a VLM: {type(error).__name__}: {error}'
        ) from error
    missing = [key for key in _SPECIAL if not isinstance(getattr(tokenizer, key, None), int)]
    if missing:
        raise ExportError(
            f'{folder / TOKENIZER_CONFIG}: the tokenizer has no {available(missing)}, which '
            "SmolVLA's network asks for; expected the tokenizer of a SmolVLM"
        )
    return Vlm(directory=folder, config=config, tokenizer=tokenizer, sha256=digest)


@contextlib.contextmanager
def building_with(vlm: Vlm) -> Iterator[None]:
    """Let LeRobot build its network from the folder instead of the hub's name."""
    from lerobot.policies.smolvla import smolvlm_with_expert as module

    special = {key: getattr(vlm.tokenizer, key) for key in _SPECIAL}
    # The network asks its processor for two token numbers, and for nothing else.
    processor = SimpleNamespace(tokenizer=SimpleNamespace(**special))
    config = SimpleNamespace(from_pretrained=lambda *_, **__: deepcopy(vlm.config))
    with (
        mock.patch.object(module, 'AutoConfig', config),
        mock.patch.object(
            module, 'AutoProcessor', SimpleNamespace(from_pretrained=lambda *_, **__: processor)
        ),
    ):
        yield


def _find(checkpoint: LeRobotCheckpoint, given: Path | None) -> Path:
    name = checkpoint.config.get('vlm_model_name')
    words = checkpoint.tokenizer_name
    if given is not None:
        missing = [file for file in _FILES if not (given / file).is_file()]
        if missing:
            raise ExportError(
                f'--vlm {given}: expected a folder with {available(_FILES)}; missing: '
                f'{available(missing)}. Copy them from the VLM {name!r}'
            )
        return given
    if words is not None and words != name:
        raise ExportError(
            f'{checkpoint.directory}: the network was built on the VLM {name!r} and the tokenizer '
            f'is {words!r}; say by --vlm DIR which folder has {TOKENIZER} of the one and {CONFIG} '
            'of the other'
        )
    places = [checkpoint.directory / BESIDE]
    if isinstance(name, str) and name:
        places.append(Path(name))
        places += _cached(name)
    for place in places:
        if all((place / file).is_file() for file in _FILES):
            return place
    raise ExportError(
        f'{checkpoint.directory}: a SmolVLA is told its task in words, and the tokenizer of its '
        f'VLM {name!r} is not on this machine. Expected a folder with {available(_FILES)}; '
        f'looked into: {", ".join(map(str, places))}. Copy the files of the VLM (not its weights) '
        f'into {checkpoint.directory / BESIDE}, or name their folder with --vlm DIR. Nothing is '
        'downloaded'
    )


def _cached(name: str) -> list[Path]:
    """Return the folder of a hub name in the local cache, if there is one."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, TOKENIZER)
    except HFValidationError:  # a path, or no name of the hub at all
        return []
    return [Path(found).parent] if isinstance(found, str) else []


def _sizes(path: Path) -> dict[str, Any]:
    """Return the VLM's config without anything that names code."""
    value = read_json(path)
    text = value.get('text_config')
    kind = text.get('model_type', 'llama') if isinstance(text, dict) else None
    kinds = (value.get('model_type'), kind)
    if kinds != ('smolvlm', 'llama') or not _is_map(value.get('vision_config')):
        raise ExportError(
            f'{path}: expected the config of a SmolVLM (model_type smolvlm, with a text_config of '
            f'model_type llama and a vision_config), got {kinds}; give the folder of the VLM that '
            'the checkpoint was trained with'
        )
    return _without_code(value)


def _without_code(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_code(entry) if _is_map(entry) else entry
        for key, entry in value.items()
        if key not in _CODE
    }


def _is_map(value: object) -> bool:
    return isinstance(value, dict)
