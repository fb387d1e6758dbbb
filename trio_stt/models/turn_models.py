"""Smart Turn, the model that judges whether a talker is done: the file that the package pipecat-ai carries too."""

from trio_stt.models.spec import MULTILINGUAL, ModelFormat, ModelSource, ModelSpec

_FILE = "smart-turn-v3.2-cpu.onnx"
_URL = "https://huggingface.co/pipecat-ai/smart-turn-v3/resolve/f766f81d3cfdf7737ac64aad813d91bbfd56bf93"

SMART_TURN = ModelSpec(
    engine="smart_turn",
    name="smart-turn-v3.2",
    aliases=(_FILE,),
    languages=(),
    coverage=MULTILINGUAL,
    licence="BSD-2-Clause",
    form=ModelFormat.FILE,
    place=_FILE,
    sources=(
        ModelSource(
            name=_FILE,
            url=f"{_URL}/{_FILE}",
            size_bytes=8_679_182,
            sha256="2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        ),
    ),
)
"""For `--endpointing adaptive`. The checksum is that of the package's file."""
