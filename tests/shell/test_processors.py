"""CPUs that the configuration names: what is given to the follower, and what is refused."""

import os

import pytest

from ocs.errors import BadConfiguration
from ocs.shell.config import Processors
from ocs.shell.processors import count, follower_processors, stay_on

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
