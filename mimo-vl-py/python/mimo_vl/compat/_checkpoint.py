"""The files of a checkpoint, and where they come from."""

import json
import os
import pathlib
from typing import Any


def hub(
    revision: str | None, token: str | bool | None, cache_dir: str | os.PathLike[str] | None, local_files_only: bool
) -> dict[str, Any]:
    """The options of the hub under the names of mimo_vl. A token that is True is the one that was saved, as without it."""
    if token is False:
        raise ValueError("token=False is not supported: a token that was saved is used")
    return {
        "revision": revision,
        "token": None if token is True else token,
        "cache": cache_dir,
        "offline": local_files_only or None,
    }


def read(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object; an empty one for a file that is not there."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
