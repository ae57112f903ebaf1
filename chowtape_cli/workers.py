"""Worker processes: they end with their context, and are quiet when interrupted."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chowtape_cli.errors import WorkerError

# One thread of linear algebra a worker: a result must not depend on how many cores there are.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes; they end with the context, at once where it ends in an exception.

    A process that has one thread is forked: its copy is ready at once. One that has more is not,
    for a fork of it may never wake up; there, and where there is no safe fork, workers are spawned.
    """
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    method = "fork" if _has_one_thread() else "spawn"
    context = multiprocessing.get_context(method)
    try:
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_live_as_a_worker)
    except OSError as error:
        raise _unable(error) from error
    try:
        # one may be killed as early as this: whoever asks it for something will be told
        with signals_held_back(), suppress(BrokenProcessPool):
            for _ in range(jobs):
                ask(pool, int)  # they start when there is something to do
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        # its thread sees that they are gone; one that outlives us would stumble over closed pipes
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ask(pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Have a pool do something; raises BrokenProcessPool where one of its workers was killed."""
    for _ in range(2):
        try:
            return pool.submit(function, *arguments)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in _TOO_MANY:
                raise _unable(error) from error
            # it may break amid the spawning of a worker, whose pipes are closed then; it says so
            # the next time, but for a worker that is killed as early as that one
            reason = error
    raise BrokenProcessPool("a worker was killed while it was started") from reason


_TOO_MANY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # processes, or open files


def _unable(error: Exception) -> WorkerError:
    return WorkerError(f"no worker process can be started ({error}); give --jobs 1")


_HELD_BACK = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP")
              if hasattr(signal, name) and hasattr(signal, "pthread_sigmask")]  # fmt: skip


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Keep signals until the context ends: amid a fork, for one, an exception would be lost."""
    if _HELD_BACK:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        yield
    finally:
        if _HELD_BACK:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _has_one_thread() -> bool:
    threads = Path("/proc/self/task")  # Linux; elsewhere system libraries do not bear a fork
    # before 3.11 the executor forks again after it has started a thread of its own
    return sys.version_info >= (3, 11) and threads.is_dir() and len(list(threads.iterdir())) == 1


def _live_as_a_worker() -> None:
    """In a worker: leave Ctrl-C, which reaches the whole group, to the parent; die with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if _HELD_BACK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
