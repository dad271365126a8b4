# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Judge episodes: success with honest intervals, timing, and a report that shows what happened.

Reads bags alone, so that any run can be judged again later and elsewhere. Needs `rosbags`, and
`pillow` for pictures, which a robot does not: what shows pictures is loaded when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bc_runtime.evaluation.statistics import clopper_pearson_interval, wilson_interval
from bc_runtime.evaluation.summary import summarize_demo

if TYPE_CHECKING:
    from bc_runtime.evaluation.gif import write_gif
    from bc_runtime.evaluation.report import write_report

__all__ = [
    'summarize_demo',
    'write_report',
    'write_gif',
    'wilson_interval',
    'clopper_pearson_interval',
]

_WITH_PICTURES = {'write_gif': 'gif', 'write_report': 'report'}


def __getattr__(name: str) -> Any:
    if name not in _WITH_PICTURES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_WITH_PICTURES[name]}'), name)
