# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Judge episodes: success with honest intervals, timing, and a report that shows what happened.

Reads bags alone, so that any run can be judged again later and elsewhere. Needs `rosbags` and
`pillow`, which a robot does not.
"""

from bc_runtime.evaluation.gif import write_gif
from bc_runtime.evaluation.report import write_report
from bc_runtime.evaluation.statistics import clopper_pearson_interval, wilson_interval
from bc_runtime.evaluation.summary import summarize_demo

__all__ = [
    'summarize_demo',
    'write_report',
    'write_gif',
    'wilson_interval',
    'clopper_pearson_interval',
]
