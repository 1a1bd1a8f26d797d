"""Find the application that a process works for: the one that is named, or one made by itself."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bullq.app import DEFAULT_PACKAGE, Bullq
from bullq.errors import JobDefinitionError, SettingsError
from bullq.jobs.discovery import import_problem
from bullq.jobs.dispatching import bind_dispatcher
from bullq.jobs.flow import bind_flows
from bullq.settings import Settings, load_settings


def load_app(settings: Settings | None = None) -> Bullq:
    """Give the application that BULLQ_APP names: `module:app`, or a package of jobs.

    Without it the package `jobs` in the current folder is taken.
    """
    settings = settings or load_settings()
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    name = settings.app or DEFAULT_PACKAGE
    module_name, colon, attribute = name.partition(":")
    if not colon:
        return Bullq(jobs=module_name, settings=settings)
    try:
        app = getattr(importlib.import_module(module_name), attribute)
    except AttributeError as error:
        if getattr(error, "obj", None) is not sys.modules.get(module_name):
            raise JobDefinitionError([import_problem(module_name, error)]) from error
        raise SettingsError(f"BULLQ_APP={name!r} cannot be loaded: {error}") from error
    except (Exception, SystemExit) as error:
        raise JobDefinitionError([import_problem(module_name, error)]) from error
    if not isinstance(app, Bullq):
        raise SettingsError(
            f"BULLQ_APP={name!r} is a {type(app).__name__}, not a Bullq application"
        )
    return app


_default: Bullq | None = None


def _default_app() -> Bullq:
    """Set the application up from the settings, at the first dispatch of a process without one."""
    global _default  # noqa: PLW0603 - one application per process is the point
    if _default is None:
        _default = load_app()
    return _default


bind_dispatcher(lambda: _default_app().dispatcher)
bind_flows(lambda: _default_app().flows)
