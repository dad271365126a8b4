# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""robomimic's BC-RNN-GMM checkpoints -> verified ONNX policies.

Mandlekar et al. 2021, https://arxiv.org/abs/2108.03298; layout of robomimic 0.3.0
(https://github.com/ARISE-Initiative/robomimic). The file is read as plain tensors, numbers and
texts; one that needs more is refused. The network is rebuilt here, so robomimic is not needed.

At run time robomimic forgets its hidden state every `rnn.horizon` steps; a counter beside the
hidden state does the same in the graph. With `low_noise_eval` it draws one mode of the mixture at
every step; the default here is the mean of the most likely mode, and drawing is a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F

from bc_runtime.export.errors import ExportError
from bc_runtime.export.graph import OPSET
from bc_runtime.export.lerobot.declaration import Declaration, DeclarationError
from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.export.proof import PARITY_TOLERANCE
from bc_runtime.spec import PolicySpec, SpecError
from bc_runtime.spec.errors import available
from bc_runtime.spec.text_formats import TextFormatError, parse_json

_PREFIX: Final = 'policy.nets.'
_KNOWN: Final = {
    'model',
    'config',
    'algo_name',
    'env_metadata',
    'shape_metadata',
    'obs_normalization_stats',
}
_LOW_NOISE: Final = 1e-4
#: Steps for which the graph holds its action: a plan is never continued past its last action, and
#: the next one comes a step and a latency later.
HELD_STEPS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RobomimicCheckpoint:
    """What a checkpoint says.

    Attributes:
        algo: `algo` of its config.
        shapes: Observation key -> size, in the order in which the network reads them.
        action_dim: Size of an action.
        weights: Of the policy network, without the prefix.
        stats: Observation key -> (mean, std); empty: observations are not normalised.
        sha256: Hex digest of the file.
    """

    path: Path
    algo: Mapping[str, Any]
    shapes: Mapping[str, int]
    action_dim: int
    weights: Mapping[str, Any]
    stats: Mapping[str, tuple[Any, Any]]
    sha256: str


def read_robomimic(path: Path) -> RobomimicCheckpoint:
    """Read a checkpoint without running anything in it.

    Raises:
        ExportError: unreadable, it needs code, or is another algorithm or form of network.
    """
    try:
        with path.open('rb') as file:
            digest = hashlib.file_digest(file, 'sha256').hexdigest()
        content = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise ExportError(f'{path}: cannot be read: {error.strerror or error}') from None
    # torch raises several types for damaged files and for pickles with code.
    except Exception as error:
        text = ' '.join(str(error).split())[:300]
        raise ExportError(
            f'{path}: expected a robomimic checkpoint of plain tensors, numbers and texts; it is '
            f'damaged, or reading it would run code from the file: {text}'
        ) from error
    if not isinstance(content, dict) or not {'model', 'config', 'shape_metadata'} <= set(content):
        keys = available(map(str, content)) if isinstance(content, dict) else type(content)
        raise ExportError(f'{path}: expected a robomimic checkpoint, got {keys}')
    unknown = set(content) - _KNOWN
    if unknown:
        raise ExportError(
            f'{path}: these parts are not understood, and may change the actions: '
            f'{available(map(str, unknown))}'
        )
    try:
        config: Any = parse_json(content['config'])
        algo = dict(config['algo'])
        return _checkpoint(path, content, config, algo, digest)
    except (KeyError, TypeError, TextFormatError, AttributeError) as error:
        raise ExportError(
            f'{path}: the config or the shapes are not those of robomimic 0.3: '
            f'{type(error).__name__}: {error}'
        ) from None


def _checkpoint(
    path: Path, content: Mapping[str, Any], config: Any, algo: dict[str, Any], digest: str
) -> RobomimicCheckpoint:
    if config.get('algo_name') != 'bc' or not algo['rnn']['enabled'] or not algo['gmm']['enabled']:
        raise ExportError(
            f'{path}: expected the algorithm bc with rnn and gmm enabled, got '
            f'{config.get("algo_name")!r}'
        )
    rnn, modalities = algo['rnn'], config['observation']['modalities']
    wanted = {key for keys in modalities['obs'].values() for key in keys or ()}
    pictures = [
        key for kind, keys in modalities['obs'].items() if kind != 'low_dim' for key in keys
    ]
    goals = [key for keys in modalities.get('goal', {}).values() for key in keys or ()]
    core = config['observation']['encoder'].get('low_dim', {}).get('core_class')
    for what, found in (
        ('pictures among its observations', pictures),
        ('goals', goals),
        ('layers after the recurrent network', algo['actor_layer_dims']),
        ('an encoder of its low-dimensional observations', core),
        ('an open loop', rnn.get('open_loop')),
        ('a bidirectional network', rnn.get('kwargs', {}).get('bidirectional')),
    ):
        if found:
            raise ExportError(f'{path}: a policy with {what} ({found}) cannot be exported')
    shapes = content['shape_metadata']['all_shapes']
    prefix = {k.removeprefix(_PREFIX): v for k, v in content['model'].items()}
    stats = content.get('obs_normalization_stats') or {}
    keys = [key for key in shapes if key in wanted]
    missing = [key for key in keys if stats and key not in stats]
    if missing:
        raise ExportError(f'{path}: no statistics of {available(missing)}')
    return RobomimicCheckpoint(
        path=path,
        algo=algo,
        shapes={key: int(torch.Size(shapes[key]).numel()) for key in keys},
        action_dim=int(content['shape_metadata']['ac_dim']),
        weights=prefix,
        stats={
            key: (
                torch.tensor(stats[key]['mean']).float().reshape(1, -1),
                torch.tensor(stats[key]['std']).float().reshape(1, -1),
            )
            for key in keys
            if stats
        },
        sha256=digest,
    )


class RobomimicGraph(nn.Module):  # type: ignore[misc]
    """Observations, hidden state and noise -> one action and the new hidden state.

    Args:
        checkpoint: Where the weights come from.
        sample: Draw a mode and an action as robomimic does, instead of the likeliest mode's mean.
    """

    def __init__(self, checkpoint: RobomimicCheckpoint, *, sample: bool) -> None:
        super().__init__()
        algo = checkpoint.algo
        rnn, gmm = algo['rnn'], algo['gmm']
        self.count = len(checkpoint.shapes)
        self.modes, self.dim = gmm['num_modes'], checkpoint.action_dim
        self.sample, self.low_noise = sample, gmm['low_noise_eval']
        self.min_std, self.activation = gmm['min_std'], gmm['std_activation']
        self.horizon = int(rnn['horizon'])
        self.lstm = rnn['rnn_type'] == 'LSTM'
        cell = nn.LSTM if self.lstm else nn.GRU
        self.rnn = cell(
            sum(checkpoint.shapes.values()),
            rnn['hidden_dim'],
            num_layers=rnn['num_layers'],
            batch_first=True,
        )
        width = self.modes * self.dim
        self.mean = nn.Linear(rnn['hidden_dim'], width)
        self.scale = nn.Linear(rnn['hidden_dim'], width)
        self.logits = nn.Linear(rnn['hidden_dim'], self.modes)
        for name, part in (
            ('rnn.nets', self.rnn),
            ('decoder.nets.mean', self.mean),
            ('decoder.nets.scale', self.scale),
            ('decoder.nets.logits', self.logits),
        ):
            _load(part, checkpoint, name)
        for number, (mean, std) in enumerate(checkpoint.stats.values()):
            self.register_buffer(f'mean_{number}', mean)
            self.register_buffer(f'std_{number}', std)
        self.normalized = bool(checkpoint.stats)

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """Return (1, HELD_STEPS, D), the hidden states, and the counter."""
        states = 2 if self.lstm else 1
        observed, rest = inputs[: self.count], inputs[self.count :]
        hidden, counter, noises = rest[:states], rest[states], rest[states + 1 :]
        if self.normalized:
            observed = tuple(
                (x - getattr(self, f'mean_{i}')) / getattr(self, f'std_{i}')
                for i, x in enumerate(observed)
            )
        keep = (counter != 0).to(hidden[0].dtype).reshape(1, 1, 1)
        hidden = tuple(state * keep for state in hidden)
        seen = torch.cat(observed, dim=-1)[:, None]
        features, after = self.rnn(seen, hidden if self.lstm else hidden[0])
        action = self._act(features[:, 0], noises)
        after = after if self.lstm else (after,)
        held = action[:, None].expand(-1, HELD_STEPS, -1)
        return (held, *after, torch.remainder(counter + 1, self.horizon))

    def _act(self, features: Any, noises: tuple[Any, ...]) -> Any:
        means = self.mean(features).reshape(1, self.modes, self.dim)
        means = torch.tanh(means)
        chances = torch.softmax(self.logits(features), dim=-1)
        if not self.sample:
            return _pick(means, chances.argmax(dim=-1))
        pick, normal = noises
        mode = (chances / pick).argmax(dim=-1)
        if self.low_noise:
            return _pick(means, mode) + _LOW_NOISE * normal
        raw = self.scale(features).reshape(1, self.modes, self.dim)
        scales = F.softplus(raw) if self.activation == 'softplus' else torch.exp(raw)
        return _pick(means, mode) + _pick(scales + self.min_std, mode) * normal


def _pick(values: Any, mode: Any) -> Any:
    index = mode[:, None, None].expand(-1, 1, values.shape[-1])
    return values.gather(1, index)[:, 0]


def _load(part: Any, checkpoint: RobomimicCheckpoint, name: str) -> None:
    found = {
        key.removeprefix(f'{name}.'): value
        for key, value in checkpoint.weights.items()
        if key.startswith(f'{name}.')
    }
    try:
        part.load_state_dict(found, strict=True)
    except RuntimeError as error:
        text = ' '.join(str(error).split())[:300]
        raise ExportError(
            f'{checkpoint.path}: the weights of {name!r} are not those of its config: {text}'
        ) from None


def export_robomimic(
    path: Path,
    declaration: Declaration,
    out: Path,
    *,
    sample: bool = False,
    exporter: str = 'dynamo',
    opset: int = OPSET,
    tolerance: float = PARITY_TOLERANCE,
) -> ExportReport:
    """Write a robomimic BC-RNN-GMM checkpoint as an ONNX policy.

    Args:
        path: The `.pth` file.
        declaration: What it does not say; with `training_ranges`, which it does not hold.
        out: The policy file.
        sample: See `RobomimicGraph`.
        exporter: `dynamo` or `legacy`.
        opset: ONNX operator set.
        tolerance: Largest deviation allowed, in action units.

    Raises:
        ExportError: the checkpoint cannot be exported; nothing was written.
        DeclarationError: the declaration does not fit.
    """
    checkpoint = read_robomimic(path)
    spec = _spec(checkpoint, declaration, sample)
    module = RobomimicGraph(checkpoint, sample=sample).eval()
    return export_module(
        module,
        spec,
        out,
        exporter=exporter,
        opset=opset,
        tolerance=tolerance,
        measure_speed=True,
    )


def _spec(checkpoint: RobomimicCheckpoint, declaration: Declaration, sample: bool) -> PolicySpec:
    if declaration.instructions:
        raise DeclarationError(
            'a BC-RNN-GMM is told nothing; expected no sentences, got '
            f'{available(map(repr, declaration.instructions))}',
            source=declaration.source,
            path='instructions',
        )
    if set(declaration.inputs) != set(checkpoint.shapes):
        raise DeclarationError(
            f'expected the inputs {available(checkpoint.shapes)}, got '
            f'{available(declaration.inputs)}',
            source=declaration.source,
            path='inputs',
        )
    rnn, modes = checkpoint.algo['rnn'], checkpoint.algo['gmm']['num_modes']
    inputs: list[dict[str, object]] = []
    for key, size in checkpoint.shapes.items():
        given = dict(declaration.inputs[key])
        kind = 'state' if 'joints' in given else 'vector'
        inputs.append({'kind': kind, 'name': key, 'shape': [1, size], **given})
    for name in ('hidden', 'cell')[: 2 if rnn['rnn_type'] == 'LSTM' else 1]:
        shape = [rnn['num_layers'], 1, rnn['hidden_dim']]
        inputs.append(
            {'kind': 'recurrent', 'name': name, 'shape': shape, 'output': f'{name}_next'}
        )
    counter = {'kind': 'recurrent', 'name': 'step', 'shape': [1], 'output': 'step_next'}
    inputs.append({**counter, 'dtype': 'int64'})
    if sample:
        for name, shape, distribution in (
            ('mode_noise', [1, modes], 'exponential'),
            ('noise', [1, checkpoint.action_dim], 'normal'),
        ):
            inputs.append(
                {'kind': 'noise', 'name': name, 'shape': shape, 'distribution': distribution}
            )
    try:
        return PolicySpec.from_dict(
            {
                'schema_version': 1,
                'name': declaration.name,
                'version': declaration.version,
                'family': 'gmm',
                'license': declaration.license,
                'control_hz': declaration.control_hz,
                'chunk_size': HELD_STEPS,
                'n_action_steps': 1,
                'inputs': inputs,
                'output': {'name': 'action', 'groups': declaration.action_groups},
                'training_ranges': dict(declaration.training_ranges),
                'source': {
                    'origin': 'robomimic',
                    'checkpoint_sha256': checkpoint.sha256,
                    'hidden_state_horizon': rnn['horizon'],
                    'action': 'drawn' if sample else 'mean of the most likely mode',
                },
            },
            source=declaration.source,
        )
    except SpecError as error:
        raise DeclarationError(str(error)) from None
