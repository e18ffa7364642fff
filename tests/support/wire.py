"""Messages as the bytes of a socket."""

from itertools import chain

from mediaserver.ipc.messages import Message, encode


def wire(*messages: Message) -> bytes:
    """Return the frames of messages, one after the other."""
    return b"".join(chain.from_iterable(map(encode, messages)))
