# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a LeRobot checkpoint directory: two kinds of file, JSON and safetensors, each by its name.

Nothing in it can run code. The processors' step list is compared with the steps that the graph
reproduces; an unknown step is an error, because leaving it out would change the actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import safetensors
from safetensors.numpy import load_file

from bc_runtime.export.errors import ExportError, StatisticsMissing
from bc_runtime.spec.errors import available
from bc_runtime.spec.text_formats import TextFormatError, parse_json

CONFIG: Final = 'config.json'
WEIGHTS: Final = 'model.safetensors'
PREPROCESSOR: Final = 'policy_preprocessor.json'
POSTPROCESSOR: Final = 'policy_postprocessor.json'

# Which statistics each normalisation needs.
MODES: Final[Mapping[str, tuple[str, ...]]] = {
    'IDENTITY': (),
    'MEAN_STD': ('mean', 'std'),
    'MIN_MAX': ('min', 'max'),
    'QUANTILES': ('q01', 'q99'),
    'QUANTILE10': ('q10', 'q90'),
}
_HARMLESS_STEPS: Final = (
    'rename_observations_processor',
    'to_batch_processor',
    'device_processor',
)
_TOKENIZER_STEP: Final = 'tokenizer_processor'
# Policy type -> steps that make tokens of a sentence; the sentences are a table in the graph.
_LANGUAGE_STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    'smolvla': ('smolvla_new_line_processor', _TOKENIZER_STEP)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One input or output of the policy.

    Attributes:
        kind: LeRobot's feature type: STATE, ENV, VISUAL or ACTION.
        shape: Without the batch dimension; pictures are (channels, height, width).
    """

    key: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """What one processor does to one feature.

    Attributes:
        mode: A key of `MODES`.
        stats: Name of the statistic -> values.
        eps: Added to, or used instead of, a zero range.
    """

    mode: str
    stats: Mapping[str, NDArray[np.float32]]
    eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeRobotCheckpoint:
    """What a checkpoint directory says.

    Attributes:
        directory: Where it lies.
        policy: LeRobot's policy type, e.g. `act`.
        config: `config.json` as it is.
        inputs: In the order of the config, which is the order of the cameras in the network.
        action: The action feature.
        observation_norms: Input key -> what the preprocessor does to it.
        action_norm: What the postprocessor undoes.
        stats: Feature key -> name -> values, everything that the processors store.
        sha256: Hex digest of the weights file.
        tokenizer_name: Hub name or folder that the tokenizer step names; None: no such step, or
            it names none.
        max_tokens: Length at which the tokenizer step cuts a sentence; 0: no such step.
    """

    directory: Path
    policy: str
    config: Mapping[str, Any]
    inputs: tuple[Feature, ...]
    action: Feature
    observation_norms: Mapping[str, Normalization]
    action_norm: Normalization
    stats: Mapping[str, Mapping[str, NDArray[np.float32]]]
    sha256: str
    tokenizer_name: str | None = None
    max_tokens: int = 0


def read_checkpoint(directory: Path) -> LeRobotCheckpoint:
    """Read and check a checkpoint directory.

    Raises:
        StatisticsMissing: a normalisation has no statistics, or they are not finite.
        ExportError: a file is missing or damaged, or a processor step is unknown.
    """
    directory = _find(directory)
    config = read_json(directory / CONFIG)
    policy = config.get('type')
    if not isinstance(policy, str):
        raise ExportError(
            f'{directory / CONFIG}: expected the policy type in the key "type", got {policy!r}; '
            f'keys: {available(config)}'
        )
    inputs = _seen(policy, _features(config, 'input_features', directory), config)
    outputs = _features(config, 'output_features', directory)
    actions = [feature for feature in outputs if feature.kind == 'ACTION']
    if len(actions) != 1 or len(actions[0].shape) != 1:
        raise ExportError(
            f'{directory / CONFIG}: expected one output feature of type ACTION with one '
            f'dimension, got {[(f.key, f.kind, list(f.shape)) for f in outputs]}'
        )
    words = _LANGUAGE_STEPS.get(policy, ())
    before, before_stats = _normalizer(directory, PREPROCESSOR, 'normalizer_processor', words)
    after, after_stats = _normalizer(directory, POSTPROCESSOR, 'unnormalizer_processor')
    tokenizer = _tokenizer(directory / PREPROCESSOR) if words else (None, 0)
    norms = {f.key: _normalization(f, before, before_stats, directory) for f in inputs}
    weights = directory / WEIGHTS
    if not weights.is_file():
        raise ExportError(f'{weights}: there is no such file; {_listing(directory)}')
    with weights.open('rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
    return LeRobotCheckpoint(
        directory=directory,
        policy=policy,
        config=config,
        inputs=inputs,
        action=actions[0],
        observation_norms=norms,
        action_norm=_normalization(actions[0], after, after_stats, directory),
        stats={**before_stats, **after_stats},
        sha256=digest,
        tokenizer_name=tokenizer[0],
        max_tokens=tokenizer[1],
    )


def _find(directory: Path) -> Path:
    """Return the folder with the config; training runs keep it in `pretrained_model`."""
    for candidate in (directory, directory / 'pretrained_model'):
        if (candidate / CONFIG).is_file():
            return candidate
    what = 'is no directory' if not directory.is_dir() else f'has no {CONFIG}'
    raise ExportError(
        f'{directory}: {what}; expected a LeRobot checkpoint: a directory with {CONFIG}, '
        f'{WEIGHTS}, {PREPROCESSOR} and {POSTPROCESSOR}. {_listing(directory)}'
    )


def _listing(directory: Path) -> str:
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    return f'files there: {available(names)}'


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ExportError: the file cannot be read, or holds something else.
    """
    try:
        value = parse_json(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, TextFormatError) as error:
        raise ExportError(f'{path}: cannot be read: {error}') from None
    if not isinstance(value, dict):
        raise ExportError(f'{path}: expected a JSON object, got {type(value).__name__}')
    return value


def _features(config: Mapping[str, Any], key: str, directory: Path) -> tuple[Feature, ...]:
    value = config.get(key)
    if not isinstance(value, dict) or not value:
        raise ExportError(
            f'{directory / CONFIG}: expected features in {key!r}, got {value!r}; a policy that '
            'was never connected to a data set cannot be deployed'
        )
    result = []
    for name, entry in value.items():
        kind = entry.get('type') if isinstance(entry, dict) else None
        shape = entry.get('shape') if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not _is_shape(shape):
            raise ExportError(
                f'{directory / CONFIG}: {key}.{name}: expected a type and a shape, got {entry!r}'
            )
        result.append(Feature(key=name, kind=kind, shape=tuple(shape or ())))
    return tuple(result)


def _seen(
    policy: str, features: tuple[Feature, ...], config: Mapping[str, Any]
) -> tuple[Feature, ...]:
    """Return the inputs that the network looks at.

    SmolVLA looks at one state and at pictures; its empty cameras stand for pictures that the robot
    does not have (`SmolVLAPolicy.prepare_images`).
    """
    if policy != 'smolvla':
        return features
    empty = config.get('empty_cameras', 0)
    count = empty if isinstance(empty, int) else 0
    unseen = {f'observation.images.empty_camera_{index}' for index in range(count)}
    return tuple(
        feature
        for feature in features
        if feature.key == 'observation.state'
        or (feature.kind == 'VISUAL' and feature.key not in unseen)
    )


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and all(type(dim) is int and dim > 0 for dim in value)


def _normalizer(
    directory: Path, file: str, wanted: str, also: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, dict[str, NDArray[np.float32]]]]:
    """Return the configuration of the one normalising step, and its statistics."""
    path = directory / file
    if not path.is_file():
        raise StatisticsMissing(
            f'{path}: there is no such file, so the statistics of the training data are missing. '
            'Checkpoints before LeRobot 0.4 keep them elsewhere: convert it with '
            'lerobot/processor/migrate_policy_normalization.py first. ' + _listing(directory)
        )
    found: list[Mapping[str, Any]] = []
    known = (*_HARMLESS_STEPS, *also)
    for step in _steps(path):
        name = step.get('registry_name') if isinstance(step, dict) else None
        if name == wanted:
            found.append(step)
        elif name not in known:
            label = name or (step.get('class') if isinstance(step, dict) else step)
            raise ExportError(
                f'{path}: the step {label!r} is not one that the graph reproduces; known: '
                f'{available((*known, wanted))}. Export needs a checkpoint without it'
            )
    if len(found) != 1:
        raise StatisticsMissing(f'{path}: expected one step {wanted!r}, got {len(found)}')
    step = found[0]
    config = step.get('config')
    state = step.get('state_file')
    if not isinstance(config, dict) or not isinstance(state, str):
        raise StatisticsMissing(
            f'{path}: the step {wanted!r} names no state_file with statistics; train or save the '
            "checkpoint with the data set's statistics"
        )
    return config, _statistics(directory, state)


def _steps(path: Path) -> list[Any]:
    steps = read_json(path).get('steps')
    if not isinstance(steps, list):
        raise ExportError(f'{path}: expected a list of steps, got {steps!r}')
    return steps


def _tokenizer(path: Path) -> tuple[str | None, int]:
    """Return the name and the longest sentence of the one tokenizer step."""
    found = [step for step in _steps(path) if step.get('registry_name') == _TOKENIZER_STEP]
    config = found[0].get('config') if len(found) == 1 else None
    length = config.get('max_length') if isinstance(config, dict) else None
    name = config.get('tokenizer_name') if isinstance(config, dict) else None
    if not isinstance(config, dict) or type(length) is not int or length < 1:
        raise ExportError(
            f'{path}: expected one step {_TOKENIZER_STEP!r} with a max_length of at least 1, got '
            f'{len(found)} steps and max_length {length!r}; a SmolVLA is told its task in words'
        )
    if config.get('task_key', 'task') != 'task':
        raise ExportError(
            f'{path}: expected the sentence under the key "task", got {config["task_key"]!r}'
        )
    return name if isinstance(name, str) else None, length


def _statistics(directory: Path, name: str) -> dict[str, dict[str, NDArray[np.float32]]]:
    path = directory / name
    if Path(name).name != name or path.suffix != '.safetensors':
        raise ExportError(
            f'{directory}: expected a state_file that is a safetensors file in the directory, '
            f'got {name!r}'
        )
    if not path.is_file():
        raise StatisticsMissing(
            f'{path}: the file with the statistics is missing; copy the whole checkpoint. '
            + _listing(directory)
        )
    try:
        flat = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ExportError(f'{path}: is no safetensors file, or is damaged: {error}') from None
    stats: dict[str, dict[str, NDArray[np.float32]]] = {}
    for label, values in flat.items():
        key, _, stat = label.rpartition('.')
        stats.setdefault(key, {})[stat] = np.asarray(values, dtype=np.float32)
    return stats


def _normalization(
    feature: Feature,
    config: Mapping[str, Any],
    stats: Mapping[str, Mapping[str, NDArray[np.float32]]],
    directory: Path,
) -> Normalization:
    modes = config.get('norm_map')
    # A type that the map leaves out is not normalised: ENV, by LeRobot's defaults.
    mode = modes.get(feature.kind, 'IDENTITY') if isinstance(modes, dict) else None
    if not isinstance(mode, str) or mode not in MODES:
        raise ExportError(
            f'{directory}: expected a normalisation of {available(MODES)} for {feature.key!r}, '
            f'got {mode!r}'
        )
    only = config.get('normalize_observation_keys')
    if feature.kind != 'ACTION' and isinstance(only, list) and feature.key not in only:
        mode = 'IDENTITY'
    eps = config.get('eps', 1e-8)
    if not isinstance(eps, float) or not 0.0 <= eps < 1.0:
        raise ExportError(f'{directory}: expected a small eps, got {eps!r}')
    wanted = MODES[mode]
    have = stats.get(feature.key, {})
    missing = [name for name in wanted if name not in have]
    if missing:
        # LeRobot itself goes on without normalising; the robot would then go anywhere.
        raise StatisticsMissing(
            f'{directory}: {feature.key!r} is normalised by {mode}, and its statistics '
            f'{available(missing)} are missing; the processors have: {available(_labels(stats))}. '
            "Save the checkpoint with the data set's statistics"
        )
    chosen = {name: have[name] for name in wanted}
    for name, values in chosen.items():
        _check_values(feature, name, values, directory)
    return Normalization(mode=mode, stats=chosen, eps=eps)


def _check_values(
    feature: Feature, name: str, values: NDArray[np.float32], directory: Path
) -> None:
    if not np.isfinite(values).all():
        raise StatisticsMissing(
            f'{directory}: the statistic {name!r} of {feature.key!r} holds NaN or infinity'
        )
    try:
        fits = np.broadcast_shapes(values.shape, feature.shape) == feature.shape
    except ValueError:
        fits = False
    if not fits:
        raise StatisticsMissing(
            f'{directory}: expected the statistic {name!r} of {feature.key!r} to fit its shape '
            f'{list(feature.shape)}, got {list(values.shape)}'
        )


def _labels(stats: Mapping[str, Mapping[str, object]]) -> Sequence[str]:
    return [f'{key}.{name}' for key, names in stats.items() for name in names]
