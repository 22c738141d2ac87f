"""`make fuzz`: gives the fuzzing tests many examples, other ones in each round, until the time is up or one fails."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

import click


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True)
@click.option("--examples", type=int, default=2000, show_default=True, help="For each test in each round.")
@click.option("--seed", type=int, help="Of one round only, which is repeated so.")
def main(minutes: float, examples: int, seed: int | None) -> None:
    """Run tests/fuzz again and again; ends with 1 if something was found, and says how to see it again."""
    end = time.monotonic() + minutes * 60
    rounds = 0
    while rounds == 0 or (seed is None and time.monotonic() < end):
        used = secrets.randbelow(2**32) if seed is None else seed
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/fuzz", "-q", "-x", "--timeout=3600", f"--hypothesis-seed={used}"],
            env={**os.environ, "KNIT_FUZZ_EXAMPLES": str(examples)},
            check=False,
        )
        rounds += 1
        if done.returncode:
            again = f'make fuzz ARGS="--seed {used} --examples {examples}"'
            print(f"fuzz: FAILED in round {rounds}; see it again: {again}; put what it was into tests/fuzz/corpus")
            sys.exit(1)
    print(f"fuzz: OK: {rounds} rounds of {examples} examples for each test")


if __name__ == "__main__":
    main()
