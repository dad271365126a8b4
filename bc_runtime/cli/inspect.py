# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc inspect`: what a policy file is, and what it does on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
import json
from typing import Any

from bc_runtime.policy.inspection import inspect_model
from bc_runtime.policy.model_path import find_model
from bc_runtime.resources import model_directories


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'inspect',
        help='show what a policy file is, and how fast it runs here',
        description='Print the spec, hashes, graph, self-test result and measured latency of '
        'policy files. Exit code 1 if one of them may not act.',
    )
    parser.add_argument('model', nargs='+', help='policy file, or the name of a shipped model')
    parser.add_argument('--json', action='store_true', help='print JSON, one object per file')
    parser.add_argument('--runs', type=int, default=100, help='timed inferences (default: 100)')
    parser.add_argument(
        '--threads', type=int, help='threads of one inference (default: cores - 1)'
    )
    parser.add_argument(
        '--provider',
        action='append',
        help='ONNX Runtime execution provider, best first; may be repeated (default: CPU)',
    )
    parser.set_defaults(verb='inspect')


def run(args: argparse.Namespace) -> int:
    """Inspect every model and print what was found."""
    healthy = True
    for number, model in enumerate(args.model):
        facts = inspect_model(
            find_model(model, model_dirs=model_directories()),
            providers=args.provider or ['CPUExecutionProvider'],
            threads=args.threads,
            runs=max(1, args.runs),
        )
        healthy = healthy and not facts['problems']
        if args.json:
            print(json.dumps(facts))
        else:
            print(('\n' if number else '') + '\n'.join(render(facts)))
    return 0 if healthy else 1


def render(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the readable form."""
    yield from _file(facts['file'])
    if facts.get('second_file'):
        second = facts['second_file']
        yield _row('second graph', f'{second["path"]}, {second["size_bytes"] / 1e6:.2f} MB')
        yield _row('its sha256', second['sha256'])
    if facts['spec']:
        yield from _spec(facts['spec'])
    if facts['graph']:
        yield ''
        yield _row('graph inputs', '; '.join(facts['graph']['inputs']))
        yield _row('graph outputs', '; '.join(facts['graph']['outputs']))
        if 'step_inputs' in facts['graph']:
            yield _row('step inputs', '; '.join(facts['graph']['step_inputs']))
            yield _row('step outputs', '; '.join(facts['graph']['step_outputs']))
    if facts['machine'] or facts['graph']:
        yield from _machine(facts)
    for problem in facts['problems']:
        yield ''
        yield f'PROBLEM: {problem}'


def _file(file: Mapping[str, Any]) -> Iterator[str]:
    yield file['path']
    yield _row('size', f'{file["size_bytes"] / 1e6:.2f} MB')
    yield _row('policy id', f'sha256 {file["sha256"]}')
    yield _row('format', file['format'])
    if file['external_data']:
        yield _row('external data', ', '.join(file['external_data']))


def _spec(spec: Mapping[str, Any]) -> Iterator[str]:
    rate, chunk = spec['control_hz'], spec['chunk_size']
    yield ''
    yield _row('policy', f'{spec["name"]} {spec["version"]} ({spec["family"]})')
    if spec['license']:
        yield _row('licence', spec['license'])
    yield _row(
        'timing',
        f'{rate:g} Hz, {spec["n_obs_steps"]} observation step(s), chunk of {chunk} '
        f'({chunk / rate:.2f} s), {spec["n_action_steps"]} executed, '
        f'action {spec["stamp_index"]} belongs to the observation',
    )
    yield ''
    yield from _table(('input', 'kind', 'type', 'from'), [_input(i) for i in spec['inputs']])
    yield ''
    ranges = spec['training_ranges']
    yield from _table(
        ('action', 'kind', 'unit', 'reference', 'trained on'),
        [
            (name, group['kind'], unit, group['reference'], _range(ranges.get(f'action.{name}')))
            for group in spec['output']['groups']
            for name, unit in zip(group['names'], group['units'], strict=True)
        ],
    )
    if spec.get('sampling'):
        loop = spec['sampling']
        yield ''
        yield _row(
            'sampling',
            f'{loop["method"]}, {loop["steps"]} calls of the second graph per inference, '
            f'predicts {loop["prediction"]}',
        )
    if spec['source']:
        yield ''
        for key, value in spec['source'].items():
            yield _row(key, value if isinstance(value, str) else json.dumps(value))


def _input(item: Mapping[str, Any]) -> tuple[str, ...]:
    dtype = item.get('dtype', 'float32')
    return (item['name'], item['kind'], f'{dtype} {item["shape"]}', _origin(item))


def _origin(item: Mapping[str, Any]) -> str:
    match item['kind']:
        case 'state':
            return f'{item["quantity"]} of {", ".join(item["joints"])}'
        case 'vector':
            return f'stream {item["stream"]}: {", ".join(item["names"])}'
        case 'image':
            rule = item['resize']
            return (
                f'camera {item["camera"]}, {item["color"]}, {rule["mode"]} to '
                f'{item["width"]}x{item["height"]} ({rule["interpolation"]})'
            )
        case 'noise':
            return f'{item["distribution"]} noise'
        case 'recurrent':
            return f'output {item["output"]}, {item["reset_value"]:g} at reset'
        case 'prefix':
            return f'committed actions: {item["role"]}'
    return 'instruction' + (': ' + '; '.join(item['table']) if 'table' in item else '')


def _machine(facts: Mapping[str, Any]) -> Iterator[str]:
    machine, graph = facts['machine'], facts['graph']
    yield ''
    if machine:
        yield _row(
            'this machine',
            f'{machine["machine"]}, {machine["cores"]} cores, onnxruntime '
            f'{machine["onnxruntime"]} with {", ".join(machine["providers"])}',
        )
    if graph:
        threads = f', {machine["threads"]} thread(s)' if machine else ''
        yield _row('runs on', f'{graph["provider"]}{threads}')
        yield _row('load', f'{graph["load_s"] * 1e3:.0f} ms')
    test, latency = facts['self_test'], facts['latency']
    if test:
        detail = ''
        if test['tolerance'] is not None:
            detail = f' (off by {test["max_abs_error"]:.2e}, tolerance {test["tolerance"]:.2e})'
        yield _row('self-test', test['result'] + detail)
    if latency:
        yield _row(
            'latency',
            f'p50 {latency["p50_ms"]:.2f} ms, p99 {latency["p99_ms"]:.2f} ms, first '
            f'{latency["first_ms"]:.2f} ms over {latency["runs"]} runs; one chunk lasts '
            f'{latency["chunk_ms"]:.0f} ms',
        )


def _range(limits: Mapping[str, float] | None) -> str:
    return '' if limits is None else f'{limits["min"]:.3g} .. {limits["max"]:.3g}'


def _row(name: str, value: str) -> str:
    return f'  {name:<14} {value}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ('  ' + '  '.join(cells)).rstrip()
