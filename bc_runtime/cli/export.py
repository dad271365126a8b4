# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc export`: a checkpoint of `bc train` or of LeRobot -> a verified policy file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bc_runtime.cli.train import require_training_packages
from bc_runtime.spec.errors import ConfigError

if TYPE_CHECKING:
    from bc_runtime.export.module import ExportReport


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'export',
        help='export a trained checkpoint as a verified ONNX policy',
        description='Write a checkpoint as an ONNX policy, after comparing both on seeded '
        'observations. Nothing is written if they differ or statistics are missing.',
    )
    parser.add_argument(
        'checkpoint',
        type=Path,
        help='npz of bc train, a LeRobot checkpoint directory, or pth of robomimic (BC-RNN-GMM)',
    )
    parser.add_argument('--out', type=Path, required=True, help='the policy file')
    parser.add_argument('--exporter', choices=('dynamo', 'legacy'), default='dynamo')
    parser.add_argument('--opset', type=int, default=18, help='ONNX operator set (default: 18)')
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-4,
        help='largest deviation allowed, in action units (default: 1e-4)',
    )
    lerobot = parser.add_argument_group('checkpoints of LeRobot and robomimic')
    lerobot.add_argument(
        '--declare',
        type=Path,
        metavar='YAML',
        help='what the checkpoint does not say: joint names, units, cameras, rate',
    )
    lerobot.add_argument(
        '--sampler',
        choices=('ddpm', 'ddim'),
        help="diffusion: how to sample (default: the checkpoint's way)",
    )
    lerobot.add_argument(
        '--steps',
        type=int,
        help="diffusion, SmolVLA: sampling steps (default: the checkpoint's number)",
    )
    lerobot.add_argument(
        '--unroll',
        action='store_true',
        help='diffusion, SmolVLA: write every step, instead of one loop',
    )
    lerobot.add_argument(
        '--two-graphs',
        action='store_true',
        help='diffusion, SmolVLA, large models: write the step network into a second file, '
        '<name>.step.onnx; the loop runs in the policy backend',
    )
    lerobot.add_argument(
        '--vlm',
        type=Path,
        metavar='DIR',
        help='SmolVLA: folder with config.json, tokenizer.json and tokenizer_config.json of its '
        "vision-language model (default: the checkpoint's vlm/, or the local cache of the hub)",
    )
    lerobot.add_argument(
        '--sample',
        action='store_true',
        help='robomimic: draw from the mixture, instead of the mean of its most likely mode',
    )
    parser.set_defaults(verb='export')


def run(args: argparse.Namespace) -> int:
    """Export."""
    if args.checkpoint.is_dir():
        report = _lerobot(args)
    elif args.checkpoint.suffix == '.pth':
        report = _robomimic(args)
    else:
        report = _own(args)
    test = report.spec.self_test
    source = (
        ''
        if report.source_error is None
        else f'LeRobot and ONNX Runtime agree to {report.source_error:.1e}, '
    )
    plan = report.spec.sampling
    second = '' if plan is None else f' and {plan.step_file}'
    print(
        f'{report.path}{second}: {report.size_bytes / 1e6:.2f} MB, {report.nodes} nodes, {source}'
        f'torch and ONNX Runtime agree to {report.max_abs_error:.1e}, '
        f'self-test tolerance {test.tolerance if test else 0.0:g}'
    )
    if report.speed is not None:
        print(f'one inference: {report.speed}')
    return 0


def _own(args: argparse.Namespace) -> ExportReport:
    given = [
        option
        for option, value in (
            ('--declare', args.declare),
            ('--sampler', args.sampler),
            ('--steps', args.steps),
            ('--unroll', args.unroll),
            ('--two-graphs', args.two_graphs),
            ('--vlm', args.vlm),
            ('--sample', args.sample),
        )
        if value
    ]
    if given:
        raise ConfigError(
            f'{", ".join(given)}: for checkpoints of LeRobot and robomimic only; '
            f'{args.checkpoint} is neither a directory nor a .pth file'
        )
    require_training_packages()
    from bc_runtime.export.module import export_module
    from bc_runtime.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(args.checkpoint)
    return export_module(
        checkpoint.policy,
        checkpoint.spec,
        args.out,
        exporter=args.exporter,
        opset=args.opset,
        tolerance=args.tolerance,
        measure_speed=True,
    )


def _lerobot(args: argparse.Namespace) -> ExportReport:
    if args.declare is None:
        raise ConfigError(
            f'{args.checkpoint}: a LeRobot checkpoint does not say joint names, units, cameras '
            'and rate; write them into a YAML file and give it with --declare '
            '(docs/how-to/export_lerobot.md)'
        )
    if not 0.0 < args.tolerance < float('inf'):
        raise ConfigError(f'--tolerance: expected a finite number above 0, got {args.tolerance}')
    try:
        from bc_runtime.export.lerobot.declaration import read_declaration
        from bc_runtime.export.lerobot.run import export_checkpoint
    except ImportError as error:
        raise ConfigError(
            f'exporting LeRobot checkpoints needs packages that a robot does not: {error}. '
            'Make their environment: make test-lerobot, or pip install -r '
            'requirements/lerobot.txt (docs/how-to/export_lerobot.md)'
        ) from None
    return export_checkpoint(
        args.checkpoint,
        read_declaration(args.declare),
        args.out,
        sampler=args.sampler,
        sampling_steps=args.steps,
        unroll=args.unroll,
        two_graphs=args.two_graphs,
        vlm_directory=args.vlm,
        exporter=args.exporter,
        opset=args.opset,
        tolerance=args.tolerance,
    )


def _robomimic(args: argparse.Namespace) -> ExportReport:
    if args.declare is None:
        raise ConfigError(
            f'{args.checkpoint}: a robomimic checkpoint does not say names, units, ranges and '
            'rate; write them into a YAML file and give it with --declare '
            '(docs/how-to/export_robomimic.md)'
        )
    if args.vlm is not None:
        raise ConfigError('--vlm: a policy of robomimic has no vision-language model')
    if args.two_graphs:
        raise ConfigError('--two-graphs: a policy of robomimic has no sampling loop to take out')
    require_training_packages()
    from bc_runtime.export.lerobot.declaration import read_declaration
    from bc_runtime.export.robomimic import export_robomimic

    return export_robomimic(
        args.checkpoint,
        read_declaration(args.declare),
        args.out,
        sample=args.sample,
        exporter=args.exporter,
        opset=args.opset,
        tolerance=args.tolerance,
    )
