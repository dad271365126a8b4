# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The exception tree of bc_runtime.

Every message says what was expected, what came, what is available and what to do next. Facts stay
available as attributes where a caller can act on them.
"""

from __future__ import annotations

from collections.abc import Iterable
import difflib


class BcError(Exception):
    """Root of every error that bc_runtime raises on purpose."""


class ConfigError(BcError):
    """A file that the user wrote is wrong; names the file and the key path.

    Attributes:
        source: File or object that was read.
        path: Key path inside it, e.g. `joints[2].velocity`.
    """

    def __init__(self, message: str, *, source: str = '', path: str = '') -> None:
        where = ': '.join(part for part in (source, path) if part)
        super().__init__(f'{where}: {message}' if where else message)
        self.source = source
        self.path = path


class SpecError(ConfigError):
    """A policy's spec is wrong or of a newer schema."""


class RobotConfigError(ConfigError):
    """A robot's YAML is wrong."""


class BindingError(BcError):
    """A policy and a robot do not fit together; prints both sides."""


class PolicyError(BcError):
    """A policy cannot be loaded or run."""


class ObservationError(BcError):
    """Sensor data cannot become an observation."""


class ExecutionError(BcError):
    """An action chunk or an execution option is not usable."""


class SafetyError(BcError):
    """A safety component was given something that it cannot work with."""


class RecordingError(BcError):
    """An episode cannot be written or read."""


class SimulationError(BcError):
    """The simulated robot was asked for something that does not exist."""


def available(names: Iterable[str]) -> str:
    """Return names as a readable list for error messages."""
    listed = sorted(names)
    return ', '.join(listed) if listed else '(none)'


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ' Did you mean ...?' for a close match, else an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f' Did you mean {close[0]!r}?' if close else ''
