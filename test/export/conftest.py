# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DECLARATION = """
name: tiny
license: Apache-2.0
control_hz: 15
inputs:
  observation.state: {joints: [j1, j2, j3, j4], units: [rad, rad, rad, m]}
  observation.images.top: {camera: front, resize: {mode: none, interpolation: area}}
actions:
  - {kind: joint_position, names: [j1, j2, j3], units: [rad, rad, rad]}
  - {kind: gripper, names: [j4], units: [m]}
"""
FEATURES = {'observation.state': (4,), 'observation.images.top': (3, 24, 32)}
SMALL = {
    'act': {
        'chunk_size': 10,
        'n_action_steps': 6,
        'dim_model': 32,
        'n_heads': 2,
        'dim_feedforward': 32,
        'n_encoder_layers': 1,
        'n_vae_encoder_layers': 1,
        'latent_dim': 4,
    },
    'vqbet': {
        'n_obs_steps': 3,
        'n_action_pred_token': 2,
        'action_chunk_size': 4,
        'vqvae_n_embed': 8,
        'vqvae_embedding_dim': 16,
        'vqvae_enc_hidden_dim': 16,
        'gpt_block_size': 32,
        'gpt_input_dim': 16,
        'gpt_output_dim': 16,
        'gpt_hidden_dim': 16,
        'gpt_n_layer': 2,
        'gpt_n_head': 2,
        'spatial_softmax_num_keypoints': 4,
        'crop_shape': (20, 28),
        'bet_softmax_temperature': 2.0,
    },
    'smolvla': {
        'chunk_size': 6,
        'n_action_steps': 4,
        'max_state_dim': 8,
        'max_action_dim': 7,
        'resize_imgs_with_padding': (64, 64),
        'num_vlm_layers': 3,
        'num_steps': 4,
    },
    'diffusion': {
        'noise_scheduler_type': 'DDIM',
        'num_inference_steps': 4,
        'down_dims': (8, 16),
        'diffusion_step_embed_dim': 16,
        'n_groups': 2,
        'spatial_softmax_num_keypoints': 4,
        'crop_shape': (20, 28),
    },
}

MakeCheckpoint = Callable[..., Path]


@pytest.fixture
def declaration_file(tmp_path: Path) -> Path:
    """Return what the tiny checkpoints do not say."""
    path = tmp_path / 'declaration.yaml'
    path.write_text(DECLARATION)
    return path


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """Return a function that makes a LeRobot checkpoint directory with random weights."""
    pytest.importorskip('lerobot', reason='needs LeRobot (requirements/lerobot.txt)')
    from bc_runtime.export.lerobot.random_checkpoint import (
        make_random_checkpoint,
        register_tiny_backbone,
    )

    def make(policy: str, *, features: Any = None, action_dim: int = 4, **config: Any) -> Path:
        directory = tmp_path / 'checkpoint' / policy
        backbone = {'vision_backbone': register_tiny_backbone()} if policy != 'smolvla' else {}
        make_random_checkpoint(
            policy,
            directory,
            features=features or FEATURES,
            action_dim=action_dim,
            **{**backbone, **SMALL[policy], **config},
        )
        return directory

    return make
