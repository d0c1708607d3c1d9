"""Errors meant for the person at the terminal."""

import re
from pathlib import Path

WORD = re.compile(r"[^\W\d_]+(-[^\W\d_]+)*,?")


class UserError(Exception):
    """A mistake that the user can mend.

    Its text is one line that says what was found, what was expected and what to do. The command line prints it
    and leaves with exit code 2; nothing has been written or destroyed by then.
    """

    def __init__(self, found: str, expected: str = "", do: str = "") -> None:
        self.found, self.expected, self.do = found, expected, do
        first = found if _begins_with_a_name(found) else _capital(found)
        parts = [first, f"Expected {expected.rstrip('. ')}" if expected else "", _capital(do)]
        text = ". ".join(part.rstrip(". ") for part in parts if part) + "."
        super().__init__(" ".join(line.strip() for line in text.splitlines()))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _begins_with_a_name(text: str) -> bool:
    """Whether `text` begins with the name of a file, or with anything that is no plain word; neither may be changed."""
    words = text.split(" ")
    return not WORD.fullmatch(words[0]) or any(_exists(" ".join(words[: n + 1])) for n in range(len(words)))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # no name of a file: too long, or with a zero byte
        return False
