"""What the demo starts, and how."""

from mediaserver.cli.demo import publisher_command


def test_a_l8_stream_key_is_in_no_argument():
    """Any user of the machine lists the arguments of all processes; an environment is private."""
    command, env = publisher_command("http://127.0.0.1:8080/demo/whip", "s3cret")

    assert not any("s3cret" in argument for argument in command)
    assert env == {"VILOKANAM_STREAM_KEY": "s3cret"}
