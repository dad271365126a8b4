# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How the chunks that cover a time share it: one weight per chunk, oldest observation first.

Every strategy is a pure function of the set of known chunks and the time. What a weight means for
a dimension depends on its kind, see `blending`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Annotated, ClassVar, Protocol

import numpy as np

from bc_runtime.execution.action_store import Array
from bc_runtime.execution.chunk_table import ChunkTable, Rows
from bc_runtime.execution.option import Option
from bc_runtime.execution.soft_mask import MaskSchedule, fold_weights, mask
from bc_runtime.spec.errors import ExecutionError, available, did_you_mean


class Strategy(Protocol):
    """Seam between the timeline and a rule for blending chunks.

    Attributes:
        name: Name in configuration files.
        newest_only: True if only the newest chunk counts; `weights` is not called then.
    """

    name: ClassVar[str]

    @property
    def newest_only(self) -> bool:
        """Whether only the newest covering chunk counts."""

    def executable_steps(self, chunk_size: int) -> int:
        """Return how many actions of a chunk may be executed, from its first on."""

    def weights(self, table: ChunkTable, rows: Rows, n: int, t_ns: int) -> Array:
        """Return the (n,) weights of the n rows that cover a time, sum 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalEnsemble:
    """All chunks that cover the time, with ACT's weights.

    w_i = exp(-coeff * i) / sum, i = 0 for the OLDEST observation. Source: Zhao et al. 2023,
    "Learning fine-grained bimanual manipulation with low-cost hardware", and the repository's
    evaluation loop (coeff 0.01). A positive coeff favours old chunks, 0 is the mean, a negative
    one favours new chunks.
    """

    name: ClassVar[str] = 'temporal_ensemble'
    newest_only: ClassVar[bool] = False
    coeff: Annotated[
        float,
        Option(
            'ACT weights exp(-coeff * i), i = 0 the oldest; negative favours new chunks',
            minimum=-10.0,
            maximum=10.0,
            setting='temporal_ensemble_coeff',
        ),
    ] = 0.01

    def __post_init__(self) -> None:
        """Refuse a coefficient that is not a finite number."""
        if not math.isfinite(self.coeff):
            raise ExecutionError(f'temporal_ensemble: expected a finite coeff, got {self.coeff}')

    def executable_steps(self, chunk_size: int) -> int:
        """All of them."""
        return chunk_size

    def weights(self, table: ChunkTable, rows: Rows, n: int, t_ns: int) -> Array:
        """See the class."""
        return _exponential(n, self.coeff)


@lru_cache(maxsize=1024)
def _exponential(n: int, coeff: float) -> Array:
    exponents = -coeff * np.arange(n)
    w: Array = np.exp(exponents - exponents.max())
    w /= w.sum()
    w.setflags(write=False)
    return w


@dataclass(frozen=True, slots=True, kw_only=True)
class RecedingHorizon:
    """The newest chunk, for its first `n_action_steps` actions.

    Actions whose time is past when the chunk comes are dropped by time, as on Diffusion Policy's
    real robot. In lock step with one inference every `n_action_steps` this is the action queue of
    LeRobot and Diffusion Policy.

    Attributes:
        n_action_steps: Actions of a chunk that are meant to be executed.
        overrun_steps: Further actions that may be executed while the next chunk is late. 0 brakes.
    """

    name: ClassVar[str] = 'receding_horizon'
    newest_only: ClassVar[bool] = True
    n_action_steps: Annotated[
        int,
        Option(
            'steps of a chunk to execute; 0: as the policy says',
            minimum=0,
            maximum=10000,
            from_policy=True,
        ),
    ] = 0
    overrun_steps: Annotated[
        int,
        Option('further steps to execute while the next chunk is late', minimum=0, maximum=10000),
    ] = 0

    def __post_init__(self) -> None:
        """Refuse numbers of steps that cannot be."""
        if self.n_action_steps < 1 or self.overrun_steps < 0:
            raise ExecutionError(
                'receding_horizon: expected n_action_steps of at least 1 and overrun_steps of at '
                f'least 0, got {self.n_action_steps} and {self.overrun_steps}'
            )

    def executable_steps(self, chunk_size: int) -> int:
        """Return n_action_steps + overrun_steps, at most the chunk."""
        return min(self.n_action_steps + self.overrun_steps, chunk_size)

    def weights(self, table: ChunkTable, rows: Rows, n: int, t_ns: int) -> Array:
        """All weight on the newest."""
        return _newest(n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The newest chunk, to its end."""

    name: ClassVar[str] = 'latest'
    newest_only: ClassVar[bool] = True

    def executable_steps(self, chunk_size: int) -> int:
        """All of them."""
        return chunk_size

    def weights(self, table: ChunkTable, rows: Rows, n: int, t_ns: int) -> Array:
        """All weight on the newest."""
        return _newest(n)


@lru_cache(maxsize=1024)
def _newest(n: int) -> Array:
    w = np.zeros(n)
    w[-1] = 1.0
    w.setflags(write=False)
    return w


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedAverage:
    """Each newer chunk is mixed into what the older ones say: old_share * old + rest * new.

    LeRobot's asynchronous client calls 0.3 `weighted_average`, 0.5 `average` and 0.7
    `conservative`. It folds in the order of arrival and forgets the old plan where a new one is
    shorter; this folds in the order of observation, and an older chunk counts wherever it covers.
    """

    name: ClassVar[str] = 'weighted_average'
    newest_only: ClassVar[bool] = False
    old_share: Annotated[float, Option('share of the older chunks', minimum=0.0, maximum=1.0)] = (
        0.3
    )

    def __post_init__(self) -> None:
        """Refuse a share outside [0, 1)."""
        if not 0.0 <= self.old_share < 1.0:
            raise ExecutionError(
                f'weighted_average: expected an old_share in [0, 1), got {self.old_share}; '
                '0.3 favours the new chunk, 0.7 the old'
            )

    def executable_steps(self, chunk_size: int) -> int:
        """All of them."""
        return chunk_size

    def weights(self, table: ChunkTable, rows: Rows, n: int, t_ns: int) -> Array:
        """See the class."""
        return _folded(n, self.old_share)


@lru_cache(maxsize=1024)
def _folded(n: int, old_share: float) -> Array:
    w = fold_weights(np.full(n, old_share))
    w.setflags(write=False)
    return w


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTimeChunking:
    """A new chunk takes over from the running plan through a soft mask.

    For a policy that was given the committed actions (`Timeline.committed`) and continues from
    them, set `prefix_conditioned`: the newest chunk is executed as it is. For every other policy
    the blend below, closed form of guidance with the identity as Jacobian:

        plan_i(t) = chunk_i(t) + mask_i(t) * strength * (plan_{i-1}(t) - chunk_i(t))

    with the mask of Black et al. 2025, "Real-time execution of action chunking flow policies":
    1 for the steps that passed during inference, then falling to 0 at execution_horizon before the
    chunk's end or at the end of the running plan, whichever is first. Nothing is padded past that.

    Attributes:
        execution_horizon: Last steps of a chunk that are its own alone (s of the paper).
        schedule: Shape of the fall.
        strength: 1 is continuous at the switch. Guidance that runs n denoising steps with at most
            weight b gives g/n: 0.911111 for n = b = 10 (LeRobot), 0.85 for n = b = 5 (paper).
        prefix_conditioned: The policy continues from the committed actions by itself.
    """

    name: ClassVar[str] = 'real_time_chunking'
    execution_horizon: Annotated[
        int,
        Option(
            'last steps of a chunk that are not blended with the old plan',
            minimum=0,
            maximum=10000,
            setting='rtc_execution_horizon',
        ),
    ] = 1
    schedule: Annotated[
        MaskSchedule, Option('fall of the running plan', setting='rtc_schedule')
    ] = MaskSchedule.EXP
    strength: Annotated[
        float,
        Option(
            '1 is continuous at the switch to a new chunk',
            minimum=0.0,
            maximum=1.0,
            setting='rtc_strength',
        ),
    ] = 1.0
    prefix_conditioned: bool = False

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        object.__setattr__(self, 'schedule', MaskSchedule(self.schedule))
        if self.execution_horizon < 0:
            raise ExecutionError(
                'real_time_chunking: expected an execution_horizon of at least 0, got '
                f'{self.execution_horizon}'
            )
        if not 0.0 <= self.strength <= 1.0:
            raise ExecutionError(
                f'real_time_chunking: expected a strength in [0, 1], got {self.strength}'
            )

    @property
    def newest_only(self) -> bool:
        """True for prefix-conditioned policies."""
        return self.prefix_conditioned

    def executable_steps(self, chunk_size: int) -> int:
        """All of them."""
        return chunk_size

    def weights(self, table: ChunkTable, rows: Rows, n: int, t_ns: int) -> Array:
        """See the class."""
        if n == 1:
            return _newest(1)
        dt = table.dt[rows]
        opened = table.open[rows]
        # Where the plan made of all older chunks ends; the oldest row has none, nor needs it.
        live = table.live
        plan_end = np.empty_like(table.close)
        plan_end[live.start] = table.close[live.start]
        plan_end[live.start + 1 : live.stop] = np.maximum.accumulate(table.close[live])[:-1]
        plan_end = plan_end[rows]
        overlap = (plan_end - opened) / dt
        length = (table.close[rows] - opened) / dt
        m = mask(
            step=(t_ns - opened) / dt,
            delay=np.ceil((table.received[rows] - opened) / dt - 1e-6),
            end=np.minimum(length - self.execution_horizon, overlap),
            schedule=self.schedule,
        )
        return fold_weights(self.strength * m)


#: The strategies by name, the default first.
STRATEGIES: dict[str, type[Strategy]] = {
    kind.name: kind
    for kind in (TemporalEnsemble, RecedingHorizon, Latest, WeightedAverage, RealTimeChunking)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDefaults:
    """What a policy says about its execution; a strategy takes the fields that it has too.

    Attributes:
        n_action_steps: Actions of a chunk that are meant to be executed.
        prefix_conditioned: The policy continues from the committed actions by itself.
    """

    n_action_steps: int = 1
    prefix_conditioned: bool = False


def make_strategy(
    name: str,
    options: Mapping[str, object] | None = None,
    policy: PolicyDefaults | None = None,
) -> Strategy:
    """Return the strategy of a configuration file.

    Args:
        name: temporal_ensemble, receding_horizon, latest, weighted_average or real_time_chunking.
        options: Fields of the strategy's class by name.
        policy: Answers what the options leave open.

    Raises:
        ExecutionError: unknown name or option; lists what there is.
    """
    if name not in STRATEGIES:
        raise ExecutionError(
            f'unknown execution strategy {name!r}; available: {available(STRATEGIES)}.'
            f'{did_you_mean(name, STRATEGIES)}'
        )
    kind = STRATEGIES[name]
    fields: Mapping[str, object] = getattr(kind, '__dataclass_fields__', {})
    known = [field for field in fields if field not in ('name', 'newest_only')]
    given = dict(options or {})
    unknown = [option for option in given if option not in known]
    if unknown:
        raise ExecutionError(
            f'{name}: unknown option {unknown[0]!r}; options: {available(known)}.'
            f'{did_you_mean(unknown[0], known)}'
        )
    if policy is not None:
        given = {key: getattr(policy, key) for key in policy.__slots__ if key in known} | given
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise ExecutionError(f'{name}: {error}; options: {available(known)}') from None
