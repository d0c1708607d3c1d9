"""Errors meant for the person at the terminal."""


class UserError(Exception):
    """A mistake that the user can mend.

    Its text is one line that says what was found, what was expected and what to do. The command line prints it
    and leaves with exit code 2; nothing has been written or destroyed by then.
    """

    def __init__(self, found: str, expected: str = "", do: str = "") -> None:
        self.found, self.expected, self.do = found, expected, do
        parts = [found.rstrip(". "), f"expected {expected.rstrip('. ')}" if expected else "", do.rstrip(". ")]
        text = ". ".join(part[:1].upper() + part[1:] for part in parts if part) + "."
        super().__init__(" ".join(text.split()))
