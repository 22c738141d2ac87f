"""How a flow that is called travels into its container: as a file of the application, as every other file does.

Prefect packs a flow that is bound to infrastructure into a bundle, has a command upload it, and runs another command
where the flow shall run. Here the first one (this module, as a program) puts the bundle aside on the machine that
submits, and the worker, which submits from the same process, gives it to the application. So it is in HDFS for as long
as the application needs it, as private as the rest of that, and no storage has to be set up.
"""

from __future__ import annotations

import argparse
import getpass
import re
import shutil
import tempfile
from pathlib import Path

from prefect.client.schemas.objects import WorkPool, WorkPoolStorageConfiguration

_UPLOAD = "knit_provider.prefect.bundles"
# Prefect's own: runs the bundle that lies in the working directory.
_EXECUTE = "prefect.bundles.execute"
_KEY = re.compile(rf"-m {re.escape(_EXECUTE)} --key ([\w-]+)")


def with_storage(pool: WorkPool) -> WorkPool:
    """The pool with this storage for bundles; one that has storage of its own as it is."""
    has = pool.storage_configuration
    if has.bundle_upload_step is not None or has.bundle_execution_step is not None:
        return pool
    storage = WorkPoolStorageConfiguration(
        bundle_upload_step={_UPLOAD: {}},
        bundle_execution_step={_EXECUTE: {}},
        default_result_storage_block_id=has.default_result_storage_block_id,
    )
    return pool.model_copy(update={"storage_configuration": storage})


def bundle_in(command: str | None) -> Path | None:
    """The bundle on this machine that a container's command runs; None where it runs something else."""
    found = _KEY.search(command or "")
    path = _put_aside(found.group(1)) if found else None
    return path if path is not None and path.is_file() else None


def _put_aside(key: str) -> Path:
    return Path(tempfile.gettempdir()) / f"knit-bundles-{getpass.getuser()}" / key


def main() -> None:
    """Put a bundle aside, where nobody else reads or writes: it is code that will run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", required=True)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    target = _put_aside(given.key)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    folder = target.parent.stat()
    if target.parent.is_symlink() or folder.st_mode & 0o077 or target.parent.owner() != getpass.getuser():
        parser.error(f"{target.parent} is open to others; remove it")
    shutil.copyfile(given.file, target)
    target.chmod(0o600)


if __name__ == "__main__":
    main()
