"""Show the arguments of a command in its help as docs/cli.md shows them: NAME, [JSON], ID..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Iterator


class PlainCommand(TyperCommand):
    """A command whose help has its arguments by their names alone.

    Typer itself puts the required ones in braces, which a shell would expand, and Python's types
    beside them.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Give the words of the usage line."""
        options = [self.options_metavar] if self.options_metavar else []
        return [*options, *(_in_usage(argument) for argument in self._arguments(ctx))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what each argument and each option means."""
        arguments = [
            (_name(argument), argument.get_help_record(ctx)[1]) for argument in self._arguments(ctx)
        ]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        options = [
            option.get_help_record(ctx)
            for option in self.get_params(ctx)
            if option.param_type_name == "option" and not getattr(option, "hidden", False)
        ]
        with formatter.section("Options"):
            formatter.write_dl(options)

    def _arguments(self, ctx: Any) -> Iterator[Any]:
        for parameter in self.get_params(ctx):
            if parameter.param_type_name == "argument":
                yield parameter


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper()).removesuffix("...").strip("[]")


def _in_usage(argument: Any) -> str:
    name = _name(argument)
    more = "..." if argument.nargs != 1 else ""
    return f"{name}{more}" if argument.required else f"[{name}]{more}"
