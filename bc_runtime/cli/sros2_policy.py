# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The SROS 2 policy of a deployment: which node may say, hear, serve and ask what.

The schema is that of sros2 (`policy.xsd`, version 0.2.0). Every name is written out, so that the
file can be read without sros2's own includes. One enclave per process, named like the node, and
one for the operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from bc_runtime.deployment import (
    Deployment,
    NodeDescription,
    recorded_topics,
)
from bc_runtime.spec import RobotConfig

_PARAMETER_SERVICES = (
    'describe_parameters',
    'get_parameter_types',
    'get_parameters',
    'get_type_description',
    'list_parameters',
    'set_parameters',
    'set_parameters_atomically',
)
_LIFECYCLE_SERVICES = (
    'change_state',
    'get_available_states',
    'get_available_transitions',
    'get_state',
    'get_transition_graph',
)
_REPORTS = ('status', 'state', 'events', 'setpoint', 'command')
OPERATOR = 'operator'


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one enclave may do; names relative to the deployment's namespace."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    execute: tuple[str, ...] = ()
    call: tuple[str, ...] = field(default=())


def rights_of(deployment: Deployment) -> dict[str, Rights]:
    """Return enclave -> what it may do, for every process and for the operator."""
    robot = deployment.robot
    found = {}
    for node in deployment.nodes:
        rights = _OF[node.executable](deployment, robot)
        found[node.name] = _remapped(_with_common(rights, node), node.remappings)
    found[OPERATOR] = _operator(deployment, robot)
    return found


def policy_xml(deployment: Deployment) -> str:
    """Return the policy file, as `ros2 security create_permission` takes it."""
    place = '/' + deployment.arguments.get('namespace', '').strip('/')
    policy = ElementTree.Element('policy', version='0.2.0')
    enclaves = ElementTree.SubElement(policy, 'enclaves')
    for name, rights in rights_of(deployment).items():
        path = f'{place.rstrip("/")}/{name}'
        enclave = ElementTree.SubElement(enclaves, 'enclave', path=path)
        profiles = ElementTree.SubElement(enclave, 'profiles')
        profile = ElementTree.SubElement(profiles, 'profile', ns=place, node=name)
        for kind, item, verb, names in (
            ('topics', 'topic', 'publish', rights.publish),
            ('topics', 'topic', 'subscribe', rights.subscribe),
            ('services', 'service', 'reply', rights.reply),
            ('services', 'service', 'request', rights.request),
            ('actions', 'action', 'execute', rights.execute),
            ('actions', 'action', 'call', rights.call),
        ):
            if not names:
                continue
            group = ElementTree.SubElement(profile, kind, {verb: 'ALLOW'})
            for each in sorted({_absolute(n, place) for n in names}):
                ElementTree.SubElement(group, item).text = each
    ElementTree.indent(policy)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(
        policy, encoding='unicode'
    )


def _absolute(name: str, place: str) -> str:
    return name if name.startswith('/') else f'{place.rstrip("/")}/{name}'


def _filled(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name)


def _sensors(robot: RobotConfig) -> tuple[str, ...]:
    return _filled(
        (
            robot.joint_states.topic,
            *(camera.topic for camera in robot.cameras.values()),
            *(stream.topic for stream in robot.streams.values()),
        )
    )


def _human(robot: RobotConfig) -> tuple[str, ...]:
    human = robot.human
    return _filled((human.estop_topic, human.takeover_topic, human.teleop_topic))


def _driver(robot: RobotConfig) -> tuple[str, ...]:
    driver = robot.driver
    return _filled((driver.stopped_topic, driver.running_topic, driver.speed_scaling_topic))


def _observation(_deployment: Deployment, robot: RobotConfig) -> Rights:
    return Rights(
        publish=('observation', 'observation_status'),
        subscribe=(
            *_sensors(robot), 'policy_info', 'execution_state', robot.instruction_topic,
        ),
    )  # fmt: skip


def _inference(_deployment: Deployment, _robot: RobotConfig) -> Rights:
    return Rights(
        publish=('action_chunk', 'policy_info'),
        subscribe=('observation', 'execution_state'),
        reply=('inference/rollback',),
    )


def _controller(_deployment: Deployment, robot: RobotConfig) -> Rights:
    services = ['start', 'stop', 'resume', 'reset', 'preflight']
    if robot.human.can_take_over and robot.human.takeover_type == 'service':
        services.append('takeover')
    return Rights(
        publish=(
            robot.command.topic,
            'execution_state',
            robot.instruction_topic,
            *(f'controller/{each}' for each in _REPORTS),
        ),
        # Joint states and cameras also for the preflight, which lives in this process.
        subscribe=(
            *_sensors(robot),
            *_human(robot),
            *_driver(robot),
            'action_chunk',
            'policy_info',
            'observation_status',
            'episode',
        ),
        reply=(*(f'controller/{each}' for each in services), 'estop_reset'),
        request=('inference/rollback',),
        execute=('controller/run_policy',),
    )


def _recorder(deployment: Deployment, robot: RobotConfig) -> Rights:
    images = deployment.arguments.get('record', 'compressed')
    topics = tuple(name for name, _ in recorded_topics(robot, images))
    recorder = next(node for node in deployment.nodes if node.name == 'recorder')
    listed = recorder.parameters.get('topics')
    if isinstance(listed, list):
        topics = tuple(name.partition(':')[0] for name in listed)
    return Rights(
        publish=('episode',),
        subscribe=topics,
        reply=('recorder/start_episode', 'recorder/stop_episode'),
    )


_OF = {
    'observation': _observation,
    'inference': _inference,
    'controller': _controller,
    'recorder': _recorder,
}


def _with_common(rights: Rights, node: NodeDescription) -> Rights:
    """Add what every lifecycle node of a deployment does."""
    clock = ('/clock',) if node.parameters.get('use_sim_time') else ()
    name = node.name
    described = [name]
    if node.executable == 'controller':
        described.append('controller_preflight')  # a second node in its process
    return Rights(
        publish=(
            *rights.publish, '/diagnostics', '/rosout', '/parameter_events',
            f'{name}/transition_event',
        ),
        subscribe=(*rights.subscribe, *clock),
        reply=(
            *rights.reply,
            *(f'{name}/{each}' for each in (*_PARAMETER_SERVICES, *_LIFECYCLE_SERVICES)),
            *(f'{each}/get_type_description' for each in described),
        ),
        request=rights.request,
        execute=rights.execute,
    )  # fmt: skip


def _remapped(rights: Rights, remappings: Mapping[str, str]) -> Rights:
    def there(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(remappings.get(name, name) for name in names)

    reply = rights.reply
    if remappings:  # its services bear its own name
        reply = tuple(f'shadow_{name}' if name == 'inference/rollback' else name for name in reply)
    return Rights(
        publish=there(rights.publish),
        subscribe=there(rights.subscribe),
        reply=reply,
        request=rights.request,
        execute=rights.execute,
    )


def _operator(deployment: Deployment, robot: RobotConfig) -> Rights:
    """What a person with `bc start`, `bc swap`, a plot and a leader arm needs."""
    services = [f'controller/{each}' for each in ('start', 'stop', 'resume', 'reset', 'preflight')]
    for node in deployment.nodes:
        services += [f'{node.name}/{each}' for each in ('get_parameters', 'set_parameters')]
        services += [f'{node.name}/get_state']
    if robot.human.takeover_type == 'service':
        services.append('controller/takeover')
    if any(node.name == 'recorder' for node in deployment.nodes):
        services += ['recorder/start_episode', 'recorder/stop_episode']
    return Rights(
        publish=(*_human(robot), robot.instruction_topic, '/rosout', '/parameter_events'),
        subscribe=(
            *(f'controller/{each}' for each in _REPORTS),
            'policy_info',
            'observation_status',
            '/diagnostics',
        ),
        request=(*services, 'estop_reset', 'inference/rollback'),
        call=('controller/run_policy',),
    )
