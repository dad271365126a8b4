# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Other forms of a policy file are policies too, and their cost is measured."""

from __future__ import annotations

import argparse
from pathlib import Path
import shutil

import numpy as np
import pytest

pytest.importorskip('onnx', reason='needs onnx (requirements/dev.txt)')

import onnx

from bc_runtime.cli import optimize as cli
from bc_runtime.export.errors import ExportError
from bc_runtime.export.optimize import FORMS, Variant, compare, copy_result, optimize
from bc_runtime.policy import ModelFileError, SpecMissing, load_policy
from bc_runtime.spec import ConfigError
from bc_runtime.spec.self_test import make_inputs

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
#: Largest error of an action [rad]; the actions span about 2 rad. Measured: 0, 4e-4, 8e-3.
COST = {'graph': 1e-5, 'fp16': 5e-3, 'int8': 5e-2}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', ['lerobot_act', 'lerobot_diffusion_ddim'])
def test_each_form_is_a_proven_policy_that_acts_nearly_alike(name, form, tmp_path):
    source = GOLDEN / f'{name}.onnx'
    out = optimize(source, form, tmp_path / 'out.onnx')
    before, after = load_policy(source, threads=1), load_policy(out, threads=1)
    assert after.spec.inputs == before.spec.inputs
    assert after.spec.source['optimized'] == form
    assert after.spec.source['optimized_from'] == before.policy_id
    assert after.policy_id != before.policy_id
    assert after.spec.self_test is not None
    for seed in range(4):
        inputs = make_inputs(before.spec, seed)
        off = np.abs(after.infer(inputs).values - before.infer(inputs).values).max()
        assert off <= COST[form]
        assert form == 'graph' or off > 0
    assert [path.name for path in tmp_path.iterdir()] == ['out.onnx']


def test_half_precision_halves_the_weights(tmp_path):
    source = GOLDEN / 'lerobot_act.onnx'
    out = optimize(source, 'fp16', tmp_path / 'out.onnx')

    def weights(path, dtype):
        model = onnx.load(path)
        return sum(np.prod(t.dims) for t in model.graph.initializer if t.data_type == dtype)

    whole = weights(source, onnx.TensorProto.FLOAT)
    assert weights(out, onnx.TensorProto.FLOAT16) > 0.9 * whole
    assert weights(out, onnx.TensorProto.FLOAT) < 0.1 * whole


def test_the_table_sets_speed_against_error(tmp_path):
    rows = compare(GOLDEN / 'lerobot_act.onnx', ('graph', 'int8'), tmp_path, runs=5, threads=1)
    assert [row.form for row in rows] == ['as it is', 'graph', 'int8']
    assert rows[0].max_abs_error == 0.0
    assert rows[2].max_abs_error > rows[1].max_abs_error
    assert rows[2].rms_share > 0.0
    assert all(row.p50_s > 0 and row.size_bytes > 0 for row in rows)
    lines = list(cli.render(rows, {}))
    assert len(lines) == 4
    assert lines[1].startswith('as it is')


def test_a_form_that_is_not_possible_is_a_row_that_says_why(tmp_path, monkeypatch):
    from bc_runtime.export import optimize as module

    def fail(source, target):
        raise ValueError('no such kernel')

    monkeypatch.setattr(module, 'FORMS', {**FORMS, 'fp16': fail})
    rows = compare(GOLDEN / 'lerobot_act.onnx', ('fp16', 'graph'), tmp_path, runs=2, threads=1)
    assert rows[1].path is None
    assert 'no such kernel' in rows[1].problem
    assert rows[2].path is not None
    assert 'not possible' in list(cli.render(rows, {}))[2]
    with pytest.raises(ExportError, match='no such kernel'):
        copy_result(rows[1], tmp_path / 'x.onnx', overwrite=False)


def test_bad_requests(tmp_path):
    source = GOLDEN / 'lerobot_act.onnx'
    with pytest.raises(ExportError, match='fp16, graph, int8'):
        optimize(source, 'int4', tmp_path / 'out.onnx')
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(ModelFileError, match='truncated'):
        optimize(broken, 'graph', tmp_path / 'out.onnx')
    bare = tmp_path / 'bare.onnx'
    model = onnx.load(source)
    del model.metadata_props[:]
    onnx.save(model, bare)
    with pytest.raises(SpecMissing):
        optimize(bare, 'graph', tmp_path / 'out.onnx')
    taken = tmp_path / 'taken.onnx'
    shutil.copy(source, taken)
    with pytest.raises(ModelFileError, match='exists already'):
        optimize(source, 'graph', taken)
    with pytest.raises(ExportError, match='exists already'):
        copy_result(Variant(form='graph', path=source), taken, overwrite=False)


def run(*words):
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    return cli.run(parser.parse_args(['optimize', *map(str, words)]))


def test_bc_optimize_keeps_a_form_that_is_good_enough(tmp_path, capsys):
    source, out = GOLDEN / 'lerobot_act.onnx', tmp_path / 'out.onnx'
    with pytest.raises(ConfigError, match='--out keeps one form'):
        run(source, '--out', out, '--runs', 2)
    assert run(source, '--form', 'int8', '--out', out, '--max-error', 1e-6, '--runs', 2) == 1
    assert not out.exists()
    assert 'not kept' in capsys.readouterr().out
    assert run(source, '--form', 'graph', '--out', out, '--max-error', 1e-6, '--runs', 2) == 0
    assert load_policy(out, threads=1).spec.source['optimized'] == 'graph'
