# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Style, types and spelling, with the settings of pyproject.toml; `make lint` runs this alone."""

from __future__ import annotations

from importlib.metadata import version
import importlib.util
from pathlib import Path
import subprocess
import sys

import pytest

CHECKS = {
    'ruff check': ['ruff', 'check', '--no-cache', '--output-format=concise', '.'],
    'ruff format': ['ruff', 'format', '--no-cache', '--check', '.'],
    'mypy --strict': ['mypy'],
    'codespell': ['codespell_lib', '.'],
}


def numpy_is_pinned_one(repository: Path) -> bool:
    pins = (repository / 'requirements' / 'runtime.txt').read_text().splitlines()
    return f'numpy=={version("numpy")}' in pins


@pytest.mark.parametrize('name', CHECKS)
def test_lint(name: str, repository: Path) -> None:
    module, *arguments = CHECKS[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f'{module} is not installed; make lint installs it')
    if module == 'mypy' and not numpy_is_pinned_one(repository):
        pytest.skip('another NumPy than the pinned one is installed, with other type information')
    result = subprocess.run(
        [sys.executable, '-m', module, *arguments],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if result.returncode != 0:
        pytest.fail(f'{name}:\n{result.stdout}{result.stderr}', pytrace=False)
