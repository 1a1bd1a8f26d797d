"""Read a Dockerfile into stages of instructions, as far as ours uses the format."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction: its upper-case keyword and the rest of the line, continuations joined."""

    keyword: str
    value: str

    @property
    def words(self) -> list[str]:
        """Split the value as the exec form (a JSON list) or as a shell would."""
        if self.value.startswith("["):
            return [str(word) for word in json.loads(self.value)]
        return shlex.split(self.value)

    @property
    def flags(self) -> dict[str, str]:
        """Return the leading ``--name=value`` flags."""
        words = self.value.split()
        leading = words[: next((i for i, w in enumerate(words) if not w.startswith("--")), None)]
        return dict(word.removeprefix("--").split("=", 1) for word in leading)

    @property
    def arguments(self) -> list[str]:
        """Return the words without the flags."""
        return [word for word in self.words if not word.startswith("--")]


@dataclass
class Stage:
    """What follows one FROM."""

    base: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        """Return every instruction with *keyword*, in order."""
        return [one for one in self.instructions if one.keyword == keyword]

    def last(self, keyword: str) -> Instruction:
        """Return the instruction that counts where a later one overrides; KeyError if none."""
        found = self.all(keyword)
        if not found:
            raise KeyError(keyword)
        return found[-1]

    @property
    def environment(self) -> dict[str, str]:
        """Return what ENV sets, a PATH that names the old one included as written."""
        pairs = [word for one in self.all("ENV") for word in one.words]
        return dict(pair.split("=", 1) for pair in pairs)


def read_instructions(text: str) -> list[Instruction]:
    """Return the instructions of *text*; comments between continued lines are dropped."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        Instruction(keyword.upper(), " ".join(value.split()))
        for keyword, _, value in (line.strip().partition(" ") for line in joined.splitlines())
    ]


def read_stages(path: Path = ROOT / "Dockerfile") -> list[Stage]:
    """Return the stages of the Dockerfile at *path*; only ARG may precede the first FROM."""
    stages: list[Stage] = []
    for instruction in read_instructions(path.read_text(encoding="utf-8")):
        if instruction.keyword == "FROM":
            base, *alias = instruction.arguments
            stages.append(Stage(base, alias[1] if alias else None))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.keyword != "ARG":
            raise ValueError(f"{path}: {instruction.keyword} stands before the first FROM.")
    return stages
