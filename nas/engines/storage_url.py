"""Hide the secrets of a storage URL in messages and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

HIDDEN = "***"
HARMLESS = ("host", "port", "user", "dbname", "database", "charset", "sslmode", "ssl_mode", "connect_timeout")
"""Query keys whose values are shown. Drivers may accept secrets under any other key."""


def without_secrets(url: str) -> str:
    """Return the URL with ``***`` in place of the password and of every query value that may be secret."""
    kind, mark, _ = url.partition("://")
    if not mark and ("@" not in url or kind.endswith(".journal") or kind.startswith("journal:")):
        return url
    parsed = _parsed(url)
    if parsed is None:
        return f"{kind}://{HIDDEN}" if mark else HIDDEN
    host = parsed.host and parsed.host.rpartition("@")[2]  # before it, the end of a password with an @
    shown = parsed.set(host=host, query={key: parsed.query[key] for key in parsed.query if key in HARMLESS})
    text = shown.render_as_string(hide_password=True)
    hidden = "&".join(f"{key}={HIDDEN}" for key in parsed.query if key not in HARMLESS)
    return f"{text}{'&' if '?' in text else '?'}{hidden}" if hidden else text


def hide_secrets(text: str, url: str) -> str:
    """Replace the secrets of a URL in a text, for example in a driver's message."""
    parsed = _parsed(url)
    if parsed is None:
        return text
    values = [parsed.query[key] for key in parsed.query if key not in HARMLESS]
    secrets = [parsed.password, (parsed.host or "").rpartition("@")[0], *values]
    for secret in secrets:
        if isinstance(secret, str) and secret:
            text = text.replace(secret, HIDDEN)
    return text


def _parsed(url: str) -> URL | None:
    """Parse the URL with SQLAlchemy. Return None if that fails, or if another field may hold a part of the password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    return None if "@" in (parsed.database or "") else parsed
