"""``python -m benchmarks.shipping``: what it costs to get an environment to the containers; see README.md.

Side by side: this project, and the commands that peers' documentation tells users to run (pack, ``hadoop fs -put``).
Then each format of archive: how long to pack, upload and localize it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from knit_provider import Knit
from knit_provider.localcluster import LocalCluster

_HERE = Path(__file__).parent
_MIB = 1024 * 1024
_FORMATS = ("tar.gz", "tar", "zip")
# As in real environments: thousands of small text files, and some libraries that hardly compress.
_SMALL_SHARE = 0.3
_SMALL_SIZE = 12 * 1024
_LARGE_SIZE = 8 * _MIB
# From so many MB on, a third of the rounds.
_LARGE = 500

# A process of its own for each start, as for a user; it tells what the calls took without Python's own start.
_START = """\
import sys, time
began = time.perf_counter()
from knit_provider import Knit
knit = Knit(hadoop_conf_dir=sys.argv[1], hdfs_home=sys.argv[2], bridge="rest")
knit.start("true")
knit.wait_for_completion(60)
before = time.perf_counter()
{call}
print(time.perf_counter() - before)
"""
_PUBLISH = """
from knit_provider.environments.cache import publish
from knit_provider.environments.provide import packed_archive
publish(packed_archive(sys.argv[3]), knit.connection)
"""
_RUN = """
knit.start("date", env=sys.argv[3])
assert knit.wait_for_completion(600), knit.logs()
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and writes them down."""
    options = _options(arguments)
    sizes = options.sizes or [100, 1000]
    with tempfile.TemporaryDirectory(prefix="knit-bench-") as scratch:
        folder = Path(scratch)
        with LocalCluster(
            # One node: a later job finds the archive unpacked there.
            options.cluster or folder / "cluster",
            **({} if options.cluster else {"nodes": 1}),
        ) as cluster:
            bench = _Bench(cluster, folder, options.rounds)
            results = {f"{size} MB": bench.size(size) for size in sizes}
            about = {
                "date": date.today().isoformat(),
                "rounds": options.rounds,
                "hadoop": cluster.hadoop_version,
                "machine": machine.facts(cluster.env()["JAVA_HOME"]),
            }
        text = machine.scrub(_markdown(about, results), folder, Path(options.cluster or folder))
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    name = f"shipping-{about['date']}"
    (options.output / f"{name}.md").write_text(text)
    (options.output / f"{name}.json").write_text(json.dumps({"about": about, "seconds": results}, indent=1) + "\n")
    return 0


class _Bench:
    """Measures on one cluster; every figure is the list of its values in seconds, one for each round."""

    def __init__(self, cluster: LocalCluster, folder: Path, rounds: int) -> None:
        self._cluster = cluster
        self._folder = folder
        self._rounds = rounds
        self._env = {
            **os.environ,
            **cluster.env(),
            "PATH": os.pathsep.join([f"{cluster.hadoop_home}/bin", os.environ.get("PATH", "")]),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self._knit = Knit(hadoop_conf_dir=str(cluster.conf_dir), bridge="rest")
        self._home = self._knit.connection.files.uri_home()

    def size(self, megabytes: int) -> dict[str, list[float]]:
        """All figures of an environment of about so many bytes, unpacked."""
        prefix = self._folder / f"env-{megabytes}"
        _say(f"making an environment of {megabytes} MB")
        make_environment(prefix, megabytes * 1_000_000)
        conda = self._folder / f"conda-{megabytes}"
        shutil.copytree(prefix, conda, symlinks=True)
        # What makes a folder an environment for conda-pack; to it all files are then the user's own.
        (conda / "conda-meta").mkdir()
        (conda / "conda-meta" / "history").touch()
        figures: dict[str, list[float]] = {}
        # Nodes without Hadoop's native library take minutes to unpack a large one.
        rounds = self._rounds if megabytes < _LARGE else max(1, self._rounds // 3)
        for number in range(rounds):
            for what, seconds in self._round(prefix, conda):
                figures.setdefault(what, []).append(round(seconds, 3))
                _say(f"{megabytes} MB, round {number + 1}: {what} {seconds:.2f} s")
        shutil.rmtree(prefix)
        shutil.rmtree(conda)
        return figures

    def _round(self, prefix: Path, conda: Path):  # type: ignore[no-untyped-def]
        for kind in _FORMATS:
            archive = self._folder / f"packed.{kind}"
            yield f"conda-pack .{kind}", _timed(lambda kind=kind, archive=archive: pack_conda(conda, archive, kind))
            yield f"venv-pack .{kind}", _timed(lambda kind=kind, archive=archive: pack(prefix, archive, kind))
            yield f"knit pack .{kind}", _timed(lambda kind=kind: self._build(prefix, kind))
            # So that its digest may be remembered: a file just written could still change within its time stamp.
            os.utime(archive, (time.time() - 60, time.time() - 60))
            home = f"{self._home}/bench-{os.getpid()}"
            yield f"knit .{kind}, upload", self._call(_PUBLISH, home, archive)
            yield f"knit .{kind}, upload, unchanged", self._call(_PUBLISH, home, archive)
            yield f"knit .{kind}, first job", self._call(_RUN, home, archive)
            yield f"knit .{kind}, later job", self._call(_RUN, home, archive)
            yield f"hadoop fs -put .{kind}", self._hadoop("-put", "-f", str(archive), f"{self._home}/bench-put.{kind}")
            self._hadoop("-rm", "-r", "-skipTrash", home, f"{self._home}/bench-put.{kind}")
            archive.unlink()

    def _build(self, prefix: Path, kind: str) -> None:
        from knit_provider.environments.build import build

        packed = build(f"venv://{prefix}", format=kind, refresh=True, cache_dir=self._folder / "builds")
        _say(f"{Path(packed.path).name} has {packed.size / 1e6:.1f} MB")
        shutil.rmtree(self._folder / "builds")

    def _call(self, call: str, home: str, archive: Path) -> float:
        command = [sys.executable, "-c", _START.format(call=call), str(self._cluster.conf_dir), home, str(archive)]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SystemExit(f"{call.strip()} failed:\n{done.stderr}")
        return float(done.stdout.split()[-1])

    def _hadoop(self, *arguments: str) -> float:
        command = [f"{self._cluster.hadoop_home}/bin/hadoop", "fs", *arguments]
        return _timed(lambda: subprocess.run(command, env=self._env, check=True, capture_output=True, timeout=900))


def make_environment(prefix: Path, size: int) -> None:
    """A venv with so many bytes of modules and libraries, the same ones each time."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    (site,) = prefix.glob("lib/python3*/site-packages")
    chance = random.Random(1)  # the same bytes each time, no secrets
    words = [f"name_{number} = value_{number % 17}({number})\n" for number in range(2000)]
    for number in range(int(size * _SMALL_SHARE / _SMALL_SIZE)):
        file = site / f"package{number // 100}" / f"module{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(chance.choices(words, k=_SMALL_SIZE // len(words[1000]))))
    for number in range(max(1, int(size * (1 - _SMALL_SHARE) / _LARGE_SIZE))):
        (site / f"lib{number}.so").write_bytes(chance.randbytes(_LARGE_SIZE // 2) + bytes(_LARGE_SIZE // 2))


def pack(prefix: Path, archive: Path, kind: str) -> None:
    """Packs it as users are told to: with venv-pack."""
    import venv_pack

    archive.unlink(missing_ok=True)
    venv_pack.pack(prefix=str(prefix), output=str(archive), format=kind)


def pack_conda(prefix: Path, archive: Path, kind: str) -> None:
    """Packs the same as a conda environment, with conda-pack."""
    import conda_pack

    archive.unlink(missing_ok=True)
    conda_pack.pack(prefix=str(prefix), output=str(archive), format=kind)


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _markdown(about: dict[str, Any], results: dict[str, dict[str, list[float]]]) -> str:
    measured = f"Hadoop {about['hadoop']}, one node, in seconds."
    lines = [f"# Shipping environments, {about['date']}", "", measured, ""]
    lines += [f"- {key}: {value}" for key, value in about["machine"].items()]
    for size, figures in results.items():
        lines += ["", f"## {size} unpacked", "", "| | median | values |", "|---|---|---|"]
        lines += [f"| {what} | {median(v):.2f} | {', '.join(f'{x:.2f}' for x in v)} |" for what, v in figures.items()]
    return "\n".join(lines) + "\n"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shipping", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", dest="sizes", type=int, action="append", help="MB unpacked; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--cluster", type=Path, help="folder of an embedded cluster that is up; default one of its own")
    parser.add_argument("--output", type=Path, default=_HERE / "results", help="folder for the results")
    return parser.parse_args(arguments)


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
