"""Errors of the media server, sorted by whose fault they are and what to do next.

MediaServerError
├── ConfigError            operator: every fault at once, each with its key path and a remedy
├── OfferRejectedError     peer: a WHIP request that cannot be accepted; has .status
├── AccessDeniedError      peer: 401, 402 or 403
├── AddressError           peer: not one of our addresses, or not in its one spelling: 404
├── LinkError              us: another of our processes speaks another version or breaks it: drop it
├── PublishError           user: a publisher of ours cannot go on; says why
├── MediaFormatError       peer: media that its own description does not allow: discontinuity
│   └── PictureBoundsError peer: a picture larger than is taken; says what to choose
└── CapacityError          us: full or starting; 503, retry later
"""

from __future__ import annotations


class MediaServerError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(MediaServerError):
    """The configuration cannot be used.

    Attributes:
        faults: One line per fault: ``key.path: what is wrong; what to do``.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class OfferRejectedError(MediaServerError):
    """A WHIP request cannot be accepted.

    Attributes:
        status: HTTP status to answer with: 400, 413, 415 or 422.
        reason: One sentence for the creator, naming the value and the remedy.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


class AccessDeniedError(MediaServerError):
    """The caller may not.

    Attributes:
        status: 401, 402 or 403.
        reason: One word a program can act on, such as ``expired``.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status} {reason}")


class AddressError(MediaServerError):
    """The path is not a media address in its one canonical spelling."""


class LinkError(MediaServerError):
    """A link frame breaks the protocol, its version or its bounds."""


class PublishError(MediaServerError):
    """Our publisher ends, as nothing but a person can mend what is wrong; the message says what."""


class MediaFormatError(MediaServerError):
    """Encoded media that cannot be parsed; names the value."""


class PictureBoundsError(MediaFormatError):
    """A picture that is larger than is taken here; says what to choose."""


class CapacityError(MediaServerError):
    """No room now; the caller may come back."""
