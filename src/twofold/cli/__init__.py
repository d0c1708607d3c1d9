"""The command line: parse, call the library, print. No science lives here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from twofold.errors import UserError
from twofold.interrupt import terminated_as_interrupted

EXIT_USER = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `twofold`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with terminated_as_interrupted():
            _run(sys.argv[1:] if arguments is None else list(arguments))
    except UserError as error:
        _leave(f"twofold: {error}", EXIT_USER)
    except KeyboardInterrupt:
        _leave("twofold: stopped", EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _leave(f"twofold: {error}", EXIT_USER)
    except MemoryError:
        _leave("twofold: out of memory. Use fewer replicas, samples or frames (--stride)", EXIT_USER)


def _run(arguments: list[str]) -> None:
    import tyro

    from twofold.cli.commands import COMMANDS, GROUPS

    commands, name, rest = COMMANDS, "twofold", arguments
    if arguments and arguments[0] in GROUPS:
        commands, name, rest = GROUPS[arguments[0]], f"twofold {arguments[0]}", arguments[1:]
    tyro.extras.subcommand_cli_from_dict(
        dict(commands),
        prog=name,
        description="One diffusion model, two uses: independent conformations and a coarse-grained force field.",
        args=rest,
        sort_subcommands=False,
    )


def _leave(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)
