# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Inference of LeRobot's SmolVLA as one graph.

Shukor et al. 2025, https://arxiv.org/abs/2506.01844. The network's own layers are used; only the
order in which they are called is written here. The vision-language model runs once per inference
and leaves keys and values; the action expert looks at them in each step of the flow. What LeRobot
computes in every step although it does not change (the expert's projections of the model's keys
and values) is computed once.

The sentences that the robot may be told are a table in the graph: their embeddings, so neither the
tokenizer nor the model's whole vocabulary is needed on the robot.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from bc_runtime.export.errors import ExportError
from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.normalization import Denormalize
from bc_runtime.export.lerobot.observation import ObservationEncoder
from bc_runtime.export.lerobot.smolvla_attention import HIDDEN, attend, heads, rope_angles, rotate
from bc_runtime.export.lerobot.smolvla_pictures import PictureTokens
from bc_runtime.export.sampling import FlowSampler
from bc_runtime.spec.sampling import Sampling


class SmolVlaGraph(nn.Module):  # type: ignore[misc]
    """Raw observations, the number of a sentence, and noise -> chunk of physical actions.

    Args:
        network: The `VLAFlowMatching` of a LeRobot policy; layers are taken out of it.
        checkpoint: Where it came from.
        sampler: The loop.
        tokens: Of each sentence, without padding.

    Raises:
        ExportError: the expert's layers do not fit together.
    """

    def __init__(
        self,
        network: Any,
        checkpoint: LeRobotCheckpoint,
        sampler: FlowSampler,
        tokens: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        config, both = network.config, network.vlm_with_expert
        self.chunk = (1, config.chunk_size, checkpoint.action.shape[0])
        self.state_width = config.max_state_dim
        self.head = both.config.text_config.head_dim
        self.observe = ObservationEncoder(checkpoint)
        self.denormalize = Denormalize(checkpoint.action_norm)
        self.sampler = sampler
        vlm = both.get_vlm_model()
        sizes = [(f.shape[1], f.shape[2]) for f in checkpoint.inputs if f.kind == 'VISUAL']
        self.pictures = PictureTokens(vlm, config.resize_imgs_with_padding, sizes)
        # Their pictures are hidden from everybody, so only their borders count.
        self.empty = config.empty_cameras
        self._keep_words(vlm.text_model.get_input_embeddings().weight, network, tokens)
        self.state_proj = network.state_proj
        self.layers = vlm.text_model.layers
        last = self.layers[-1]
        # Of the last layer, only keys and values are looked at.
        for owner, names in ((last.self_attn, ('q_proj', 'o_proj')), (last, ('mlp',))):
            for name in names:
                delattr(owner, name)
        del last.post_attention_layernorm
        self._keep_expert(both)
        self.action_in, self.action_out = network.action_in_proj, network.action_out_proj
        self.time_in, self.time_out = network.action_time_mlp_in, network.action_time_mlp_out
        self.register_buffer('waves', _waves(both.expert_hidden_size, config), persistent=False)
        later = torch.ones(self.chunk[1], self.chunk[1]).triu(1)
        self.register_buffer('later', later * HIDDEN, persistent=False)

    def _keep_words(self, table: Any, network: Any, tokens: Sequence[Sequence[int]]) -> None:
        longest = max(len(row) for row in tokens)
        words = torch.zeros(len(tokens), longest, table.shape[1])
        told = torch.zeros(len(tokens), longest)
        for number, row in enumerate(tokens):
            words[number, : len(row)] = table.detach()[list(row)] * math.sqrt(table.shape[1])
            told[number, : len(row)] = 1.0
        self.register_buffer('words', words)
        self.register_buffer('told', told)
        self.borders = bool(network.add_image_special_tokens)
        if self.borders:
            for name, index in (
                ('before', network.global_image_start_token),
                ('after', network.image_end_token),
            ):
                self.register_buffer(name, table.detach()[index][None].clone())

    def _keep_expert(self, both: Any) -> None:
        _, experts = both.get_model_layers([both.get_vlm_model().text_model, both.lm_expert])
        self.places = [i for i, layer in enumerate(experts) if layer is not None]
        self.expert = nn.ModuleList(experts[i] for i in self.places)
        self.expert_norm = both.lm_expert.norm
        every = both.self_attn_every_n_layers
        self.mixes = [
            'cross' not in both.attention_mode or (every > 0 and i % every == 0)
            for i in range(len(experts))
        ]
        seen = both.config.text_config.num_key_value_heads * self.head
        for i, layer in enumerate(experts):
            wanted = both.expert_hidden_size if self.mixes[i] else seen
            if layer is None and not self.mixes[i]:
                continue
            if layer is None or layer.self_attn.k_proj.in_features != wanted:
                raise ExportError(
                    f'layer {i} of the action expert does not fit the VLM: with '
                    f'num_expert_layers {len(self.places)} of {len(experts)}, '
                    f'attention_mode {both.attention_mode!r} and self_attn_every_n_layers {every} '
                    'LeRobot itself cannot run this network'
                )

    def forward(self, *inputs: Any) -> Any:
        """Return (1, K, D); inputs: observations, sentence (1, 1), noise (1, K, width)."""
        gain, offset, *conditioning = self.encode(*inputs[:-1])

        def velocity(sample: Any, time: Any) -> Any:
            return self.predict(sample, time, *conditioning)

        plan = self.sampler(velocity, inputs[-1])
        return gain * plan[:, :, : self.chunk[2]] + offset

    def encode(self, *observed: Any) -> tuple[Any, ...]:
        """Return gain, offset, then keys and values of the expert's layers, mask and angles.

        Keys and values are (layers, length, groups, width), the mask (1, length), the angles
        (2, chunk_size, width / 2); see `TwoGraphModule`.
        """
        prefix, visible, positions = self._prefix(observed)
        length = prefix.shape[1]
        bias = (visible - 1.0) * -HIDDEN
        # Pictures and words do not look at the state, which is last.
        state = F.pad(torch.full((length - 1, 1), HIDDEN), (length - 1, 0, 0, 1))
        keys, values = self._look(prefix, rope_angles(positions, self.head), bias + state)
        start = visible.sum()
        angles = rope_angles(start + torch.arange(self.chunk[1]), self.head)
        gain, offset = self.denormalize.line()
        return (gain.expand(self.chunk), offset.expand(self.chunk), keys, values, bias, angles)

    def predict(
        self, sample: Any, time: Any, keys: Any, values: Any, bias: Any, angles: Any
    ) -> Any:
        """Return the velocity (1, K, width) of a sample (1, K, width) at a flow time (1,)."""
        x = self.time_out(F.silu(self.time_in(self._timed(sample, time))))
        count = self.chunk[1]
        alone = rope_angles(torch.arange(count), self.head)
        both = torch.cat((bias.expand(count, -1), self.later), dim=1)
        for number, (place, layer) in enumerate(zip(self.places, self.expert, strict=True)):
            attention = layer.self_attn
            hidden = layer.input_layernorm(x)
            query = heads(attention.q_proj(hidden), self.head)
            key, value = keys[number][None], values[number][None]
            if self.mixes[place]:
                # The actions also look at themselves, each at those before it.
                own = rotate(heads(attention.k_proj(hidden), self.head), angles)
                key = torch.cat((key, own), dim=1)
                value = torch.cat((value, heads(attention.v_proj(hidden), self.head)), dim=1)
                seen = attend(rotate(query, angles), key, value, both)
            else:
                seen = attend(rotate(query, alone), key, value, bias)
            x = x + attention.o_proj(seen)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.action_out(self.expert_norm(x))

    def sampling(self, names: Sequence[str]) -> Sampling:
        """Return the loop outside the graphs."""
        return self.sampler.plan()

    def _prefix(self, observed: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Return tokens (1, length, width), their visibility (1, length) and positions (length,).

        Pictures, then the sentence, then the state. Padding of a short sentence is hidden, and
        the state's position is the one that it has without padding.
        """
        state, _, pictures = self.observe(observed[:-1])
        row = observed[-1].reshape(1)
        words, told = self.words.index_select(0, row), self.told.index_select(0, row)
        tokens = []
        for number, picture in enumerate(pictures):
            tokens += self._bordered([self.pictures(picture, number)])
        for _ in range(self.empty):
            tokens += self._bordered([])
        before = sum(part.shape[1] for part in tokens)
        state = F.pad(state, (0, self.state_width - state.shape[-1]))
        tokens += [words, self.state_proj(state)[:, None]]
        visible = F.pad(told, (before, 1), value=1.0)
        fixed = torch.arange(before + words.shape[1]).to(told.dtype)
        return torch.cat(tokens, dim=1), visible, torch.cat((fixed, before + told.sum()[None]))

    def _bordered(self, tokens: list[Any]) -> list[Any]:
        return [self.before, *tokens, self.after] if self.borders else tokens

    def _look(self, x: Any, angles: Any, bias: Any) -> tuple[Any, Any]:
        """Run the language model; return the keys and values that the expert sees."""
        keys, values = [], []
        for place, layer in enumerate(self.layers):
            attention = layer.self_attn
            hidden = layer.input_layernorm(x)
            key = rotate(heads(attention.k_proj(hidden), self.head), angles)
            value = heads(attention.v_proj(hidden), self.head)
            if place in self.places:
                mine = self.expert[self.places.index(place)].self_attn
                kept = (key, value)
                if not self.mixes[place]:
                    kept = tuple(
                        heads(project(part.flatten(2)), self.head)
                        for project, part in ((mine.k_proj, key), (mine.v_proj, value))
                    )
                keys.append(kept[0])
                values.append(kept[1])
            if place + 1 == len(self.layers):
                break
            query = rotate(heads(attention.q_proj(hidden), self.head), angles)
            x = x + attention.o_proj(attend(query, key, value, bias))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return torch.cat(keys), torch.cat(values)

    def _timed(self, sample: Any, time: Any) -> Any:
        """Return actions and flow time beside each other, (1, K, 2 * width)."""
        actions = self.action_in(sample)
        # In float64 as LeRobot: the shortest period is 0.004, where float32 loses digits. A
        # cosine is a sine a quarter later; ONNX Runtime has no float64 cosine.
        angle = time.double()[:, None] * self.waves[None]
        wave = torch.sin(torch.cat((angle, angle + math.pi / 2), dim=1)).to(actions.dtype)
        return torch.cat((actions, wave[:, None].expand(-1, actions.shape[1], -1)), dim=2)


def _waves(width: int, config: Any) -> Any:
    """Return the angular frequencies (width / 2,) of the flow time's embedding, float64."""
    fraction = torch.linspace(0.0, 1.0, width // 2, dtype=torch.float64)
    period = config.min_period * (config.max_period / config.min_period) ** fraction
    return 1.0 / period * 2 * math.pi
