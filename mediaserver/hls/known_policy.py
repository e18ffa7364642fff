"""What control has told so far: a whole policy, and the changes that came after it. Pure.

HTTP processes keep one, and control the same, which it sends whole on a new link. A change costs
as much as it changes, however many streams there are: what is kept is changed in place, and who
holds `restrictions` or `stream_keys` sees the newest.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec.structs import replace

from mediaserver.errors import LinkError
from mediaserver.hls.restrictions import Restrictions
from mediaserver.ipc.messages import AddressRules, Policy, PolicyChange, TakenDown
from metering.units import StreamPolicy

ENDED_MAX: Final = 10_000
"""Sessions in one policy, 210 KB. Of more that end within a token's life, the store still refuses
the oldest where they cost something."""


def follow(known: KnownPolicy | None, message: Policy | PolicyChange) -> KnownPolicy:
    """Return what is known after a message: `known` itself, changed, unless it came whole.

    Raises:
        LinkError: It came after what is not known here: drop the link, it begins whole again.
    """
    if isinstance(message, Policy):
        return KnownPolicy(message)
    if known is None:
        raise LinkError("control began with a change")
    known.change(message)
    return known


class KnownPolicy:
    """One policy, kept by streams.

    Attributes:
        rest: What is not of streams; of these it has those of the last message alone.
        streams: By id.
        slugs: Which stream has a public name.
        stream_keys: By public name, SHA-256 of its publisher's key.
        restrictions: Who may see.
        address_rules: By stream; with None the server's.
        rules_version: Grows with each change of those.
    """

    def __init__(self, policy: Policy) -> None:
        self.streams: dict[UUID, StreamPolicy] = {}
        self.slugs: dict[str, UUID] = {}
        self.stream_keys: dict[str, bytes] = {}
        self.address_rules: dict[UUID | None, AddressRules] = {}
        self.rules_version = 0
        self._unlisted: set[UUID] = set()
        self._invited: set[UUID] = set()
        self._ended: dict[int, None] = {}
        """The newest last."""
        self._down: dict[UUID, TakenDown] = {}
        self._limited: set[UUID] = set()
        """The streams of these three."""
        self.restrictions = Restrictions(
            self._unlisted, self._invited, self._ended.keys(), self._down, self._limited
        )
        self._take(policy)

    @property
    def number(self) -> int:
        """Return which policy it is."""
        return self.rest.number

    def change(self, change: PolicyChange) -> None:
        """Take in what came after it.

        Raises:
            LinkError: That came after another one; nothing is changed.
        """
        if change.after != self.number:
            raise LinkError(
                f"a change after policy {change.after} came, and {self.number} is known"
            )
        # All old names go before a new one comes: two streams may have changed theirs in turn.
        for item in change.policy.streams:
            known = self.streams.get(item.stream)
            if known is not None:
                del self.slugs[known.slug]
                self.stream_keys.pop(known.slug, None)
            self._unlisted.discard(item.stream)
            self._invited.discard(item.stream)
            self._down.pop(item.stream, None)
            self._limited.discard(item.stream)
        self._change_rules(change.policy)
        self._take(change.policy)

    def whole(self) -> Policy:
        """Return all of it as one message."""
        return replace(
            self.rest,
            streams=tuple(self.streams.values()),
            stream_keys=tuple(self.stream_keys.items()),
            unlisted=tuple(self._unlisted),
            invited=tuple(self._invited),
            ended_sessions=tuple(reversed(self._ended)),
            address_rules=tuple(self.address_rules.values()),
            taken_down=tuple(self._down.values()),
        )

    def is_hidden(self, slug: str) -> bool:
        """Return whether a stream is by invitation: to strangers it is not there."""
        return self.slugs.get(slug) in self._invited

    def _change_rules(self, policy: Policy) -> None:
        """Forget rules that are no more, before those that are come."""
        new = {item.stream: item for item in policy.address_rules}
        for stream in (None, *(item.stream for item in policy.streams)):
            if self.address_rules.get(stream) != new.get(stream):
                self.rules_version += 1
                self.address_rules.pop(stream, None)

    def _take(self, policy: Policy) -> None:
        self.rest = policy
        for item in policy.streams:
            self.streams[item.stream] = item
            self.slugs[item.slug] = item.stream
        self.stream_keys.update(policy.stream_keys)
        self._unlisted.update(policy.unlisted)
        self._invited.update(policy.invited)
        self._down.update((item.stream, item) for item in policy.taken_down)
        self._limited.update(policy.unlisted, policy.invited)
        self._limited.update(item.stream for item in policy.taken_down)
        self.address_rules.update((item.stream, item) for item in policy.address_rules)
        for session in reversed(policy.ended_sessions):
            self._ended[session] = None
        while len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]
