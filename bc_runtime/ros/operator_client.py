# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""OperatorClient: what an operator asks of a running deployment, from a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from types import TracebackType
from typing import Any

from rcl_interfaces.srv import GetParameters, SetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from bc_msgs import msg as bc_msg
from bc_msgs import srv as bc_srv
from bc_runtime.resources import require_log_folder
from bc_runtime.ros import qos
from bc_runtime.ros.dead_ports import shun_dead_ports
from bc_runtime.ros.runtime import use_dds_profile
from bc_runtime.spec.errors import BcError
from bc_runtime.spec.ros_names import namespace_problem

#: Time for a service to be found, and for its answer [s].
FIND_S = 5.0
ANSWER_S = 10.0


class NotReachable(BcError):
    """No such deployment, or no answer of it."""


class OperatorClient:
    """A node for one question; use it as a context.

    Args:
        namespace: Of the deployment.
    """

    def __init__(self, namespace: str = '') -> None:
        problem = namespace_problem(namespace.strip('/'))
        if problem:
            raise BcError(f'--namespace: {problem}')
        require_log_folder()
        use_dds_profile()
        rclpy.init()
        place = f'/{namespace.strip("/")}' if namespace.strip('/') else ''
        with shun_dead_ports(rclpy.get_default_context().get_domain_id()):
            self._node = Node('bc_operator', namespace=place, start_parameter_services=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def __enter__(self) -> OperatorClient:
        """Return the client."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """End the node."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def trigger(self, name: str) -> tuple[bool, str]:
        """Call a Trigger service, e.g. `controller/start`; return its answer."""
        response = self._call(name, Trigger, Trigger.Request())
        return response.success, response.message

    def text_parameter(self, node: str, name: str, *, find_s: float = FIND_S) -> str:
        """Return a parameter of a node, empty if it has none of that name."""
        request = GetParameters.Request(names=[name])
        response = self._call(f'{node}/get_parameters', GetParameters, request, find_s=find_s)
        return response.values[0].string_value if response.values else ''

    def preflight(self, *, find_s: float = FIND_S) -> tuple[bool, Sequence[str], Sequence[str]]:
        """Return (ready, passed, failed) of the controller's preflight."""
        response = self._call(
            'controller/preflight', bc_srv.Preflight, bc_srv.Preflight.Request(), find_s=find_s
        )
        return response.ready, list(response.passed), list(response.failed)

    def swap(
        self, model: str, *, timeout_s: float, tell: Callable[[str], None]
    ) -> tuple[bool, str]:
        """Let another policy take over; return whether it did, and what became of it."""
        infos: list[Any] = []
        self._node.create_subscription(bc_msg.PolicyInfo, 'policy_info', infos.append, qos.LATCHED)
        self._until(lambda: infos, 'policy_info', FIND_S)
        before = infos[-1]
        tell(f'in charge   {before.name} {before.policy_id[:12]}')
        infos.clear()
        value = Parameter('model', value=model).to_parameter_msg()
        request = SetParameters.Request(parameters=[value])
        result = self._call('inference/set_parameters', SetParameters, request).results[0]
        if not result.successful:
            return False, result.reason
        ready, failed = bc_msg.PolicyInfo.STATE_READY, bc_msg.PolicyInfo.STATE_FAILED
        self._until(
            lambda: infos and infos[-1].state in (ready, failed), 'the new policy', timeout_s
        )
        info = infos[-1]
        if info.state == failed:
            return False, f'{info.message}; {before.name} goes on'
        return True, (
            f'{info.name} {info.policy_id[:12]} is in charge, on {info.provider}, '
            f'loaded in {info.load_time:.2f} s'
        )

    def _call(self, name: str, kind: Any, request: Any, *, find_s: float = FIND_S) -> Any:
        client = self._node.create_client(kind, name)
        full = self._node.resolve_service_name(name)
        self._until(client.service_is_ready, f'the service {full}', find_s)
        future = client.call_async(request)
        self._until(future.done, f'an answer of {full}', ANSWER_S)
        return future.result()

    def _until(self, condition: Callable[[], Any], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise NotReachable(
                    f'waited {timeout_s:g} s for {what}, but it did not come. Is the deployment '
                    'running, with this --namespace, ROS_DOMAIN_ID and '
                    'ROS_AUTOMATIC_DISCOVERY_RANGE?'
                )
            self._executor.spin_once(timeout_sec=0.05)
