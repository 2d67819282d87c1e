"""Execute the notebooks, and the unit tests, under changed conditions, and print what fails where.

`make robust` runs all of it; a part:
`python tests/robust/run.py --only 09_svgd 06_schedules --conditions seeds+1 AVX2`.
Conditions: seeds shifted by K (see `sitecustomize.py`), older instruction sets, one thread and two. Every result is
also a line of `_build/robust/results.csv`; `--resume` leaves out what that file already has. What one condition has
compiled for a target, the next one with the same instruction set reads: seeds and threads change no program.
"""

import argparse
import csv
import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "_build" / "robust"
RESULTS = OUT / "results.csv"
NEED_THE_BOOK = ("test_book.py", "test_book_gallery.py")  # browser tests compare pages, and run no training


@dataclass(frozen=True)
class Condition:
    """What differs from a plain run."""

    seed_shift: int = 0
    isa: str | None = None  # the newest instruction set that XLA may use; None: all that the machine has
    threads: int | None = None  # processor cores that a process may use; None: all
    units: bool = False  # the unit tests too
    as_users: bool = False  # XLA compiles the unit tests, as always the notebooks, as it does for everybody

    def environment(self, target: Path) -> dict[str, str]:
        """Environment variables of a process that runs `target` under this condition."""
        compiled = str(OUT / "compiled" / (self.isa or "native") / target.stem)  # its keys hold XLA's flags
        given = {
            "SOFTQ_SEED_SHIFT": str(self.seed_shift),
            "JAX_PLATFORMS": "cpu",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "SOFTQ_COMPILED": compiled,
            "JAX_COMPILATION_CACHE_DIR": compiled,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        path = [str(Path(__file__).parent), str(ROOT), os.environ.get("PYTHONPATH", "")]
        given["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        if self.as_users or target.suffix == ".ipynb":
            given["SOFTQ_AS_USERS"] = "1"
        if self.isa:
            given["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa={self.isa}".strip()
        return os.environ | given

    def restriction(self, worker: int) -> Callable[[], None]:
        """What a child calls before it starts, to leave itself `threads` cores; each worker takes others."""

        def restrict() -> None:
            if self.threads is not None:
                cores = sorted(os.sched_getaffinity(0))
                first = worker * self.threads % len(cores)
                os.sched_setaffinity(0, (cores + cores)[first : first + self.threads])

        return restrict


CONDITIONS = {
    "native": Condition(units=True, as_users=True),
    "seeds+1": Condition(seed_shift=1, units=True),
    "seeds+2": Condition(seed_shift=2, units=True),
    "seeds+3": Condition(seed_shift=3),
    "seeds+4": Condition(seed_shift=4),
    "seeds+5": Condition(seed_shift=5),
    "AVX2": Condition(isa="AVX2", units=True),
    "SSE4_2": Condition(isa="SSE4_2", units=True),
    "1 thread": Condition(threads=1),
    "2 threads": Condition(threads=2),
}


def execute(target: Path, condition: Condition, report: Path, worker: int) -> str:
    """Run pytest on `target`: `passed`, or what failed."""
    command = [sys.executable, "-m", "pytest", str(target), "--color=no", "-q", f"--junitxml={report}"]
    if target.suffix == ".ipynb":
        command += ["--nbmake", "--nbmake-timeout=1800"]
    with report.with_suffix(".log").open("w") as log:
        subprocess.run(
            command,
            cwd=ROOT,
            env=condition.environment(target),
            preexec_fn=condition.restriction(worker),
            stdout=log,
            stderr=log,
        )
    if not report.is_file():
        return f"did not run, see {report.with_suffix('.log')}"
    failed = [
        f"{case.get('name')}: {problem.get('message', '').strip().splitlines()[-1:]}"
        for case in ElementTree.parse(report).iter("testcase")
        for problem in (*case.findall("failure"), *case.findall("error"))
    ]
    return "; ".join(failed) or "passed"


def targets(units: bool, only: Iterable[str]) -> list[Path]:
    """Notebooks, and test files if `units`, whose names contain one of `only` (all, if empty)."""
    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    if units:
        found += [
            file for file in sorted((ROOT / "tests").glob("test_*.py")) if file.name not in NEED_THE_BOOK
        ]
    wanted = tuple(only)
    return [file for file in found if not wanted or any(part in file.name for part in wanted)]


def table(rows: list[dict[str, str]]) -> str:
    """One line for each target that failed under some condition, and a count for each condition."""
    lines = []
    for name in dict.fromkeys(row["condition"] for row in rows):
        mine = [row for row in rows if row["condition"] == name]
        bad = [row for row in mine if row["outcome"] != "passed"]
        lines.append(f"{name:10} {len(mine) - len(bad):3} passed, {len(bad)} failed")
        lines += [f"{'':10}     {row['target']}: {row['outcome'][:300]}" for row in bad]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of notebooks and test files")
    parser.add_argument(
        "--conditions", nargs="*", default=list(CONDITIONS), choices=list(CONDITIONS), metavar="NAME",
        help=f"any of: {', '.join(CONDITIONS)}",
    )  # fmt: skip
    parser.add_argument("--no-units", action="store_true", help="notebooks only")
    parser.add_argument("--resume", action="store_true", help="keep the results that are there, run the rest")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="so many targets at a time [1]")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    if given.resume and RESULTS.is_file():
        with RESULTS.open() as file:
            rows = list(csv.DictReader(file))
    done = {(row["condition"], row["target"]) for row in rows}
    left = [
        (name, target)
        for name in given.conditions
        for target in targets(CONDITIONS[name].units and not given.no_units, given.only)
        if (name, target.name) not in done
    ]
    idle, writing = list(range(given.workers)), threading.Lock()

    def run(name: str, target: Path) -> None:
        worker = idle.pop()
        began = time.perf_counter()
        report = OUT / f"{name.replace(' ', '-')}-{target.stem}.xml"
        report.unlink(missing_ok=True)
        outcome = execute(target, CONDITIONS[name], report, worker)
        idle.append(worker)
        seconds = f"{time.perf_counter() - began:.0f}"
        with writing:
            rows.append({"condition": name, "target": target.name, "outcome": outcome, "seconds": seconds})
            print(f"{name:10} {target.name:32} {seconds:>5} s  {outcome[:120]}", flush=True)
            partial = RESULTS.with_suffix(".partial")
            with partial.open("w", newline="") as file:
                writer = csv.DictWriter(file, ["condition", "target", "outcome", "seconds"])
                writer.writeheader()
                writer.writerows(rows)
            partial.replace(RESULTS)

    with ThreadPoolExecutor(given.workers) as pool:
        for finished in [pool.submit(run, *task) for task in left]:
            finished.result()
    print("\n" + table(rows))
    return int(any(row["outcome"] != "passed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
