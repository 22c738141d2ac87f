from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def site(tmp_path: Path):
    """Writes a site file: ``site("core-site", {"a": "b"})`` or ``site("core-site", "<raw xml/>")``; gives its path."""

    def write(name: str, content, directory: str = "conf") -> Path:
        path = tmp_path / directory / f"{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, (str, bytes)):
            content = "".join(
                f"<property><name>{key}</name><value>{value}</value></property>\n" for key, value in content.items()
            )
            content = f'<?xml version="1.0"?>\n<configuration>\n{content}</configuration>\n'
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
