"""Options of a program from its command line: `tf.flags`, also as `tf.app.flags`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from twinflow.core.errors import ArgumentError


class FlagValues:
    """The values of the options that were defined; the command line is read when the first one is asked for."""

    def __init__(self) -> None:
        self.__dict__["_options"] = {}
        self.__dict__["_values"] = {}
        self.__dict__["_read"] = False

    def define(self, name: str, default: Any, help: str | None, kind: Any, **choices: Any) -> None:
        """A further option. Raises: ArgumentError if there is one of this name."""
        if name in self._options:
            raise ArgumentError(f"tf.flags: the option {name!r} is defined already")
        self._options[name] = (default, help, kind, choices)
        self.__dict__["_read"] = False

    def parse(self, argv: list[str]) -> list[str]:
        """Read options from arguments; returns the others."""
        parser = argparse.ArgumentParser(allow_abbrev=False)
        for name, (default, text, kind, choices) in self._options.items():
            parser.add_argument(f"--{name}", dest=name, default=default, help=text, type=kind, **choices)
            if kind is _truth:
                parser.add_argument(
                    f"--no{name}", dest=name, action="store_const", const=False, default=argparse.SUPPRESS
                )
        switches = {f"--{name}" for name, option in self._options.items() if option[2] is _truth}
        known, rest = parser.parse_known_args([f"{a}=true" if a in switches else a for a in argv])
        self._values.update(vars(known))
        self.__dict__["_read"] = True
        return rest

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__["_options"]:
            raise AttributeError(f"tf.flags: there is no option {name!r}")
        if not self.__dict__["_read"]:
            self.parse(sys.argv[1:])
        return self.__dict__["_values"][name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __call__(self, argv: list[str]) -> list[str]:
        """Read the options after the program's name; returns the name and what is left."""
        return [argv[0], *self.parse(argv[1:])]

    def flag_values_dict(self) -> dict[str, Any]:
        """All options and their values."""
        return {name: getattr(self, name) for name in self._options}


FLAGS = FlagValues()


def _truth(text: Any) -> bool:
    if isinstance(text, bool):
        return text
    words = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
    if str(text).lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return words[str(text).lower()]


def DEFINE_string(name: str, default: Any, help: str | None = None) -> None:
    """An option with text."""
    FLAGS.define(name, default, help, str)


def DEFINE_integer(name: str, default: Any, help: str | None = None) -> None:
    """An option with a whole number."""
    FLAGS.define(name, default, help, int)


def DEFINE_float(name: str, default: Any, help: str | None = None) -> None:
    """An option with a number."""
    FLAGS.define(name, default, help, float)


def DEFINE_boolean(name: str, default: Any, help: str | None = None) -> None:
    """An option that is true or false: --name, --noname, --name=true."""
    FLAGS.define(name, default, help, _truth)


DEFINE_bool = DEFINE_boolean


def DEFINE_enum(name: str, default: Any, enum_values: Any, help: str | None = None) -> None:
    """An option with one of several words."""
    FLAGS.define(name, default, help, str, choices=list(enum_values))


def DEFINE_list(name: str, default: Any, help: str | None = None) -> None:
    """An option with words between commas."""
    FLAGS.define(name, default, help, lambda text: text.split(","))
