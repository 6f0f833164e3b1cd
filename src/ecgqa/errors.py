"""The one exception type a user ever sees: what is wrong, what was expected, what was found, what to type next."""

from __future__ import annotations


class EcgqaError(Exception):
    """A problem with the user's input or machine, told so that the user can act on it.

    `message` says what is wrong; `expected`, `found` and `fix` (a command or a step) are shown on lines of their own.
    """

    def __init__(
        self, message: str, *, expected: str | None = None, found: str | None = None, fix: str | None = None
    ) -> None:
        self.message, self.expected, self.found, self.fix = message, expected, found, fix
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        for label, text in (("expected", self.expected), ("found", self.found), ("try", self.fix)):
            if text:
                lines.append(f"  {label + ':':<10}{text}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:  # keeps all parts when crossing a process pool
        return (_rebuild, (self.message, self.expected, self.found, self.fix))


def _rebuild(message: str, expected: str | None, found: str | None, fix: str | None) -> EcgqaError:
    return EcgqaError(message, expected=expected, found=found, fix=fix)
