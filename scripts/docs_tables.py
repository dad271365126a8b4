#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Write the generated tables of the documentation: `scripts/run scripts/docs_tables.py`.

A page holds `<!-- table: NAME -->` and `<!-- end of table -->`; what lies between is replaced. The
tables come from the code itself: parameters, launch arguments, the command line, QoS profiles,
messages, states, flags and the robot's YAML, whose JSON Schema (`config/robot.schema.json`) is
written too. `test/docs` fails when a file is not what this would write. Nodes are read as text,
not imported, so that no ROS is needed.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterable, Sequence
import json
from pathlib import Path
import re
import sys
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

DOCS = ROOT / 'docs'
ROBOT_SCHEMA = ROOT / 'config' / 'robot.schema.json'
BLOCK = re.compile(r'(<!-- table: ([\w ]+) -->\n)(.*?)(<!-- end of table -->)', re.DOTALL)
NODES = ('controller', 'observation', 'inference', 'recorder', 'sim_robot')
_PARAMETER_FILES = {
    **{name: f'{name}_node.py' for name in NODES},
    'controller': 'controller_parameters.py',
    'inference': 'inference_parameters.py',
    'recorder': 'recorder_parameters.py',
    'sim_robot': 'sim_parameters.py',
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in lines)


def code(value: object) -> str:
    """Return a value as code, the way one types it for a ROS parameter."""
    if isinstance(value, bool):
        return '`true`' if value else '`false`'
    if isinstance(value, (list, tuple)):
        return '`[' + ', '.join(str(item) for item in value) + ']`'
    return f'`{value}`' if value != '' else '(empty)'


def assigned(file: Path, name: str) -> ast.expr:
    """Return the expression that a module assigns to a name."""
    for node in ast.parse(file.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and any(ast.unparse(t) == name for t in node.targets):
            return node.value
    raise LookupError(f'{file}: there is no {name}')


def parameters(node: str) -> list[dict[str, Any]]:
    """Return the declared parameters of a node as they stand in its source."""
    names: dict[str, Any] = {'__builtins__': {}, 'Parameter': dict, 'list': list}
    if node == 'controller':
        from bc_runtime.execution import strategy_parameters

        names['strategy_parameters'] = strategy_parameters
    if node == 'sim_robot':
        from bc_runtime.sim import faults, task

        names |= vars(faults) | {'CAMERAS': task.CAMERAS, '__builtins__': {}}
    folder = ROOT / 'bc_runtime' / 'ros'
    expressions = [assigned(folder / _PARAMETER_FILES[node], 'PARAMETERS')]
    if node != 'sim_robot':  # no lifecycle node
        expressions.append(
            ast.Tuple([assigned(folder / 'lifecycle.py', '_AUTOSTART')], ast.Load())
        )
    found: list[dict[str, Any]] = []
    for expression in expressions:
        body = ast.fix_missing_locations(ast.Expression(expression))
        found += eval(compile(body, node, 'eval'), names)  # our own source, not input
    return found


def parameter_table(node: str) -> str:
    """Return what can be set on a node."""

    def bounds(each: dict[str, Any]) -> str:
        if each.get('minimum') is None:
            return ''
        return ' … '.join(f'{each[key]:.10g}' for key in ('minimum', 'maximum'))

    return table(
        ('parameter', 'default', 'range', 'live', 'meaning'),
        [
            (
                f'`{each["name"]}`',
                code(each['default']),
                bounds(each),
                'no' if each.get('read_only') else 'yes',
                each['description'].rstrip('.'),
            )
            for each in parameters(node)
        ],
    )


def launch_table() -> str:
    """Return the launch arguments."""
    from bc_runtime.deployment import ARGUMENTS

    return table(
        ('argument', 'default', 'values', 'meaning'),
        [
            (
                f'`{each.name}`',
                code(each.default),
                ', '.join(f'`{choice}`' for choice in each.choices),
                each.description,
            )
            for each in ARGUMENTS
        ],
    )


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Return verb -> its parser."""
    from bc_runtime.cli.main import make_parser

    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise LookupError('bc has no verbs')


def verb_table(verb: str) -> str:
    """Return description, arguments and options of one verb of `bc`."""
    parser = verbs()[verb]
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        names = action.option_strings or [action.metavar or action.dest]
        if action.required or not (action.option_strings or action.nargs == '?'):
            default = 'required'
        elif action.default is None or action.nargs == 0:
            default = ''
        else:
            default = code(action.default)
        rows.append(
            (
                ', '.join(f'`{name}`' for name in map(str, names)),
                default,
                ', '.join(f'`{choice}`' for choice in action.choices or ()),
                re.sub(r' ?\(default: [^()]*\)', '', action.help or ''),
            )
        )
    head = ('argument', 'default', 'values', 'meaning')
    return f'{parser.description}\n\n{table(head, rows)}'


def qos_profiles() -> dict[str, str]:
    """Return profile -> what it is, for people."""
    profiles = {}
    tree = ast.parse((ROOT / 'bc_runtime/ros/qos.py').read_text(encoding='utf-8'))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            given = {
                k.arg: ast.unparse(k.value).split('.')[-1].lower() for k in node.value.keywords
            }
            reliability = given['reliability'].replace('_', ' ')
            durability = given['durability'].replace('_', ' ')
            profiles[ast.unparse(node.targets[0]).lower()] = (
                f'{reliability}, {durability}, last {given["depth"]}'
            )
    return profiles


def qos_table() -> str:
    """Return the QoS profiles."""
    return table(('profile', 'QoS'), [(f'`{n}`', text) for n, text in qos_profiles().items()])


def interfaces() -> list[Path]:
    """Return the files of every message, service and action."""
    return sorted(
        file for kind in ('msg', 'srv', 'action') for file in (ROOT / 'bc_msgs' / kind).iterdir()
    )


def _fields(file: Path) -> str:
    """Return 'request fields → response fields' of a service."""
    parts = file.read_text(encoding='utf-8').split('\n---\n')
    names = [[line.split()[1] for line in part.splitlines() if line.strip()] for part in parts]
    return ' → '.join(', '.join(each) or '(nothing)' for each in names)


def interface_table() -> str:
    """Return messages, services and actions with the first line of their files."""
    rows = []
    for file in interfaces():
        kind = file.parent.name
        first = file.read_text(encoding='utf-8').splitlines()[0]
        text = first.lstrip('# ') if first.startswith('#') else _fields(file)
        link = f'[`bc_msgs/{kind}/{file.stem}`](../../bc_msgs/{kind}/{file.name})'
        rows.append((link, text))
    return table(('interface', 'what it is'), rows)


def flag_table() -> str:
    """Return the supervisor's table of flags."""
    from bc_runtime.safety import states
    from bc_runtime.safety.flags import DEFAULT_RULES

    sets = {
        states.ACTIVE_STATES | {states.State.FAULT, states.State.FINALIZING}: 'always',
        states.ACTIVE_STATES: 'active',
        states.MOVING_STATES: 'moving',
        states.POLICY_STATES: 'policy',
    }
    rows = []
    for flag, rule in DEFAULT_RULES.items():
        where = sets.get(rule.states) or ', '.join(s for s in states.State if s in rule.states)
        slows = rule.severity is states.Severity.SLOW
        then = ''
        if slows and rule.escalate_s is not None:
            then = f'HOLD after {rule.escalate_s:g} s'
        elif rule.severity is states.Severity.HOLD:
            then = f'then {rule.then}'
            if rule.recover_s:
                then += f' within {rule.recover_s:g} s, else HELD'
        rows.append(
            (
                f'`{flag}`',
                ' '.join(part for part in (f'{rule.severity.name},', then) if part).rstrip(','),
                where,
                rule.clear.value,
                rule.text,
            )
        )
    return table(('flag', 'reaction', 'counts in', 'ended by', 'meaning'), rows)


def robot_sections() -> dict[str, type]:
    """Return section of the robot's YAML -> the class that declares its keys."""
    from bc_runtime import spec
    from bc_runtime.spec.driver_config import DriverConfig
    from bc_runtime.spec.joint_config import AxisLimits

    return {
        'file': spec.RobotConfig,
        'joints': spec.JointConfig,
        'joint_states': spec.StreamConfig,
        'cameras': spec.CameraConfig,
        'streams': spec.VectorConfig,
        'command': spec.CommandConfig,
        'axes': AxisLimits,
        'human': spec.HumanConfig,
        'driver': DriverConfig,
        'tolerances': spec.Tolerances,
    }


def robot_table(section: str) -> str:
    """Return the keys of one section of the robot's YAML."""
    from bc_runtime.spec.schema_pages import key_rows

    return table(('key', 'default', 'values', 'meaning'), key_rows(robot_sections()[section]))


def robot_schema() -> str:
    """Return the JSON Schema of the robot's YAML."""
    from bc_runtime.spec import RobotConfig
    from bc_runtime.spec.schema_pages import json_schema

    head = {
        '$schema': 'https://json-schema.org/draft/2020-12/schema',
        'title': 'A robot of bc_runtime',
    }
    return json.dumps(head | json_schema(RobotConfig), indent=2, ensure_ascii=False) + '\n'


def tables() -> dict[str, Callable[[], str]]:
    """Return the name of every table and what makes it."""
    return {
        **{f'parameters {node}': lambda node=node: parameter_table(node) for node in NODES},
        **{f'bc {verb}': lambda verb=verb: verb_table(verb) for verb in verbs()},
        'launch arguments': launch_table,
        'qos': qos_table,
        'interfaces': interface_table,
        'flags': flag_table,
        **{f'robot {name}': lambda name=name: robot_table(name) for name in robot_sections()},
    }


def rendered(text: str) -> str:
    """Return a page with its tables as the code has them now."""
    makers = tables()
    return BLOCK.sub(lambda m: f'{m[1]}{makers[m[2]]()}{m[4]}', text)


def main() -> int:
    """Rewrite every page that has tables, and the JSON Schema."""
    ROBOT_SCHEMA.write_text(robot_schema(), encoding='utf-8')
    for page in sorted(DOCS.rglob('*.md')):
        text = page.read_text(encoding='utf-8')
        new = rendered(text)
        if new != text:
            page.write_text(new, encoding='utf-8')
            print(f'{page.relative_to(ROOT)}: tables written')
    return 0


if __name__ == '__main__':
    sys.exit(main())
