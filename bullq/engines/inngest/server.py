"""Where an Inngest server is, and how it and this application know each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bullq.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from bullq.settings import Settings

DEV_SERVER = "http://127.0.0.1:8288"
_CLOUD_API = "https://api.inngest.com"
_CLOUD_EVENTS = "https://inn.gs"
_DEV_EVENT_KEY = "dev"  # a dev server takes any


@dataclass(frozen=True, slots=True, kw_only=True)
class InngestServer:
    """One server and this application's name and keys there.

    In *production* both sides sign; a dev server neither signs nor asks for keys.
    """

    app: str
    api_url: str
    event_url: str
    production: bool
    env: str | None = None
    event_key: str | None = field(default=None, repr=False)
    signing_key: str | None = field(default=None, repr=False)
    signing_key_fallback: str | None = field(default=None, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> InngestServer:
        """Read the INNGEST_* settings, with the precedence that Inngest's SDK gives them."""
        dev = settings.inngest_dev
        named = settings.inngest_base_url or (dev if isinstance(dev, str) else None)
        return cls(
            app=settings.inngest_app,
            api_url=settings.inngest_api_base_url or named or (DEV_SERVER if dev else _CLOUD_API),
            event_url=settings.inngest_event_api_base_url
            or named
            or (DEV_SERVER if dev else _CLOUD_EVENTS),
            production=not dev,
            env=settings.inngest_env,
            event_key=_revealed(settings.inngest_event_key) or (_DEV_EVENT_KEY if dev else None),
            signing_key=_revealed(settings.inngest_signing_key),
            signing_key_fallback=_revealed(settings.inngest_signing_key_fallback),
        )

    @property
    def signing_keys(self) -> list[str]:
        """The keys by which a request may be signed, the current one first."""
        return [key for key in (self.signing_key, self.signing_key_fallback) if key is not None]

    def check_can_send(self) -> None:
        """Raise SettingsError where no event can be sent."""
        if self.event_key is None:
            raise SettingsError(
                "INNGEST_EVENT_KEY is not set, so that no job can be sent to Inngest. Set it, or "
                "INNGEST_DEV=1 for a dev server"
            )

    def check_can_serve(self) -> None:
        """Raise SettingsError where requests could not be told from forged ones."""
        if self.production and self.signing_key is None:
            raise SettingsError(
                "INNGEST_SIGNING_KEY is not set, so that anybody could run jobs here. Set it, or "
                "INNGEST_DEV=1 for a dev server, which signs nothing"
            )


def is_configured(settings: Settings) -> bool:
    """Tell whether the settings name an Inngest server."""
    return bool(settings.inngest_dev or settings.inngest_event_key or settings.inngest_signing_key)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
