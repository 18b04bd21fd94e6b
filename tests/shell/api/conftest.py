"""The door that every test here knocks on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_door import Door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Door(tmp_path) as opened:
        yield opened
