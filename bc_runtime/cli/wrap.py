# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc wrap`: give a third-party ONNX file its policy spec and a self-test."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import tempfile

from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.wrap import wrap_model
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.errors import ConfigError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'wrap',
        help='write a policy spec into an ONNX file',
        description='Write a policy spec into an ONNX file, after comparing it with the graph, '
        'and store a self-test computed on this machine. The weights stay byte for byte. With '
        '--normalization, the graph is extended to take and give physical values; with --hold, '
        'one action per inference is held for the chunk of the spec.',
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
    parser.add_argument(
        '--normalization',
        type=Path,
        metavar='YAML',
        help='write this normalisation into the graph, which takes and gives normalised values',
    )
    parser.add_argument(
        '--hold',
        action='store_true',
        help='the graph gives one action: hold it for the chunk_size of the spec',
    )
    parser.add_argument('--force', action='store_true', help='replace an existing file')
    parser.set_defaults(verb='wrap')


def run(args: argparse.Namespace) -> int:
    """Wrap and say what was written."""
    spec = PolicySpec.from_yaml_file(args.spec)
    with _extended(args.model, spec, args.normalization, hold=args.hold) as model:
        spec = wrap_model(
            model,
            spec,
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


@contextmanager
def _extended(model: Path, spec: PolicySpec, rules: Path | None, *, hold: bool) -> Iterator[Path]:
    """Give a model of physical values and whole chunks: the file itself, or one made of it."""
    if rules is None and not hold:
        yield model
        return
    option = '--hold' if rules is None else '--normalization'
    file = read_onnx_file(model)
    if spec.sampling is not None:
        raise ConfigError(
            f'{model}: {option} is for policies of one graph; in one of two, the encoder '
            'gives the outputs action_gain and action_offset (docs/reference/policy_file.md)'
        )
    if file.external_data:
        raise ConfigError(
            f'{model}: a model with external data cannot be extended; merge it into one file first'
        )
    try:
        import onnx

        from bc_runtime.export.compose import compose, hold_action, read_normalization
    except ImportError as error:
        raise ConfigError(
            f'{option} needs the package onnx: {error}. Install it: pip install onnx'
        ) from None
    extended = onnx.load(str(file.path))
    if rules is not None:
        compose(extended, spec, read_normalization(rules, spec))
    if hold:
        hold_action(extended, spec)
    with tempfile.TemporaryDirectory(prefix='bc-wrap-') as folder:
        path = Path(folder) / 'extended.onnx'
        onnx.save_model(extended, str(path))
        yield path
