"""Files of a checkpoint, and the options of its download."""

import json
import os
import pathlib
from typing import Any


def hub_options(
    revision: str | None, token: str | bool | None, cache_dir: str | os.PathLike[str] | None, local_files_only: bool
) -> dict[str, Any]:
    """Converts keywords of transformers to those of Model.load(). As without a token, True takes the saved one."""
    if token is False:
        raise ValueError("token=False is not supported: a saved token is used")
    return {
        "revision": revision,
        "token": None if token is True else token,
        "cache": cache_dir,
        "offline": local_files_only or None,
    }


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object; returns an empty one if the file is missing."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
