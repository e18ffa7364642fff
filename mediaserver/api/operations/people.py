"""People, their roles and invitations."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import people_answers, stream_answers
from mediaserver.api.operations.operation import AFTER, Group, before, limit, operation
from mediaserver.api.people import closing, people

GROUP: Final = Group(
    "People",
    "",
    (
        operation(
            "GET invitations",
            """
            Invitations that may be taken.

            Those that may be taken, the newest first: `{"invitations": […], "next_before"}`; to
            who is no owner or support: theirs.
            """,
            people_answers.Invitations,
            query=(limit(500), before()),
        ),
        operation(
            "POST invitations",
            """
            Invites to a viewer, a stream or a role.

            Body: `viewer`, or `stream` and `role`, or `role`. 201 with `code` and `url`, shown
            this once.
            """,
            people_answers.MadeInvitation,
            status=201,
            body=people.NewInvitation,
            problems=(404,),
        ),
        operation(
            "DELETE invitations/{invitation}",
            "Takes one back. 404, also for another's.",
            people_answers.TakenBack,
        ),
        operation(
            "GET people",
            """
            People by id.

            `{"people": [person], "next_after"}`; the rest with `?after=`.
            """,
            people_answers.People,
            query=(AFTER,),
        ),
        operation(
            "GET people/{person}",
            """
            One person, with `roles`, `streams`, kinds of `credentials` and the count of
            `sessions`.
            """,
            people_answers.PersonInFull,
        ),
        operation(
            "PUT people/{person}/roles",
            """
            Sets somebody's roles for the whole server.

            Body: `roles`, all for the whole server: `owner`, `finance`, `support`, `auditor`,
            `creator`. Without `owner`, keys that they made end.
            """,
            people_answers.PersonInFull,
            body=people.Roles,
        ),
        operation(
            "DELETE people/{person}/sessions",
            """
            Signs somebody out everywhere: `{"ended"}`.
            """,
            stream_answers.Ended,
        ),
        operation(
            "GET streams/{slug}/people",
            """
            Who works on a stream: `{"people": [{"person", "name", "roles"}]}`.
            """,
            people_answers.StreamPeople,
        ),
        operation(
            "DELETE streams/{slug}/people/{person}/{role}",
            """
            Takes a role for a stream: `{"taken"}`.
            """,
            people_answers.TakenRole,
        ),
        operation(
            "GET people/{person}/export",
            "As `GET me/export`, by staff, for somebody who asks.",
            people_answers.Export,
            query=(AFTER,),
        ),
        operation(
            "POST people/{person}/erase",
            """
            As `POST me/close`, by staff, for somebody who asks. Again is harmless, and erases what
            came in since. 403: they are staff, and who asks is no owner.
            """,
            people_answers.Closed,
            body=closing.Close,
            problems=(409,),
        ),
    ),
)
