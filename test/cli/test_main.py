# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the command says to words that it does not know."""

from __future__ import annotations

import pytest

from bc_runtime.cli.main import main


@pytest.mark.parametrize(
    ('argv', 'said'),
    [
        (['demo', '--epsiodes=2'], ['bc demo', '--epsiodes=2', "Did you mean '--episodes'?"]),
        (['inspect', 'a.onnx', '--thread', '1', '--rnus', '3'], ['bc inspect', "mean '--runs'?"]),
        (['demo', 'sim_arm_flow'], ['bc demo', 'unrecognized arguments: sim_arm_flow']),
        (['demoo'], ['invalid choice', 'demo']),
    ],
)
def test_unknown_words_are_refused_with_what_was_probably_meant(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert all(words in error for words in said), error
