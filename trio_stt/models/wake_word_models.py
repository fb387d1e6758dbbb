"""openWakeWord's models: the files of its release 0.5.1, which the package openwakeword 0.5.1 carries too. Data only.

The checksums are those of the package's files; independent public manifests list the same for the release.
"""

from trio_stt.models.spec import ModelFormat, ModelSource, ModelSpec

_URL = "https://github.com/dscripka/openWakeWord/releases/download/v0.5.1"

_FILES = (
    ("melspectrogram.onnx", 1_087_958, "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f"),
    ("embedding_model.onnx", 1_326_578, "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f"),
    ("alexa_v0.1.onnx", 854_246, "6ff566a01d12670e8d9e3c59da32651db1575d17272a601b7f8a39283dfbae3e"),
    ("hey_jarvis_v0.1.onnx", 1_271_370, "94a13cfe60075b132f6a472e7e462e8123ee70861bc3fb58434a73712ee0d2cb"),
    ("hey_mycroft_v0.1.onnx", 857_691, "c2a311e8fa1338de89c31b3b46dc4dffd4af2f9a8d6ddead48893c2d301b1f18"),
    ("hey_rhasspy_v0.1.onnx", 204_081, "5a9b3ed3be2910e35780e097905aa9f35a9c10038df47914cf2b3ec4d670f6ea"),
    ("timer_v0.1.onnx", 1_742_475, "371e44535470a29248b3b8f1bbbbaf2525c86417fd8f75c67fcf02ae0b9626df"),
    ("weather_v0.1.onnx", 1_149_158, "8441da8e746899e8d969528d5bad5651cdd563079c05962788f77753041f60e7"),
)

OPENWAKEWORD = ModelSpec(
    engine="openwakeword",
    name="openwakeword",
    languages=("en",),
    licence="CC-BY-NC-SA-4.0",
    form=ModelFormat.FOLDER,
    place="openwakeword-0.5.1",
    sources=tuple(
        ModelSource(name=name, url=f"{_URL}/{name}", size_bytes=size_bytes, sha256=sha256)
        for name, size_bytes, sha256 in _FILES
    ),
)
"""All six words, and the two networks that they share."""
