# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Inference of LeRobot's VQ-BeT as one graph (Lee et al. 2024, https://arxiv.org/abs/2403.03181).

The network draws one code per layer of its residual quantiser. The draw is `argmax(p / q)` with q
from the exponential distribution, which is how torch's `multinomial` draws, and q is an input: so
the graph is deterministic, and a run can be repeated from its seed. Only the token whose chunk is
executed goes through the action head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn import functional as F

from bc_runtime.export.errors import ExportError
from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.crop import make_crop_static
from bc_runtime.export.lerobot.normalization import Denormalize
from bc_runtime.export.lerobot.observation import ObservationEncoder

NOISE = 'code_noise'


class VqBetGraph(nn.Module):  # type: ignore[misc]
    """Raw observations and code noise -> chunk of physical actions.

    Args:
        network: The `VQBeTModel` of a LeRobot policy.
        checkpoint: Where it came from.

    Raises:
        ExportError: the action codes were never trained.
    """

    def __init__(self, network: Any, checkpoint: LeRobotCheckpoint) -> None:
        super().__init__()
        if not bool(network.action_head.vqvae_model.discretized):
            raise ExportError(
                f'{checkpoint.directory}: the action codes of this VQ-BeT were never finished '
                '(training ended before n_vqvae_training_steps); train it on'
            )
        make_crop_static(network.rgb_encoder, network.config)
        self.network = network
        self.observe = ObservationEncoder(checkpoint)
        self.denormalize = Denormalize(checkpoint.action_norm)

    def forward(self, *inputs: Any) -> Any:
        """Return (1, action_chunk_size, D); inputs: observations, then (1, layers, codes)."""
        observations, noise = inputs[:-1], inputs[-1]
        net, config = self.network, self.network.config
        steps = config.n_obs_steps
        if steps == 1:
            observations = tuple(tensor.unsqueeze(1) for tensor in observations)
        state, _, pictures = self.observe(observations)
        # (1, steps, token kinds, width): one token per camera, the state, the action query.
        tokens = [
            net.rgb_feature_projector(net.rgb_encoder(picture[0])).unsqueeze(0)
            for picture in pictures
        ]
        tokens.append(net.state_projector(state))
        tokens.append(net.action_token.expand(1, steps, -1))
        kinds = len(tokens)
        sequence = torch.stack(tokens, dim=2).flatten(1, 2)
        future = net.action_token.expand(1, config.n_action_pred_token - 1, -1)
        features = net.policy(torch.cat([sequence, future], dim=1))
        # The action query of the newest observation.
        query = features[:, steps * kinds - 1]
        return self.denormalize(self._act(query, noise))

    def _act(self, query: Any, noise: Any) -> Any:
        head, config = self.network.action_head, self.network.config
        layers, codes = head.vqvae_model.vqvae_num_layers, config.vqvae_n_embed
        offsets = head.map_to_cbet_preds_offset(query).reshape(1, layers, codes, -1)
        if config.sequentially_select:
            first = _draw(head.map_to_cbet_preds_primary_bin(query), config, noise[:, 0])
            told = torch.cat((query, F.one_hot(first, num_classes=codes).float()), dim=1)
            second = _draw(head.map_to_cbet_preds_secondary_bin(told), config, noise[:, 1])
            chosen = torch.stack((first, second), dim=1)
        else:
            logits = head.map_to_cbet_preds_bin(query).reshape(1, layers, codes)
            chosen = _draw(logits, config, noise)
        index = chosen[:, :, None, None].expand(-1, -1, 1, offsets.shape[-1])
        offset = offsets.gather(2, index).sum(dim=(1, 2))
        latent = head.vqvae_model.get_embeddings_from_code(chosen)
        decoded = head.vqvae_model.get_action_from_latent(latent)
        return decoded + offset.reshape(decoded.shape)


def vqbet_noise_inputs(network: Any) -> list[dict[str, object]]:
    """Return the spec's noise input of a VQ-BeT network."""
    layers = network.action_head.vqvae_model.vqvae_num_layers
    shape = [1, layers, network.config.vqvae_n_embed]
    return [{'kind': 'noise', 'name': NOISE, 'shape': shape, 'distribution': 'exponential'}]


@contextmanager
def drawing_with(network: Any, noise: Callable[[], Any]) -> Iterator[None]:
    """Let LeRobot's own network draw its codes with given noise.

    Args:
        network: The `VQBeTModel`.
        noise: Returns the noise (1, layers, codes) of the inference under way.
    """
    config = network.config
    layers = network.action_head.vqvae_model.vqvae_num_layers
    newest = config.n_obs_steps - 1  # the token whose chunk is executed
    calls = [0]

    def multinomial(probabilities: Any, num_samples: int) -> Any:
        q = torch.ones_like(probabilities)
        if config.sequentially_select:
            q[newest] = noise()[0, calls[0] % layers]
            calls[0] += 1
        else:
            q[newest * layers : (newest + 1) * layers] = noise()[0]
        return (probabilities / q).argmax(dim=-1, keepdim=True)

    with mock.patch.object(torch, 'multinomial', multinomial):
        yield


def _draw(logits: Any, config: Any, noise: Any) -> Any:
    chances = torch.softmax(logits / config.bet_softmax_temperature, dim=-1)
    return (chances / noise).argmax(dim=-1)
