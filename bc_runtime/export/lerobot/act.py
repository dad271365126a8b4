# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Inference of LeRobot's ACT as one graph (Zhao et al. 2023, https://arxiv.org/abs/2304.13705).

The network's own layers are used; only the order in which they are called is written here. LeRobot
makes one Python tensor per pixel of the feature map, which becomes thousands of graph nodes;
here a picture's tokens stay one tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.normalization import Denormalize
from bc_runtime.export.lerobot.observation import ObservationEncoder


class ActGraph(nn.Module):  # type: ignore[misc]
    """Raw observations -> chunk of physical actions.

    Args:
        network: The `ACT` module of a LeRobot policy.
        checkpoint: Where it came from.
    """

    def __init__(self, network: Any, checkpoint: LeRobotCheckpoint) -> None:
        super().__init__()
        # Training's encoder of demonstrations is left behind; the latent is zero at inference.
        for name in [name for name, _ in network.named_children() if name.startswith('vae_')]:
            delattr(network, name)
        if hasattr(network, 'vae_encoder_pos_enc'):
            del network.vae_encoder_pos_enc
        self.network = network
        self.observe = ObservationEncoder(checkpoint)
        self.denormalize = Denormalize(checkpoint.action_norm)

    def forward(self, *inputs: Any) -> Any:
        """Return (1, chunk_size, D)."""
        net, config = self.network, self.network.config
        state, environment, pictures = self.observe(inputs)
        latent = torch.zeros(
            (1, config.latent_dim), dtype=net.encoder_latent_input_proj.weight.dtype
        )
        vectors = [net.encoder_latent_input_proj(latent)]
        if config.robot_state_feature:
            vectors.append(net.encoder_robot_state_input_proj(state))
        if config.env_state_feature:
            vectors.append(net.encoder_env_state_input_proj(environment))
        # Tokens are (count, batch, width).
        tokens = [torch.stack(vectors, dim=0)]
        places = [net.encoder_1d_feature_pos_embed.weight.unsqueeze(1)]
        for picture in pictures:
            features = net.backbone(picture)['feature_map']
            place = net.encoder_cam_feat_pos_embed(features).to(features.dtype)
            tokens.append(_as_tokens(net.encoder_img_feat_input_proj(features)))
            places.append(_as_tokens(place))
        position = torch.cat(places, dim=0)
        memory = net.encoder(torch.cat(tokens, dim=0), pos_embed=position)
        query = torch.zeros((config.chunk_size, 1, config.dim_model), dtype=memory.dtype)
        decoded = net.decoder(
            query,
            memory,
            encoder_pos_embed=position,
            decoder_pos_embed=net.decoder_pos_embed.weight.unsqueeze(1),
        )
        return self.denormalize(net.action_head(decoded.transpose(0, 1)))


def _as_tokens(features: Any) -> Any:
    """(1, C, H, W) -> (H * W, 1, C)."""
    return features.flatten(2).permute(2, 0, 1)
