"""Run every benchmark of this folder in turn; `--check` makes a ratio below its target an error."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    failed = []
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {script.stem} ==", flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=False)
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
        if done.returncode:
            failed.append(script.stem)
    print("\nall benchmarks ran" if not failed else f"\nbelow target or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
