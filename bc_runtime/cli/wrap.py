# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc wrap`: give a third-party ONNX file its policy spec and a self-test."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import shutil
import tempfile

from bc_runtime.policy.beside import file_beside
from bc_runtime.policy.conversion import conversion
from bc_runtime.policy.onnx_file import OnnxFile, read_onnx_file
from bc_runtime.policy.onnx_session import CPU, create_session, graph_inputs, graph_outputs
from bc_runtime.policy.signature import spec_inputs, spec_outputs
from bc_runtime.policy.wrap import wrap_model
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.errors import ConfigError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'wrap',
        help='write a policy spec into an ONNX file',
        description='Write a policy spec into an ONNX file, after comparing it with the graph, '
        'and store a self-test computed on this machine. The weights stay byte for byte. Floats '
        'of other sizes and shapes without the batch are converted in the graph. With '
        '--normalization, the graph is extended to take and give physical values; with --hold, '
        'one action per inference is held for the chunk of the spec; with --flat, an output in '
        'which steps and actions lie in one axis is taken apart.',
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
    parser.add_argument(
        '--flat',
        choices=('steps', 'actions'),
        default='',
        help='order of an output [1, steps * actions]: all actions of the first step first '
        '(steps), or all steps of the first action (actions)',
    )
    parser.add_argument('--force', action='store_true', help='replace an existing file')
    parser.set_defaults(verb='wrap')


def run(args: argparse.Namespace) -> int:
    """Wrap and say what was written."""
    spec = PolicySpec.from_yaml_file(args.spec)
    with _extended(args.model, spec, args.normalization, flat=args.flat, hold=args.hold) as model:
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
def _extended(
    model: Path, spec: PolicySpec, rules: Path | None, *, flat: str, hold: bool
) -> Iterator[Path]:
    """Give a model that takes and gives what the spec says: the file itself, or one made of it."""
    options = [
        name
        for name, given in (('--normalization', rules), ('--flat', flat), ('--hold', hold))
        if given
    ]
    file = read_onnx_file(model)
    if spec.sampling is not None:
        if options:
            raise ConfigError(
                f'{model}: {options[0]} is for policies of one graph; in one of two, the encoder '
                'gives the outputs action_gain and action_offset (docs/reference/policy_file.md)'
            )
        yield model
        return
    if not options and not _must_convert(file, spec):
        yield model
        return
    what = options[0] if options else 'a graph with other element types or shapes than the spec'
    try:
        import onnx

        from bc_runtime.export.adapt import adapt
        from bc_runtime.export.compose import checked, compose, hold_action, read_normalization
    except ImportError as error:
        raise ConfigError(
            f'{what} needs the package onnx: {error}. Install it: pip install onnx'
        ) from None
    # External data is not read: what is written here is small, and the rest stays where it is.
    extended = onnx.load(str(file.path), load_external_data=False)
    normalization = None if rules is None else read_normalization(rules, spec)
    for text in adapt(extended, spec, rules=normalization, flat=flat, hold=hold):
        print(f'converted: {text}')
    if normalization is not None:
        compose(extended, spec, normalization)
    if hold:
        hold_action(extended, spec)
    with tempfile.TemporaryDirectory(prefix='bc-wrap-') as folder:
        path = Path(folder) / 'extended.onnx'
        onnx.save_model(checked(extended), str(path))
        for name in file.external_data:
            _put(file_beside(file.path, name, 'external data'), path.with_name(name))
        yield path


def _must_convert(file: OnnxFile, spec: PolicySpec) -> bool:
    """Return whether the graph differs from the spec in a way that can be converted."""
    session = create_session(file, providers=[CPU], allow_fallback=False, threads=1)
    pairs = (
        (spec_inputs(spec), graph_inputs(session)),
        (spec_outputs(spec), graph_outputs(session)),
    )
    for wanted, found in pairs:
        by_name = {info.name: info for info in found}
        for each in wanted:
            how = conversion(each, by_name[each.name]) if each.name in by_name else None
            if how is not None and how.needed:
                return True
    return False


def _put(source: Path, target: Path) -> None:
    """Give a file a second place: without a copy where the file system can."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
