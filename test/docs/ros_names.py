# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Topics, services and actions as they stand in the sources of the nodes; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import re
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
#: File -> node that it belongs to. Files that several nodes use stand for '*'.
SOURCES = {
    'observation_node.py': 'observation',
    'inference_node.py': 'inference',
    'policy_swaps.py': 'inference',
    'controller_node.py': 'controller',
    'controller_report.py': 'controller',
    'command_output.py': 'controller',
    'human_input.py': 'controller',
    'preflight.py': 'controller',
    'run_policy.py': 'controller',
    'recorder_watch.py': 'controller',
    'recorder_node.py': 'recorder',
    'diagnostics.py': '*',
}
CALLS = {'create_publisher': 'from', 'create_subscription': 'to', '_listen': 'to'}


class Endpoint(NamedTuple):
    """One end of a topic; `topic` is a name, or a key of the robot YAML."""

    node: str
    direction: str  # from, to
    topic: str
    type: str
    profile: str


def full_type(expression: ast.expr, imports: dict[str, str]) -> str:
    """Return `package/msg/Type` of an expression, empty if it is computed."""
    text = ast.unparse(expression)
    head, _, rest = text.partition('.')
    path = f'{imports.get(head, "")}.{rest}'.strip('.') if head in imports else ''
    return path.replace('.', '/')


def imported(tree: ast.Module) -> dict[str, str]:
    """Return the names that a module imports -> where they come from."""
    return {
        alias.asname or alias.name: f'{node.module}.{alias.name}'
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def topic_name(expression: ast.expr, node: str) -> str:
    """Return the topic of an expression, or its key in the robot YAML, or '' if computed."""
    if isinstance(expression, ast.Constant):
        return str(expression.value).replace('~', node)
    key = re.fullmatch(r'(?:self\._)?robot\.(\w+(?:\.\w+)?)', ast.unparse(expression))
    return key[1] if key else ''


def endpoints() -> Iterator[Endpoint]:
    """Yield every publisher and subscription whose topic stands in the source."""
    for file, node in SOURCES.items():
        tree = ast.parse((ROOT / 'bc_runtime/ros' / file).read_text(encoding='utf-8'))
        imports = imported(tree)
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            direction = CALLS.get(call.func.attr)
            if direction is None or len(call.args) < 3:
                continue
            topic = topic_name(call.args[1], node)
            if topic:
                yield Endpoint(
                    node,
                    direction,
                    topic,
                    full_type(call.args[0], imports),
                    ast.unparse(call.args[-1]).removeprefix('qos.').lower(),
                )


def services() -> dict[str, str]:
    """Return service or action -> type, by the private names in the nodes' sources."""
    found = {}
    for file, node in SOURCES.items():
        tree = ast.parse((ROOT / 'bc_runtime/ros' / file).read_text(encoding='utf-8'))
        imports = imported(tree)
        topics = {each.topic for each in endpoints()}
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            function = ast.unparse(call.func)
            if function.endswith('create_service'):
                kind, where = call.args[0], call.args[1]
            elif function == 'ActionServer':
                kind, where = call.args[1], call.args[2]
            else:
                continue
            if isinstance(where, ast.Constant):
                found[str(where.value).replace('~', node)] = full_type(kind, imports)
            else:  # a loop over names: every string of that form is one
                for constant in ast.walk(tree):
                    text = constant.value if isinstance(constant, ast.Constant) else ''
                    if re.fullmatch(r'~/\w+|estop_reset', str(text)):
                        name = str(text).replace('~', node)
                        if name not in topics and name not in found:
                            found[name] = full_type(kind, imports)
    return found


def service_type(name: str) -> str:
    """Return the type of a service as `ros2 service call` takes it; '' if there is none."""
    known = services() | {'sim_robot/reset': 'bc_msgs/srv/ResetScene'}
    for service, kind in known.items():
        if name.lstrip('/') == service or name.endswith(f'/{service}'):
            return kind
    return ''
