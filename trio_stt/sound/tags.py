"""Tags that stand beside the frames of MP3 and AAC files: ID3, ID3v1 and APE."""

_ID3V1_BYTES = 128
_APE_HEAD_BYTES = 32


def tag_bytes(data: bytes) -> int:
    """The size in bytes of the tags that data begins with, as they state it; 0 if it begins with none.

    The last tag may reach beyond the data.
    """
    size_bytes = 0
    while tag := _first_tag_bytes(data[size_bytes : size_bytes + _APE_HEAD_BYTES]):
        size_bytes += tag
    return size_bytes


def _first_tag_bytes(head: bytes) -> int:
    if head.startswith(b"ID3") and len(head) >= 10:  # noqa: PLR2004 - the size of its head
        # Seven bits to a byte, without the head.
        return sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) + 10
    if head.startswith(b"TAG"):
        return _ID3V1_BYTES
    if head.startswith(b"APETAGEX") and len(head) == _APE_HEAD_BYTES:
        # The size leaves out a head, which only the one of two at the beginning has (bit 29).
        is_head = head[23] & 0x20
        return int.from_bytes(head[12:16], "little") + _APE_HEAD_BYTES if is_head else _APE_HEAD_BYTES
    return 0
