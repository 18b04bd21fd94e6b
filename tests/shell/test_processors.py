"""CPUs that the configuration names, and going first there: what is given, and what is refused."""

import os
import platform
import shutil
import subprocess
import sys
import threading

import pytest

from ocs.errors import BadConfiguration
from ocs.shell.config import Processors
from ocs.shell.processors import check_real_time, count, follower_processors, go_first, stay_on, write_as_others
from real_time import needs_real_time, write_class

OURS = sorted(os.sched_getaffinity(0))


def test_nobody_is_bound_unless_told() -> None:
    assert follower_processors(Processors()) == []
    before = os.sched_getaffinity(0)
    stay_on([])
    assert os.sched_getaffinity(0) == before
    assert count() == len(before)


def test_the_follower_gets_its_own_or_else_all() -> None:
    assert follower_processors(Processors(follower=OURS[-1:])) == OURS[-1:]
    assert follower_processors(Processors(core=OURS[:1])) == OURS, "a child would inherit the core's"


@pytest.mark.parametrize("name", ["core", "follower"])
def test_a_cpu_that_is_not_ours_is_refused(name: str) -> None:
    with pytest.raises(BadConfiguration, match=rf"{name} names CPU 8191, and this process may use {OURS[0]}"):
        follower_processors(Processors.model_validate({name: [8191]}))


def test_a_system_that_cannot_bind_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    monkeypatch.delattr(os, "sched_getaffinity")
    assert follower_processors(Processors()) == []
    assert count() == os.cpu_count()
    with pytest.raises(BadConfiguration, match="leave out processors"):
        follower_processors(Processors(core=[0]))


@needs_real_time
def test_a_look_at_the_real_time_class_changes_nothing() -> None:
    check_real_time(Processors(real_time=True))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@needs_real_time
def test_a_thread_that_goes_first_hands_that_to_nobody() -> None:
    told = []

    def first() -> None:
        go_first()
        told.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)
        later = threading.Thread(target=lambda: told.append(os.sched_getscheduler(0)))
        later.start()
        later.join()

    thread = threading.Thread(target=first)
    thread.start()
    thread.join()
    assert told == [os.SCHED_RR, os.SCHED_OTHER]


def test_who_may_not_go_first_is_told_how_to() -> None:
    setpriv = shutil.which("setpriv")
    assert setpriv, "util-linux has it"
    without = [setpriv, "--bounding-set", "-sys_nice"] if os.geteuid() == 0 else []
    code = "import resource as r; r.setrlimit(r.RLIMIT_RTPRIO, (0, 0)); from ocs.shell.processors import *; go_first()"
    done = subprocess.run([*without, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "BadConfiguration: processors.real_time: this process may not use the real-time class" in done.stderr
    assert "LimitRTPRIO=1" in done.stderr


def test_a_system_without_such_a_class_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setscheduler")
    check_real_time(Processors())
    with pytest.raises(BadConfiguration, match=r"leave out processors\.real_time"):
        check_real_time(Processors(real_time=True))


def test_whatever_else_the_system_says_is_told() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(BadConfiguration, match=r"refuses its real-time class \(No such process\); leave it out"):
        go_first(ended.pid)


def test_what_one_thread_writes_waits_its_turn_and_no_other_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def act() -> None:
        assert write_as_others(threading.get_native_id())
        told.append(write_class(threading.get_native_id()))

    before = write_class(threading.get_native_id())
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert told == ["best-effort: prio 4"] != [before]
    assert write_class(threading.get_native_id()) == before
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert not write_as_others(0), "nothing is called of which the number is not known"
