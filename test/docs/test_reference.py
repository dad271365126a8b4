# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The reference is complete: tables as the code writes them, topics as the nodes have them."""

from __future__ import annotations

import ast
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / 'docs' / 'reference'
NODES = ('observation', 'inference', 'controller', 'recorder')


def rows(page: Path) -> list[list[str]]:
    """Return the cells of every table row of a page."""
    lines = page.read_text(encoding='utf-8').splitlines()
    return [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines
        if line.startswith('|')
    ]


@pytest.mark.parametrize('page', sorted((ROOT / 'docs').rglob('*.md')), ids=lambda p: p.name)
def test_generated_tables_are_up_to_date(page: Path, tables) -> None:
    text = page.read_text(encoding='utf-8')
    if tables.rendered(text) != text:
        pytest.fail(
            f'{page.relative_to(ROOT)}: the code has changed; write its tables again: '
            'scripts/run scripts/docs_tables.py',
            pytrace=False,
        )


def test_every_generated_table_is_on_a_page(tables) -> None:
    used = {
        match[2]
        for page in (ROOT / 'docs').rglob('*.md')
        for match in tables.BLOCK.finditer(page.read_text(encoding='utf-8'))
    }
    assert used == set(tables.tables())


def test_the_schema_of_the_robot_is_up_to_date(tables) -> None:
    assert tables.ROBOT_SCHEMA.read_text(encoding='utf-8') == tables.robot_schema(), (
        'write it again: scripts/run scripts/docs_tables.py'
    )


def test_a_table_that_is_out_of_date_is_noticed(tables) -> None:
    page = (REFERENCE / 'parameters.md').read_text(encoding='utf-8')
    assert (
        tables.rendered(page.replace('`realtime_priority` | `40`', '`realtime_priority` | `41`'))
        == page
    )


def documented() -> set[tuple[str, str, str, str, str]]:
    """Return (node, from or to, topic, type, profile) of every row of the topics page."""
    found = set()
    for cells in rows(REFERENCE / 'topics.md'):
        if len(cells) != 5 or not cells[0].startswith('`'):
            continue
        topic, kind = cells[0].strip('`'), cells[1].split('`')[1] if '`/' not in cells[1] else ''
        kind = kind if '/' in kind else ''
        for direction, names in (('from', cells[2]), ('to', cells[3])):
            for node in filter(None, names.split(', ')):
                found.add((node, direction, topic, kind, cells[4].strip('`')))
    return found


def test_every_topic_is_documented_as_it_is(topics) -> None:
    expected = set()
    for end in topics.endpoints():
        for node in NODES if end.node == '*' else (end.node,):
            expected.add((node, *end[1:]))
    # Topics whose name or type the node computes: from the robot YAML.
    computed = {
        ('observation', 'to', 'cameras.<name>.topic', 'sensor_msgs/msg/Image', 'sensor'),
        ('observation', 'to', 'streams.<name>.topic', '', 'stream'),
        ('observation', 'to', 'joint_states.topic', 'sensor_msgs/msg/JointState', 'stream'),
        ('controller', 'from', 'command.topic', '', 'command'),
        # Subscribed by listen_latched and listen_to_any.
        ('observation', 'to', 'instruction_topic', 'std_msgs/msg/String', 'data'),
        ('controller', 'to', 'human.estop_topic', 'std_msgs/msg/Bool', 'data'),
        ('controller', 'to', 'human.takeover_topic', 'std_msgs/msg/Bool', 'data'),
        ('controller', 'to', 'driver.stopped_topic', 'std_msgs/msg/Bool', 'data'),
        ('controller', 'to', 'driver.running_topic', 'std_msgs/msg/Bool', 'data'),
        ('controller', 'to', 'driver.speed_scaling_topic', 'std_msgs/msg/Float64', 'data'),
    }
    assert len(expected) > 20
    assert documented() - computed == {e for e in expected if e[2] != 'command.topic'}
    assert computed <= documented()


def test_every_service_is_documented_as_it_is(topics) -> None:
    found = {
        cells[0].strip('`'): cells[1].strip('`')
        for cells in rows(REFERENCE / 'topics.md')
        if len(cells) == 4 and re.search('/(srv|action)/', cells[1])
    }
    assert found == topics.services()
    assert 'controller/start' in found


def test_recorded_topics_are_documented() -> None:
    from bc_runtime.deployment import INTERNAL_TOPICS

    known = {(topic, kind) for _, _, topic, kind, _ in documented()}
    simulated = (REFERENCE / 'simulated_robot.md').read_text(encoding='utf-8')
    for topic, kind in INTERNAL_TOPICS.items():
        assert (topic, kind) in known or f'`{topic}`' in simulated, topic


def test_command_types_are_documented() -> None:
    from bc_runtime.spec.command_kinds import COMMAND_KINDS

    table = {cells[0].strip('`'): cells[1].strip('`') for cells in rows(REFERENCE / 'topics.md')}
    assert {kind: table.get(kind) for kind in COMMAND_KINDS} == {
        name: kind.message for name, kind in COMMAND_KINDS.items()
    }


def test_every_state_and_code_is_documented() -> None:
    from bc_runtime.safety import State

    text = (REFERENCE / 'states.md').read_text(encoding='utf-8')
    codes = set()
    for file in (ROOT / 'bc_runtime' / 'safety').glob('supervisor*.py'):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and re.fullmatch('[A-Z][A-Z_]{3,}', str(node.value)):
                codes.add(str(node.value))
    assert {'STARTED', 'ALIGN_TIMEOUT'} <= codes
    missing = [word for word in (*State, *codes) if f'`{word}`' not in text]
    assert not missing


def test_profiles_are_those_of_the_code(tables) -> None:
    # `any` comes beside `data` where the message of every publisher counts (listen_latched).
    used = {profile for *_, profile in documented()} | {'any'}
    assert used == set(tables.qos_profiles())
