"""What a check found: findings by severity with counts and examples, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import polars as pl

N_EXAMPLES = 3


class Severity(StrEnum):
    """error: the data contradict the published format or themselves; warning: suspicious; note: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of departure, how often it occurs, and the first few places."""

    severity: Severity
    code: str
    message: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass
class Findings:
    """Findings in the order of their discovery."""

    items: list[Finding] = field(default_factory=list)

    def add(
        self, severity: Severity, code: str, message: str, count: int = 1, examples: list[str] | None = None
    ) -> None:
        """Add a finding, unless `count` is 0."""
        if count:
            self.items.append(Finding(severity, code, message, count, tuple((examples or [])[:N_EXAMPLES])))

    def add_rows(
        self, severity: Severity, code: str, message: str, rows: pl.DataFrame, detail: str | None = None
    ) -> None:
        """Add a finding with one count per row of `rows` (columns file, sample_id, and `detail` if named)."""
        if rows.height:
            shown = rows.head(N_EXAMPLES)
            details = shown[detail].cast(pl.String).to_list() if detail else [""] * shown.height
            places = zip(shown["file"].cast(pl.String), shown["sample_id"], details, strict=True)
            examples = [f"{file} sample {sample}" + (f": {text}" if text else "") for file, sample, text in places]
            self.add(severity, code, message, rows.height, examples)

    def count(self, severity: Severity) -> int:
        """Number of occurrences of this severity."""
        return sum(item.count for item in self.items if item.severity == severity)

    def as_text(self) -> str:
        """Grouped by severity, errors first; one line per finding, its examples below it."""
        lines: list[str] = []
        for severity in Severity:
            items = [item for item in self.items if item.severity == severity]
            if not items:
                continue
            lines += ["", f"{severity.value}s:"]
            for item in items:
                times = f"{item.count:,} x " if item.count > 1 else ""
                lines.append(f"  [{item.code}] {times}{item.message}")
                lines += [f"      {example}" for example in item.examples]
                if 0 < len(item.examples) < item.count and item.count > N_EXAMPLES:
                    lines.append("      …")
        return "\n".join(lines).lstrip("\n")

    def as_json(self) -> list[dict[str, Any]]:
        """One object per finding."""
        return [
            asdict(item) | {"severity": item.severity.value, "examples": list(item.examples)} for item in self.items
        ]
