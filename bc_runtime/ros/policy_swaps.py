# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PolicySwaps: the parameter `model`, the service `~/rollback` and the topic `policy_info`.

What they do is decided by `bc_runtime.policy.exchange`; this passes it on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import threading

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter as RosParameter
from std_srvs.srv import Trigger

from bc_msgs import msg as bc_msg
from bc_runtime.binding import check_binding
from bc_runtime.policy import (
    NoPolicy,
    Policy,
    PolicyFacts,
    PolicySlot,
    SlotBusy,
    SlotState,
    SlotStatus,
    load_policy,
)
from bc_runtime.ros import qos
from bc_runtime.ros.lifecycle import DeploymentNode
from bc_runtime.ros.model_folders import ModelFolders
from bc_runtime.ros.policy_info import policy_info
from bc_runtime.ros.untyped import value_of
from bc_runtime.spec import PolicyError, RobotConfig

_LOAD_TIMEOUT_S = 120.0


class PolicySwaps:
    """The policies of one node, from `configure` to `cleanup`.

    Args:
        node: Declares `model` and the parameters of loading.
        robot: What every policy must fit.
        folders: Where policies may come from.
        judged: Somebody executes the chunks; until then the policy before is kept.
        on_ready: Called when a policy waits to take over.
        on_active: Called when one has taken over.
    """

    def __init__(
        self,
        node: DeploymentNode,
        *,
        robot: RobotConfig,
        folders: ModelFolders,
        judged: bool,
        on_ready: Callable[[], None],
        on_active: Callable[[PolicyFacts], None],
    ) -> None:
        self.slot = PolicySlot(on_change=self._on_change, keep_before=judged)
        self._node = node
        self._robot = robot
        self._folders = folders
        self._on_ready = on_ready
        self._on_active = on_active
        # A change by this node in one thread must not hide that of a user in another one.
        self._reverting_thread: int | None = None
        self._info = node.create_publisher(bc_msg.PolicyInfo, 'policy_info', qos.LATCHED)

    def begin(self, requested: str) -> None:
        """Load the first policy; then take requests.

        Raises:
            PolicyError: it cannot be loaded.
        """
        self._load(requested)
        status = self.slot.wait(_LOAD_TIMEOUT_S)
        if status.state is not SlotState.READY:
            self.slot.close()
            raise PolicyError(status.reason or f'{status.requested!r} is still being loaded')
        self.slot.swap()
        self._node.create_service(Trigger, '~/rollback', self._rollback)
        self._node.add_on_set_parameters_callback(self._check)
        self._node.add_post_set_parameters_callback(self._apply)

    def close(self) -> None:
        """Drop every policy, and take no more requests."""
        self._node.remove_on_set_parameters_callback(self._check)
        self._node.remove_post_set_parameters_callback(self._apply)
        self.slot.close()

    def load_file(self, requested: str) -> Policy:
        """Return a policy that is proven and fits the robot.

        Raises:
            BcError: it is not there, not allowed, damaged, or made for another robot.
        """
        policy = load_policy(
            requested,
            model_dirs=self._folders.searched,
            allowed_dirs=self._folders.allowed_for(requested),
            providers=tuple(value_of(self._node, 'providers')),
            allow_fallback=value_of(self._node, 'allow_fallback'),
            threads=value_of(self._node, 'threads'),
        )
        check_binding(policy.spec, self._robot)
        return policy

    # Requests ---------------------------------------------------------------------------------

    def _load(self, requested: str) -> None:
        self.slot.load(lambda: self.load_file(requested), requested=requested)

    def _models(self, changed: Sequence[RosParameter]) -> list[str]:
        """Return what a user has set `model` to."""
        if self._reverting_thread == threading.get_ident():
            return []
        return [str(each.value) for each in changed if each.name == 'model']

    def _check(self, changed: Sequence[RosParameter]) -> SetParametersResult:
        """Refuse at once what can be known at once: no such file, no spec, another robot."""
        for model in self._models(changed):
            reason = self._folders.refusal(model, self._robot)
            if self.slot.status.state is SlotState.LOADING:
                reason = 'another policy is being loaded; wait for policy_info'
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _apply(self, changed: Sequence[RosParameter]) -> None:
        for model in self._models(changed):
            try:
                self._load(model)
            except SlotBusy as error:  # a session is being made anew, since a moment ago
                self._node.get_logger().error(f'{model!r} is not taken: {error}')
                self._revert(self.slot.active)

    def _rollback(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Go back to the policy before; the controller asks for it, or the operator."""
        try:
            response.message = f'going back to {self.slot.rollback(self.load_file)}'
            response.success = True
            self._node.get_logger().warning(response.message)
        except (SlotBusy, NoPolicy) as error:
            response.message = str(error)
        return response

    # Changes ----------------------------------------------------------------------------------

    def _on_change(self, status: SlotStatus) -> None:
        """Report a change; called from the thread that made it."""
        log = self._node.get_logger()
        if status.state is SlotState.READY:
            self._on_ready()
        elif status.state is SlotState.FAILED:
            log.error(f'{status.requested!r} is not taken: {status.reason}')
        elif status.state is SlotState.BROKEN:
            log.error(f'given up: {status.reason}')
        elif status.state is SlotState.IDLE and status.active is not None:
            self._took_over(status.active)
        info = policy_info(status, now=self._node.get_clock().now().to_msg())
        if info is not None:
            self._info.publish(info)
        if status.state is SlotState.FAILED:
            self._revert(status.active)

    def _took_over(self, active: PolicyFacts) -> None:
        # Kept before anybody hears of it: a process after this one must not act otherwise.
        self._node.live_settings.note('model', active.requested)
        if self._node.get_parameter('model').value != active.requested:
            self._revert(active)
        self._on_active(active)
        self._node.get_logger().info(
            f'policy {active.spec.name!r} ({active.spec.family}) is in charge, '
            f'on {active.provider}'
        )

    def _revert(self, active: PolicyFacts | None) -> None:
        """Let the parameter name the active policy again."""
        if active is None:
            return
        self._reverting_thread = threading.get_ident()
        try:
            self._node.set_parameters([RosParameter('model', value=active.requested)])
        finally:
            self._reverting_thread = None
