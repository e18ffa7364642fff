"""Which streams are not for everybody, and whose sessions are over, as control told it last. Pure.

Of a stream that is not public nothing is given without a token: no playlist, init or picture
either. One by invitation is answered, without a token of its own, as a stream that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field
from uuid import UUID

from mediaserver.errors import AccessDeniedError
from mediaserver.ipc.messages import TakenDown
from mediaserver.playback_token import Grant


class HiddenError(Exception):
    """To who asks, there is no such stream."""


class TakenDownError(AccessDeniedError):
    """Nobody may watch it; `detail` says why, in words."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, "taken_down")
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What limits who may see.

    Attributes:
        unlisted: For those who have the address, and say who they are.
        invited: For guests alone.
        ended: Sessions of these that are over, while a token of theirs is not.
        taken_down: For nobody.
        limited: The streams of these.
        kept: Those, where who changes the others in place keeps them, too.
    """

    unlisted: AbstractSet[UUID] = frozenset()
    invited: AbstractSet[UUID] = frozenset()
    ended: AbstractSet[int] = frozenset()
    taken_down: Mapping[UUID, TakenDown] = field(default_factory=dict)
    limited: AbstractSet[UUID] = field(init=False)
    kept: InitVar[AbstractSet[UUID] | None] = None

    def __post_init__(self, kept: AbstractSet[UUID] | None) -> None:
        """Join what each request asks first: of most streams nothing is held."""
        limited = self.unlisted | self.invited | set(self.taken_down) if kept is None else kept
        object.__setattr__(self, "limited", limited)

    def check(self, stream: UUID, granted: Callable[[], Grant]) -> None:
        """Hold that who asks may see a stream.

        Args:
            granted: Returns what their token grants, or raises AccessDeniedError.

        Raises:
            HiddenError: It is by invitation, and they show none.
            AccessDeniedError: 401 or 403, of an unlisted one; 403 ``session`` when it is over.
            TakenDownError: To all who may know of it.
        """
        if stream not in self.limited:
            return
        taken = self.taken_down.get(stream)
        if taken is not None and stream not in self.invited:
            raise TakenDownError(taken.status, taken.text)
        fault = AccessDeniedError(403, "stream")
        try:
            grant = granted()
        except AccessDeniedError as denied:
            fault = denied
        else:
            if taken is not None and grant.stream == stream:
                raise TakenDownError(taken.status, taken.text)
            if grant.session in self.ended and grant.stream == stream:
                raise AccessDeniedError(403, "session")
            if grant.stream == stream:
                return
        raise HiddenError if stream in self.invited else fault


EVERYBODYS = Restrictions()
