# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`export_checkpoint`: a LeRobot checkpoint directory becomes one verified policy file."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from bc_runtime.export.errors import ExportError
from bc_runtime.export.graph import OPSET
from bc_runtime.export.lerobot.act import ActGraph
from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint, read_checkpoint
from bc_runtime.export.lerobot.contract import make_spec
from bc_runtime.export.lerobot.declaration import Declaration, DeclarationError
from bc_runtime.export.lerobot.diffusion import DiffusionGraph, noise_inputs
from bc_runtime.export.lerobot.reference import make_reference
from bc_runtime.export.lerobot.smolvla import SmolVlaGraph
from bc_runtime.export.lerobot.smolvla_contract import (
    check_smolvla,
    check_tokens,
    smolvla_inputs,
)
from bc_runtime.export.lerobot.source import (
    LeRobotPipeline,
    lerobot_version,
    load_lerobot_policy,
)
from bc_runtime.export.lerobot.vlm import Vlm, load_vlm
from bc_runtime.export.lerobot.vqbet import VqBetGraph, vqbet_noise_inputs
from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.export.proof import PARITY_TOLERANCE
from bc_runtime.export.sampling import METHODS, DiffusionSampler, DiffusionSchedule, FlowSampler
from bc_runtime.export.two_graphs import export_two_graphs
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.errors import available


def export_checkpoint(
    directory: Path,
    declaration: Declaration,
    out: Path,
    *,
    sampler: str | None = None,
    sampling_steps: int | None = None,
    unroll: bool = False,
    two_graphs: bool = False,
    vlm_directory: Path | None = None,
    exporter: str = 'dynamo',
    opset: int = OPSET,
    seed: int = 0,
    tolerance: float = PARITY_TOLERANCE,
) -> ExportReport:
    """Write a LeRobot checkpoint as an ONNX policy, after comparing it with LeRobot itself.

    Args:
        directory: With config.json, model.safetensors and the processors' files.
        declaration: What the checkpoint does not say.
        out: The policy file.
        sampler: `ddpm` or `ddim`, for diffusion; None: as in the checkpoint's config.
        sampling_steps: Network calls of one sampling, for diffusion and SmolVLA; None: as in the
            config.
        unroll: See `DiffusionSampler`.
        two_graphs: Write the step network into a file beside `out`; see `export_two_graphs`.
        vlm_directory: Of the VLM under a SmolVLA, see `load_vlm`; None: it is looked for.
        exporter: `dynamo` or `legacy`.
        opset: ONNX operator set.
        seed: Of the compared inputs and of the self-test.
        tolerance: Largest deviation allowed, in action units.

    Raises:
        StatisticsMissing: the checkpoint's normalisation has no statistics.
        ParityError: LeRobot and ONNX Runtime differ by more than the tolerance.
        ExportError: anything else; nothing was written.
    """
    if unroll and two_graphs:
        raise ExportError('of two graphs none has a loop to unroll; choose one of the options')
    checkpoint = read_checkpoint(directory)
    vlm = _vlm(checkpoint, declaration, vlm_directory)
    policy = load_lerobot_policy(checkpoint, vlm)
    pipeline = LeRobotPipeline(policy, checkpoint, vlm, declaration.instructions)
    source: dict[str, object] = {
        'origin': f'lerobot {lerobot_version()}',
        'checkpoint': checkpoint.directory.resolve().name,
        'checkpoint_sha256': checkpoint.sha256,
    }
    module: Any
    if checkpoint.policy in ('act', 'vqbet'):
        if sampler is not None or sampling_steps is not None or unroll or two_graphs:
            raise ExportError(f'{directory}: a policy of this type has no sampler to choose')
        make = _act if checkpoint.policy == 'act' else _vqbet
        module, spec = make(policy, checkpoint, declaration, source)
    elif vlm is not None:
        if sampler is not None:
            raise ExportError(
                f'{directory}: a SmolVLA is a flow, sampled by Euler steps; expected no sampler '
                f'{sampler!r} (the number of steps can be chosen)'
            )
        module, spec = _smolvla(
            pipeline, checkpoint, declaration, source, vlm, steps=sampling_steps, unroll=unroll
        )
    else:
        module, spec = _diffusion(
            policy,
            checkpoint,
            declaration,
            source,
            method=sampler,
            steps=sampling_steps,
            unroll=unroll,
        )
    export = export_two_graphs if two_graphs else export_module
    return export(
        module,
        spec,
        out,
        exporter=exporter,
        opset=opset,
        seed=seed,
        reference=make_reference(pipeline, checkpoint, spec, module),
        tolerance=tolerance,
        measure_speed=True,
    )


def _vlm(
    checkpoint: LeRobotCheckpoint, declaration: Declaration, directory: Path | None
) -> Vlm | None:
    """Return the VLM of a policy that is told its task, None for others."""
    if checkpoint.policy == 'smolvla':
        if not declaration.instructions:
            raise DeclarationError(
                'a SmolVLA is told its task in words; expected the sentences that the robot may '
                'be told, word for word as in the data set, got none. For example: '
                'instructions: [pick up the cube]',
                source=declaration.source,
                path='instructions',
            )
        return load_vlm(checkpoint, directory)
    if declaration.instructions:
        raise DeclarationError(
            f'a policy of type {checkpoint.policy!r} is told nothing; expected no sentences, got '
            f'{available(map(repr, declaration.instructions))}',
            source=declaration.source,
            path='instructions',
        )
    if directory is not None:
        raise ExportError(f'--vlm: a policy of type {checkpoint.policy!r} has no VLM')
    return None


def _act(
    policy: Any,
    checkpoint: LeRobotCheckpoint,
    declaration: Declaration,
    source: Mapping[str, object],
) -> tuple[ActGraph, PolicySpec]:
    config = policy.config
    facts = {**source, 'temporal_ensemble_coeff': config.temporal_ensemble_coeff}
    spec = make_spec(
        checkpoint,
        declaration,
        family='act',
        n_obs_steps=1,
        chunk_size=config.chunk_size,
        n_action_steps=config.n_action_steps,
        source={key: value for key, value in facts.items() if value is not None},
    )
    # A copy, because LeRobot's own stays as it is for the comparison.
    return ActGraph(deepcopy(policy.model), checkpoint).eval(), spec


def _diffusion(
    policy: Any,
    checkpoint: LeRobotCheckpoint,
    declaration: Declaration,
    source: Mapping[str, object],
    *,
    method: str | None,
    steps: int | None,
    unroll: bool,
) -> tuple[DiffusionGraph, PolicySpec]:
    config = policy.config
    schedule = DiffusionSchedule(
        train_steps=config.num_train_timesteps,
        betas=config.beta_schedule,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        prediction=config.prediction_type,
        clip=float(config.clip_sample_range) if config.clip_sample else None,
    )
    trained = str(config.noise_scheduler_type).lower()
    chosen = (method or trained).lower()
    if chosen not in METHODS:
        raise ExportError(f'expected a sampler of {available(METHODS)}, got {chosen!r}')
    count = steps or config.num_inference_steps or config.num_train_timesteps
    sampler = DiffusionSampler(schedule, method=chosen, steps=count, unroll=unroll)
    spec = make_spec(
        checkpoint,
        declaration,
        family='diffusion',
        n_obs_steps=config.n_obs_steps,
        chunk_size=config.horizon - config.n_obs_steps + 1,
        n_action_steps=config.n_action_steps,
        extra_inputs=noise_inputs(
            sampler, horizon=config.horizon, dimensions=config.action_feature.shape[0]
        ),
        source={**source, 'sampler': f'{chosen}, {count} steps'},
    )
    return DiffusionGraph(deepcopy(policy.diffusion), checkpoint, sampler).eval(), spec


def _vqbet(
    policy: Any,
    checkpoint: LeRobotCheckpoint,
    declaration: Declaration,
    source: Mapping[str, object],
) -> tuple[VqBetGraph, PolicySpec]:
    config = policy.config
    spec = make_spec(
        checkpoint,
        declaration,
        family='vqbet',
        n_obs_steps=config.n_obs_steps,
        chunk_size=config.action_chunk_size,
        n_action_steps=config.action_chunk_size,
        extra_inputs=vqbet_noise_inputs(policy.vqbet),
        source=source,
    )
    return VqBetGraph(deepcopy(policy.vqbet), checkpoint).eval(), spec


def _smolvla(
    pipeline: LeRobotPipeline,
    checkpoint: LeRobotCheckpoint,
    declaration: Declaration,
    source: Mapping[str, object],
    vlm: Vlm,
    *,
    steps: int | None,
    unroll: bool,
) -> tuple[SmolVlaGraph, PolicySpec]:
    policy, sentences = pipeline.policy, declaration.instructions
    config = policy.config
    check_smolvla(config, checkpoint)
    count = config.num_steps if steps is None else steps
    # Flow time runs from the noise at 1 to the actions at 0.
    sampler = FlowSampler(steps=count, start=1.0, end=0.0, unroll=unroll)
    config.num_steps = count  # LeRobot itself, for the comparison
    tokens = [pipeline.tokens(words) for words in sentences]
    check_tokens(tokens, vlm.config.text_config.vocab_size, vlm.directory)
    spec = make_spec(
        checkpoint,
        declaration,
        family='smolvla',
        n_obs_steps=1,
        chunk_size=config.chunk_size,
        n_action_steps=config.n_action_steps,
        extra_inputs=smolvla_inputs(sentences, config),
        source={
            **source,
            'sampler': f'euler, {count} steps',
            'tokenizer_sha256': vlm.sha256,
            'tokens': dict(zip(sentences, tokens, strict=True)),
        },
    )
    return SmolVlaGraph(deepcopy(policy.model), checkpoint, sampler, tokens).eval(), spec
