# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc wrap`: give a third-party ONNX file its policy spec and a self-test."""

from __future__ import annotations

import argparse
from pathlib import Path

from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.wrap import wrap_model
from bc_runtime.spec import PolicySpec


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'wrap',
        help='write a policy spec into an ONNX file',
        description='Write a policy spec into an ONNX file, after comparing it with the graph, '
        'and store a self-test computed on this machine. The weights stay byte for byte.',
    )
    parser.add_argument('model', type=Path, help='ONNX file')
    parser.add_argument('--spec', type=Path, required=True, help='YAML of the policy spec')
    parser.add_argument('-o', '--out', type=Path, required=True, help='ONNX file to write')
    parser.add_argument('--seed', type=int, default=0, help='seed of the self-test (default: 0)')
    parser.add_argument(
        '--tolerance',
        type=float,
        help='largest deviation of the self-test, in action units '
        '(default: 1e-4 of the largest value, at least 1e-4)',
    )
    parser.add_argument('--force', action='store_true', help='replace an existing file')
    parser.set_defaults(verb='wrap')


def run(args: argparse.Namespace) -> int:
    """Wrap and say what was written."""
    spec = wrap_model(
        args.model,
        PolicySpec.from_yaml_file(args.spec),
        args.out,
        seed=args.seed,
        tolerance=args.tolerance,
        overwrite=args.force,
    )
    file = read_onnx_file(args.out)
    test = spec.self_test
    print(f'{file.path}: {file.size / 1e6:.2f} MB, policy {spec.name!r} ({spec.family})')
    print(f'policy id: sha256 {file.sha256}')
    if test is not None:
        print(f'self-test: seed {test.seed}, tolerance {test.tolerance:.2e}, passed')
    return 0
