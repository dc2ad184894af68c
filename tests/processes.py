"""Two processes of one group (gloo), as `torchrun` starts them, but with all that is here."""

from __future__ import annotations

import multiprocessing
import os
import socket

import torch
from accelerate.state import AcceleratorState

HOW = "spawn" if torch.cuda.is_available() or not hasattr(os, "fork") else "fork"
"""A process that has used a GPU cannot be forked; one that is started anew imports torch again."""


def in_two_processes(function, *arguments, meanwhile=None):
    """Call a function of a module in two processes, and `meanwhile()` in this one.

    Fails if it fails in one of them.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    context = multiprocessing.get_context(HOW)
    running = [
        context.Process(target=_call, args=(str(rank), port, function, arguments))
        for rank in range(2)
    ]
    for process in running:
        process.start()
    try:
        if meanwhile is not None:
            meanwhile()
        for process in running:
            process.join(240)
    finally:
        for process in running:
            process.kill()
    assert [process.exitcode for process in running] == [0, 0]


def _call(rank, port, function, arguments):
    os.environ.update(dict.fromkeys(("RANK", "LOCAL_RANK"), rank))
    os.environ.update(dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "2"))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    torch.set_num_threads(1)  # those of the process that was forked are not there
    AcceleratorState._reset_state(reset_partial_state=True)  # that process was alone
    function(*arguments)
