"""Show a product's page anew. The storefront runs this one, a service in Node."""

from typing import Literal

from pydantic import BaseModel

from bullq import RemoteJob


class Page(BaseModel):
    sku: str
    locale: Literal["en", "de"] = "en"


class Refreshed(BaseModel):
    path: str
    bytes: int
    etag: str


# Its body is in examples/shop/node/src/storefront.ts; no bullq worker takes this queue.
refresh_page = RemoteJob(queue="storefront", name="refresh-page", data=Page, result=Refreshed)
