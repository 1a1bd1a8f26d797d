"""Tell requests of the Inngest server from forged, changed and old ones."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

import jcs

HEADER = "x-inngest-signature"

_PREFIX = re.compile(r"^signkey-\w+-")


class Unsigned(Exception):  # noqa: N818 - what the request is
    """The request is not one of the server's; the message says why, for our log."""


class Stale(Unsigned):
    """The request was signed by the server, but not just now."""


def check(
    body: bytes,
    signature: str | None,
    keys: Sequence[str],
    *,
    max_age: float,
    now: Callable[[], float] = time.time,
) -> None:
    """Raise Unsigned unless one of *keys* has signed *body* within the last *max_age* seconds.

    The server signs the canonical JSON of the body and the time in seconds. Inngest's SDK takes
    a request however old it is, so that one that was overheard could be sent again for ever.
    """
    if signature is None:
        raise Unsigned(f"it has no {HEADER} header")
    told = parse_qs(signature)
    moment, given = told.get("t", [""])[0], told.get("s", [""])[0]
    if not re.fullmatch(r"\d{1,12}", moment) or not given:
        raise Unsigned(f"its {HEADER} header is malformed")
    signed = _canonical(body) + moment.encode()
    if not any(hmac.compare_digest(_sign(signed, key), given.encode()) for key in keys):
        raise Unsigned("its signature is not one of this application's keys")
    age = now() - int(moment)
    if abs(age) > max_age:
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s in the future"
        raise Stale(f"it was signed {when}, and {max_age:g} s is the most; are the clocks right?")


def sign(body: bytes, key: str, now: float | None = None) -> str:
    """Sign a request to ourselves, as the server would."""
    moment = str(round(time.time() if now is None else now))
    return f"t={moment}&s={_sign(_canonical(body) + moment.encode(), key).decode()}"


def _sign(signed: bytes, key: str) -> bytes:
    secret = _PREFIX.sub("", key).encode()
    return hmac.new(secret, signed, hashlib.sha256).hexdigest().encode()


def _canonical(body: bytes) -> bytes:
    if not body:
        return b""
    try:
        canonical: bytes = jcs.canonicalize(json.loads(body))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Unsigned(f"its body is no JSON: {error}") from None
    return canonical
