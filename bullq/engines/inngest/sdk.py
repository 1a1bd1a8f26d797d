"""The one place that imports Inngest's SDK, and says which of its inner parts are needed.

Its public modules serve FastAPI, Flask, Django and Tornado alone; what answers a request for any
of them is inner. The version is bounded in pyproject.toml, and a test uses every name from here.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # The SDK defines a model in the way of pydantic 1, and users may have warnings as errors.
    warnings.filterwarnings("ignore", message="Support for class-based `config`")
    from inngest import (
        Cancel,
        Concurrency,
        Context,
        Function,
        Inngest,
        Priority,
        RetryAfterError,
        StepError,
        Streaming,
        Throttle,
        TriggerCron,
        TriggerEvent,
    )
    from inngest._internal.comm_lib import CommHandler, CommRequest, CommResponse
    from inngest._internal.errors import Error
    from inngest._internal.server_lib import Framework
    from inngest._internal.step_lib.base import ResponseInterrupt, SkipInterrupt

__all__ = [
    "Cancel",
    "CommHandler",
    "CommRequest",
    "CommResponse",
    "Concurrency",
    "Context",
    "Error",
    "Framework",
    "Function",
    "Inngest",
    "Priority",
    "ResponseInterrupt",
    "RetryAfterError",
    "SkipInterrupt",
    "StepError",
    "Streaming",
    "Throttle",
    "TriggerCron",
    "TriggerEvent",
    "close",
    "has_memos",
    "is_planned",
    "max_attempts",
    "memos",
]


def max_attempts(ctx: Context) -> int | None:
    """Give how often the server tries a request in all, where it has said so."""
    return ctx.step._execution._request.ctx.max_attempts  # type: ignore[no-any-return, unused-ignore] # noqa: SLF001 - nowhere else


def memos(ctx: Context) -> list[tuple[object, bool]]:
    """List what the server knows of steps that the body has not come to yet.

    A pair each: what the step gave, and whether it failed.
    """
    known = ctx.step._execution._memos.values()  # type: ignore[attr-defined, unused-ignore] # noqa: SLF001 - nowhere else
    return [(memo.data, memo.error is not None) for memo in known]


async def close(client: Inngest) -> None:
    """Close the connections that the SDK keeps open for good."""
    http = client._http_client  # noqa: SLF001 - nowhere else
    await http._http_client.aclose()  # noqa: SLF001 - nowhere else
    http._http_client_sync.close()  # noqa: SLF001 - nowhere else


def is_planned(ctx: Context) -> bool:
    """Tell whether the request is for one planned step: it repeats all of the body before it."""
    return ctx.step._target_hashed_id is not None  # noqa: SLF001 - nowhere else


def has_memos(ctx: Context) -> bool:
    """Tell whether the server knows of steps that the body has not come to yet."""
    return ctx.step._execution._memos.size > 0  # type: ignore[attr-defined, no-any-return, unused-ignore] # noqa: SLF001 - nowhere else
