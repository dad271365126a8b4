# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Each extra of setup.py brings what its verbs need: the packages of others are hidden here."""

from __future__ import annotations

import ast
import os
from pathlib import Path
import re
import subprocess
import sys

import pytest

from bc_runtime.cli.main import VERBS
from bc_runtime.missing_package import EXTRAS, INSTALLED_AS

IMPORT_NAMES = {name: module for module, name in INSTALLED_AS.items()}

#: Hides packages as if they were not installed, then runs `bc`.
PROGRAM = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in sys.argv[1].split(','):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Hidden())
if sys.argv[2] == 'start':
    from bc_runtime.ros import start
    sys.exit(getattr(start, sys.argv[3])())
elif sys.argv[2] == 'import':
    import importlib
    for module in sys.argv[3:]:
        importlib.import_module(module)
else:
    from bc_runtime.cli.main import main
    sys.exit(main(sys.argv[2:]))
"""


def extras(repository: Path) -> dict[str, set[str]]:
    """Return the extras of setup.py with the import names of their packages."""
    tree = ast.parse((repository / 'setup.py').read_text())
    (found,) = (
        ast.literal_eval(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == 'extras_require'
    )
    return {
        name: {IMPORT_NAMES.get(package, package) for package in packages}
        for name, packages in found.items()
    }


def run(repository: Path, *with_extras: str, argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run with the packages of these extras alone, beside what every installation has."""
    known = extras(repository)
    there = {'numpy', 'yaml', 'setuptools'}.union(*(known[name] for name in with_extras))
    hidden = set().union(*known.values()) - there | {'matplotlib', 'lerobot', 'h5py'}
    hidden -= {'onnxruntime_gpu', 'onnxruntime-gpu'}
    return subprocess.run(
        [sys.executable, '-c', PROGRAM, ','.join(sorted(hidden)), *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error of a run that was refused without a traceback."""
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr, done.stderr
    assert done.stderr.startswith('error: '), done.stderr
    return done.stderr


def test_the_cpu_extra_is_enough_for_a_robot(repository: Path, tmp_path: Path) -> None:
    """Regressions pinned: every verb imported Pillow, which a robot does not need."""
    for argv in (
        ['--help'],
        ['inspect', 'sim_arm_act', '--runs', '1'],
        ['check', '--graph', 'no'],
        ['deploy', '--print-sros2-policy'],
    ):
        done = run(repository, 'cpu', argv=argv)
        assert done.returncode == 0, (argv, done.stderr)
    assert 'nothing to recover' in one_sentence(
        run(repository, 'cpu', argv=['recover', str(tmp_path)])
    )


def test_every_verb_is_loaded_with_the_cpu_extra(repository: Path) -> None:
    done = run(repository, 'cpu', argv=['import', *dict.fromkeys(VERBS.values())])
    assert done.returncode == 0, done.stderr


@pytest.mark.ros
def test_the_cpu_extra_is_enough_for_the_nodes(repository: Path) -> None:
    nodes = [f'bc_runtime.ros.{name}_node' for name in ('controller', 'observation', 'inference')]
    done = run(repository, 'cpu', argv=['import', *nodes, 'bc_runtime.ros.recorder_node'])
    assert done.returncode == 0, done.stderr


@pytest.mark.ros
@pytest.mark.parametrize('node', ['sim_robot', 'sim_car'])
def test_a_simulated_robot_alone_says_what_to_install(repository: Path, node: str) -> None:
    """Regressions pinned: a traceback."""
    error = one_sentence(run(repository, 'cpu', argv=['start', node]))
    assert error == (
        f'error: {node} needs the package mujoco, which is not installed: pip install mujoco '
        "(extra 'demo' of setup.py)\n"
    )


@pytest.mark.parametrize(
    ('argv', 'package'),
    [
        (['trials', 'sim_arm_act', '--episodes', '1'], 'mujoco'),
        (['demo', '--episodes', '1'], 'mujoco'),
        (['bench', 'claims', '--only', 'delay'], 'mujoco'),
        (['optimize', 'sim_arm_act'], 'onnx'),
        (['check', '--graph', 'no', '--model', 'ws://localhost:1'], 'msgpack'),
    ],
)
def test_a_verb_that_needs_more_says_what_to_install(
    repository: Path, argv: list[str], package: str
) -> None:
    error = one_sentence(run(repository, 'cpu', argv=argv))
    assert package in error
    assert re.search(r'pip install|extra', error)


def test_the_demo_needs_pillow_before_it_starts_anything(repository: Path) -> None:
    known = extras(repository)
    hidden = ','.join({'PIL'} & known['demo'])
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, hidden, 'demo', '--episodes', '1'],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
    )
    assert 'pip install pillow' in one_sentence(done)
    assert done.stdout == ''


def test_the_remote_extra_is_enough_for_a_policy_server(repository: Path) -> None:
    argv = ['check', '--graph', 'no', '--model', 'ws://127.0.0.1:1']
    error = one_sentence(run(repository, 'cpu', 'remote', argv=argv))
    assert '127.0.0.1:1' in error


@pytest.mark.ros
def test_the_demo_extra_is_enough_for_simulation_and_report(repository: Path) -> None:
    modules = [
        'bc_runtime.ros.sim_node',
        'bc_runtime.ros.car_node',
        'bc_runtime.ros.demo_client',
        'bc_runtime.evaluation.gif',
        'bc_runtime.evaluation.report',
        'bc_runtime.training.steering.trials',
        'bc_runtime.training.trials',
    ]
    done = run(repository, 'cpu', 'demo', argv=['import', *modules])
    assert done.returncode == 0, done.stderr


def third_party(repository: Path, folder: str) -> set[str]:
    """Return the packages from elsewhere that the files of a folder import."""
    found = set()
    for file in (repository / 'bc_runtime' / folder).rglob('*.py'):
        if file.parent.name == 'lerobot' or file.stem in ('robomimic',):
            continue
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or '']
            found |= {name.partition('.')[0] for name in names}
    return found - set(sys.stdlib_module_names) - {'bc_runtime'}


@pytest.mark.parametrize(('extra', 'folder'), [('train', 'training'), ('export', 'export')])
def test_the_extras_of_training_and_export_are_enough(
    repository: Path, extra: str, folder: str
) -> None:
    """Without torch here: compared is what the files import."""
    known = extras(repository)
    allowed = known[extra] | known['cpu'] | {'numpy', 'yaml', 'setuptools'}
    assert third_party(repository, folder) <= allowed


def test_errors_name_extras_that_exist_and_hold_the_package(repository: Path) -> None:
    known = extras(repository)
    for extra, packages in EXTRAS.items():
        assert set(packages) <= known[extra], extra
    assert known['gpu'] == known['cpu'] - {'onnxruntime'} | {'onnxruntime-gpu'}
