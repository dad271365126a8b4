# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Remote policies against a server that speaks openpi's protocol on a real websocket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('websockets', reason='needs websockets (requirements/remote.txt)')
pytest.importorskip('msgpack', reason='needs msgpack (requirements/remote.txt)')

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
import yaml

from bc_runtime.policy import (
    BackendUnavailable,
    InferenceFailed,
    InputMismatch,
    ModelNotAllowed,
    ModelNotFound,
    NonFiniteOutput,
    Policy,
    PolicySlot,
    SpecMismatch,
    SpecMissing,
    load_policy,
)
from bc_runtime.policy.model_path import find_model
from bc_runtime.policy.remote.wire import WireFormatError, pack, unpack
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.spec import BcError, SpecError

K, D = 5, 2
WAIT_S = 10.0

SPEC: dict[str, Any] = {
    'schema_version': 1,
    'name': 'pi',
    'family': 'flow',
    'control_hz': 15.0,
    'chunk_size': K,
    'inputs': [
        {
            'kind': 'state',
            'name': 'state',
            'shape': [1, D],
            'joints': ['a', 'b'],
            'units': ['rad', 'm'],
        },
        {
            'kind': 'image',
            'name': 'base',
            'shape': [1, 4, 6, 3],
            'camera': 'front',
            'height': 4,
            'width': 6,
            'layout': 'HWC',
            'dtype': 'uint8',
            'color': 'rgb',
            'resize': {'mode': 'letterbox', 'interpolation': 'linear'},
        },
        {'kind': 'text', 'name': 'prompt', 'shape': [1]},
    ],
    'output': {
        'name': 'actions',
        'groups': [{'kind': 'joint_position', 'names': ['a', 'b'], 'units': ['rad', 'm']}],
    },
}
KEYS = {'state': 'observation/state', 'base': 'observation/image', 'prompt': 'prompt'}
DESCRIPTION = {'observation': KEYS, 'actions': 'actions', 'spec': SPEC}


def observation(value: float = 0.5) -> dict[str, np.ndarray]:
    return {
        'state': np.full((1, D), value, dtype=np.float32),
        'base': np.arange(72, dtype=np.uint8).reshape(1, 4, 6, 3),
        'prompt': np.array(['put the cube in the tray'], dtype=object),
    }


class Server:
    """A policy server in lock step: metadata first, then one answer per observation."""

    def __init__(self, port: int = 0) -> None:
        self.metadata: Any = {'bc_remote': DESCRIPTION}
        self.answer: Callable[[dict[str, Any]], Any] = self.act
        self.seen: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.connections = 0
        self._open: list[ServerConnection] = []
        self._server = serve(self._serve, '127.0.0.1', port, compression=None, max_size=None)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f'ws://127.0.0.1:{self.port}'

    @staticmethod
    def act(message: dict[str, Any]) -> dict[str, Any]:
        chunk = np.arange(K)[:, None] + np.asarray(message['observation/state'])[None]
        # openpi computes in float64 after its unnormalisation.
        return {'actions': chunk.astype(np.float64), 'server_timing': {'infer_ms': 1.0}}

    def _serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        self._open.append(connection)
        self.headers.append(connection.request.headers.get('Authorization', ''))
        first = self.metadata
        connection.send(first if isinstance(first, (str, bytes)) else pack(first))
        try:
            for data in connection:
                message = unpack(data)
                self.seen.append(message)
                answer = self.answer(message)
                if answer is not None:
                    text = isinstance(answer, (str, bytes))
                    connection.send(answer if text else pack(answer))
                    if isinstance(answer, str):
                        connection.close(1011)
        except ConnectionClosed:
            return

    def stop(self) -> None:
        self._server.shutdown()
        for connection in self._open:
            connection.socket.close()
        self._thread.join(timeout=WAIT_S)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def side_file(tmp_path: Path, server: Server) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        value = {'backend': 'remote', 'url': server.url, **DESCRIPTION, 'timeout_s': 5.0}
        value.update(changes)
        path = tmp_path / 'pi.remote.yaml'
        path.write_text(yaml.safe_dump({k: v for k, v in value.items() if v is not None}))
        return path

    return write


@pytest.fixture
def policy(side_file: Callable[..., Path]) -> Iterator[Policy]:
    loaded = load_policy(side_file(), warm_up_runs=0)
    loaded.begin_work()  # type: ignore[attr-defined]
    yield loaded
    loaded.close()  # type: ignore[attr-defined]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        threading.Event().wait(0.01)


# ---- the wire ---------------------------------------------------------------------------------


def test_golden_bytes_of_openpi() -> None:
    golden = bytes.fromhex(
        '81a17884c40b5f5f6e6461727261795f5fc3c40464617461c40c000000000000803f00000040c4056474797065'
        'a33c6634c40573686170659103'
    )
    assert pack({'x': np.arange(3, dtype=np.float32)}) == golden
    back = unpack(golden)['x']
    assert back.dtype == np.float32
    assert np.array_equal(back, [0, 1, 2])
    assert not back.flags.writeable


@pytest.mark.parametrize('dtype', ['<f4', '<f8', '|u1', '<i8', '|b1', '<f2'])
@pytest.mark.parametrize('shape', [(), (0, 3), (2, 3, 4)])
def test_arrays_come_back_as_they_were(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, dtype=dtype)
    back = unpack(pack({'a': array}))['a']
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    number = unpack(pack({'n': np.float32(1.5)}))['n']
    assert number == np.float32(1.5)
    assert isinstance(number, np.float32)


def test_arrays_that_are_not_in_c_order_are_sent_in_it() -> None:
    array = np.arange(6).reshape(2, 3).T
    assert np.array_equal(unpack(pack({'a': array}))['a'], array)


@pytest.mark.parametrize(
    'value', [np.array([object()]), np.array([1j]), np.zeros(2, 'V4'), {1, 2}, object()]
)
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(WireFormatError):
        pack({'x': value})


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'\xc1',
        b'not msgpack at all',
        pack({b'__ndarray__': True, b'data': b'1234', b'dtype': '<f4', b'shape': [2]}),
        pack({b'__ndarray__': True, b'data': b'1234', b'dtype': 'O', b'shape': [1]}),
        pack({b'__ndarray__': True, b'data': b'1234', b'dtype': '|V4', b'shape': [1]}),
        pack({b'__ndarray__': True, b'data': b'1234', b'dtype': 'what', b'shape': [1]}),
        pack({b'__ndarray__': True, b'data': 'text', b'dtype': '<f4', b'shape': [1]}),
        pack({b'__ndarray__': True, b'data': b'1234', b'dtype': '<f4', b'shape': [-1]}),
        pack({b'__ndarray__': True, b'data': b'1234', b'dtype': '<f4'}),
        pack({b'__npgeneric__': True, b'data': 'x', b'dtype': '<f4'}),
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireFormatError):
        unpack(data)


# ---- a policy ---------------------------------------------------------------------------------


def test_a_remote_policy_acts_from_a_side_file(server: Server, policy: Policy) -> None:
    inference = policy.infer(observation())
    np.testing.assert_allclose(inference.values, np.arange(K)[:, None] + np.full(D, 0.5))
    assert inference.values.dtype == np.float32
    assert not inference.values.flags.writeable
    assert policy.backend == 'remote'
    assert policy.provider == server.url
    assert len(policy.policy_id) == 64
    sent = server.seen[-1]
    assert set(sent) == {'observation/state', 'observation/image', 'prompt'}
    assert sent['prompt'] == 'put the cube in the tray'
    assert sent['observation/image'].shape == (4, 6, 3)  # openpi has no batch dimension
    assert sent['observation/image'].dtype == np.uint8
    assert sent['observation/state'].shape == (D,)


def test_a_server_that_describes_itself_needs_its_address_only(server: Server) -> None:
    policy = load_policy(server.url)
    assert policy.spec.name == 'pi'
    assert policy.warmup_s > 0
    assert policy.infer(observation()).values.shape == (K, D)
    assert spec_of(server.url, []).name == 'pi'


def test_the_spec_of_a_side_file_needs_no_server(side_file: Callable[..., Path]) -> None:
    path = side_file(url='ws://127.0.0.1:9')
    assert spec_of(path, []).name == 'pi'
    assert spec_of('pi', [path.parent]).name == 'pi'


def test_the_key_comes_from_the_environment(
    server: Server, side_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match='begins with BC_KEY_'):
        load_policy(side_file(api_key_variable='AWS_SECRET_ACCESS_KEY'))
    path = side_file(api_key_variable='BC_KEY_POLICY')
    with pytest.raises(SpecError, match='BC_KEY_POLICY'):
        load_policy(path)
    monkeypatch.setenv('BC_KEY_POLICY', 'secret')
    load_policy(path)
    assert server.headers[-1] == 'Api-Key secret'


def test_the_id_tells_policies_apart(server: Server, side_file: Callable[..., Path]) -> None:
    first = load_policy(side_file()).policy_id
    assert load_policy(side_file()).policy_id == first
    server.metadata = {'bc_remote': DESCRIPTION, 'checkpoint': 'other'}
    assert load_policy(side_file()).policy_id != first


def test_an_address_is_not_looked_for_among_files(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r'no file.*\.remote\.yaml'):
        find_model('ws://gpu:8000', model_dirs=[tmp_path])


def test_an_address_is_not_a_file_in_an_allowed_directory(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelNotAllowed, match=r'\.remote\.yaml'):
        load_policy(server.url, allowed_dirs=[tmp_path])


# ---- bad input --------------------------------------------------------------------------------


def failure(side_file: Callable[..., Path], **changes: Any) -> str:
    with pytest.raises(BcError) as error:
        load_policy(side_file(**changes))
    return str(error.value)


def test_no_server_says_what_to_check(side_file: Callable[..., Path]) -> None:
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        port = closed.getsockname()[1]
        text = failure(side_file, url=f'ws://127.0.0.1:{port}')
    assert 'nothing listens there; start the policy server, and check host and port' in text


def test_a_silent_listener_speaks_another_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    from bc_runtime.policy.remote import remote_policy

    with socket.create_server(('127.0.0.1', 0)) as listener:
        url = f'ws://127.0.0.1:{listener.getsockname()[1]}'
        with pytest.raises(BackendUnavailable, match=r'no connection within 0\.2 s'):
            remote_policy.connect(None, url=url, connect_timeout_s=0.2)


def test_a_web_server_speaks_another_protocol(side_file: Callable[..., Path]) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n')

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        text = failure(side_file, url=f'ws://127.0.0.1:{port}')
        thread.join(WAIT_S)
    assert 'expected a policy server with the websocket protocol of openpi' in text


@pytest.mark.parametrize(
    ('metadata', 'words'),
    [
        ('hello', 'speaks another protocol'),
        (b'\xc1\xc1', 'another protocol is spoken'),
        (pack([1, 2]), 'expected a msgpack map of metadata'),
    ],
)
def test_another_protocol_is_noticed(
    server: Server, side_file: Callable[..., Path], metadata: Any, words: str
) -> None:
    server.metadata = metadata
    assert words in failure(side_file)


def test_a_server_that_says_nothing_is_noticed(server: Server) -> None:
    from bc_runtime.policy.remote import remote_policy

    gate = threading.Event()

    class Waits:
        def __iter__(self) -> Iterator[bytes]:
            gate.wait(WAIT_S)
            return iter(())

    server.metadata = Waits()
    with pytest.raises(BackendUnavailable, match=r'speaks another protocol|closed'):
        remote_policy.connect(None, url=server.url, connect_timeout_s=0.3)
    gate.set()


def test_a_server_without_a_description_needs_a_side_file(server: Server) -> None:
    server.metadata = {'reset_pose': [0, 1]}
    with pytest.raises(SpecMissing, match=r'reset_pose.*\.remote\.yaml'):
        load_policy(server.url)


@pytest.mark.parametrize(
    ('answer', 'error', 'words'),
    [
        ({'actions': np.zeros((K, D + 1))}, InferenceFailed, r'shape \[1, 5, 2\].*\[1, 5, 3\]'),
        ({'actions': np.zeros((K - 1, D))}, InferenceFailed, r'got \[1, 4, 2\]'),
        ({'actions': np.full((K, D), np.nan)}, NonFiniteOutput, 'not finite'),
        ({'action': np.zeros((K, D))}, InferenceFailed, "expected 'actions' in the answer"),
        ({'actions': [[0.0] * D] * K}, InferenceFailed, 'expected an array of numbers'),
        (b'\xc1', InferenceFailed, 'not of the protocol'),
        (pack([1]), InferenceFailed, 'no map'),
        ('Traceback ...\nKeyError: observation/wrist', InferenceFailed, 'observation/wrist'),
    ],
)
def test_wrong_answers_are_refused_and_the_policy_goes_on(
    server: Server, policy: Policy, answer: Any, error: type[BcError], words: str
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(error, match=words):
        policy.infer(observation())
    server.answer = server.act
    wait_until(lambda: policy._connection.connected)  # type: ignore[attr-defined]
    assert policy.infer(observation()).values.shape == (K, D)


def test_a_wrong_image_size_never_leaves_the_robot(server: Server, policy: Policy) -> None:
    before = len(server.seen)
    wrong = {**observation(), 'base': np.zeros((1, 8, 6, 3), dtype=np.uint8)}
    with pytest.raises(InputMismatch, match=r'expected uint8 \[1, 4, 6, 3\]'):
        policy.infer(wrong)
    assert len(server.seen) == before


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'url': 'http://host'}, 'expected an address like ws://host:8000'),
        ({'backend': 'torch'}, 'backend'),
        ({'timeout_s': -1.0}, 'timeout_s'),
        ({'observation': {**KEYS, 'wrist': 'x'}}, 'the spec has no such input'),
        ({'observation': {'state': 's', 'base': 'b'}}, 'these inputs have no key: prompt'),
        ({'observation': {**KEYS, 'prompt': KEYS['state']}}, 'the same key'),
        ({'spec': {**SPEC, 'schema_version': 99}}, 'upgrade bc_runtime'),
        ({'unknown': 1}, 'unknown'),
    ],
)
def test_a_wrong_side_file_is_refused(
    side_file: Callable[..., Path], changes: Any, words: str
) -> None:
    assert words in failure(side_file, **changes)


def test_a_spec_with_noise_is_not_for_servers(side_file: Callable[..., Path]) -> None:
    noise = {'kind': 'noise', 'name': 'noise', 'shape': [1, K, D], 'distribution': 'normal'}
    with pytest.raises(SpecMismatch, match='noise'):
        load_policy(side_file(spec={**SPEC, 'inputs': [*SPEC['inputs'], noise]}))


# ---- away, slow, back -------------------------------------------------------------------------


def test_a_slow_server_costs_its_timeout_and_its_late_answer_is_not_taken(
    server: Server, side_file: Callable[..., Path]
) -> None:
    policy = load_policy(side_file(timeout_s=0.2), warm_up_runs=1)
    gate = threading.Event()

    def late(message: dict[str, Any]) -> Any:
        gate.wait(WAIT_S)
        return {'actions': np.full((K, D), 999.0)}

    server.answer = late
    with pytest.raises(InferenceFailed, match=r'no answer within 0\.2 s'):
        policy.infer(observation())
    server.answer = server.act
    gate.set()
    wait_until(lambda: policy._connection.connected)  # type: ignore[attr-defined]
    assert policy.infer(observation()).values.max() < 10.0


def test_an_answer_too_many_is_not_taken_for_the_next_one(
    server: Server, side_file: Callable[..., Path]
) -> None:
    policy = load_policy(side_file(), warm_up_runs=0)

    def twice(message: dict[str, Any]) -> Any:
        server._open[-1].send(pack(server.act(message)))
        return server.act(message)

    server.answer = twice
    policy.infer(observation(1.0))
    server.answer = server.act
    buffered = policy._connection._socket.recv_messages  # type: ignore[attr-defined]
    wait_until(lambda: not buffered.frames.empty())
    with pytest.raises(InferenceFailed, match='not asked for'):
        policy.infer(observation(2.0))
    wait_until(lambda: policy._connection.connected)  # type: ignore[attr-defined]
    assert policy.infer(observation(3.0)).values[0] == pytest.approx(3.0)


def test_a_server_that_takes_nothing_costs_its_timeout(
    server: Server, side_file: Callable[..., Path]
) -> None:
    policy = load_policy(side_file(timeout_s=0.2), warm_up_runs=0)
    gate = threading.Event()

    def stand_still(message: dict[str, Any]) -> Any:
        gate.wait(WAIT_S)

    server.answer = stand_still
    connection = policy._connection  # type: ignore[attr-defined]
    try:
        # More than the sockets hold; the server reads the first part and then no more.
        with pytest.raises(InferenceFailed):
            connection.request(b'\0' * 200_000_000, timeout_s=0.2)
    finally:
        gate.set()


def test_while_the_server_is_away_inferences_fail_at_once_and_it_is_found_again(
    server: Server, side_file: Callable[..., Path]
) -> None:
    policy = load_policy(side_file(timeout_s=5.0))
    server.stop()
    with pytest.raises(InferenceFailed):
        policy.infer(observation())
    attempts = []
    connect = policy._connection._connect  # type: ignore[attr-defined]
    policy._connection._connect = lambda: (attempts.append(1), connect())[1]  # type: ignore[attr-defined]
    # No request is sent, so nothing is waited for: 200 of them are over before one timeout.
    start = time.monotonic()
    for _ in range(200):
        with pytest.raises(InferenceFailed, match='not connected'):
            policy.infer(observation())
    assert time.monotonic() - start < 5.0
    wait_until(lambda: len(attempts) >= 1)
    again = Server(port=server.port)
    try:
        wait_until(lambda: policy._connection.connected)  # type: ignore[attr-defined]
        assert policy.infer(observation()).values.shape == (K, D)
    finally:
        again.stop()


def test_a_server_that_comes_back_with_another_policy_is_not_used(
    server: Server, side_file: Callable[..., Path]
) -> None:
    policy = load_policy(side_file())
    server.metadata = {'checkpoint': 'another'}
    server.answer = lambda _: 'RuntimeError: restarting'
    with pytest.raises(InferenceFailed):
        policy.infer(observation())
    server.answer = server.act

    def reason() -> str:
        try:
            policy.infer(observation())
        except InferenceFailed as error:
            return str(error)
        return ''

    wait_until(lambda: 'came back with another description of its policy' in reason())


def test_letting_go_of_the_policy_closes_the_connection(
    server: Server, side_file: Callable[..., Path]
) -> None:
    slot = PolicySlot()
    slot.load(lambda: load_policy(side_file()), requested='pi')
    slot.wait()
    assert slot.swap() is not None
    connection = server._open[-1]
    slot.close()
    wait_until(lambda: connection.state.name == 'CLOSED')


def test_without_the_packages_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, side_file: Callable[..., Path]
) -> None:
    import importlib

    real = importlib.import_module

    def missing(name: str, *args: Any) -> Any:
        if name == 'msgpack':
            raise ImportError("No module named 'msgpack'")
        return real(name, *args)

    monkeypatch.setattr(importlib, 'import_module', missing)
    with pytest.raises(BackendUnavailable, match=r'requirements/remote\.txt'):
        load_policy(side_file())
