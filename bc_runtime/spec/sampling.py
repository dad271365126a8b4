# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The two-graph form: which second graph a policy asks again and again, and by which formula.

The policy's own file holds the encoder, run once per inference; the file beside it holds the step
network. Formulas: `bc_runtime.policy.sampler`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import re
from types import MappingProxyType
from typing import Final

from bc_runtime.spec.errors import available, did_you_mean
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.inputs import NoiseInput, PolicyInput, RecurrentInput

METHODS: Final = ('ddim', 'ddpm', 'euler')
#: Names of `diffusers`, then the one of continuous noise levels.
DISCRETE_SCHEDULES: Final = ('linear', 'scaled_linear', 'squaredcos_cap_v2')
COSINE: Final = 'cosine'
PREDICTIONS: Final = ('epsilon', 'sample', 'v_prediction')
VELOCITY: Final = 'velocity'
#: Inputs of the spec that the sampling takes: the first sample, and DDPM's noise of each step.
NOISE: Final = 'noise'
STEP_NOISE: Final = 'step_noise'
#: Tensors of the step network, and what turns the last sample into actions: gain * x + offset.
SAMPLE: Final = 'sample'
TIME: Final = 'time'
PREDICTION: Final = 'prediction'
GAIN: Final = 'action_gain'
OFFSET: Final = 'action_offset'
RESERVED: Final = (SAMPLE, TIME, PREDICTION, GAIN, OFFSET)
STEP_SUFFIX: Final = '.step.onnx'
MAX_STEPS: Final = 10_000
_SHA256 = re.compile(r'[0-9a-f]{64}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a chunk is sampled outside the graphs.

    Attributes:
        step_file: Name of the step network's file, beside the policy.
        step_sha256: Its digest, as `OnnxFile.sha256`; so the policy's id covers both files.
        conditioning: Outputs of the encoder that are inputs of the step network: name -> shape,
            float32.
        method: `ddim`, `ddpm` or `euler` (flow matching).
        steps: Calls of the step network.
        prediction: What it predicts: one of `PREDICTIONS`; `velocity` for euler.
        schedule: How the training added noise; empty for euler.
        train_steps: Noise levels of the training; 0 for euler and `cosine`.
        beta_start: First and
        beta_end: last noise of `linear` and `scaled_linear`.
        start: Flow time of the noise and
        end: of the data, for euler.
        clip: Action name -> the clean sample is cut to +-this, in the network's units.
        clipped_noise: The noise that a prediction implies is taken after the cut
            (`use_clipped_model_output` of diffusers).
        first_row: Row of the sample that is row 0 of the chunk. Columns of the sample behind the
            actions (networks of a fixed width) are left out.
    """

    step_file: str = ''
    step_sha256: str = ''
    conditioning: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    method: str
    steps: int
    prediction: str
    schedule: str = ''
    train_steps: int = 0
    beta_start: float = 0.0001
    beta_end: float = 0.02
    start: float = 0.0
    end: float = 1.0
    clip: Mapping[str, float] = field(default_factory=dict)
    clipped_noise: bool = False
    first_row: int = 0

    @property
    def time_dtype(self) -> str:
        """Element type of the step network's `time`: an index, a noise level or a flow time."""
        return 'int64' if self.schedule in DISCRETE_SCHEDULES else 'float32'

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        result: dict[str, object] = {
            'step_file': self.step_file,
            'step_sha256': self.step_sha256,
            'conditioning': [
                {'name': name, 'shape': list(shape)} for name, shape in self.conditioning.items()
            ],
            'method': self.method,
            'steps': self.steps,
            'prediction': self.prediction,
            'clip': dict(self.clip),
            'first_row': self.first_row,
        }
        if self.method == 'euler':
            return {**result, 'start': self.start, 'end': self.end}
        result |= {'schedule': self.schedule, 'clipped_noise': self.clipped_noise}
        if self.schedule == COSINE:
            return result
        keys = ('train_steps', 'beta_start', 'beta_end')
        return {**result, **{key: getattr(self, key) for key in keys}}


def read_sampling(
    f: Fields, *, inputs: Sequence[PolicyInput], names: Sequence[str], chunk_size: int
) -> Sampling:
    """Read the section `sampling` and compare it with the rest of the spec.

    Args:
        f: The section.
        inputs: Of the policy.
        names: Of the action dimensions.
        chunk_size: Of the policy.
    """
    file = f.text('step_file', filled=True)
    if '/' in file or '\\' in file or '\0' in file or not file.endswith(STEP_SUFFIX):
        raise f.fail(
            'step_file',
            f'expected a bare file name beside the policy that ends in {STEP_SUFFIX}, got '
            f'{file!r}; export the policy again (bc export --two-graphs)',
        )
    digest = f.text('step_sha256')
    if not _SHA256.fullmatch(digest):
        raise f.fail('step_sha256', f'expected 64 hexadecimal digits, got {digest!r}')
    conditioning = _read_conditioning(f)
    method = f.text('method', choices=METHODS)
    euler = method == 'euler'
    schedules = (*DISCRETE_SCHEDULES, *((COSINE,) if method == 'ddim' else ()))
    schedule = '' if euler else f.text('schedule', choices=schedules)
    discrete = schedule in DISCRETE_SCHEDULES
    train_steps = f.integer('train_steps', minimum=1, maximum=MAX_STEPS) if discrete else 0
    sampling = Sampling(
        step_file=file,
        step_sha256=digest,
        conditioning=MappingProxyType(conditioning),
        method=method,
        steps=f.integer('steps', minimum=1, maximum=train_steps or MAX_STEPS),
        prediction=f.text('prediction', choices=(VELOCITY,) if euler else PREDICTIONS),
        schedule=schedule,
        train_steps=train_steps,
        beta_start=f.number('beta_start', 0.0001, above=0.0, maximum=1.0) if discrete else 0.0001,
        beta_end=f.number('beta_end', 0.02, above=0.0, maximum=1.0) if discrete else 0.02,
        start=f.number('start', 0.0) if euler else 0.0,
        end=f.number('end', 1.0) if euler else 1.0,
        clip=_read_clip(f.section('clip', {}), names),
        clipped_noise=False if euler else f.flag('clipped_noise', False),
        first_row=f.integer('first_row', 0, minimum=0),
    )
    if sampling.start == sampling.end:
        raise f.fail('end', f'expected another flow time than start ({sampling.start:g})')
    _check_inputs(f, sampling, inputs, len(names), chunk_size)
    f.done()
    return sampling


def _read_conditioning(f: Fields) -> dict[str, tuple[int, ...]]:
    result: dict[str, tuple[int, ...]] = {}
    for section in f.sections('conditioning'):
        name = section.text('name', filled=True)
        if name in (*RESERVED, *result):
            raise section.fail(
                'name',
                f'expected unique names other than {available(RESERVED)}, got {name!r}',
            )
        result[name] = section.shape('shape')
        section.done()
    if not result:
        raise f.fail(
            'conditioning', 'expected at least one tensor that the step network sees, got none'
        )
    return result


def _read_clip(f: Fields, names: Sequence[str]) -> Mapping[str, float]:
    for name in f.names():
        if name not in names:
            hint = did_you_mean(name, names)
            raise f.fail(name, f'expected an action of this policy: {available(names)}.{hint}')
    return MappingProxyType({name: f.number(name, above=0.0) for name in f.names()})


def _check_inputs(
    f: Fields,
    sampling: Sampling,
    inputs: Sequence[PolicyInput],
    dimensions: int,
    chunk_size: int,
) -> None:
    hidden = [item.name for item in inputs if isinstance(item, RecurrentInput)]
    if hidden:
        raise f.fail(
            '', f'two-graph policies have no hidden state, got the inputs {available(hidden)}'
        )
    noises = {item.name: item for item in inputs if isinstance(item, NoiseInput)}
    wanted = (NOISE, STEP_NOISE) if sampling.method == 'ddpm' else (NOISE,)
    if set(noises) != set(wanted) or any(n.distribution != 'normal' for n in noises.values()):
        raise f.fail(
            'method',
            f'{sampling.method} needs the normal noise inputs {available(wanted)}, the policy has '
            f'{available(noises)}',
        )
    shape = noises[NOISE].shape
    rows = sampling.first_row + chunk_size
    if len(shape) != 3 or shape[0] != 1 or shape[1] < rows or shape[2] < dimensions:
        raise f.fail(
            'first_row',
            f'expected an input {NOISE!r} of shape [1, {rows} or more (first_row + chunk_size), '
            f'{dimensions} or more (actions)], got {list(shape)}',
        )
    if sampling.clip and shape[2] != dimensions:
        raise f.fail(
            'clip',
            f'expected no cut of a sample that is wider ({shape[2]}) than the actions '
            f'({dimensions}): what the other columns are is not known',
        )
    steps = (sampling.steps, *shape)
    if STEP_NOISE in noises and noises[STEP_NOISE].shape != steps:
        raise f.fail(
            'steps',
            f'expected an input {STEP_NOISE!r} of shape {list(steps)} (steps, then that of '
            f'{NOISE!r}), got {list(noises[STEP_NOISE].shape)}',
        )
