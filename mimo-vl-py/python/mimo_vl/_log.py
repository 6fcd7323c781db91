"""Log messages of the library in the module logging."""

import logging

from ._native import set_log_sink


def set_log_level(level: int | None) -> None:
    """Forwards the library's log messages of `level` and above to the module logging; None stops that.

    The loggers are below "mimo_vl", such as "mimo_vl.session"; they are called on the threads that log. Levels below
    logging.DEBUG log every token, and cost time. A handler must not call this function.
    """
    set_log_sink(level or 0, None if level is None else _forward)


def _forward(level: int, module: str, message: str) -> None:
    names = module.replace("mimo_vl_core", "mimo_vl").split("::")
    logging.getLogger(".".join(names[:2])).log(level, "%s", message)
