"""Small random checkpoints for Transformers, written by the tests: the architecture is real, the words mean nothing.

They need transformers and torch. They are seeded, so that a checkpoint gives the same text on every machine.
"""

from pathlib import Path
from typing import Any

from tests.support.hf_whisper import write_whisper_processor

LETTERS = "abcdefghijklmnopqrstuvwxyz"

_GAIN = 2.0
"""Factor for the initial weights, so that different audio gives different words."""


def seeded(model_class: Any, config: Any) -> Any:
    import torch  # noqa: PLC0415 - few tests need it

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
        for parameter in model.parameters():  # initial weights give one text for any audio
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 * _GAIN)
    return model.eval()


def word_pieces(special: list[str]) -> Any:
    """A tokenizer with the letters as beginnings (`▁a`) and middles (`a`) of words, then the special tokens."""
    from tokenizers import Tokenizer, decoders, models  # noqa: PLC0415 - as above

    pieces = ["<unk>", *(f"▁{letter}" for letter in LETTERS), *LETTERS, *special]
    tokenizer = Tokenizer(models.WordLevel({piece: n for n, piece in enumerate(pieces)}, unk_token="<unk>"))  # noqa: S106 - no secret
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", *special])
    return tokenizer


def write_parakeet(folder: Path, kind: str = "CTC") -> Path:
    """Write a Parakeet of the kind `CTC`, `RNNT` or `TDT`. Returns `folder`."""
    import transformers  # noqa: PLC0415 - as above

    special = ["<pad>"] if kind == "CTC" else ["<pad>", "<blank>"]
    inner = word_pieces(special)
    tokenizer = transformers.ParakeetTokenizer(tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>")  # noqa: S106 - no secret
    extractor = transformers.ParakeetFeatureExtractor(feature_size=16)
    transformers.ParakeetProcessor(extractor, tokenizer, decoder_type=kind.lower()).save_pretrained(folder)
    encoder = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "subsampling_conv_channels": 8,
        "num_mel_bins": 16,
    }
    size = inner.get_vocab_size()
    shared: dict[str, Any] = {"encoder_config": encoder, "vocab_size": size, "pad_token_id": inner.token_to_id("<pad>")}
    if kind != "CTC":
        shared |= {"decoder_hidden_size": 16, "num_decoder_layers": 1, "blank_token_id": size - 1}
        shared |= {"decoder_start_token_id": size - 1}
    config = getattr(transformers, f"Parakeet{kind}Config")(**shared)
    seeded(getattr(transformers, f"ParakeetFor{kind}"), config).save_pretrained(folder)
    return folder


def write_wav2vec2(folder: Path, *, masked: bool) -> Path:
    """Write a Wav2Vec2 with a CTC head, of the newer kind, which takes a mask, or the older one. Returns `folder`."""
    import json  # noqa: PLC0415 - as above

    import transformers  # noqa: PLC0415 - as above

    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS.upper()]
    (folder / "vocab.json").write_text(json.dumps({piece: n for n, piece in enumerate(pieces)}), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(pieces),
        pad_token_id=0,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer" if masked else "group",
        do_stable_layer_norm=masked,
    )
    seeded(transformers.Wav2Vec2ForCTC, config).save_pretrained(folder)
    return folder


def write_moonshine(folder: Path) -> Path:
    """Write a Moonshine. Returns `folder`."""
    import transformers  # noqa: PLC0415 - as above

    inner = word_pieces(["<s>", "</s>"])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",  # noqa: S106 - no secret
        eos_token="</s>",  # noqa: S106 - no secret
        unk_token="<unk>",  # noqa: S106 - no secret
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    size = inner.get_vocab_size()
    config = transformers.MoonshineConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=32,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        decoder_start_token_id=size - 2,
        pad_token_id=size - 1,
    )
    seeded(transformers.MoonshineForConditionalGeneration, config).save_pretrained(folder)
    return folder


def write_whisper(folder: Path) -> Path:
    """Write a multilingual Whisper with English, German and French. Returns `folder`."""
    import transformers  # noqa: PLC0415 - as above
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415 - as above

    control = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|fr|>"]
    control += ["<|translate|>", "<|transcribe|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    times = [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
    pieces = [*LETTERS, *(f"Ġ{letter}" for letter in LETTERS), *control, *times]
    numbers = {piece: n for n, piece in enumerate(pieces)}
    inner = Tokenizer(models.BPE(numbers, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([*control, *times])
    folder.mkdir(parents=True, exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    write_whisper_processor(folder, folder / "tokenizer.json")
    end, start = numbers["<|endoftext|>"], numbers["<|startoftranscript|>"]
    config = transformers.WhisperConfig(
        vocab_size=len(pieces),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        max_target_positions=64,
    )
    model = seeded(transformers.WhisperForConditionalGeneration, config)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        prev_sot_token_id=numbers["<|startofprev|>"],
        no_timestamps_token_id=numbers["<|notimestamps|>"],
        max_length=64,
        suppress_tokens=[numbers[piece] for piece in control if piece != "<|endoftext|>"],
        is_multilingual=True,
        lang_to_id={token: numbers[token] for token in ("<|en|>", "<|de|>", "<|fr|>")},
        task_to_id={"translate": numbers["<|translate|>"], "transcribe": numbers["<|transcribe|>"]},
    )
    model.save_pretrained(folder)
    return folder


def write_granite(folder: Path) -> Path:
    """Write a Granite Speech with a chat template; its feature extractor needs torchaudio. Returns `folder`."""
    import transformers  # noqa: PLC0415 - as above

    inner = word_pieces(["<s>", "</s>", "<|audio|>"])
    inner.pre_tokenizer = letters()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",  # noqa: S106 - no secret
        eos_token="</s>",  # noqa: S106 - no secret
        pad_token="</s>",  # noqa: S106 - no secret
        unk_token="<unk>",  # noqa: S106 - no secret
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}</s>"
    extractor = transformers.GraniteSpeechFeatureExtractor()
    transformers.GraniteSpeechProcessor(extractor, tokenizer).save_pretrained(folder)
    size = inner.get_vocab_size()
    ends = {"bos_token_id": size - 3, "eos_token_id": size - 2, "pad_token_id": size - 2}
    layers = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.GraniteSpeechConfig(
        text_config=transformers.GraniteConfig(
            vocab_size=size, num_key_value_heads=2, tie_word_embeddings=True, **layers, **ends
        ),
        encoder_config={"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "output_dim": 8, "conv_kernel_size": 3},
        projector_config={"model_type": "blip_2_qformer", "encoder_hidden_size": 16, **layers},
        audio_token_index=size - 1,
        has_lora_adapter=False,
    )
    model = seeded(transformers.GraniteSpeechForConditionalGeneration, config)
    model.generation_config = transformers.GenerationConfig(**ends)
    model.save_pretrained(folder)
    return folder


def letters() -> Any:
    """Splits text into letters, so that any text has tokens."""
    from tokenizers import Regex, pre_tokenizers  # noqa: PLC0415 - as above

    return pre_tokenizers.Split(Regex("."), "isolated")
