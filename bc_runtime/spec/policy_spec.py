# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PolicySpec: the contract of one policy file, stored as JSON in the file itself.

The JSON lives in the ONNX metadata property `bc_policy`; a side file `<model>.policy.yaml` of the
same schema serves a third-party ONNX. Raw physical observations go in and physical actions come
out: normalisation is in the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import math
from pathlib import Path
from types import MappingProxyType

from bc_runtime.spec.actions import ActionGroup, ActionKind, Reference, read_action_group
from bc_runtime.spec.errors import SpecError, available, did_you_mean
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.inputs import (
    ImageInput,
    InstructionInput,
    PolicyInput,
    PrefixInput,
    StateInput,
    VectorInput,
    read_input,
)
from bc_runtime.spec.sampling import Sampling, read_sampling
from bc_runtime.spec.text_formats import TextFormatError, parse_json, parse_yaml

SCHEMA_VERSION = 1
METADATA_KEY = 'bc_policy'
MAX_FILE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRange:
    """Range of one dimension over the training data, in physical units."""

    minimum: float
    maximum: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """A seeded input and the chunk that it must give; run before the policy may act.

    Attributes:
        seed: Seed of `bc_runtime.spec.self_test.make_inputs`.
        expected: Row-major values, chunk_size * D.
        tolerance: Largest absolute deviation allowed, in action units.
    """

    seed: int
    expected: tuple[float, ...]
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """Everything that a runtime must know of a policy.

    Attributes:
        control_hz: Rate of the actions in a chunk (1/dt).
        n_obs_steps: Observation steps that the policy sees, at t, t-dt, ...
        chunk_size: Predicted steps K.
        n_action_steps: Steps meant to be executed before replanning.
        stamp_index: Index of the action that belongs to the observation stamp.
        output: Name of the graph's action output, shape (1, chunk_size, D).
        actions: The D dimensions in groups.
        training_ranges: Dimension name -> range; keys `state.<joint>` and `action.<name>`.
        sampling: The second graph of a two-graph policy and its loop; None: one graph does it all.
        source: Free facts about the origin: framework, checkpoint hash, command, seed, parity.
    """

    name: str
    version: str
    family: str
    license: str
    control_hz: float
    n_obs_steps: int
    chunk_size: int
    n_action_steps: int
    stamp_index: int
    inputs: tuple[PolicyInput, ...]
    output: str
    actions: tuple[ActionGroup, ...]
    training_ranges: Mapping[str, TrainingRange] = field(default_factory=dict)
    self_test: SelfTest | None = None
    sampling: Sampling | None = None
    source: Mapping[str, object] = field(default_factory=dict)

    @property
    def dt_ns(self) -> int:
        """Time between two actions of a chunk [ns]."""
        return round(1e9 / self.control_hz)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the D action dimensions, in order."""
        return tuple(name for group in self.actions for name in group.names)

    @property
    def action_kinds(self) -> tuple[ActionKind, ...]:
        """Kinds of the D action dimensions, in order."""
        return tuple(group.kind for group in self.actions for _ in group.names)

    @property
    def action_units(self) -> tuple[str, ...]:
        """Units of the D action dimensions, in order."""
        return tuple(unit for group in self.actions for unit in group.units)

    @property
    def action_references(self) -> tuple[Reference, ...]:
        """References of the D action dimensions, in order."""
        return tuple(group.reference for group in self.actions for _ in group.names)

    @property
    def action_dim(self) -> int:
        """Number of action dimensions D."""
        return len(self.action_names)

    @property
    def state_inputs(self) -> tuple[StateInput, ...]:
        """Inputs made of joint states."""
        return tuple(i for i in self.inputs if isinstance(i, StateInput))

    @property
    def image_inputs(self) -> tuple[ImageInput, ...]:
        """Inputs made of camera images."""
        return tuple(i for i in self.inputs if isinstance(i, ImageInput))

    @property
    def instruction_inputs(self) -> tuple[InstructionInput, ...]:
        """Inputs made of the instruction."""
        return tuple(i for i in self.inputs if isinstance(i, InstructionInput))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        from bc_runtime.spec.policy_json import spec_to_dict

        return spec_to_dict(self)

    def to_json(self) -> str:
        """Return the JSON text that goes into the ONNX metadata.

        Raises:
            SpecError: `source` holds something that JSON has no form for.
        """
        try:
            return json.dumps(self.to_dict(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SpecError(f'cannot be written as JSON: {error}', path='source') from None

    @classmethod
    def from_dict(cls, value: object, *, source: str = 'policy spec') -> PolicySpec:
        """Read and validate the JSON form.

        Raises:
            SpecError: names the key path, what was expected and what came.
        """
        return _read(Fields(value, source=source, error=SpecError))

    @classmethod
    def from_json(cls, text: str, *, source: str = 'policy spec') -> PolicySpec:
        """Read and validate JSON text; see `from_dict`."""
        try:
            value = parse_json(text)
        except TextFormatError as error:
            raise SpecError(str(error), source=source) from None
        return cls.from_dict(value, source=source)

    @classmethod
    def from_yaml_file(cls, path: Path) -> PolicySpec:
        """Read a side file; see `from_dict`."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise SpecError('file is larger than 10 MB', source=str(path))
            value = parse_yaml(path.read_text(encoding='utf-8'))
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f'cannot be read: {error}', source=str(path)) from None
        except TextFormatError as error:
            raise SpecError(str(error), source=str(path)) from None
        return cls.from_dict(value, source=str(path))


def _read(f: Fields) -> PolicySpec:
    version = f.integer('schema_version', minimum=1)
    if version > SCHEMA_VERSION:
        raise f.fail(
            'schema_version',
            f'this bc_runtime reads up to version {SCHEMA_VERSION}, the file has {version}; '
            'upgrade bc_runtime or export the policy again with this version',
        )
    n_obs_steps = f.integer('n_obs_steps', 1, minimum=1)
    chunk_size = f.integer('chunk_size', minimum=1)
    n_action_steps = f.integer('n_action_steps', chunk_size, minimum=1)
    stamp_index = f.integer('stamp_index', 0, minimum=0)
    if n_action_steps > chunk_size:
        raise f.fail(
            'n_action_steps', f'expected at most chunk_size ({chunk_size}), got {n_action_steps}'
        )
    if stamp_index >= chunk_size:
        raise f.fail('stamp_index', f'expected below chunk_size ({chunk_size}), got {stamp_index}')
    inputs = tuple(read_input(s, n_obs_steps=n_obs_steps) for s in f.sections('inputs'))
    _refuse_repeats(f, 'inputs', [i.name for i in inputs])
    if not inputs:
        raise f.fail('inputs', 'expected at least one input, got an empty list')
    output = f.section('output')
    output_name = output.text('name')
    actions = tuple(read_action_group(s) for s in output.sections('groups'))
    output.done()
    _refuse_repeats(f, 'output.groups', [name for group in actions for name in group.names])
    if not actions:
        raise f.fail('output.groups', 'expected at least one group, got an empty list')
    dimensions = sum(len(group.names) for group in actions)
    for item in inputs:
        _check_prefix(f, item, dimensions)
    spec = PolicySpec(
        name=f.text('name', filled=True),
        version=f.text('version', '0'),
        family=f.text('family'),
        license=f.text('license', ''),
        control_hz=f.number('control_hz', minimum=0.01, maximum=1000.0),
        n_obs_steps=n_obs_steps,
        chunk_size=chunk_size,
        n_action_steps=n_action_steps,
        stamp_index=stamp_index,
        inputs=inputs,
        output=output_name,
        actions=actions,
        training_ranges=_read_ranges(f, _range_names(inputs, actions)),
        self_test=(
            _read_self_test(f.section('self_test'), chunk_size * dimensions)
            if f.has('self_test')
            else None
        ),
        sampling=(
            read_sampling(
                f.section('sampling'),
                inputs=inputs,
                names=[name for group in actions for name in group.names],
                chunk_size=chunk_size,
            )
            if f.has('sampling')
            else None
        ),
        source=MappingProxyType(f.mapping('source', {})),
    )
    f.done()
    return spec


def _check_prefix(f: Fields, item: PolicyInput, dimensions: int) -> None:
    """Refuse a prefix that could not be filled: [..., P, D] actions, one delay."""
    if not isinstance(item, PrefixInput):
        return
    size = math.prod(item.shape)
    if item.role == 'actions' and (not item.shape or item.shape[-1] != dimensions):
        raise f.fail(
            'inputs',
            f'the committed actions {item.name!r} have the shape {list(item.shape)}; expected '
            f'[1, P, {dimensions}], one column for each action. Let the graph pad them itself',
        )
    if item.role == 'delay' and size != 1:
        raise f.fail(
            'inputs', f'the delay {item.name!r} is one number, got the shape {list(item.shape)}'
        )


def _range_names(inputs: Sequence[PolicyInput], actions: Sequence[ActionGroup]) -> tuple[str, ...]:
    states = {
        f'state.{name}'
        for item in inputs
        if isinstance(item, (StateInput, VectorInput))
        for name in (item.joints if isinstance(item, StateInput) else item.names)
    }
    return (*sorted(states), *(f'action.{name}' for group in actions for name in group.names))


def _read_ranges(f: Fields, known: Sequence[str]) -> Mapping[str, TrainingRange]:
    ranges = {}
    for name, section in f.named_sections('training_ranges', {}):
        if name not in known:
            raise section.fail(
                '',
                'belongs to no input or action of this policy; expected one of '
                f'{available(known)}.{did_you_mean(name, known)}',
            )
        low, high = section.number('min'), section.number('max')
        if low > high:
            raise section.fail('min', f'expected at most max ({high:g}), got {low:g}')
        ranges[name] = TrainingRange(
            minimum=low,
            maximum=high,
            mean=section.number('mean'),
            std=section.number('std', minimum=0.0),
        )
        section.done()
    return MappingProxyType(ranges)


def _read_self_test(f: Fields, count: int) -> SelfTest:
    test = SelfTest(
        seed=f.integer('seed', minimum=0),
        expected=f.numbers('expected', length=count),
        tolerance=f.number('tolerance', above=0.0),
    )
    f.done()
    return test


def _refuse_repeats(f: Fields, key: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise f.fail(key, f'expected unique names; given more than once: {available(twice)}')
