"""Helpers for tests of jobs: an engine without a server, and the suite that every engine passes."""

from bullq.testing.inline import Inline, InlineRun, StepView

__all__ = ["Inline", "InlineRun", "StepView"]
