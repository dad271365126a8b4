# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The deployment, described once: which nodes, which parameters, which topics.

`bc deploy` turns it into supervised processes. `launch/deploy.launch.py` starts `bc deploy`, so
that the rules of supervision exist once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml

from bc_runtime.resources import robot_file, share_directory
from bc_runtime.spec.errors import ConfigError, available, did_you_mean
from bc_runtime.spec.robot_config import RobotConfig
from bc_runtime.spec.ros_names import namespace_problem

ParameterValue = bool | int | float | str | list[str]

PACKAGE = 'bc_runtime'
RECORD_MODES = ('none', 'compressed', 'raw')
#: An inference process that a signal ended is started again so often within so many seconds.
INFERENCE_RESTARTS = 3
RESTART_WINDOW_S = 60.0
#: By this variable a supervisor tells a process how often that was within the window.
RESTARTS_VARIABLE = 'BC_RESTARTS'

#: Time for the controller to brake, on top of what the robot's limits allow [s].
BRAKE_MARGIN_S = 1.2
#: Time for every other process to end [s].
END_TIME_S = 1.0

#: Parameters that only launch arguments may set.
OWNED_PARAMETERS = (
    'robot',
    'model',
    'model_directories',
    'role',
    'dry_run',
    'use_sim_time',
    'autostart',
    'topics',
    'directory',
)

#: What the nodes of a shadow say and hear in another place than the policy in charge.
SHADOW_REMAPPINGS = MappingProxyType(
    {
        name: f'shadow/{name}'
        for name in ('observation', 'observation_status', 'action_chunk', 'policy_info')
    }
)
SHADOW_TOPICS = {
    'shadow/action_chunk': 'bc_msgs/msg/ActionChunk',
    'shadow/observation_status': 'bc_msgs/msg/ObservationStatus',
    'shadow/policy_info': 'bc_msgs/msg/PolicyInfo',
}

#: Message types of the human's inputs in a robot's YAML.
TAKEOVER_MESSAGES = {'bool': 'std_msgs/msg/Bool', 'joy': 'sensor_msgs/msg/Joy'}
TELEOP_MESSAGES = {
    'joint_state': 'sensor_msgs/msg/JointState',
    'joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'twist': 'geometry_msgs/msg/Twist',
    'twist_stamped': 'geometry_msgs/msg/TwistStamped',
}

#: Topics between the nodes -> message type.
INTERNAL_TOPICS = {
    'observation': 'bc_msgs/msg/Observation',
    'observation_status': 'bc_msgs/msg/ObservationStatus',
    'action_chunk': 'bc_msgs/msg/ActionChunk',
    'execution_state': 'bc_msgs/msg/ExecutionState',
    'policy_info': 'bc_msgs/msg/PolicyInfo',
    'controller/status': 'bc_msgs/msg/ControllerStatus',
    'controller/state': 'bc_msgs/msg/StateEvent',
    'controller/events': 'bc_msgs/msg/StateEvent',
    'controller/setpoint': 'sensor_msgs/msg/JointState',
    'controller/command': 'sensor_msgs/msg/JointState',
    'task_state': 'bc_msgs/msg/TaskState',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One launch argument; `bc deploy --<name>` and `ros2 launch ... <name>:=` are the same."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


ARGUMENTS: tuple[Argument, ...] = (
    Argument(name='robot', default='sim_arm', description='Robot YAML, or a shipped robot'),
    Argument(
        name='model', default='sim_arm_act', description='Policy file (.onnx), or a shipped model'
    ),
    Argument(
        name='model_directories',
        default='',
        description='Folders that models may come from, separated by colons; empty: the shipped '
        'models, BC_MODEL_PATH and the folder of `model`',
    ),
    Argument(
        name='shadow_model',
        default='',
        description='A second policy that sees the same sensors and never acts; its chunks go to '
        'shadow/action_chunk',
    ),
    Argument(name='namespace', default='', description='Namespace of every node'),
    Argument(
        name='use_sim_time',
        default='false',
        description='Follow /clock instead of the system clock',
        choices=('true', 'false'),
    ),
    Argument(
        name='params_file',
        default='',
        description='Parameters of the nodes (YAML); empty: config/deploy.yaml of the package',
    ),
    Argument(
        name='autostart',
        default='true',
        description='Configure and activate the nodes; motion still needs ~/start',
        choices=('true', 'false'),
    ),
    Argument(
        name='log_level',
        default='info',
        description='Log level of every node',
        choices=('debug', 'info', 'warn', 'error', 'fatal'),
    ),
    Argument(
        name='record',
        default='compressed',
        description='Which camera pictures go into the bags; none: no recorder',
        choices=RECORD_MODES,
    ),
    Argument(
        name='record_directory', default='episodes', description='Folder that bags are written to'
    ),
    Argument(
        name='dry_run',
        default='false',
        description='Run everything, but send no command to the robot',
        choices=('true', 'false'),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDescription:
    """One process.

    Attributes:
        executable: Name under `ros2 run bc_runtime`.
        module: Python module whose `main()` is the same executable.
        remappings: Relative topic name -> the name that it has for this node.
        required: The deployment ends when this process ends.
        restarts: How often within `RESTART_WINDOW_S` it is started again when a signal ended it (a
            crash, the kernel's out-of-memory killer); the robot stands still meanwhile, and goes
            on only when it is told to. An exit code is an answer and is never tried again.
        stop_s: Time that it may take to end after SIGINT before it is killed [s].
    """

    name: str
    executable: str
    module: str
    namespace: str
    log_level: str
    params_file: str
    parameters: Mapping[str, ParameterValue]
    remappings: Mapping[str, str] = field(default_factory=dict)
    required: bool = True
    restarts: int = 0
    stop_s: float = END_TIME_S

    @property
    def enclave(self) -> str:
        """SROS 2 enclave of the process; without security it is only a name."""
        return '/' + '/'.join([*filter(None, self.namespace.split('/')), self.name])

    @property
    def logger(self) -> str:
        """Name of the node's logger, as `--log-level` takes it."""
        return '.'.join([*filter(None, self.namespace.split('/')), self.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Every process of a deployment, in the order of starting."""

    robot: RobotConfig
    nodes: tuple[NodeDescription, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def braking_s(self) -> float:
        """Time that the controller may take to bring this robot to rest [s]."""
        return next(node.stop_s for node in self.nodes if node.executable == 'controller')


def defaults() -> dict[str, str]:
    """Return every argument with its default."""
    return {argument.name: argument.default for argument in ARGUMENTS}


def refuse_unknown_arguments(names: Iterable[str]) -> None:
    """Refuse names that no launch argument has: a misspelt `dry_run` must never move the robot.

    Raises:
        ConfigError: names them, and what they were probably meant to be.
    """
    known = defaults()
    unknown = [name for name in names if name not in known]
    if unknown:
        hints = ''.join(dict.fromkeys(did_you_mean(name, known) for name in unknown))
        raise ConfigError(
            f'unknown launch argument {available(unknown)}; arguments: {available(known)}.{hints}'
        )


def describe(given: Mapping[str, str]) -> Deployment:
    """Return the deployment for the given launch arguments.

    Raises:
        ConfigError: unknown argument or value, missing file; RobotConfigError for the YAML.
    """
    arguments = defaults()
    refuse_unknown_arguments(given)
    arguments.update(given)
    for argument in ARGUMENTS:
        value = arguments[argument.name]
        if argument.choices and value not in argument.choices:
            raise ConfigError(
                f'{argument.name}: expected one of {available(argument.choices)}, got {value!r}'
            )
    problem = namespace_problem(arguments['namespace'])
    if problem:
        raise ConfigError(f'namespace: {problem}')
    robot_path = robot_file(arguments['robot'])
    robot = RobotConfig.from_file(robot_path)
    params_file = arguments['params_file'] or str(share_directory() / 'config' / 'deploy.yaml')
    _refuse_arguments_in(Path(params_file))

    def node(
        name: str, parameters: Mapping[str, ParameterValue], *, shadow: bool = False
    ) -> NodeDescription:
        shared: dict[str, ParameterValue] = {
            'use_sim_time': arguments['use_sim_time'] == 'true',
            'autostart': arguments['autostart'] == 'true',
        }
        return NodeDescription(
            name=f'shadow_{name}' if shadow else name,
            executable=name,
            module=f'bc_runtime.ros.{name}_node',
            namespace=arguments['namespace'],
            log_level=arguments['log_level'],
            params_file=params_file,
            parameters=MappingProxyType({**shared, **parameters}),
            remappings=SHADOW_REMAPPINGS if shadow else MappingProxyType({}),
            required=not shadow,
            restarts=INFERENCE_RESTARTS if name == 'inference' else 0,
            stop_s=longest_stop_s(robot) + BRAKE_MARGIN_S if name == 'controller' else END_TIME_S,
        )

    robot_parameter: dict[str, ParameterValue] = {'robot': str(robot_path)}
    given_folders = [each for each in arguments['model_directories'].split(':') if each]
    folders: dict[str, ParameterValue] = (
        {'model_directories': given_folders} if given_folders else {}
    )
    patient: dict[str, ParameterValue] = {'startup_timeout_s': 0.0}
    nodes = [
        node('controller', {**robot_parameter, 'dry_run': arguments['dry_run'] == 'true'}),
        node('observation', robot_parameter),
        node('inference', {**robot_parameter, **folders, 'model': arguments['model']}),
    ]
    if arguments['shadow_model']:
        role = {'role': 'shadow', 'trigger': 'rate', 'model': arguments['shadow_model']}
        nodes.append(node('observation', {**robot_parameter, **patient}, shadow=True))
        nodes.append(node('inference', {**robot_parameter, **folders, **role}, shadow=True))
    if arguments['record'] != 'none':
        recorded = recorded_topics(robot, arguments['record'])
        if arguments['shadow_model']:
            recorded += list(SHADOW_TOPICS.items())
        topics = [f'{name}:{kind}' for name, kind in recorded]
        nodes.append(
            node('recorder', {'topics': topics, 'directory': arguments['record_directory']})
        )
    return Deployment(robot=robot, nodes=tuple(nodes), arguments=MappingProxyType(arguments))


def longest_stop_s(robot: RobotConfig) -> float:
    """Return how long this robot takes to stop from its velocity limits [s]."""
    return max((each.velocity / each.deceleration for each in robot.commanded), default=0.0)


def _refuse_arguments_in(params_file: Path) -> None:
    """Refuse a parameters file that sets what a launch argument sets.

    A section for one node would win over the argument, and `dry_run: false` in a file must never
    win over a dry run that was asked for.
    """
    try:
        content = yaml.safe_load(params_file.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f'cannot be read: {error}', source=f'params_file {params_file}'
        ) from None
    for section, parameters in _sections(content):
        found = [name for name in OWNED_PARAMETERS if name in parameters]
        if found:
            raise ConfigError(
                f'sets {available(found)}, which belongs to the launch arguments; remove it from '
                'the file and give it as an argument',
                source=f'params_file {params_file}',
                path=section,
            )


def _sections(content: object, path: str = '') -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield (node, parameters) of a parameters file, however deeply namespaces are nested."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key == 'ros__parameters':
            if isinstance(value, dict):
                yield path, value
        else:
            yield from _sections(value, f'{path}/{key}' if path else str(key))


def recorded_topics(robot: RobotConfig, images: str) -> list[tuple[str, str]]:
    """Return (topic, message type) of everything that an episode's bag holds."""
    topics = dict(INTERNAL_TOPICS)
    if robot.joint_states.topic:
        topics[robot.joint_states.topic] = 'sensor_msgs/msg/JointState'
    topics[robot.instruction_topic] = 'std_msgs/msg/String'
    topics[robot.command.topic] = robot.command.kind.message
    if robot.human.estop_topic:
        topics[robot.human.estop_topic] = 'std_msgs/msg/Bool'
    if robot.human.takeover_topic:
        topics[robot.human.takeover_topic] = TAKEOVER_MESSAGES[robot.human.takeover_type]
    if robot.human.teleop_topic:
        topics[robot.human.teleop_topic] = TELEOP_MESSAGES[robot.human.teleop_type]
    for camera in robot.cameras.values():
        compressed = camera.transport == 'compressed'
        if images == 'raw' and not compressed:
            topics[camera.topic] = 'sensor_msgs/msg/Image'
        else:
            topic = camera.topic if compressed else f'{camera.topic}/compressed'
            topics[topic] = 'sensor_msgs/msg/CompressedImage'
    for stream in robot.streams.values():
        topics[stream.topic] = stream.type
    return list(topics.items())
