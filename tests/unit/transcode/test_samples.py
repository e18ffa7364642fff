"""Access units to samples: where parameter sets go, and when a format is another."""

from mediaserver.transcode.samples import SampleMaker

HD = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
SMALL = bytes.fromhex("6742c01eda0280bfe584000003000400000300f03c58ba80")
PPS = bytes.fromhex("68ce3c80")
OTHER_PPS = bytes.fromhex("68ebecb22c")
SECOND_PPS = bytes.fromhex("685bbc80")  # PPS, with id 1
HD_AGAIN = b"\x27" + HD[1:]  # another nal_ref_idc
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
    """An encoder with two of them is still decodable, from each IDR on."""
    maker = SampleMaker()

    assert maker.make((HD, PPS, SECOND_PPS, IDR))[0] == (SECOND_PPS, IDR)
    assert maker.make((IDR,)) == ((SECOND_PPS, IDR), True, False)


def test_f06_repeated_and_partial_parameter_sets_are_the_same_format() -> None:
    """GStreamer repeats the pair, and the PPS alone: content counts, not how often."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    for sets in ((HD, PPS, HD, PPS), (PPS,), (HD,), (PPS, HD), (HD_AGAIN, PPS + b"\0"), ()):
        assert maker.make((*(nal.rstrip(b"\0") for nal in sets), IDR)) == ((IDR,), True, False)


def test_f06_pps_of_another_sps_stays_out_of_the_sample() -> None:
    """Players know the format's SPS only."""
    of_sps_1 = bytes.fromhex("684b80")  # pic_parameter_set_id 1, seq_parameter_set_id 1

    assert SampleMaker().make((HD, of_sps_1, PPS, IDR))[0] == (IDR,)


def test_f06_the_later_set_of_one_id_counts() -> None:
    """A decoder reads them in order, so the last one is in force."""
    maker = SampleMaker()
    maker.make((SMALL, OTHER_PPS, HD, PPS, IDR))

    assert maker.format is not None
    assert (maker.format.sps, maker.format.pps) == (HD, PPS)


def test_f06_pps_that_changes_between_idrs_stays_in_the_sample() -> None:
    """It is in force at once, so players need it there."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    assert maker.make((OTHER_PPS, SLICE)) == ((OTHER_PPS, SLICE), False, False)
    assert maker.make((IDR,))[2] is True


def test_an_idr_can_be_given_to_a_fresh_decoder() -> None:
    """Parameter sets that came long before are put in front of it."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    assert maker.decodable((IDR,)) == (HD, PPS, IDR)
    assert maker.decodable((HD, PPS, IDR)) == (HD, PPS, IDR)
