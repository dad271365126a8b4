# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a SmolVLA takes beside observations, and which of its options the graph has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bc_runtime.export.errors import ExportError
from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.contract import INSTRUCTION


def smolvla_inputs(sentences: Sequence[str], config: Any) -> list[dict[str, object]]:
    """Return the spec's inputs that are no observations: the sentence's number and the noise.

    Args:
        sentences: In the order of the graph's table.
        config: LeRobot's SmolVLAConfig.
    """
    return [
        {
            'kind': 'tokens',
            'name': INSTRUCTION,
            'shape': [1, 1],
            'dtype': 'int64',
            'table': {words: [number] for number, words in enumerate(sentences)},
        },
        {
            'kind': 'noise',
            'name': 'noise',
            'shape': [1, config.chunk_size, config.max_action_dim],
            'distribution': 'normal',
        },
    ]


def check_smolvla(config: Any, checkpoint: LeRobotCheckpoint) -> None:
    """Refuse what the graph does not reproduce, and what LeRobot itself cannot run.

    Args:
        config: LeRobot's SmolVLAConfig.
        checkpoint: Where it came from.

    Raises:
        ExportError: says which option, and what to do.
    """
    where = checkpoint.directory
    if config.adapt_to_pi_aloha:
        raise ExportError(
            f'{where}: adapt_to_pi_aloha changes states and actions of an Aloha robot outside of '
            'the network, which the graph does not reproduce; expected a checkpoint without it'
        )
    if not config.use_cache:
        raise ExportError(
            f'{where}: expected use_cache: true, with which LeRobot samples actions, got false'
        )
    widths = {feature.kind: feature.shape for feature in checkpoint.inputs}
    for kind, need in (('STATE', 'observation.state'), ('VISUAL', 'at least one picture')):
        if kind not in widths:
            raise ExportError(
                f'{where}: expected {need} among the input features, got '
                f'{[feature.key for feature in checkpoint.inputs]}'
            )
    for what, shape, most in (
        ('state', widths['STATE'], config.max_state_dim),
        ('action', checkpoint.action.shape, config.max_action_dim),
    ):
        if len(shape) != 1 or shape[0] > most:
            raise ExportError(
                f'{where}: expected a {what} of at most {most} dimensions (max_{what}_dim), got '
                f'{list(shape)}'
            )


def check_tokens(tokens: Sequence[Sequence[int]], known: int, folder: object) -> None:
    """Refuse tokens that the network has no embedding for.

    Args:
        tokens: Of each sentence.
        known: Number of embeddings.
        folder: Where the tokenizer came from.

    Raises:
        ExportError: the tokenizer belongs to another network.
    """
    largest = max(max(row) for row in tokens)
    if largest >= known:
        raise ExportError(
            f'{folder}: the tokenizer gives token {largest}, and the network knows {known}; it '
            'is the tokenizer of another VLM. Give the one that the checkpoint was trained with'
        )
