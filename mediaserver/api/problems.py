"""Every error of the API as `application/problem+json`, and which error is which status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from mediaserver import log
from mediaserver.errors import AccessDeniedError, CapacityError
from mediaserver.http.problem import ApiError
from mediaserver.http.problem_response import error_response
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


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a problem; only bugs are logged."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(_of_http(request, error))
    except Exception as error:  # noqa: BLE001  the one place where a request's failure ends
        return error_response(_of_error(request, error))


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
