# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Look into a `.pt2` archive before it is given to torch, and refuse what could run code.

`torch.export.load` trusts its file: it unpickles tensors that are marked so, falls back to a full
unpickling of the sample inputs, evaluates shape expressions and guards as Python, and takes any
attribute of the torch module for an operator. A policy needs none of it, so here an archive may
only hold raw tensors, and a graph of static shapes whose operators are those of ATen.

Layout: torch/export/pt2_archive/constants.py of torch 2.13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import hashlib
import io
import json
from pathlib import Path
import re
from typing import Any
import zipfile

from bc_runtime.policy.errors import ModelFileError, SpecMissing
from bc_runtime.policy.policy_file import side_file
from bc_runtime.spec.policy_spec import METADATA_KEY, PolicySpec

SUFFIX = '.pt2'
SPEC_ENTRY = f'{METADATA_KEY}.json'
MAX_JSON_BYTES = 200_000_000
MAX_BYTES = 4_000_000_000

_ALLOWED = re.compile(
    r'^(models/model\.json|data/(weights|constants)/(weight_\d+|tensor_\d+|model_\w+_config\.json)'
    r'|data/sample_inputs/model\.pt|extra/[\w.]+|archive_format|archive_version|byteorder|version'
    r'|\.data/(version|serialization_id|alignment)|\.format_version|\.storage_alignment)$'
)
# Of ATen all but what touches files: from_file, and the loaders of `_test` and its like.
_OPERATOR = re.compile(
    r'^(torch\.ops\.aten\.(?!\w*(?:file|load|save))\w+\.\w+|torch\.ops\.higher_order\.(while_loop|cond|wrap_with_set_grad_enabled)'
    r'|_operator\.getitem)$'
)
# Expressions are evaluated as Python by sympy; objects are unpickled.
_FORBIDDEN_KEYS = frozenset(
    ('as_expr', 'expr_str', 'as_custom_obj', 'as_operator', 'as_complex', 'opaque')
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFile:
    """What an archive says of itself.

    Attributes:
        path: Resolved path.
        size: Bytes.
        sha256: Hex digest of the file.
        spec_text: JSON of the policy spec in it; empty if there is none.
        torch_version: That wrote it.
        sample_inputs: The pickled sample inputs; to be read with `weights_only`.
        content: The archive anew, of the entries that were looked at and nothing else. Readers of
            archives do not agree about files that are put together cunningly.
    """

    path: Path
    size: int
    sha256: str
    spec_text: str
    torch_version: str
    sample_inputs: bytes
    content: bytes


def read_program_file(path: Path) -> ProgramFile:
    """Read an archive's own words, without torch.

    Raises:
        ModelFileError: unreadable, damaged, not a `.pt2`, or it holds what could run code.
    """
    path = path.resolve()
    try:
        with path.open('rb') as file:
            size = path.stat().st_size
            digest = hashlib.file_digest(file, 'sha256').hexdigest()
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive, size, digest)
    except OSError as error:
        raise ModelFileError(f'{path}: cannot be read: {error.strerror or error}') from None
    except ModelFileError:
        raise
    # A damaged archive makes its readers raise what they like.
    except Exception as error:  # noqa: BLE001
        raise ModelFileError(
            f'{path}: expected an exported program of torch (torch.export.save), got a file that '
            f'is none, or is truncated or damaged: {error}'
        ) from None


def read_program_spec(file: ProgramFile) -> PolicySpec:
    """Return the spec inside an archive, or of the side file beside it.

    Raises:
        SpecMissing: neither is there.
        SpecError: it is wrong or of a newer schema.
    """
    if file.spec_text:
        return PolicySpec.from_json(file.spec_text, source=f'{file.path} ({SPEC_ENTRY})')
    side = side_file(file.path)
    if side.is_file():
        return PolicySpec.from_yaml_file(side)
    raise SpecMissing(
        f'{file.path}: the program has no policy spec: expected the extra file {SPEC_ENTRY!r} in '
        f'it (bc_runtime.export.program writes it) or a side file {side.name} beside it'
    )


def _read(path: Path, archive: zipfile.ZipFile, size: int, digest: str) -> ProgramFile:
    names: dict[str, str] = {}
    for info in archive.infolist():
        _, _, name = info.filename.partition('/')
        if not _ALLOWED.match(name) or name in names:
            raise _refused(path, f'the entry {info.filename!r}')
        names[name] = info.filename
    if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
        raise ValueError(f'it holds more than {MAX_BYTES} bytes')
    graph = _json(archive, names, 'models/model.json')
    for kind in ('weights', 'constants'):
        config = _json(archive, names, f'data/{kind}/model_{kind}_config.json')
        for tensor, entry in config['config'].items():
            if entry.get('use_pickle') is not False:
                raise _refused(path, f'the pickled tensor {tensor!r}')
    _check_graph(path, graph)
    spec = names.get(f'extra/{SPEC_ENTRY}')
    return ProgramFile(
        path=path,
        size=size,
        sha256=digest,
        spec_text=archive.read(spec).decode() if spec else '',
        torch_version=str(graph.get('torch_version', '')),
        sample_inputs=archive.read(names['data/sample_inputs/model.pt']),
        content=_packed(archive),
    )


def _packed(archive: zipfile.ZipFile) -> bytes:
    """Write the entries into a new archive; what is damaged raises here."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, 'w') as packed:
        for info in archive.infolist():
            packed.writestr(info.filename, archive.read(info))
    return memory.getvalue()


def _json(archive: zipfile.ZipFile, names: Mapping[str, str], name: str) -> dict[str, Any]:
    info = archive.getinfo(names[name])
    if info.file_size > MAX_JSON_BYTES:
        raise ValueError(f'{name} has {info.file_size} bytes')
    value = json.loads(archive.read(info))
    if not isinstance(value, dict):
        raise ValueError(f'{name} is no JSON object')
    return value


def _check_graph(path: Path, graph: Mapping[str, Any]) -> None:
    if graph.get('guards_code'):
        raise _refused(path, 'guards written in Python')
    if graph.get('range_constraints'):
        raise _refused(path, 'free dimensions (export it with static shapes)')
    for key, value in _walk(graph):
        if key in _FORBIDDEN_KEYS and value not in (None, [], {}):
            raise _refused(path, f'a value of kind {key!r} (export it with static shapes)')
        if key == 'target' and isinstance(value, str) and not _OPERATOR.match(value):
            # Signatures also have targets: names of parameters.
            raise _refused(path, f'the operator {value!r}')


def _walk(graph: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every key and value; `target` only where it names an operator."""
    stack: list[tuple[Any, bool]] = [(graph, False)]
    while stack:
        value, in_nodes = stack.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != 'target' or in_nodes:
                    yield key, inner
                # Free text of the exporter, which nothing interprets.
                if key not in ('metadata', 'module_call_graph'):
                    stack.append((inner, key == 'nodes'))
        elif isinstance(value, list):
            stack.extend((inner, in_nodes) for inner in value)


def _refused(path: Path, what: str) -> ModelFileError:
    return ModelFileError(
        f'{path}: this program is refused, because loading it could run code from the file: it '
        f'holds {what}. Export it with bc_runtime.export.program, or to ONNX'
    )
