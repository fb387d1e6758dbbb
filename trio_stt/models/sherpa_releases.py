"""Models that sherpa-onnx publishes as `.tar.bz2` releases, and Kroko's community files. Data only.

A release may be replaced under the same name. Checksums are those of the publisher's own list, if at least two
independent public manifests confirm them; other releases have none here.
"""

from trio_stt.models.model_languages import COHERE, PARAKEET_V3, QWEN3, SENSE_VOICE
from trio_stt.models.spec import ModelFormat, ModelSource, ModelSpec

_RELEASES_URL = "https://github.com/k2-fsa/sherpa-onnx/releases/download/asr-models"
_KROKO_URL = "https://huggingface.co/Banafo/Kroko-ASR/resolve/main"

_SEE_MODEL_CARD = "see its model card"


def _release(
    engine: str,
    bundle: str,
    *names: str,
    others: tuple[str, ...] = (),
    languages: str | tuple[str, ...],
    coverage: str = "",
    licence: str,
    size_bytes: int | None = None,
    sha256: str | None = None,
) -> ModelSpec:
    archive = f"{bundle}.tar.bz2"
    every = (*names, bundle, *others)
    return ModelSpec(
        engine=engine,
        name=every[0],
        aliases=every[1:],
        languages=tuple(languages.split()) if isinstance(languages, str) else languages,
        coverage=coverage,
        licence=licence,
        form=ModelFormat.ARCHIVE,
        place=bundle,
        sources=(ModelSource(name=archive, url=f"{_RELEASES_URL}/{archive}", size_bytes=size_bytes, sha256=sha256),),
    )


def _kroko(language: str, size: int) -> ModelSpec:
    file = f"Kroko-{language.upper()}-Community-{size}-L-Streaming-001.data"
    return ModelSpec(
        engine="kroko_onnx",
        name=file,
        languages=(language,),
        licence="CC-BY-SA-4.0",
        form=ModelFormat.FILE,
        place=file,
        sources=(ModelSource(name=file, url=f"{_KROKO_URL}/{file}"),),
    )


SHERPA_RELEASES = (
    _release(
        "sherpa_onnx_moonshine",
        "sherpa-onnx-moonshine-tiny-en-int8",
        others=("UsefulSensors/moonshine-streaming-tiny", "UsefulSensors/moonshine-streaming-medium"),
        languages="en",
        licence="MIT",
        size_bytes=107_600_538,
        sha256="d5fe6ec4334fef36255b2a4010412cad4c007e33103fec62fb5d17cad88086f2",
    ),
    _release(
        "sherpa_onnx_moonshine",
        "sherpa-onnx-moonshine-base-en-int8",
        languages="en",
        licence="MIT",
        size_bytes=250_807_309,
        sha256="21870cecaa2e44e4e2bf63e02d1072bed183ccd10284871353bd9d24dad14e5e",
    ),
    _release(
        "sherpa_onnx_moonshine",
        "sherpa-onnx-moonshine-tiny-en-quantized-2026-02-27",
        "moonshine-tiny-en",  # the embedded model's name: the same model, for installs without its package
        languages="en",
        licence="MIT",
        size_bytes=29_858_559,
        sha256="9ec31b342d8fa3240c3b81b8f82e1cf7e3ac467c93ca5a999b741d5887164f8d",
    ),
    _release(
        "sherpa_onnx_moonshine",
        "sherpa-onnx-moonshine-base-en-quantized-2026-02-27",
        languages="en",
        licence="MIT",
        size_bytes=111_266_225,
        sha256="43232c1d13013d37317163baec3135bd771a186a4356f28c889bab453bb0e891",
    ),
    _release(
        "sherpa_onnx_parakeet",
        "sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8",
        "nvidia/parakeet-tdt-0.6b-v3",
        languages=PARAKEET_V3,
        coverage="25 European",
        licence="CC-BY-4.0",
        size_bytes=487_170_055,
        sha256="5793d0fd397c5778d2cf2126994d58e9d56b1be7c04d13c7a15bb1b4eafb16bf",
    ),
    _release(
        "sherpa_onnx_parakeet",
        "sherpa-onnx-nemo-parakeet-tdt-0.6b-v2-int8",
        "nvidia/parakeet-tdt-0.6b-v2",
        languages="en",
        licence="CC-BY-4.0",
        size_bytes=482_468_385,
        sha256="157c157bc51155e03e37d2466522a3a737dd9c72bb25f36eb18912964161e1ad",
    ),
    _release(
        "sherpa_onnx_parakeet",
        "sherpa-onnx-nemo-parakeet_tdt_transducer_110m-en-36000-int8",
        languages="en",
        licence="CC-BY-4.0",
        size_bytes=108_035_095,
        sha256="f628312e9fdf8686374cb01a69425c41732529d540860311f16f37cbc32cfe9b",
    ),
    _release(
        "omnilingual_asr",
        "sherpa-onnx-omnilingual-asr-1600-languages-1B-ctc-v2-int8-2026-02-05",
        *("omniASR_CTC_1B_v2", "tiny", "tiny.en"),
        languages=(),
        coverage="1600",
        licence="Apache-2.0",
        size_bytes=787_296_506,
        sha256="f4deae6e6cbf4ca785b89eaa3836156581208bf977ea2e6d7ae84d7efcfc3a40",
    ),
    _release(
        "omnilingual_asr",
        "sherpa-onnx-omnilingual-asr-1600-languages-300M-ctc-v2-int8-2026-02-05",
        "omniASR_CTC_300M_v2",
        languages=(),
        coverage="1600",
        licence="Apache-2.0",
        size_bytes=292_313_120,
        sha256="951b32409aade32bd525310bb39e9666773ba3fc611a39e817f620936d76c631",
    ),
    _release(
        "qwen3_asr",
        "sherpa-onnx-qwen3-asr-0.6B-int8-2026-03-25",
        "Qwen/Qwen3-ASR-0.6B",
        languages=QWEN3,
        coverage="30",
        licence="Apache-2.0",
        size_bytes=878_702_423,
        sha256="393f8a14e2f5fb96746aaab342997a40641001fbd5bf9592a080a8329178ee96",
    ),
    _release(
        "cohere_transcribe",
        "sherpa-onnx-cohere-transcribe-14-lang-int8-2026-04-01",
        "CohereLabs/cohere-transcribe-03-2026",
        languages=COHERE,
        licence="Apache-2.0",
        size_bytes=1_699_791_751,
        sha256="bd582588d50685a795dcd2807ab77e11361b8312d96c53884682def45ab4206d",
    ),
    _release(
        "funasr",
        "sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2025-09-09",
        *("iic/SenseVoiceSmall", "FunAudioLLM/SenseVoiceSmall"),
        languages=SENSE_VOICE,
        licence="FunASR Model License 1.1",
        size_bytes=165_783_878,
        sha256="7305f7905bfcf77fa0b39388a313f3da35c68d971661a65475b56fb2162c8e63",
    ),
    _release(
        "funasr",
        "sherpa-onnx-paraformer-zh-2024-03-09",
        "paraformer-zh",
        languages="zh",
        licence=_SEE_MODEL_CARD,
    ),
    _release(
        "funasr",
        "sherpa-onnx-funasr-nano-int8-2025-12-30",
        "FunAudioLLM/Fun-ASR-Nano-2512",
        languages="en ja zh",
        licence=_SEE_MODEL_CARD,
        size_bytes=841_730_611,
        sha256="eb43d7ccc2e86b243f6a03b7df361033dda66db9523d1a92bf6aca2b50c9476b",
    ),
)

STREAMING_MODELS = (
    _release(
        "sherpa_onnx_streaming",
        "sherpa-onnx-streaming-zipformer-en-2023-06-26",
        languages="en",
        licence="Apache-2.0",
        size_bytes=310_414_022,
        sha256="639e25b578e9e997131402199419c13a941f8e4e198e2da1ce57dbf5cf401282",
    ),
    _release(
        "sherpa_onnx_streaming",
        "sherpa-onnx-streaming-zipformer-en-20M-2023-02-17",
        languages="en",
        licence="Apache-2.0",
        size_bytes=127_887_156,
        sha256="9c559283e8498d3fe95913c79ca1cb454bb26281ac2b102b41306c7d752765d9",
    ),
    _release(
        "sherpa_onnx_streaming",
        "sherpa-onnx-streaming-zipformer-en-kroko-2025-08-06",
        languages="en",
        licence="CC-BY-SA-4.0",
        size_bytes=57_267_600,
        sha256="c8676e5ff9ac2a85296e53ee0fd4d5fb1db6770e7a7647166eeafe349ade6834",
    ),
    _kroko("en", 64),
    _kroko("en", 128),
    _kroko("de", 64),
    _kroko("es", 64),
    _kroko("fr", 64),
    _kroko("pt", 64),
)
