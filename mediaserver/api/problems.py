"""Every error of the API as `application/problem+json`, and which error is which status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from mediaserver import log
from mediaserver.errors import AccessDeniedError, CapacityError
from mediaserver.http.problem import CONTENT_TYPE, problem
from metering.errors import (
    BookError,
    ChainError,
    ExtrinsicRejectedError,
    IdempotencyConflictError,
    InvalidValueError,
    StoreUnavailableError,
    UnknownNameError,
)

_log = log.get("api")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """An answer of 400 or above that a handler has decided on."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **extra: object,
    ) -> None:
        """Say what is wrong.

        Args:
            status: HTTP status.
            title: A few words, the same for all errors of this kind.
            detail: One sentence with the value and the remedy.
            headers: Such as ``Retry-After``.
            **extra: Members that a program can act on.
        """
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


def answer(error: ApiError) -> web.Response:
    """Return the response of an error."""
    return web.Response(
        status=error.status,
        body=problem(error.status, error.title, error.detail, **error.extra),
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **error.headers},
    )


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem; only bugs are logged."""
    try:
        return await handler(request)
    except ApiError as error:
        return answer(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return answer(_of_http(request, error))
    except Exception as error:  # noqa: BLE001  the one place where a request's failure ends
        return answer(_of_error(request, error))


def _of_http(request: web.Request, error: web.HTTPException) -> ApiError:
    details = {
        404: f"there is nothing at {request.path}",
        405: f"{request.path} does not take {request.method}",
        413: f"the body is larger than {request.client_max_size} bytes",
    }
    keep = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    title = HTTPStatus(error.status).phrase
    return ApiError(error.status, title, details.get(error.status, title), keep)


def _of_error(request: web.Request, error: Exception) -> ApiError:
    match error:
        case UnknownNameError():
            return ApiError(404, "Unknown name", str(error))
        case IdempotencyConflictError():
            return ApiError(409, "Idempotency conflict", str(error))
        case InvalidValueError():
            return ApiError(422, "Invalid value", str(error))
        case AccessDeniedError():
            return ApiError(error.status, "Access denied", str(error), reason=error.reason)
        case ExtrinsicRejectedError():
            return ApiError(409, "The chain refuses it", str(error))
        case StoreUnavailableError() | CapacityError() | ChainError() | BookError():
            return ApiError(503, "Not available now", str(error), {"Retry-After": "1"})
        case _:
            # A path may hold a viewer's token: only its first segment is logged.
            where = "/" + request.path.lstrip("/").partition("/")[0]
            _log.exception("api.request.failed", where=where, method=request.method)
            return ApiError(
                500,
                "Internal error",
                "the server failed; its log says why: look for api.request.failed",
            )
