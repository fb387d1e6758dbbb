"""The last touch on a final's text. See docs/protocol.md, Final text."""


def finished(text: str) -> str:
    """Single spaces, a capital first letter, and a full stop after a last letter or digit; empty stays empty."""
    text = " ".join(text.split())
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text + "." if text[-1].isalnum() else text
