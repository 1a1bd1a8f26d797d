"""bull-board as a person sees it: where things are on its pages, and how they are clicked."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.support.deadline import DEADLINE

_DEADLINE_MS = DEADLINE * 1000
expect.set_options(timeout=_DEADLINE_MS)

RETRY = "refresh-cw"
PROMOTE = "corner-up-left"
DUPLICATE = "files"
EDIT = "pencil"
REMOVE = "trash2"
RESCHEDULE = "clock"
PRIORITY = "arrow-up-down"


class BoardPage:
    """One page of the board. Its icons have no names: they are found by what they picture."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        """Errors on the console, and requests to anything but the board."""
        page.set_default_timeout(_DEADLINE_MS)
        page.on("console", lambda told: self._hear(told.type, told.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self._look(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error":
            self.troubles.append(text)

    def _look(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.troubles.append(f"asked {url}")

    async def open(self, path: str = "") -> None:
        """Load a page anew, so that it shows what is now."""
        await self.page.goto(f"{self.url}{path}")

    async def open_queue(self, queue: str, state: str = "latest") -> None:
        await self.open(f"queue/{queue}?status={state}")

    async def open_job(self, queue: str, job_id: str) -> Locator:
        """Open a job's own page and give its card."""
        await self.open(f"queue/{queue}/{job_id}")
        return self.card(job_id)

    def card(self, job_id: str) -> Locator:
        """Give the card of a job on the open page: the flow's panel beside it has no tabs."""
        cards = self.page.locator("[class*=card-]").filter(has_text=job_id)
        return cards.filter(has=self.page.get_by_role("tab")).last

    async def tab(self, card: Locator, name: str) -> Locator:
        """Click a tab of a job's card and give what it shows."""
        await card.get_by_role("tab", name=name).click()
        return card.get_by_role("tabpanel", name=name)

    async def click(self, icon: str, within: Locator | None = None) -> None:
        """Click the button with *icon*."""
        await (within or self.page).locator(f"button:has(svg.lucide-{icon})").first.click()

    async def choose(self, action: str) -> None:
        """Choose an action of the open queue's menu."""
        await self.click("ellipsis-vertical")
        await self.page.get_by_role("menuitem", name=action).click()

    async def begin_job(self) -> None:
        """Open the form for a new job, and wait until it knows what data the queue's jobs take."""
        async with self.page.expect_response("**/job-data-schema"):
            await self.choose("Add job")

    async def confirm(self) -> None:
        """Say yes to the question that an action asks, and see it go."""
        question = self.page.get_by_role("alertdialog")
        await question.get_by_role("button", name="Confirm").click()
        await expect(question).to_have_count(0)

    @property
    def form(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    async def submit(self, button: str) -> None:
        """Send the dialog off, and see it close."""
        await self.form.get_by_role("button", name=button, exact=True).click()
        await expect(self.form).to_have_count(0)

    def editor(self, field: str) -> Locator:
        """Give one of the dialog's editors."""
        return self.form.locator(f"div:has(> input[name={field}]) .cm-content").last

    async def write_json(self, field: str, value: Any) -> None:
        """Replace the text of one of the dialog's editors."""
        await self.editor(field).click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(json.dumps(value))
