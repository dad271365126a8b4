# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy takes: one class per kind of input, with its JSON form.

Shapes are those of the graph: batch dimension 1 first, then `n_obs_steps` if the policy sees a
history (oldest first), then the feature. Raw physical values go in; normalisation is in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
import math
from types import MappingProxyType
from typing import ClassVar

from bc_runtime.spec.errors import BindingError, available, did_you_mean
from bc_runtime.spec.fields import Fields


class InputKind(StrEnum):
    """The kinds of policy input."""

    STATE = 'state'
    VECTOR = 'vector'
    IMAGE = 'image'
    TEXT = 'text'
    TOKENS = 'tokens'
    EMBEDDING = 'embedding'
    NOISE = 'noise'
    RECURRENT = 'recurrent'
    PREFIX = 'prefix'


@dataclass(frozen=True, slots=True, kw_only=True)
class StateInput:
    """Joint quantities, in the order of `joints`; float32.

    Attributes:
        joints: Names of the policy's joints; mapped to robot joints by name.
        quantity: position, velocity or effort.
        units: One unit per joint (rad, m, rad/s, ...).
    """

    kind: ClassVar[InputKind] = InputKind.STATE
    name: str
    shape: tuple[int, ...]
    joints: tuple[str, ...]
    quantity: str
    units: tuple[str, ...]
    dtype: ClassVar[str] = 'float32'

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one time step."""
        return (len(self.joints),)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorInput:
    """Any numeric fields of a robot stream (force, gripper width, end-effector pose); float32."""

    kind: ClassVar[InputKind] = InputKind.VECTOR
    name: str
    shape: tuple[int, ...]
    stream: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    dtype: ClassVar[str] = 'float32'

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one time step."""
        return (len(self.names),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeRule:
    """How training made the policy's picture from the camera's; reproduced exactly.

    Attributes:
        mode: `stretch` (both axes freely), `letterbox` (keep aspect, pad), `center_crop` (keep
            aspect, fill, cut the rest), or `none` (camera size must be the policy's size).
        interpolation: `area`, `linear`, `nearest` or `cubic`, as OpenCV defines them.
        pad_value: Grey value of the letterbox border, 0..255.
        crop: Optional region of the camera picture taken first: (top, left, height, width) [px].
    """

    mode: str = 'stretch'
    interpolation: str = 'area'
    pad_value: int = 0
    crop: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInput:
    """One camera.

    Attributes:
        camera: Camera name in the robot's YAML.
        layout: HWC or CHW.
        dtype: uint8 (0..255), or float32 scaled to `value_range`; uint16 and float32 for depth.
        value_range: (low, high) that 0 and 255 map to for float32 pictures.
        color: rgb, bgr, mono or depth.
    """

    kind: ClassVar[InputKind] = InputKind.IMAGE
    name: str
    shape: tuple[int, ...]
    camera: str
    height: int
    width: int
    layout: str
    dtype: str
    value_range: tuple[float, float]
    color: str
    resize: ResizeRule

    @property
    def channels(self) -> int:
        """3 for colour, 1 for mono and depth."""
        return 3 if self.color in ('rgb', 'bgr') else 1

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one time step."""
        if self.layout == 'CHW':
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionInput:
    """The instruction as text, tokens or a precomputed embedding.

    Attributes:
        table: Instruction in words -> values (row-major, `feature_shape`). Empty for `text`, where
            the words themselves go to the graph as a string tensor.
    """

    kind: InputKind
    name: str
    shape: tuple[int, ...]
    dtype: str
    table: Mapping[str, tuple[float, ...]]

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape without the batch dimension."""
        return self.shape[1:]

    def encode(self, instruction: str) -> tuple[float, ...]:
        """Return the values for an instruction; unknown words are an error, never a guess."""
        if instruction in self.table:
            return self.table[instruction]
        hint = did_you_mean(instruction, self.table)
        raise BindingError(
            f'the policy does not know the instruction {instruction!r}; '
            f'it was trained on: {available(repr(k) for k in self.table)}.{hint}'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseInput:
    """Sampling noise as an explicit input, so that a run can be repeated bit for bit."""

    kind: ClassVar[InputKind] = InputKind.NOISE
    name: str
    shape: tuple[int, ...]
    distribution: str
    dtype: ClassVar[str] = 'float32'


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentInput:
    """Hidden state: `output` of the previous call, `reset_value` at the start of an episode."""

    kind: ClassVar[InputKind] = InputKind.RECURRENT
    name: str
    shape: tuple[int, ...]
    dtype: str
    output: str
    reset_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixInput:
    """Real-time chunking: `role` actions (committed actions) or delay (their number, int64)."""

    kind: ClassVar[InputKind] = InputKind.PREFIX
    name: str
    shape: tuple[int, ...]
    role: str
    dtype: str


PolicyInput = (
    StateInput
    | VectorInput
    | ImageInput
    | InstructionInput
    | NoiseInput
    | RecurrentInput
    | PrefixInput
)


def _read_state(f: Fields) -> StateInput:
    joints = f.texts('joints')
    return StateInput(
        name=f.text('name', filled=True),
        shape=f.shape('shape'),
        joints=joints,
        quantity=f.text('quantity', 'position', choices=('position', 'velocity', 'effort')),
        units=_units(f, len(joints)),
    )


def _read_vector(f: Fields) -> VectorInput:
    names = f.texts('names')
    return VectorInput(
        name=f.text('name', filled=True),
        shape=f.shape('shape'),
        stream=f.text('stream'),
        names=names,
        units=_units(f, len(names)),
    )


def _read_resize(f: Fields) -> ResizeRule:
    crop: tuple[int, int, int, int] | None = None
    if f.has('crop'):
        top, left, height, width = f.numbers('crop', length=4)
        whole = all(value.is_integer() for value in (top, left, height, width))
        if not whole or min(top, left) < 0 or min(height, width) < 1:
            raise f.fail(
                'crop',
                'expected [top, left, height, width] in whole pixels, the size at least 1, '
                f'got [{top:g}, {left:g}, {height:g}, {width:g}]',
            )
        crop = (int(top), int(left), int(height), int(width))
    return ResizeRule(
        mode=f.text('mode', choices=('stretch', 'letterbox', 'center_crop', 'none')),
        interpolation=f.text('interpolation', choices=('area', 'linear', 'nearest', 'cubic')),
        pad_value=f.integer('pad_value', 0, minimum=0, maximum=255),
        crop=crop,
    )


def _read_image(f: Fields) -> ImageInput:
    low, high = f.numbers('value_range', (0.0, 255.0), length=2)
    if low >= high:
        raise f.fail(
            'value_range', f'expected [low, high] with low < high, got [{low:g}, {high:g}]'
        )
    return ImageInput(
        name=f.text('name', filled=True),
        shape=f.shape('shape'),
        camera=f.text('camera'),
        height=f.integer('height', minimum=1),
        width=f.integer('width', minimum=1),
        layout=f.text('layout', choices=('HWC', 'CHW')),
        dtype=f.text('dtype', choices=('uint8', 'float32', 'uint16')),
        value_range=(low, high),
        color=f.text('color', choices=('rgb', 'bgr', 'mono', 'depth')),
        resize=f.build('resize', _read_resize),
    )


#: Element types that each form of the instruction may have; the first is the default.
_INSTRUCTION_TYPES = {
    InputKind.TEXT: ('utf8',),
    InputKind.TOKENS: ('int64', 'int32', 'float32'),
    InputKind.EMBEDDING: ('float32',),
}


def _read_instruction(f: Fields) -> InstructionInput:
    kind = InputKind(f.text('kind'))
    shape = f.shape('shape')
    if not shape or shape[0] != 1:
        raise f.fail('shape', f'expected a batch dimension of 1 first, got {list(shape)}')
    types = _INSTRUCTION_TYPES[kind]
    dtype = f.text('dtype', types[0], choices=types)
    table: dict[str, tuple[float, ...]] = {}
    if kind is not InputKind.TEXT:
        rows = f.section('table')
        for words in rows.names():
            table[words] = rows.numbers(words, length=math.prod(shape[1:]))
            if dtype != 'float32' and any(value % 1 for value in table[words]):
                raise rows.fail(words, f'expected whole numbers for {dtype}')
        if not table:
            raise f.fail('table', 'expected at least one instruction, got an empty table')
    return InstructionInput(
        kind=kind,
        name=f.text('name', filled=True),
        shape=shape,
        dtype=dtype,
        table=MappingProxyType(table),
    )


def _read_noise(f: Fields) -> NoiseInput:
    return NoiseInput(
        name=f.text('name', filled=True),
        shape=f.shape('shape'),
        distribution=f.text('distribution', choices=('normal', 'uniform', 'exponential')),
    )


def _read_recurrent(f: Fields) -> RecurrentInput:
    return RecurrentInput(
        name=f.text('name', filled=True),
        shape=f.shape('shape'),
        dtype=f.text('dtype', 'float32', choices=('float32', 'int64', 'int32')),
        output=f.text('output'),
        reset_value=f.number('reset_value', 0.0),
    )


def _read_prefix(f: Fields) -> PrefixInput:
    role = f.text('role', choices=('actions', 'delay', 'weights'))
    types = ('int64', 'int32') if role == 'delay' else ('float32',)
    return PrefixInput(
        name=f.text('name', filled=True),
        shape=f.shape('shape'),
        role=role,
        dtype=f.text('dtype', types[0], choices=types),
    )


def _units(f: Fields, count: int) -> tuple[str, ...]:
    units = f.sequence('units')
    if len(units) != count or not all(isinstance(unit, str) for unit in units):
        raise f.fail('units', f'expected {count} units, one per name, got {list(units)!r}')
    return tuple(str(unit) for unit in units)


_READERS: Mapping[InputKind, Callable[[Fields], PolicyInput]] = {
    InputKind.STATE: _read_state,
    InputKind.VECTOR: _read_vector,
    InputKind.IMAGE: _read_image,
    InputKind.TEXT: _read_instruction,
    InputKind.TOKENS: _read_instruction,
    InputKind.EMBEDDING: _read_instruction,
    InputKind.NOISE: _read_noise,
    InputKind.RECURRENT: _read_recurrent,
    InputKind.PREFIX: _read_prefix,
}


def read_input(f: Fields, *, n_obs_steps: int) -> PolicyInput:
    """Read one input and check its shape against its kind and the history length."""
    kind = InputKind(f.text('kind', choices=[k.value for k in InputKind]))
    result = _READERS[kind](f)
    f.done()
    if isinstance(result, (StateInput, VectorInput, ImageInput)):
        steps = (n_obs_steps,) if n_obs_steps > 1 else ()
        with_steps = (1, n_obs_steps, *result.feature_shape)
        if result.shape not in ((1, *steps, *result.feature_shape), with_steps):
            raise f.fail(
                'shape',
                f'expected {list(with_steps)} (batch, n_obs_steps, feature)'
                + (f' or {[1, *result.feature_shape]}' if n_obs_steps == 1 else '')
                + f', got {list(result.shape)}',
            )
    return result
