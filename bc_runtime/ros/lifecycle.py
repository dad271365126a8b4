# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Base of the deployment's lifecycle nodes.

A sub-class fills `configure`, which returns what runs from then on; a `BcError` raised there or
by what it returned becomes a FAILURE with its text in the log. With `autostart` the node brings
itself up, and a failure to do so ends the process with exit code 1, so that a launcher sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import traceback
from typing import ClassVar, Protocol

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter

from bc_runtime.live_settings import LiveSettings
from bc_runtime.ros.parameters import Parameter, declare, refuse_unknown
from bc_runtime.ros.runtime import EXIT_FAILED, EXIT_OK
from bc_runtime.ros.untyped import LifecycleBase
from bc_runtime.spec.errors import BcError

_AUTOSTART = Parameter(
    name='autostart',
    default=True,
    description='Configure and activate without being asked; end the process if that fails.',
    read_only=True,
)


class Running(Protocol):
    """What a configured node runs. It is made whole by `configure` and dropped after `cleanup`."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; everything stays configured."""

    def cleanup(self) -> None:
        """Undo `configure`."""

    def request_stop(self) -> None:
        """Begin to come to rest; most can end at once."""
        return

    def at_rest(self) -> bool:
        """Return whether the process may end."""
        return True


class DeploymentNode(LifecycleBase):
    """A lifecycle node that can start itself and comes to rest before its process ends."""

    #: Parameters that a sub-class notes and takes up itself: setting them only begins something.
    NOTED_BY_NODE: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        self.live_settings = LiveSettings.of_process()
        #: What was set in the process that this one takes the place of.
        self.kept_settings = self.live_settings.read()
        super().__init__(
            name,
            parameter_overrides=[
                RosParameter(key, value=value)
                for key, value in self.kept_settings.items()
                if key not in self.NOTED_BY_NODE
            ],
        )
        self.exit_code = EXIT_OK
        self._failed = False
        self._active = False
        self._running: Running = self
        declare(self, [*parameters, _AUTOSTART])
        self.add_post_set_parameters_callback(self._note_settings)
        self._own = {
            id(each)
            for kind in ('timers', 'clients', 'subscriptions', 'services', 'publishers')
            for each in getattr(self, kind)
        }

    # What a sub-class fills -------------------------------------------------------------

    def configure(self) -> Running | None:
        """Read parameters and files, make publishers and subscriptions.

        Returns:
            What runs from now on; None: the node itself.
        """
        return None

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; everything stays configured."""

    def cleanup(self) -> None:
        """Undo `configure`."""

    def destroy_interfaces(self) -> None:
        """Destroy what `configure` has made, so that it can be made again.

        Publishers, subscriptions, clients, services and timers; those of the node itself
        (parameters, lifecycle, clock) are older than `configure` and stay.
        """
        for kind, destroy in (
            ('timers', self.destroy_timer),
            ('clients', self.destroy_client),
            ('subscriptions', self.destroy_subscription),
            ('services', self.destroy_service),
            ('publishers', self.destroy_publisher),
        ):
            for each in [e for e in getattr(self, kind) if id(e) not in self._own]:
                destroy(each)

    # Process -----------------------------------------------------------------------------

    def _tell_parameters(self) -> None:
        for each in self.get_parameters(sorted(self._parameters)):
            self.get_logger().debug(f'{each.name} = {each.value!r}')

    def _note_settings(self, changed: Sequence[RosParameter]) -> None:
        """Keep what is set now for a process that may have to take this one's place."""
        for each in changed:
            self.get_logger().debug(f'{each.name} is set to {each.value!r}')
            if each.name not in self.NOTED_BY_NODE:
                plain = isinstance(each.value, bool | int | float | str)
                self.live_settings.note(each.name, each.value if plain else list(each.value))

    def begin(self) -> None:
        """Bring the node up if `autostart` is set."""
        if not self.get_parameter('autostart').value:
            return None
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return self._fail()
        if self.trigger_activate() != TransitionCallbackReturn.SUCCESS:
            self._fail()
        return None

    def _fail(self) -> None:
        self.exit_code = EXIT_FAILED
        self._failed = True

    def finished(self) -> bool:
        """Return whether bringing the node up failed."""
        return self._failed

    def request_stop(self) -> None:
        """Begin to come to rest; most nodes can end at once."""
        if self._running is not self:
            self._running.request_stop()

    def at_rest(self) -> bool:
        """Return whether the process may end."""
        return self._running is self or self._running.at_rest()

    def destroy_node(self) -> None:
        """Deactivate and clean up, then destroy."""
        if self._active:
            self._active = False
            self._quietly(self._running.deactivate)
        self._quietly(self._end_running)
        super().destroy_node()

    # Lifecycle callbacks -------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `configure`."""

        def configure() -> None:
            refuse_unknown(self)
            self._tell_parameters()
            self._running = self.configure() or self

        return self._guard(configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `activate`."""
        super().on_activate(state)
        result = self._guard(self._running.activate)
        self._active = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `deactivate`."""
        super().on_deactivate(state)
        self._active = False
        return self._guard(self._running.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `cleanup`."""
        return self._guard(self._end_running)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest as on deactivation."""
        if self._active:
            self._active = False
            self._guard(self._running.deactivate)
        return self._guard(self._end_running)

    def _end_running(self) -> None:
        running, self._running = self._running, self
        running.cleanup()

    def _guard(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except BcError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:  # noqa: BLE001 - rclpy would swallow it silently
            self.get_logger().error(traceback.format_exc())
            return TransitionCallbackReturn.FAILURE
        self.get_logger().debug(f'{step.__name__}: done')
        return TransitionCallbackReturn.SUCCESS

    def _quietly(self, step: Callable[[], None]) -> None:
        """Run a step of the shutdown; what it cannot do any more must not hide the exit code."""
        try:
            step()
        except (BcError, RuntimeError) as error:
            self.get_logger().warning(f'while ending: {error}')
