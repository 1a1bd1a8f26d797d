"""TypeScript's compiler on a test's own folder, with the packages of the example's Node side."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

NODE_SIDE = Path(__file__).parents[3] / "examples" / "shop" / "node"
DEADLINE = 60.0  # seconds for what takes one on an idle machine


class Complaint(NamedTuple):
    """What the compiler says of a line, in full."""

    file: str
    line: int
    code: str
    message: str


def compile_all(folder: Path, *, bullmq: Path | None = None) -> list[Complaint]:
    """Compile every program in *folder* by the example's own settings, and give all complaints.

    *bullmq* is another version of that package to compile against.
    """
    (folder / "node_modules").symlink_to(NODE_SIDE / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    options: dict[str, object] = {"noEmit": True, "rootDir": ".", "noUnusedLocals": False}
    if bullmq is not None:
        options["paths"] = {"bullmq": [str(bullmq / "dist" / "esm" / "index.d.ts")]}
    settings = {
        "extends": str(NODE_SIDE / "tsconfig.json"),
        "compilerOptions": options,
        "include": ["*.ts", "src/*.ts"],
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        ["node_modules/.bin/tsc", "--pretty", "false"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode in {0, 1, 2}, done.stdout + done.stderr
    complaints = _read(done.stdout)
    assert bool(complaints) == bool(done.returncode), done.stdout
    return complaints


def _read(output: str) -> list[Complaint]:
    found: list[Complaint] = []
    for line in output.splitlines():
        match = re.match(r"(?P<file>[^(]+)\((?P<line>\d+),\d+\): error (?P<code>\w+): (.*)", line)
        if match:
            found.append(Complaint(match["file"], int(match["line"]), match["code"], match[4]))
        elif found:  # an explanation of the one before
            found[-1] = found[-1]._replace(message=f"{found[-1].message}\n{line}")
    return found
