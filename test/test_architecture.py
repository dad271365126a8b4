# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of the code's shape: who may import whom, sizes, names and licence headers.

Imports follow the data and never go backwards. A new folder or top-level module needs a row here
first, so that its place on the way of the data is decided and not drifted into.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'bc_runtime'

STATIONS = {'observation', 'policy', 'execution', 'safety', 'recording', 'sim'}
LOOP = {
    'spec',
    'binding',
    *STATIONS - {'recording', 'sim'},
    'control',
    'inference_loop',
    'pipeline',
}
OFFLINE = {'training', 'export'}
# Folder or module of bc_runtime -> what of bc_runtime it may import, beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    '__init__': set(),
    'spec': set(),
    **{station: {'spec'} for station in STATIONS},
    'resources': {'spec'},
    'heartbeat': set(),
    'live_settings': {'spec'},
    'parent': {'spec'},
    'missing_package': set(),
    'binding': {'spec', 'observation'},
    'deployment': {'spec', 'resources', 'binding'},
    'launch_arguments': {'spec', 'deployment'},
    'control': LOOP - {'pipeline', 'inference_loop'},
    'inference_loop': LOOP - {'pipeline', 'control'},
    'pipeline': LOOP,
    'offline': {'spec', 'observation', 'recording'},
    'evaluation': {'spec', 'recording'},
    'dataset': {'spec', 'recording', 'observation'},
    # Training ends with an evaluation in the simulated loop, so it stands after the whole loop.
    'training': LOOP | {'resources', 'dataset', 'sim', 'export'},
    'export': {'spec', 'policy', 'dataset'},
}
EVERYTHING = set(MAY_IMPORT) | {'ros', 'cli'}
MAY_IMPORT['ros'] = EVERYTHING - OFFLINE - {'cli'}
MAY_IMPORT['cli'] = EVERYTHING

ROS_ROOMS = {'ros', 'cli'}
ROS_PACKAGES = {
    'ament_index_python', 'builtin_interfaces', 'composition_interfaces', 'launch', 'launch_ros',
    'rclpy', 'rcl_interfaces', 'rosbag2_py', 'rosidl_runtime_py', 'rpyutils',
    'type_description_interfaces',
}  # fmt: skip
HEAVY_ROOMS = {'training', 'export', 'dataset', 'evaluation'}
HEAVY_PACKAGES = {
    'torch', 'onnx', 'onnxscript', 'lerobot', 'matplotlib', 'h5py', 'pyarrow', 'transformers',
}  # fmt: skip
# Never loaded by importing a part of the runtime; onnxruntime is loaded with the first policy.
NEVER_LOADED = ('rclpy', 'bc_msgs.msg', 'torch', 'onnx', 'lerobot', 'matplotlib')
FORBIDDEN_NAMES = {'utils.py', 'util.py', 'helpers.py', 'common.py', 'misc.py'}
MAX_LINES = 450
HEADER = (
    '# SPDX-FileCopyrightText: 2026 The bc_runtime authors',
    '# SPDX-License-Identifier: Apache-2.0',
)


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob('*.py'))


def room_of(file: Path) -> str:
    """Return the folder of bc_runtime, or the name of a module directly inside it."""
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix('.py')


def is_ros(module: str) -> bool:
    top = module.split('.')[0]
    return top in ROS_PACKAGES or top.endswith(('_msgs', '_srvs'))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test)


def modules_of(node: ast.AST, file: Path) -> list[str]:
    """Return the absolute names that one import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ''
    if node.level:
        parents = file.relative_to(ROOT).with_suffix('').parts[: -node.level]
        base = '.'.join([*parents, *([base] if base else [])])
    # `from bc_runtime import spec` imports the folder spec.
    return [f'{base}.{alias.name}' for alias in node.names] if base == 'bc_runtime' else [base]


def imports(file: Path, *, at_load: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of a file's imports; `at_load` leaves out those inside functions."""
    stack: list[ast.AST] = [ast.parse(file.read_text(), filename=str(file))]
    while stack:
        node = stack.pop()
        if at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if at_load and is_type_checking(node):
            stack.extend(node.orelse if isinstance(node, ast.If) else [])
            continue
        for module in modules_of(node, file):
            yield getattr(node, 'lineno', 0), module
        stack.extend(ast.iter_child_nodes(node))


def report(problems: list[str], rule: str) -> None:
    if problems:
        pytest.fail(f'{rule}\n  ' + '\n  '.join(sorted(problems)), pytrace=False)


def test_every_folder_has_its_place() -> None:
    rooms = {room_of(file) for file in sources()}
    report(
        [f'bc_runtime/{room}' for room in rooms - set(MAY_IMPORT)],
        'Decide in MAY_IMPORT of this file what these may import:',
    )


def test_imports_follow_the_data() -> None:
    problems = []
    for file in sources():
        room = room_of(file)
        for line, module in imports(file, at_load=False):
            parts = module.split('.')
            if parts[0] != 'bc_runtime' or len(parts) < 2 or parts[1].startswith('__'):
                continue
            if parts[1] in EVERYTHING and parts[1] not in MAY_IMPORT.get(room, set()) | {room}:
                problems.append(f'{file.relative_to(ROOT)}:{line} imports {module}')
    report(problems, 'Imports follow the data: spec <- stations <- pipeline <- ros, cli. Not so:')


def test_only_ros_and_cli_import_ros() -> None:
    problems = [
        f'{file.relative_to(ROOT)}:{line} imports {module}'
        for file in sources()
        if room_of(file) not in ROS_ROOMS
        for line, module in imports(file, at_load=False)
        if is_ros(module)
    ]
    report(problems, 'Only bc_runtime/ros and bc_runtime/cli import ROS. Not so:')


def test_heavy_packages_are_imported_late() -> None:
    problems = [
        f'{file.relative_to(ROOT)}:{line} imports {module}'
        for file in sources()
        if room_of(file) not in HEAVY_ROOMS
        for line, module in imports(file, at_load=True)
        if module.split('.')[0] in HEAVY_PACKAGES
    ]
    report(problems, f'Import {sorted(HEAVY_PACKAGES)} inside functions only. Not so:')


def test_importing_the_runtime_loads_neither_ros_nor_frameworks() -> None:
    names = []
    for file in sources():
        if room_of(file) in ROS_ROOMS | HEAVY_ROOMS or file.name == '__main__.py':
            continue
        parts = file.relative_to(ROOT).with_suffix('').parts
        names.append('.'.join(part for part in parts if part != '__init__'))
    program = (
        'import importlib, sys\n'
        f'for name in {names!r}:\n'
        '    importlib.import_module(name)\n'
        f'    loaded = [m for m in {NEVER_LOADED!r} if m in sys.modules]\n'
        '    if loaded:\n'
        '        sys.exit(f"import {name} loads {loaded}")\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def test_import_of_the_package_alone_loads_nothing_of_it() -> None:
    program = (
        'import sys\n'
        'import bc_runtime\n'
        'print(*[m for m in sys.modules if m.startswith("bc_runtime.")])\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip() == ''


def test_files_hold_one_concept() -> None:
    problems = []
    for file in sources():
        lines = len(file.read_text().splitlines())
        if lines > MAX_LINES:
            problems.append(f'{file.relative_to(ROOT)}: {lines} lines, at most {MAX_LINES}')
        if file.name in FORBIDDEN_NAMES:
            problems.append(f'{file.relative_to(ROOT)}: name the file after what is in it')
    report(problems, 'A file holds one concept and says it in its name. Not so:')


def test_every_file_names_its_licence() -> None:
    files = [ROOT / 'setup.py', *sources()]
    for folder in ('benchmarks', 'launch', 'scripts', 'test'):
        files += sorted((ROOT / folder).rglob('*.py'))
    problems = []
    for file in files:
        lines = file.read_text().splitlines()
        if lines and lines[0].startswith('#!'):
            lines = lines[1:]
        if tuple(lines[:2]) != HEADER:
            problems.append(str(file.relative_to(ROOT)))
    report(problems, f'The first two lines of a file are {HEADER}. Not so:')


@pytest.mark.parametrize(
    ('code', 'expected'),
    [
        ('import torch', ['torch']),
        ('def f():\n    import torch', []),
        ('class A:\n    import torch', ['torch']),
        ('try:\n    import torch\nexcept ImportError:\n    pass', ['torch']),
        ('if TYPE_CHECKING:\n    import torch', []),
        ('from bc_runtime import spec', ['bc_runtime.spec']),
        ('from bc_runtime.spec.errors import BcError', ['bc_runtime.spec.errors']),
    ],
)
def test_imports_are_found(code: str, expected: list[str], tmp_path: Path) -> None:
    file = tmp_path / 'example.py'
    file.write_text(code)
    assert [module for _, module in imports(file, at_load=True)] == expected


def test_relative_imports_are_resolved() -> None:
    file = PACKAGE / 'safety' / 'limiter.py'
    node = ast.parse('from ..execution import timeline').body[0]
    assert modules_of(node, file) == ['bc_runtime.execution']


def test_every_flag_is_raised_by_the_running_stack() -> None:
    from bc_runtime.safety.flags import Flag

    used = {
        node.attr
        for file in PACKAGE.rglob('*.py')
        if file != PACKAGE / 'safety/flags.py'
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8')))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == 'Flag'
    }
    assert sorted({flag.name for flag in Flag} - used) == []
