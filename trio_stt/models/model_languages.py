"""The languages of multilingual models, as their publishers list them: codes of `trio_stt.languages`. Data only."""


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WHISPER = _codes(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is"
    " it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk"
    " sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh"
)
WHISPER_V3 = (*WHISPER, "yue")
PARAKEET_V3 = _codes("bg cs da de el en es et fi fr hr hu it lt lv mt nl pl pt ro ru sk sl sv uk")
QWEN3 = _codes("ar cs da de el en es fa fi fil fr hi hu id it ja ko mk ms nl pl pt ro ru sv th tr vi yue zh")
COHERE = _codes("ar de el en es fr it ja ko nl pl pt vi zh")
SENSE_VOICE = _codes("en ja ko yue zh")
