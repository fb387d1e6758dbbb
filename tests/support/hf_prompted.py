"""Small random checkpoints of the families with a prompt format of their own: Cohere Transcribe and Qwen3-ASR.

They need transformers and torch. The architecture is real, the words mean nothing.
"""

from pathlib import Path
from typing import Any

from tests.support.hf_random import letters, seeded, word_pieces


def write_cohere(folder: Path) -> Path:
    """Write a Cohere Transcribe with English and German. Returns `folder`."""
    import transformers  # noqa: PLC0415 - few tests need it

    special = ["<pad>", "<s>", "</s>", "▁", "<|startofcontext|>", "<|startoftranscript|>", "<|emo:undefined|>"]
    special += ["<|en|>", "<|de|>", "<|pnc|>", "<|nopnc|>", "<|noitn|>", "<|notimestamp|>", "<|nodiarize|>"]
    inner = word_pieces(special)
    tokenizer = _fast(transformers, inner)
    extractor = transformers.CohereAsrFeatureExtractor(feature_size=16)
    transformers.CohereAsrProcessor(extractor, tokenizer).save_pretrained(folder)
    ends = {f"{name}_token_id": inner.token_to_id(token) for name, token in _ENDS.items()}
    layers = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.CohereAsrConfig(
        vocab_size=inner.get_vocab_size(),
        encoder_config={**layers, "model_type": "parakeet_encoder", "subsampling_conv_channels": 8, "num_mel_bins": 16},
        max_position_embeddings=300,
        **layers,
        **ends,
    )
    model = seeded(transformers.CohereAsrForConditionalGeneration, config)
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=ends["bos_token_id"], **ends)
    model.save_pretrained(folder)
    return folder


def write_qwen3(folder: Path) -> Path:
    """Write a Qwen3-ASR with a chat template. Returns `folder`."""
    import transformers  # noqa: PLC0415 - as above

    parts = (("audio", ""), ("audio_bos", "_s"), ("audio_eos", "_e"))
    audio = {f"{name}_token": f"<|audio{part}|>" for name, part in parts}
    inner = word_pieces(["<pad>", "<s>", "</s>", "<asr_text>", *audio.values()])
    inner.pre_tokenizer = letters()
    tokenizer = _fast(transformers, inner, extra_special_tokens=audio)
    extractor = transformers.Qwen3ASRFeatureExtractor(feature_size=16)
    processor = transformers.Qwen3ASRProcessor(extractor, tokenizer)
    processor.chat_template = _CHAT
    processor.save_pretrained(folder)
    ends = {f"{name}_token_id": inner.token_to_id(token) for name, token in _ENDS.items()}
    layers = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.Qwen3ASRConfig(
        audio_config={
            "model_type": "qwen3_asr_encoder",
            "num_mel_bins": 16,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "d_model": 16,
            "output_dim": 16,
            "downsample_hidden_size": 8,
        },
        text_config={
            "model_type": "qwen3",
            "vocab_size": inner.get_vocab_size(),
            "num_key_value_heads": 2,
            "head_dim": 8,
            **layers,
        },
        audio_token_id=inner.token_to_id(audio["audio_token"]),
        pad_token_id=ends["pad_token_id"],
        eos_token_id=ends["eos_token_id"],
    )
    model = seeded(transformers.Qwen3ASRForConditionalGeneration, config)
    model.generation_config = transformers.GenerationConfig(**ends)
    model.save_pretrained(folder)
    return folder


_ENDS = {"bos": "<s>", "eos": "</s>", "pad": "<pad>"}

_CHAT = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'audio' %}<|audio_s|><|audio|><|audio_e|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def _fast(transformers: Any, inner: Any, **more: Any) -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",  # noqa: S106 - no secret
        eos_token="</s>",  # noqa: S106 - no secret
        pad_token="<pad>",  # noqa: S106 - no secret
        unk_token="<unk>",  # noqa: S106 - no secret
        **more,
    )
