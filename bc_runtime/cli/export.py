# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc export`: a checkpoint of `bc train` -> a verified policy file."""

from __future__ import annotations

import argparse
from pathlib import Path

from bc_runtime.cli.train import require_training_packages


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'export',
        help='export a trained checkpoint as a verified ONNX policy',
        description='Write a checkpoint as an ONNX policy, after comparing both on seeded '
        'observations. Nothing is written if they differ or statistics are missing.',
    )
    parser.add_argument('checkpoint', type=Path, help='npz of bc train')
    parser.add_argument('--out', type=Path, required=True, help='the policy file')
    parser.add_argument('--exporter', choices=('dynamo', 'legacy'), default='dynamo')
    parser.add_argument('--opset', type=int, default=18, help='ONNX operator set (default: 18)')
    parser.set_defaults(verb='export')


def run(args: argparse.Namespace) -> int:
    """Export."""
    require_training_packages()
    from bc_runtime.export.module import export_module
    from bc_runtime.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(args.checkpoint)
    report = export_module(
        checkpoint.policy,
        checkpoint.spec,
        args.out,
        exporter=args.exporter,
        opset=args.opset,
    )
    test = report.spec.self_test
    print(
        f'{report.path}: {report.size_bytes / 1e6:.2f} MB, {report.nodes} nodes, '
        f'torch and ONNX Runtime agree to {report.max_abs_error:.1e}, '
        f'self-test tolerance {test.tolerance if test else 0.0:g}'
    )
    return 0
