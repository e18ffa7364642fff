"""Publish a test picture and tone over WHIP with FFmpeg's own muxer (through PyAV).

Run as a program: PyAV may hold the GIL while it waits for our answer.
Arguments: url key seconds kind(av|a|v) directory-for-the-certificate [muxer-option=value ...]
"""

import array
import datetime as dt
import fractions
import math
import random
import sys
import time
from pathlib import Path

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write_certificate(directory: Path) -> dict[str, str]:
    """FFmpeg's own certificate is on P-224, which OpenSSL refuses: make one on P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = dt.datetime.now(tz=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return {"cert_file": str(cert_file), "key_file": str(key_file)}


def main(arguments: list[str]) -> None:
    url, key, seconds, kind, directory, *extra = arguments
    options = {"authorization": key, **write_certificate(Path(directory))}
    for option in extra:
        name, _, value = option.partition("=")
        options[name] = value
    out = av.open(url, "w", format="whip", options=options)
    width, height = 320, 180
    video = audio = None
    if "v" in kind:
        video = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", 800_000
        video.time_base = fractions.Fraction(1, 90000)
        video.codec_context.options = {
            "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": "30",
            "bf": "0", "x264-params": "repeat-headers=1",
        }  # fmt: skip
    if "a" in kind:
        audio = out.add_stream("libopus", rate=48000)
        audio.layout, audio.bit_rate = "stereo", 64000
    began = time.monotonic()
    out.start_encoding()
    print(f"connected {time.monotonic() - began:.3f}", flush=True)
    noise = random.Random(1).randbytes(width * height * 2)
    began, sound = time.monotonic(), 0
    for number in range(int(float(seconds) * 30)):
        wait_s = began + number / 30 - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        if video is not None:
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(noise[number % 64 :][: plane.buffer_size])
            frame.pts, frame.time_base = number * 3000, fractions.Fraction(1, 90000)
            for packet in video.encode(frame):
                out.mux(packet)
        while audio is not None and sound * 960 / 48000 <= number / 30:
            block = av.AudioFrame(format="s16", layout="stereo", samples=960)
            at = range(sound * 960, (sound + 1) * 960)
            tone = [int(8000 * math.sin(2 * math.pi * 440 * i / 48000)) for i in at for _ in "lr"]
            block.planes[0].update(array.array("h", tone).tobytes())
            block.sample_rate, block.pts = 48000, sound * 960
            block.time_base = fractions.Fraction(1, 48000)
            for packet in audio.encode(block):
                out.mux(packet)
            sound += 1
    out.close()
    print("closed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
