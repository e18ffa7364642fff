"""Access units to samples: where parameter sets go, and when a format is another."""

from mediaserver.transcode.samples import SampleMaker

HD = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
SMALL = bytes.fromhex("6742c01eda0280bfe584000003000400000300f03c58ba80")
PPS = bytes.fromhex("68ce3c80")
OTHER_PPS = bytes.fromhex("68ebecb22c")
IDR = b"\x65\x88\x84\x01"
SLICE = b"\x41\x9a\x02\x03"


def test_a_sample_has_no_parameter_sets_and_they_become_the_format() -> None:
    """Parameter sets are in the init, once, and nowhere else."""
    maker = SampleMaker()

    made = maker.make((b"\x09\xf0", HD, PPS, IDR))

    assert made == ((IDR,), True, True)
    assert maker.format is not None
    assert (maker.format.sps, maker.format.pps) == (HD, PPS)
    assert (maker.format.width, maker.format.height) == (1920, 1080)


def test_repeated_parameter_sets_change_nothing() -> None:
    """A publisher that repeats them every second does not make a discontinuity every second."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    assert maker.make((HD, PPS, IDR))[2] is False
    assert maker.make((SLICE, HD, PPS))[2] is False
    assert maker.make((IDR,))[2] is False


def test_late_parameter_sets_count_from_the_next_idr() -> None:
    """They may come by themselves, before or after the picture that needs them."""
    maker = SampleMaker()

    assert maker.make((IDR,)) == ((IDR,), True, False)
    assert maker.format is None
    assert maker.make((HD,)) == ((), False, False)
    assert maker.make((PPS, SLICE)) == ((SLICE,), False, False)
    assert maker.make((IDR,))[2] is True


def test_another_size_is_another_format_at_the_idr() -> None:
    """A browser that goes from 360p to 1080p gets a new init exactly there."""
    maker = SampleMaker()
    maker.make((SMALL, PPS, IDR))

    assert maker.make((HD, PPS, SLICE))[2] is False
    assert maker.make((IDR,))[2] is True
    assert maker.format is not None
    assert maker.format.height == 1080


def test_a_second_picture_parameter_set_stays_in_the_sample() -> None:
    """An encoder with two of them is still decodable."""
    sample, _, _ = SampleMaker().make((HD, PPS, OTHER_PPS, IDR))

    assert sample == (OTHER_PPS, IDR)


def test_an_idr_can_be_given_to_a_fresh_decoder() -> None:
    """Parameter sets that came long before are put in front of it."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    assert maker.decodable((IDR,)) == (HD, PPS, IDR)
    assert maker.decodable((HD, PPS, IDR)) == (HD, PPS, IDR)
