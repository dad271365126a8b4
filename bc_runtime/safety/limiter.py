# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The limiter: whatever is asked for, the next command can be followed and can be stopped from.

Each tick it turns a reference into the next command, starting from the last *command* (never from
the measured state, whose lag would throttle the robot) and with the nominal period (never the
measured one, or a late tick would allow a longer step). With command q, velocity v, period T,
acceleration a, deceleration d:

1. The reference is clipped to the position limits.
2. Desired velocity: time-optimal approach in the frame that moves with the reference,
   ``v_ref + sign(e)·min(|e|/T, S(|e|, β·d))`` with ``e = q_ref - (q + v_ref·T)``. A reference that
   stays inside the limits passes through unchanged, and the limiter's own output fed back as a
   reference changes nothing.
3. Acceleration window around v. It comes first and the other bounds are clipped into it, so there
   is always an allowed velocity, also after a limit was lowered in motion.
4. State window: the speed from which braking at d still stops before the position limit,
   ``S(g, d) = d·T·(s/(n+1) + n/2)``, ``s = g/(d·T²)``, ``n = ⌊(√(1+8s)-1)/2⌋``. This is the exact
   inverse of the discrete braking travel ``T·Σ_{j=0..n}(v - j·d·T)``.
5. Per joint, or with one common scale for all joints (`coordinated`), so that the direction of
   motion is kept.

The derivation is the project's own (docs/explanation/safety.md). Plain floats: at 7 or 14 joints
numpy's call overhead alone is several times the whole tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, pi, remainder, sqrt

from bc_runtime.safety.coordination import common_scale
from bc_runtime.safety.limiter_step import LimiterStep
from bc_runtime.safety.limits import JointLimits
from bc_runtime.safety.stopping import bound_constants, reference_constants
from bc_runtime.spec.errors import SafetyError

TWO_PI = 2.0 * pi
#: Share of the velocity limit with which a joint outside its limits may move back in.
RECOVERY_SHARE = 0.25
#: What rounding may leave of a velocity or distance of zero; far below every tolerance.
REST = 1e-12

# Members of LimitFlag as plain integers: IntFlag arithmetic costs a microsecond per joint.
POSITION, VELOCITY, ACCELERATION, BAD_INPUT, OUTSIDE = 1, 2, 4, 8, 16
STOPPING_DISTANCE, APPROACH, SCALED, BRAKE = 32, 64, 128, 256


class Limiter:
    """Turn references into commands that stay inside all limits; see the module's docstring.

    Args:
        limits: One entry per joint; their order is the order of every sequence here.
        dt_s: Nominal control period [s].
        coordinated: Scale all joints together where possible, so that the direction is kept.
        lag_s: Only for `step_velocity` with measured positions: delay of the measurement [s].
    """

    def __init__(
        self,
        limits: Sequence[JointLimits],
        dt_s: float,
        *,
        coordinated: bool = False,
        lag_s: float = 0.0,
    ) -> None:
        if not limits:
            raise SafetyError('expected the limits of at least one joint, got none')
        if not (isfinite(dt_s) and dt_s > 0.0):
            raise SafetyError(f'the period must be finite and positive, got {dt_s!r}')
        if not (isfinite(lag_s) and lag_s >= 0.0):
            raise SafetyError(f'the lag must be finite and not negative, got {lag_s!r}')
        self._dt = dt_s
        self._lag = lag_s
        self._n = len(limits)
        self._zeros = (0.0,) * self._n
        self._position: tuple[float, ...] | None = None
        self._velocity: tuple[float, ...] = self._zeros
        self._previous: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        self._decel_held: list[float] = [0.0] * self._n
        self.coordinated = coordinated
        self._limits = tuple(limits)
        self._prepare()

    @property
    def limits(self) -> tuple[JointLimits, ...]:
        """Limits in force."""
        return self._limits

    @property
    def seeded(self) -> bool:
        """Whether there is a command to start from."""
        return self._position is not None

    @property
    def position(self) -> tuple[float, ...]:
        """Last command."""
        return self._started()

    @property
    def velocity(self) -> tuple[float, ...]:
        """Velocity of the last command."""
        return self._velocity

    @property
    def at_rest(self) -> bool:
        """Whether the last command was not moving."""
        return not any(self._velocity)

    def seed(self, positions: Sequence[float], velocities: Sequence[float] | None = None) -> None:
        """Start from this command; at activation that is the measured position.

        Args:
            positions: Joint positions, shape (n,).
            velocities: Joint velocities, shape (n,); None means at rest.

        Raises:
            SafetyError: wrong length or not finite.
        """
        rates = self._zeros if velocities is None else velocities
        self._position = self._finite('positions', positions)
        self._velocity = self._finite('velocities', rates)
        self._previous = None
        self._settle()

    def reset(self) -> None:
        """Forget the last command; `seed` before the next step."""
        self._position = None
        self._velocity = self._zeros
        self._previous = None

    def set_limits(self, limits: Sequence[JointLimits]) -> None:
        """Change the limits, also in motion.

        A lower velocity limit is reached by braking. A lower deceleration takes effect for a joint
        when it could stop that joint in one tick: taking braking power away in motion would break
        the promise that was given when the speed was allowed.

        Raises:
            SafetyError: other joints than before.
        """
        names = [one.name for one in limits]
        if names != [one.name for one in self._limits]:
            raise SafetyError(
                f'limits can change but joints cannot: expected '
                f'{[one.name for one in self._limits]}, got {names}'
            )
        for j, old in enumerate(self._limits):
            if abs(self._velocity[j]) > limits[j].deceleration * self._dt:
                self._decel_held[j] = max(self._decel_held[j], old.deceleration)
        self._limits = tuple(limits)
        self._prepare()

    def rollback(self) -> None:
        """Take back the last step: the checker refused it, so it was never sent."""
        if self._previous is not None:
            self._position, self._velocity = self._previous
            self._previous = None

    # -- one tick -----------------------------------------------------------------------------

    def step(self, q_ref: Iterable[float], v_ref: Iterable[float] | None = None) -> LimiterStep:
        """Return the next command towards a position reference.

        Args:
            q_ref: Where the joints should be at the end of this tick, shape (n,).
            v_ref: Velocity of the reference at that time, shape (n,); None means unknown and is
                taken as zero, which costs some lag.

        A reference of the wrong length, or with anything in it that is not a finite number, makes
        all joints brake in this tick and is flagged BAD_INPUT.
        """
        position = self._started()
        target = self._read(q_ref)
        rate = self._zeros if v_ref is None else self._read(v_ref)
        if target is None or rate is None:
            return self._commit(position, self._zeros, (BAD_INPUT | BRAKE,) * self._n, False)
        dt = self._dt
        desired: list[float] = []
        flags: list[int] = []
        for q, r, w, (low, high, vmax, inv, step, full) in zip(
            position, target, rate, self._reference, strict=True
        ):
            flag = 0
            if r > high:
                r, w, flag = high, 0.0, POSITION
            elif r < low:
                r, w, flag = low, 0.0, POSITION
            if w > vmax:
                w, flag = vmax, flag | VELOCITY
            elif w < -vmax:
                w, flag = -vmax, flag | VELOCITY
            e = r - q - w * dt
            if low == -inf:
                e = remainder(e, TWO_PI)
            gap = e if e >= 0.0 else -e
            if gap < REST:
                speed = 0.0  # chasing rounding errors at the acceleration limit amplifies them
            elif gap >= full:
                speed, flag = vmax, flag | APPROACH
            else:
                s = gap * inv
                if s <= 1.0:
                    speed = gap / dt
                else:
                    n = int((sqrt(1.0 + 8.0 * s) - 1.0) * 0.5)
                    speed = step * (s / (n + 1) + 0.5 * n)
                    flag |= APPROACH
            desired.append(w + speed if e >= 0.0 else w - speed)
            flags.append(flag)
        return self._commit(position, desired, flags, self.coordinated)

    def step_velocity(
        self, v_ref: Iterable[float], positions: Iterable[float] | None = None
    ) -> LimiterStep:
        """Return the next command of a velocity (or twist) reference.

        Args:
            v_ref: Wanted velocities, shape (n,).
            positions: Measured positions, shape (n,). Give them when the *driver* is commanded in
                velocities, because then only the measurement knows where the joint is; the free
                way is reckoned from there, advanced by `lag_s`. None integrates the commands,
                which is right when positions are sent.

        Input that is not finite makes all joints brake, flagged BAD_INPUT.
        """
        position = self._started()
        wanted = self._read(v_ref)
        if positions is not None:
            measured = self._read(positions)
            if measured is None:
                wanted = None
            else:
                lag = self._lag
                position = tuple(
                    p + v * lag for p, v in zip(measured, self._velocity, strict=True)
                )
        if wanted is None:
            return self._commit(position, self._zeros, (BAD_INPUT | BRAKE,) * self._n, False)
        return self._commit(position, wanted, (0,) * self._n, self.coordinated)

    def brake(self) -> LimiterStep:
        """Slow every joint at its own deceleration; at rest, stay.

        Per joint on purpose: a stop in which all joints finish together leaves the limits.
        """
        return self._commit(self._started(), self._zeros, (BRAKE,) * self._n, False)

    #: One step of a braking tail, which the driver made without us.
    tail_step = brake

    def hold(self) -> LimiterStep:
        """Keep the last command; a joint that still moves is braked and flagged."""
        position = self._started()
        flags = [BRAKE if v else 0 for v in self._velocity]
        return self._commit(position, self._zeros, flags, False)

    # -- inside -------------------------------------------------------------------------------

    def _commit(
        self,
        position: tuple[float, ...],
        desired: Sequence[float],
        flags: Sequence[int],
        coordinated: bool,
    ) -> LimiterStep:
        """Steps 3 to 5 of the module's docstring; becomes the new last command."""
        dt = self._dt
        boxes: list[tuple[float, float]] = []
        velocity: list[float] = []
        marks: list[int] = []
        for q, v, want, mark, (low, high, vmax, up, down, reverse, inv, full) in zip(
            position, self._velocity, desired, flags, self._bounds, strict=True
        ):
            # Acceleration window. Braking through zero uses the rest of the period to speed up.
            if v > 0.0:
                top = v + up
                bottom = v - down
                if bottom < REST:
                    bottom = bottom * reverse if bottom < 0.0 else 0.0
            elif v < 0.0:
                bottom = v - up
                top = v + down
                if top > -REST:
                    top = top * reverse if top > 0.0 else 0.0
            else:
                top, bottom = up, -up
            # State window, clipped into the acceleration window.
            above = high - q
            below = q - low
            cap = vmax
            if above < 0.0 or below < 0.0:
                cap = vmax * RECOVERY_SHARE
                mark |= OUTSIDE
            if above >= full:
                upper = cap
            elif above <= 0.0:
                upper = 0.0
            else:
                s = above * inv
                n = int((sqrt(1.0 + 8.0 * s) - 1.0) * 0.5)
                upper = down * (s / (n + 1) + 0.5 * n)
                if upper > cap:
                    upper = cap
            if below >= full:
                lower = -cap
            elif below <= 0.0:
                lower = 0.0
            else:
                s = below * inv
                n = int((sqrt(1.0 + 8.0 * s) - 1.0) * 0.5)
                lower = -down * (s / (n + 1) + 0.5 * n)
                if lower < -cap:
                    lower = -cap
            if want > upper:
                mark |= VELOCITY if upper == cap else STOPPING_DISTANCE
            elif want < lower:
                mark |= VELOCITY if lower == -cap else STOPPING_DISTANCE
            if upper > top:
                upper = top
            elif upper < bottom:
                upper = bottom
            if lower < bottom:
                lower = bottom
            elif lower > top:
                lower = top
            if want > upper:
                if upper in (top, bottom):
                    mark |= ACCELERATION
                want = upper
            elif want < lower:
                if lower in (bottom, top):
                    mark |= ACCELERATION
                want = lower
            boxes.append((lower, upper))
            velocity.append(want)
            marks.append(mark)
        scale = 1.0
        if coordinated:
            scale, velocity, marks = common_scale(desired, boxes, velocity, marks)
        moved: list[float] = []
        for q, v, bound in zip(position, velocity, self._bounds, strict=True):
            x = q + v * dt
            # Only the last bits: the window already ends at the limit. More than that means that
            # limits were moved in motion, and then there is nothing better than to brake.
            if bound[1] < x < bound[1] + REST and q <= bound[1]:
                x = bound[1]
            elif bound[0] > x > bound[0] - REST and q >= bound[0]:
                x = bound[0]
            moved.append(x)
        # A refused step must lead back to what was sent before, also for velocity commands.
        self._previous = (self._started(), self._velocity)
        self._position = tuple(moved)
        self._velocity = tuple(velocity)
        if any(self._decel_held):
            self._settle()
        return LimiterStep(self._position, self._velocity, tuple(marks), scale)

    def _prepare(self) -> None:
        self._reference = [reference_constants(one, self._dt) for one in self._limits]
        self._bounds = [
            bound_constants(one, self._dt, held)
            for one, held in zip(self._limits, self._decel_held, strict=True)
        ]

    def _settle(self) -> None:
        """Let a lowered deceleration take effect for joints that it can stop in one tick."""
        held = [
            d if abs(v) > one.deceleration * self._dt else 0.0
            for d, v, one in zip(self._decel_held, self._velocity, self._limits, strict=True)
        ]
        if held != self._decel_held:
            self._decel_held = held
            self._prepare()

    def _started(self) -> tuple[float, ...]:
        if self._position is None:
            raise SafetyError(
                'the limiter has no command to start from; call seed() with the measured positions'
            )
        return self._position

    def _read(self, values: Iterable[float]) -> tuple[float, ...] | None:
        """Return n finite floats, or None for anything else."""
        try:
            numbers = tuple(map(float, values))
        except (TypeError, ValueError, OverflowError):
            return None
        if len(numbers) != self._n or not all(map(isfinite, numbers)):
            return None
        return numbers

    def _finite(self, what: str, values: Sequence[float]) -> tuple[float, ...]:
        numbers = self._read(values)
        if numbers is None:
            raise SafetyError(
                f'cannot start from these {what}: expected {self._n} finite numbers for '
                f'{[one.name for one in self._limits]}, got {list(values)!r}'
            )
        return numbers
