# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Find the files that come with bc_runtime: robots, models, profiles.

They lie in the source tree during development and in `share/bc_runtime` of an installed package;
a user's own files are given by path.
"""

from __future__ import annotations

import os
from pathlib import Path
import tempfile

from bc_runtime.spec.errors import ConfigError, available, did_you_mean


def share_directory() -> Path:
    """Return the folder that holds `config/` and `models/`."""
    source = Path(__file__).resolve().parent.parent
    if (source / 'config' / 'robots').is_dir():
        return source
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        share = Path(prefix) / 'share' / 'bc_runtime'
        if prefix and (share / 'config').is_dir():
            return share
    raise ConfigError(
        'the files of bc_runtime (config/, models/) were not found next to the package nor in '
        'AMENT_PREFIX_PATH; source the workspace (. install/setup.bash) or run through scripts/run'
    )


def robot_file(name_or_path: str) -> Path:
    """Return the YAML of a robot given by path or by the name of a shipped one.

    Raises:
        ConfigError: neither a file nor a shipped robot; lists the shipped ones.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix in ('.yaml', '.yml') and path.is_file():
        return path.resolve()
    folder = share_directory() / 'config' / 'robots'
    shipped = {file.stem: file for file in folder.glob('*.yaml')}
    if name_or_path in shipped:
        return shipped[name_or_path]
    hint = did_you_mean(name_or_path, shipped)
    raise ConfigError(
        f'there is no robot {name_or_path!r}: expected a YAML file or one of the shipped robots '
        f'({available(shipped)}).{hint} Write your own as docs/reference/robot_yaml.md shows.'
    )


def model_directories() -> list[Path]:
    """Return where models given by name are looked for: BC_MODEL_PATH, then the shipped ones."""
    extra = [Path(p) for p in os.environ.get('BC_MODEL_PATH', '').split(os.pathsep) if p]
    return [*extra, share_directory() / 'models']


def require_log_folder() -> None:
    """Make the folder of ROS's logs, without which no node begins, or say why it cannot be.

    ROS writes to ROS_LOG_DIR, else to `log` in ROS_HOME, else to `~/.ros/log`.

    Raises:
        ConfigError: it cannot be written.
    """
    chosen, above = os.environ.get('ROS_LOG_DIR', ''), os.environ.get('ROS_HOME', '')
    text = chosen or f'{above or "~/.ros"}/log'
    home = os.environ.get('HOME', '')
    if text.startswith('~') and not home:
        raise ConfigError(
            'ROS keeps its logs below the home directory, and HOME is not set; set ROS_LOG_DIR to '
            'a folder that may be written'
        )
    folder = Path(home + text[1:] if text.startswith('~') else text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f'ROS cannot write its logs to {folder}: {error.strerror or error}; set ROS_LOG_DIR '
            'to a folder that may be written'
        ) from None
