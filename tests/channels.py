"""A real conda channel on this disk, for tests that may not need the internet.

Its ``python`` is the interpreter that runs the tests, packed as a conda package; the other packages are small and have
what real ones have: dependencies, several versions, noarch code with an entry point, links, prefixes, activation
scripts.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PLACEHOLDER = "/placehold_" + "_".join(["placehold"] * 20)
"""Long, as conda-build's is, so that any real prefix fits into a binary in its place."""
PYTHON = platform.python_version()
LIB = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}.get(platform.machine(), f"linux-{platform.machine()}")
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data", "distutils",
             "site-packages", "dist-packages", "msilib", "__phello__"}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A file of a package: bytes, a file of this machine, or a link."""

    content: bytes | Path = b""
    link: str = ""
    mode: int = 0o644
    prefix: str = ""  # "text" or "binary" where it holds the placeholder


@dataclass(frozen=True)
class Package:
    """A package to be; ``files`` by path in the prefix (in ``site-packages/`` for noarch)."""

    name: str
    version: str
    depends: tuple[str, ...] = ()
    files: dict[str, Member] = field(default_factory=dict)
    noarch: str = ""
    entry_points: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{'py' if self.noarch == 'python' else 'h'}_0"


def make_channel(folder: Path) -> str:
    """Make the channel in an empty folder; returns its ``file://`` URL."""
    return write_channel(folder, [python_package(), *small_packages()])


def write_channel(folder: Path, packages: list[Package]) -> str:
    """Write packages and the indexes of their subdirs."""
    indexes: dict[str, dict[str, object]] = {SUBDIR: {}, "noarch": {}}
    for package in packages:
        subdir = "noarch" if package.noarch else SUBDIR
        index = {
            "name": package.name,
            "version": package.version,
            "build": package.stem.rsplit("-", 1)[1],
            "build_number": 0,
            "depends": list(package.depends),
            "subdir": subdir,
            "license": "MIT",
            "timestamp": 1_600_000_000_000,
            **({"noarch": package.noarch} if package.noarch else {}),
        }
        path = folder / subdir / f"{package.stem}.tar.bz2"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_package(path, package, index)
        data = path.read_bytes()
        indexes[subdir][path.name] = {
            **index,
            "md5": hashlib.md5(data).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }
    for subdir, entries in indexes.items():
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        document = {"info": {"subdir": subdir}, "packages": entries, "packages.conda": {}, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(document))
    return folder.absolute().as_uri()


def _write_package(path: Path, package: Package, index: dict[str, object]) -> None:
    paths = []
    with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
        for name, member in package.files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = member.mode, 1_600_000_000
            entry: dict[str, object] = {"_path": name, "path_type": "softlink" if member.link else "hardlink"}
            data = b""
            if member.link:
                info.type, info.linkname = tarfile.SYMTYPE, member.link
            elif isinstance(member.content, Path):
                data = member.content.read_bytes()
                info.mtime = int(member.content.stat().st_mtime)  # its bytecode knows it
            else:
                data = member.content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            entry |= {"sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
            if member.prefix:
                entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": member.prefix}
            paths.append(entry)
        documents: dict[str, object] = {
            "index.json": index,
            "paths.json": {"paths": paths, "paths_version": 1},
            "about.json": {},
        }
        if package.noarch == "python":
            noarch = {"type": "python", "entry_points": list(package.entry_points)}
            documents["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
        for name, document in documents.items():
            data = json.dumps(document).encode()
            info = tarfile.TarInfo(f"info/{name}")
            info.size, info.mtime = len(data), 1_600_000_000
            archive.addfile(info, io.BytesIO(data))


def python_package() -> Package:
    """This interpreter as a conda package: the program, the standard library and its bytecode."""
    short = f"{sys.version_info.major}.{sys.version_info.minor}"
    program = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    files = {
        f"bin/python{short}": Member(program, mode=0o755),
        "bin/python3": Member(link=f"python{short}"),
        "bin/python": Member(link=f"python{short}"),
        "bin/pydoc3": Member(f"#!{PLACEHOLDER}/bin/python{short}\nimport pydoc; pydoc.cli()\n".encode(), mode=0o755,
                             prefix="text"),
        "lib/pkgconfig/python3.pc": Member(f"prefix={PLACEHOLDER}\n".encode(), prefix="text"),
        f"{LIB}/site-packages/README.txt": Member(b"Packages go here.\n"),
    }  # fmt: skip
    library = sysconfig.get_config_var("INSTSONAME")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and library:
        files[f"lib/{library}"] = Member(Path(sysconfig.get_config_var("LIBDIR")) / library, mode=0o755)
    for place in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        # A virtual environment's own paths lead to it; the library is the base's.
        for source in _library(Path(place.replace(sys.prefix, sys.base_prefix, 1))):
            target = f"{LIB}/{source[1]}"
            files.setdefault(target, Member(source[0], mode=0o755 if source[1].endswith(".so") else 0o644))
    return Package("python", PYTHON, files=dict(sorted(files.items())))


def _library(folder: Path) -> Iterator[tuple[Path, str]]:
    tag = sys.implementation.cache_tag
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _LEFT_OUT and not f.startswith("config-"))
        for name in sorted(names):
            path = Path(root) / name
            fits = name.endswith((f".{tag}.pyc", ".py", ".so"))
            if fits and not name.startswith("_test") and path.is_file():
                yield path, str(path.relative_to(folder))


def installed_packages(*names: str) -> list[Package]:
    """Distributions that run the tests, and all that they need, as conda packages."""
    found: dict[str, Package] = {}
    wanted = [canonicalize_name(name) for name in names]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        dist = distribution(name)
        required = [Requirement(text) for text in dist.requires or ()]
        needs = [canonicalize_name(r.name) for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
        files = {
            f"{LIB}/site-packages/{path}": Member(Path(str(dist.locate_file(path))))
            for path in dist.files or ()
            if not {"..", "tests", "__pycache__"} & set(path.parts)
        }
        found[name] = Package(str(name), dist.version, ("python", *map(str, needs)), files)
        wanted += needs
    return list(found.values())


def small_packages() -> list[Package]:
    """Packages with what real ones have."""
    return [
        *(words(version) for version in ("1.0", "1.1", "2.0")),
        *(greet(version) for version in ("1.0", "2.0")),
        *(data("figures", version, (), version.encode()) for version in ("1.0", "2.0")),
        data("report", "1.0", ("figures >=1.0",), b"report"),
        data("report", "2.0", ("figures >=2.0",), b"report"),
        data("clash", "1.0", ("figures <2",), b"clash"),
        Package("loose", "2.0", (), {f"{LIB}/site-packages/loose/__init__.py": Member(b"VERSION = '2.0'\n")}),
        data("bulk", "1.0", (), _noise()),
    ]


def data(name: str, version: str, depends: tuple[str, ...], content: bytes) -> Package:
    """A noarch package of one file, which needs no Python."""
    return Package(name, version, depends, {f"share/{name}.txt": Member(content)}, noarch="generic")


def _noise() -> bytes:
    """Half a megabyte that no compressor makes smaller, the same every time."""
    return b"".join(hashlib.sha256(bytes([n, m])).digest() for n in range(64) for m in range(256))


def words(version: str) -> Package:
    """A package of one platform: a module, a program, a library with links, an activation script, prefixes."""
    return Package(
        "words",
        version,
        ("python",),
        {
            f"{LIB}/site-packages/words/__init__.py": Member(f"VERSION = {version!r}\n".encode()),
            f"{LIB}/site-packages/words-{version}.dist-info/METADATA": Member(
                f"Metadata-Version: 2.1\nName: words\nVersion: {version}\n".encode()
            ),
            f"{LIB}/site-packages/words-{version}.dist-info/INSTALLER": Member(b"conda"),
            "bin/words": Member(
                f"#!{PLACEHOLDER}/bin/python\nimport sys, words\nprint(words.VERSION, sys.prefix)\n".encode(),
                mode=0o755,
                prefix="text",
            ),
            "lib/libwords.so.1": Member(
                b"\x7fELF words " + PLACEHOLDER.encode() + b"/share/words\0\xff\xfe end", mode=0o755, prefix="binary"
            ),
            "lib/libwords.so": Member(link="libwords.so.1"),
            "etc/words.conf": Member(f"home = {PLACEHOLDER}/share/words\n".encode(), prefix="text"),
            "etc/conda/activate.d/words.sh": Member(b'export WORDS_HOME="$CONDA_PREFIX/share/words"\n'),
        },
    )


def greet(version: str) -> Package:
    """A noarch package: code for any Python, and an entry point."""
    return Package(
        "greet",
        version,
        ("python >=3.8", "words >=1.1"),
        {
            "site-packages/greet/__init__.py": Member(
                f"import words\n\ndef main():\n    print('hello {version} with', words.VERSION)\n".encode()
            ),
            f"site-packages/greet-{version}.dist-info/METADATA": Member(
                f"Metadata-Version: 2.1\nName: greet\nVersion: {version}\n".encode()
            ),
        },
        noarch="python",
        entry_points=("greet = greet:main",),
    )


@pytest.fixture(scope="session")
def conda_channel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a channel that is made once in a session."""
    return make_channel(tmp_path_factory.mktemp("channel"))
