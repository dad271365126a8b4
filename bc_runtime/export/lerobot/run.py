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
from bc_runtime.export.lerobot.declaration import Declaration
from bc_runtime.export.lerobot.diffusion import DiffusionGraph, noise_inputs
from bc_runtime.export.lerobot.reference import make_reference
from bc_runtime.export.lerobot.source import lerobot_version, load_lerobot_policy
from bc_runtime.export.lerobot.vqbet import VqBetGraph, vqbet_noise_inputs
from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.export.proof import PARITY_TOLERANCE
from bc_runtime.export.sampling import METHODS, DiffusionSampler, DiffusionSchedule
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
        sampling_steps: Network calls of one sampling; None: as in the config.
        unroll: See `DiffusionSampler`.
        two_graphs: Write the step network into a file beside `out`; see `export_two_graphs`.
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
    policy = load_lerobot_policy(checkpoint)
    source: dict[str, object] = {
        'origin': f'lerobot {lerobot_version()}',
        'checkpoint': checkpoint.directory.resolve().name,
        'checkpoint_sha256': checkpoint.sha256,
    }
    module: Any
    if checkpoint.policy != 'diffusion':
        if sampler is not None or sampling_steps is not None or unroll or two_graphs:
            raise ExportError(f'{directory}: a policy of this type has no sampler to choose')
        make = _act if checkpoint.policy == 'act' else _vqbet
        module, spec = make(policy, checkpoint, declaration, source)
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
        reference=make_reference(policy, checkpoint, spec, module),
        tolerance=tolerance,
        measure_speed=True,
    )


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
