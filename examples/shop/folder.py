"""Where the shop keeps what it writes, and how it writes a file that nobody sees half done."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def data_folder(name: str = "") -> Path:
    """Give the folder that SHOP_DATA names, or one of its folders, made where it is missing."""
    root = os.environ.get("SHOP_DATA") or Path(tempfile.gettempdir()) / "shop-data"
    folder = Path(root) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name first: a job that is killed half-way leaves no half a file.

    The other name is a new one each time, since a job may run twice at once.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as draft:
        draft.write(content)
    try:
        Path(draft.name).replace(path)
    except OSError:
        Path(draft.name).unlink()
        raise
