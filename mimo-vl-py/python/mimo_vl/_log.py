"""The library's log in that of Python."""

import logging

from ._native import set_log


def set_log_level(level: int | None) -> None:
    """Pass messages of the library on to the module logging, from `level` on; None ends that.

    They go to loggers below "mimo_vl", "mimo_vl.session" for example, on the threads that they are from. Levels below
    logging.DEBUG have every token, and cost time. A handler must not call this function.
    """
    set_log(level or 0, None if level is None else _pass_on)


def _pass_on(level: int, module: str, message: str) -> None:
    names = module.replace("mimo_vl_core", "mimo_vl").split("::")
    logging.getLogger(".".join(names[:2])).log(level, "%s", message)
