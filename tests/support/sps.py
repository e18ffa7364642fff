"""H.264 sequence parameter sets as tests want them."""

from __future__ import annotations


def golomb(value: int) -> str:
    """Return an unsigned Exp-Golomb code (H.264, 9.1)."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def sps_of(width: int, height: int, references: int, crop: int = 0) -> bytes:
    """Return a baseline SPS; `crop` macroblocks are hidden on the right."""
    bits = f"{66:08b}" + f"{0:08b}" + f"{52:08b}" + golomb(0)  # profile, flags, level, id
    bits += golomb(0) + golomb(2) + golomb(references) + "0"  # frame_num, POC type 2
    bits += golomb(width // 16 - 1) + golomb(height // 16 - 1) + "1" + "1"
    bits += "1" + golomb(0) + golomb(crop * 8) + golomb(0) * 2 if crop else "0"
    bits += "0" + "1"  # no VUI, stop bit
    bits += "0" * (-len(bits) % 8)
    raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
    for low in range(4):
        raw = raw.replace(bytes((0, 0, low)), bytes((0, 0, 3, low)))
    return b"\x67" + raw
