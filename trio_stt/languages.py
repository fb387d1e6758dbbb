"""Languages by every name that clients and people use: `de`, `de-AT`, `de_DE.UTF-8`, `deu`, `German`, `auto`.

One place for all of them: settings, flags, commands of clients and the HTTP APIs. The codes are those of Whisper,
which has the most languages: ISO 639-1 where there is one.
"""

AUTO = "auto"
"""The model detects the language."""

_TABLE = """
af afr afrikaans; am amh amharic; ar ara arabic; as asm assamese; az aze azerbaijani; ba bak bashkir; be bel belarusian;
bg bul bulgarian; bn ben bengali; bo bod tibetan; br bre breton; bs bos bosnian; ca cat catalan; cs ces czech;
cy cym welsh; da dan danish; de deu german; el ell greek; en eng english; es spa spanish; et est estonian;
eu eus basque; fa fas persian; fi fin finnish; fil fil filipino; fo fao faroese; fr fra french; gl glg galician;
gu guj gujarati; ga gle irish; ha hau hausa; haw haw hawaiian; he heb hebrew; hi hin hindi; hr hrv croatian;
ht hat haitian creole; hu hun hungarian; hy hye armenian; id ind indonesian; is isl icelandic; it ita italian;
ja jpn japanese; jw jav javanese; ka kat georgian; kk kaz kazakh; km khm khmer; kn kan kannada; ko kor korean;
la lat latin; lb ltz luxembourgish; ln lin lingala; lo lao lao; lt lit lithuanian; lv lav latvian; mg mlg malagasy;
mi mri maori; mk mkd macedonian; ml mal malayalam; mn mon mongolian; mr mar marathi; ms msa malay; mt mlt maltese;
my mya myanmar; ne nep nepali; nl nld dutch; nn nno nynorsk; no nor norwegian; oc oci occitan; pa pan punjabi;
pl pol polish; ps pus pashto; pt por portuguese; ro ron romanian; ru rus russian; sa san sanskrit; sd snd sindhi;
si sin sinhala; sk slk slovak; sl slv slovenian; sn sna shona; so som somali; sq sqi albanian; sr srp serbian;
su sun sundanese; sv swe swedish; sw swa swahili; ta tam tamil; te tel telugu; tg tgk tajik; th tha thai;
tk tuk turkmen; tl tgl tagalog; tr tur turkish; tt tat tatar; uk ukr ukrainian; ur urd urdu; uz uzb uzbek;
vi vie vietnamese; yi yid yiddish; yo yor yoruba; yue yue cantonese; zh zho chinese
"""
"""Code, ISO 639-3 code and English name of each language."""

_OTHER_NAMES = """
bokmal no; bokmål no; burmese my; castilian es; farsi fa; flemish nl; haitian ht; letzeburgesch lb; mandarin zh;
moldavian ro; moldovan ro; panjabi pa; pushto ps; sinhalese si; valencian ca;
alb sq; arm hy; baq eu; bur my; chi zh; cze cs; dut nl; fre fr; geo ka; ger de; gre el; ice is; mac mk; mao mi; may ms;
per fa; rum ro; slo sk; tib bo; wel cy;
deutsch de; español es; espanol es; français fr; francais fr; italiano it; nederlands nl; polski pl; português pt;
portugues pt; svenska sv; türkçe tr; русский ru; українська uk; 中文 zh; 粤语 yue; 日本語 ja; 한국어 ko;
cmn zh; in id; iw he; ji yi; jv jw; mo ro; nb no; nob no; zh-yue yue
"""
"""Further names with their codes: English ones, the bibliographic codes of ISO 639-2, some languages by their own name,
then withdrawn codes and those of a part or a whole for which models have one code."""


def _rows(table: str, columns: int) -> list[list[str]]:
    return [row.split(maxsplit=columns - 1) for row in table.replace("\n", " ").strip().split(";")]


_ROWS = _rows(_TABLE, 3)
_NAMES = {code: name for code, _, name in _ROWS}
KNOWN_CODES = tuple(sorted(_NAMES))
"""Codes of all languages in the table."""
_CODES = {spelled: row[0] for row in _ROWS for spelled in row} | dict(_rows(_OTHER_NAMES, 2))


def language_code(name: str) -> str:
    """The code of a language, or nothing where the model detects it: `en` for `en-US`, `EN_us`, `eng` and `English`.

    A name that is not known is returned in lower case: a model may have it.
    """
    lower = name.strip().lower()
    if lower == AUTO:
        return ""
    # POSIX locales have an encoding after a dot and a variant after an @.
    tag = lower.partition(".")[0].partition("@")[0].replace("_", "-")
    return _CODES.get(tag) or _CODES.get(tag.partition("-")[0], lower)


def language_name(code: str) -> str:
    """The English name in lower case, as OpenAI gives it, or the code; `auto` where the model decides."""
    return _NAMES.get(code, code or AUTO)
