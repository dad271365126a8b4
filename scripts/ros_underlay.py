# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Turn a virtual environment with ROS 2 wheels into a prefix that colcon can build upon.

Run by the Python of that environment. Two things are missing in what the wheels install: the
exported CMake targets name an include folder of the machine that built the wheels, which makes
CMake refuse to generate; and the prefix has no setup files, which a workspace built upon it would
source.
"""

from __future__ import annotations

from pathlib import Path
import re
import sys

from ament_package.templates import (
    configure_file,
    get_prefix_level_template_names,
    get_prefix_level_template_path,
)

# An interpreter that the containers of the manylinux project carry, and nobody else.
FOREIGN_INCLUDE = re.compile(
    r'^( *INTERFACE_INCLUDE_DIRECTORIES ")(?:/opt/python/[^;"]*;?)+', re.M
)


def drop_foreign_includes(prefix: Path) -> int:
    """Remove include folders of the build machine from exported targets; return how many files."""
    changed = 0
    for file in (prefix / 'share').rglob('*Export.cmake'):
        text = file.read_text()
        mended = FOREIGN_INCLUDE.sub(r'\1', text)
        if mended != text:
            file.write_text(mended)
            changed += 1
    return changed


def write_setup_files(prefix: Path) -> None:
    """Write setup.* and local_setup.* from the templates that ROS itself uses."""
    values = {
        'CMAKE_INSTALL_PREFIX': str(prefix),
        'ament_package_PYTHON_EXECUTABLE': sys.executable,
        # The wheels name the prefix of their build machine as parent; there is none.
        'SKIP_PARENT_PREFIX_PATH': '1',
    }
    for name in get_prefix_level_template_names():
        template = get_prefix_level_template_path(name)
        target = prefix / name.removesuffix('.in')
        if name.endswith('.in'):
            target.write_text(configure_file(str(template), values))
        else:
            target.write_text(Path(template).read_text())


if __name__ == '__main__':
    drop_foreign_includes(Path(sys.prefix))
    write_setup_files(Path(sys.prefix))
