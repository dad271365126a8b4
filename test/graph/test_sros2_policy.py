# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The generated SROS 2 policy names what the nodes really do, no more and no less."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from bc_runtime.cli.sros2_policy import OPERATOR, policy_xml

#: Allowed and only used now and then.
ON_DEMAND = {'/instruction', '/clock'}


def allowed(text: str) -> dict[str, dict[str, set[str]]]:
    """Return enclave -> verb -> names."""
    found: dict[str, dict[str, set[str]]] = {}
    for enclave in ElementTree.fromstring(text).iter('enclave'):
        verbs = found.setdefault(enclave.attrib['path'], {})
        for profile in enclave.iter('profile'):
            for group in profile:
                ((verb, permission),) = group.attrib.items()
                assert permission == 'ALLOW'
                verbs.setdefault(verb, set()).update(str(item.text) for item in group)
    return found


def names(pairs: list[tuple[str, list[str]]]) -> set[str]:
    return {name for name, _ in pairs if '/_action/' not in name}


def test_the_policy_is_what_the_nodes_do(deploy, orbit: Path) -> None:
    deployment = deploy(record=True, arguments={'shadow_model': str(orbit)})
    w = deployment.witness
    policy = allowed(policy_xml(deployment._deployment))
    enclaves = {node.enclave: node.name for node in deployment._deployment.nodes}
    assert set(policy) == {*enclaves, f'/{OPERATOR}'}
    expected = {*enclaves.values(), 'controller_preflight'}
    w.until(lambda: expected <= set(w.node.get_node_names()), 'every node')
    for enclave, name in enclaves.items():
        processes = [name, *([f'{name}_preflight'] if name == 'controller' else [])]
        for verb, ask in (
            ('publish', w.node.get_publisher_names_and_types_by_node),
            ('subscribe', w.node.get_subscriber_names_and_types_by_node),
            ('reply', w.node.get_service_names_and_types_by_node),
            ('request', w.node.get_client_names_and_types_by_node),
        ):
            may = policy[enclave].get(verb, set())

            def done(processes=processes, ask=ask) -> set[str]:
                return set().union(*(names(ask(each, '/')) for each in processes))

            w.until(lambda done=done, may=may: done() >= may - ON_DEMAND - SENSORS, f'{name}')
            assert done() <= may, f'{name} does more than it may {verb}: {done() - may}'
    assert '/controller/run_policy' in policy['/controller']['execute']
    assert '/controller/start' in policy[f'/{OPERATOR}']['request']


#: Heard by the controller only during a preflight, and by the recorder only when published.
SENSORS = {
    '/front/image_raw',
    '/wrist/image_raw',
    '/task_state',
    '/takeover',
    '/teleop',
}
