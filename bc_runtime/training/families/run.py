# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""From demonstrations to the verified policy file of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import torch

from bc_runtime.export.module import ExportReport, export_module
from bc_runtime.export.proof import Tensors
from bc_runtime.export.two_graphs import export_two_graphs
from bc_runtime.sim import task
from bc_runtime.spec import TrainingRange
from bc_runtime.spec.self_test import make_inputs
from bc_runtime.training.demonstration_set import DemonstrationSet
from bc_runtime.training.families.contract import family_spec
from bc_runtime.training.families.network import FamilyPolicy
from bc_runtime.training.families.recipe import FamilyRecipe
from bc_runtime.training.families.table import make_table
from bc_runtime.training.families.trainer import train_family
from bc_runtime.training.families.vision import load_vision
from bc_runtime.training.optimiser import Trained
from bc_runtime.training.samples import Samples

# Chunks are cut as long as any family needs them, so that all families share one table.
_CHUNK = 12
_COMPARED_OBSERVATIONS = 16


def train_and_export(
    recipe: FamilyRecipe,
    *,
    demonstrations: Sequence[DemonstrationSet],
    corrections: Sequence[Samples] = (),
    encoder: Path,
    out: Path,
    folder: Path | None,
    command: str,
    two_graphs: bool = False,
    checkpoints: Path | None = None,
    say: Callable[[str], None],
) -> ExportReport:
    """Train a family on the encoders of a policy and export it.

    Args:
        recipe: How to train.
        demonstrations: Sets of whole episodes.
        corrections: Further samples, in no order; recurrent families do not use them.
        encoder: Policy file that the image encoders are taken from.
        out: The ONNX file.
        folder: Where features are kept.
        command: What was typed, for the policy's source.
        two_graphs: Diffusion and flow: the step network goes into a file beside `out`.
        checkpoints: Where complete policy files go while training goes on; None: nowhere.
        say: Takes lines of progress.
    """
    vision = load_vision(encoder, coarser=recipe.coarser)
    parts = [*(each.samples(max(_CHUNK, recipe.chunk_size)) for each in demonstrations)]
    parts += corrections
    lengths = np.concatenate([each.observed_lengths for each in demonstrations])
    table = make_table(parts, lengths, vision, recipe, folder=folder, say=say)
    course = _Course(
        recipe=recipe,
        command=command,
        encoder={'file': encoder.name, 'sha256': vision.source},
        parts=parts,
        demonstrations=lengths,
        export=export_two_graphs if two_graphs else export_module,
    )

    def keep(result: Trained[FamilyPolicy], step: int) -> None:
        if checkpoints is not None:
            course.finish(result, checkpoints / f'{out.stem}_{recipe.seed}_update_{step}.onnx')

    result = train_family(table, vision, recipe, say=say, checkpoint=keep)
    say(f'trained in {result.cpu_s / 60:.1f} CPU minutes')
    report = course.finish(result, out)
    second = '' if report.spec.sampling is None else f' and {report.spec.sampling.step_file}'
    say(
        f'exported: {report.path}{second} ({report.size_bytes / 1e6:.2f} MB, '
        f'{report.nodes} nodes, torch and ONNX Runtime agree to {report.max_abs_error:.1e})'
    )
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What a policy was trained with.

    Attributes:
        recipe: How.
        command: What was typed.
        encoder: Where the image encoders come from.
        parts: Samples; those of demonstrations first.
        demonstrations: Observations of each episode, (e,).
        export: Writes one graph or two.
    """

    recipe: FamilyRecipe
    command: str
    encoder: Mapping[str, str]
    parts: Sequence[Samples]
    demonstrations: NDArray[np.int64]
    export: Callable[..., ExportReport]

    def finish(self, result: Trained[FamilyPolicy], path: Path) -> ExportReport:
        """Write the policy file of a trained network."""
        own_inputs = result.network.head.own_inputs
        observations = int(self.demonstrations.sum())
        spec = family_spec(
            self.recipe,
            own_inputs=own_inputs,
            training_ranges=ranges_of(self.parts),
            source={
                'command': self.command,
                'recipe': asdict(self.recipe),
                'encoder': self.encoder,
                'demonstrations': {
                    'episodes': len(self.demonstrations),
                    'steps': observations,
                    'corrections': sum(map(len, self.parts)) - observations,
                },
                'training': {
                    **{name: round(value, 5) for name, value in result.losses.items()},
                    'parameters': sum(p.numel() for p in result.network.parameters()),
                },
                'trained_with': f'torch {torch.__version__.split("+")[0]}',
            },
        )
        inputs = make_inputs(spec, self.recipe.seed)
        own = {item.name: inputs[item.name] for item in own_inputs}
        seen = [{**each, **own} for each in some_observations(self.parts[0])]
        return self.export(result.network, spec, path, observations=seen)


def ranges_of(parts: Sequence[Samples]) -> Mapping[str, TrainingRange]:
    """Return the training ranges by dimension: `state.<joint>` and `action.<name>`."""
    columns = {
        'state': np.concatenate([part.state for part in parts]),
        'action': np.concatenate([part.actions[:, 0] for part in parts]),
    }
    return {
        f'{kind}.{name}': TrainingRange(
            minimum=float(values[:, i].min()),
            maximum=float(values[:, i].max()),
            mean=float(values[:, i].mean(dtype=np.float64)),
            std=float(values[:, i].std(dtype=np.float64)),
        )
        for kind, values in columns.items()
        for i, name in enumerate(task.JOINT_NAMES)
    }


def some_observations(samples: Samples) -> list[Tensors]:
    """Return observations spread over the samples, as tensors of the graph."""
    steps = np.linspace(0, len(samples) - 1, min(_COMPARED_OBSERVATIONS, len(samples)))
    return [
        {
            'state': samples.state[step][None],
            **{f'image_{c}': samples.images[c][step][None] for c in task.CAMERAS},
            'instruction': samples.instruction[step][None],
        }
        for step in steps.astype(int)
    ]
