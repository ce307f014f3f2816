"""The help: commands in full, options in titled groups with their values, ranges and defaults."""

from typing import Any

import typer.core


class GroupedHelp(typer.core.TyperCommand):
    """A command whose help shows its options in the groups of `rich_help_panel`, in their order.

    typer itself shows the groups only in its rich format, which breaks the lines of the examples.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the arguments and the required options as they are typed."""
        arguments = _arguments(self)
        options = [one for one in self.params if one.required and one not in arguments]
        return [
            *(_value_name(one, ctx) for one in arguments),
            *(_option_name(one, ctx) for one in options),
            "[OPTIONS]",
        ]

    def described_parameters(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Return name and description of the arguments and of each group of options, by title."""
        arguments = _arguments(self)
        described = [(_value_name(one, ctx), one.help) for one in arguments if one.help]
        groups = {"Arguments": described} if described else {}
        options: list[Any] = [one for one in self.params if one not in arguments]
        for option in options:
            row = _option_name(option, ctx), _description(option)
            groups.setdefault(option.rich_help_panel or "Options", []).append(row)
        return groups

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and each group of options; their descriptions begin in one column."""
        groups = self.described_parameters(ctx)
        widest = max(
            (len(name) for title in groups if title != "Arguments" for name, _ in groups[title]),
            default=0,
        )
        for title, rows in groups.items():
            width = 0 if title == "Arguments" else widest
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_lines(self.epilog, formatter)


class CommandsInFull(typer.core.TyperGroup):
    """Commands whose descriptions are shown in full; typer cuts those that do not fit a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the name and the first sentence of each command."""
        rows = [(name, one.get_short_help_str(1000)) for name, one in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the exit codes."""
        _write_lines(self.epilog, formatter)


def _write_lines(text: str | None, formatter: Any) -> None:
    """Write a title and the lines below it, as they are."""
    title, _, lines = (text or "").partition("\n")
    formatter.write(f"\n{title}:\n{lines}")


def _arguments(command: GroupedHelp) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "argument"]


def _value_name(parameter: Any, ctx: Any) -> str:
    """Return what stands for the value of an argument or option, such as FILE or N."""
    name = str(parameter.metavar or parameter.display_type(ctx).strip("<>"))
    if parameter.param_type_name == "option":
        return name
    name += "..." * (parameter.nargs != 1)
    return name if parameter.required else f"[{name}]"


def _option_name(option: Any, ctx: Any) -> str:
    name = ", ".join([*option.opts, *option.secondary_opts])
    return name if option.is_flag else f"{name} {_value_name(option, ctx)}"


def _description(option: Any) -> str:
    """Return the help of an option with its range and default, if it has any."""
    default = option.default
    if isinstance(option.show_default, str):
        default = option.show_default
    elif option.is_flag:  # one of two flags is the default; a single one is not
        names = option.opts if default else option.secondary_opts
        default = names[0] if option.secondary_opts and default is not None else None
    facts = ["required" if option.required else "", _range(option)]
    if default is not None:
        facts.append(f"default: {default}")
    told = "; ".join(fact for fact in facts if fact)
    return f"{option.help} {told[:1].upper()}{told[1:]}." if told else str(option.help)


def _range(option: Any) -> str:
    if option.min is not None and option.max is not None:
        return f"{option.min} to {option.max}"
    return "" if option.min is None else f"at least {option.min}"
