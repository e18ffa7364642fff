"""An offer or a fragment parses, or raises OfferRejectedError; never anything else."""

import contextlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import OfferRejectedError
from mediaserver.ingest import sdp, sdp_answer, sdp_offer

GOLDEN = Path(__file__).parent.parent / "golden"
OFFERS = [(GOLDEN / f"offer-{name}.sdp").read_text() for name in ("obs", "chromium")]
LOCAL = sdp_answer.LocalTransport("abcd1234", "p" * 24, "AA", ("x",), 1)
LINES = st.sampled_from([line for offer in OFFERS for line in offer.splitlines()])
ODD = st.text(alphabet=st.sampled_from(" :;=/0129-amvAx\r\0\u2028é٣"), max_size=12)


def judged(text):
    """Parse, and answer what was accepted; only the named error may come out."""
    with contextlib.suppress(OfferRejectedError):
        offer = sdp_offer.parse_offer(text)
        reply = sdp_answer.build_answer(offer, LOCAL)
        assert reply.count("\nm=") == len(offer.tracks)
        assert all(line[1] == "=" for line in reply.split("\r\n")[:-1])
        for track in offer.tracks:
            assert track.clock_rate > 0
    with contextlib.suppress(OfferRejectedError):
        sdp.parse_fragment(text)


@given(st.text(max_size=200))
def test_any_text(text):
    judged(text)
    judged("v=0\n" + text)


@given(st.lists(LINES, max_size=60))
def test_any_mix_of_real_lines(lines):
    judged("v=0\n" + "\n".join(lines))


@given(st.sampled_from(OFFERS), st.data())
def test_real_offers_with_any_lines_damaged(offer, data):
    lines = offer.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        at = data.draw(st.integers(0, len(lines[index])))
        until = data.draw(st.integers(at, len(lines[index])))
        lines[index] = lines[index][:at] + data.draw(ODD) + lines[index][until:]
    judged("\n".join(lines))
