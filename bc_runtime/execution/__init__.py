# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks of future actions on one time axis, and a setpoint for any time.

```python
timeline = Timeline(
    make_strategy('temporal_ensemble', {'coeff': 0.01}),
    interpolation='linear',        # hold, linear, cubic
    blending=BlendOptions(),       # grippers and binary actions
    start_from_rest=True,          # a slow first inference skips nothing
    max_chunks=256, retain_s=0.1, epoch=0,
)
timeline.add(chunk)                # ActionChunk -> AddResult, .accepted
timeline.at(t_ns)                  # -> Setpoint | Hole; a hole means brake
timeline.remaining_s(t_ns)         # how long the plan lasts
timeline.committed(t_ns, n)        # -> CommittedPrefix | None, for real-time chunking
timeline.live_chunks()             # -> tuple[LiveChunk, ...], for status and plots
timeline.clear(epoch, newer_than_ns=now_ns)  # nothing of before counts any more

trigger = InferenceTrigger('every_n_action_steps', dt_ns=dt_ns, n_action_steps=8)
trigger.decide(now_ns=..., observation_ns=..., remaining_s=...)  # -> TriggerDecision
trigger.started(now_ns=..., observation_ns=...)
trigger.finished(received_ns=...)  # -> delay; or trigger.failed()
trigger.delays.estimate_ns, trigger.delays.steps(dt_ns)
```

Times are int nanoseconds on the ROS clock. Pure numpy; no ROS, no threads, no clock of its own:
the answer for a time depends on the set of known chunks alone. See docs/explanation/time.md.
"""

from bc_runtime.execution.blending import BlendOptions, GripperRule
from bc_runtime.execution.chunk import SNAP_NS, ActionChunk
from bc_runtime.execution.delay import DelayTracker
from bc_runtime.execution.interpolation import Interpolation
from bc_runtime.execution.setpoint import CommittedPrefix, Hole, HoleReason, LiveChunk, Setpoint
from bc_runtime.execution.soft_mask import MaskSchedule
from bc_runtime.execution.strategies import (
    Latest,
    PolicyDefaults,
    RealTimeChunking,
    RecedingHorizon,
    Strategy,
    TemporalEnsemble,
    WeightedAverage,
    make_strategy,
)
from bc_runtime.execution.strategy_options import chosen_options, strategy_parameters
from bc_runtime.execution.timeline import AddResult, Timeline
from bc_runtime.execution.trigger import InferenceTrigger, TriggerDecision, TriggerMode

__all__ = [
    'SNAP_NS',
    'ActionChunk',
    'AddResult',
    'BlendOptions',
    'CommittedPrefix',
    'DelayTracker',
    'GripperRule',
    'Hole',
    'HoleReason',
    'InferenceTrigger',
    'Interpolation',
    'Latest',
    'LiveChunk',
    'MaskSchedule',
    'PolicyDefaults',
    'RealTimeChunking',
    'RecedingHorizon',
    'Setpoint',
    'Strategy',
    'TemporalEnsemble',
    'Timeline',
    'TriggerDecision',
    'TriggerMode',
    'WeightedAverage',
    'chosen_options',
    'make_strategy',
    'strategy_parameters',
]
