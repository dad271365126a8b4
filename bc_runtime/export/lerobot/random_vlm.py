# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A small vision-language model for SmolVLA, without weights: its sizes and a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: Of the text side and of the picture side; 5 layers, of which a SmolVLA may keep fewer.
TINY: Final[Mapping[str, Any]] = {
    'scale_factor': 2,
    'text_config': {
        'hidden_size': 48,
        'intermediate_size': 64,
        'num_hidden_layers': 5,
        'num_attention_heads': 4,
        'num_key_value_heads': 2,
        'head_dim': 12,
    },
    'vision_config': {
        'hidden_size': 32,
        'intermediate_size': 48,
        'num_hidden_layers': 2,
        'num_attention_heads': 2,
        'image_size': 64,
        'patch_size': 16,
    },
}
_END: Final = '<|endoftext|>'
_SPECIAL: Final = {
    'fake_image_token': '<fake_token_around_image>',
    'global_image_token': '<global-img>',
    'image_token': '<image>',
}
_TEXT: Final = ('pick up the cube', 'push the cube to the left', 'open the drawer')


def write_vlm(
    directory: Path, sizes: Mapping[str, Any] = TINY, *, vocabulary: int | None = None
) -> None:
    """Write config.json and the tokenizer's files.

    Args:
        directory: To write.
        sizes: `scale_factor`, `text_config`, `vision_config` of transformers' SmolVLMConfig.
        vocabulary: Embeddings of the text side; None: as many as the tokenizer has.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2TokenizerFast
    from transformers.models.smolvlm.configuration_smolvlm import SmolVLMConfig

    special = [_END, *_SPECIAL.values()]
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(_TEXT, trainer)
    tokenizer = GPT2TokenizerFast(
        tokenizer_object=model, pad_token=_END, extra_special_tokens=dict(_SPECIAL)
    )
    tokenizer.save_pretrained(str(directory))
    text = {**sizes['text_config'], 'model_type': 'llama'}
    text['vocab_size'] = len(tokenizer) if vocabulary is None else vocabulary
    config = SmolVLMConfig(
        scale_factor=sizes['scale_factor'],
        text_config=text,
        vision_config=dict(sizes['vision_config']),
        image_token_id=tokenizer.convert_tokens_to_ids(_SPECIAL['image_token']),
        pad_token_id=0,
    )
    config.save_pretrained(str(directory))
