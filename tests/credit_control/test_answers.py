"""Answers octet for octet, beside what they mean.

Each vector was looked at by a person when it was written.  One that changes is a change that gateways see.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from answers import play
from ocs.diameter import render, strict
from ocs.shell import dictionaries

SCENES = json.loads((Path(__file__).parents[1] / "vectors" / "answers.json").read_text())
DICTIONARY = dictionaries.load()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene["name"])
def test_the_answers_are_these(scene: dict[str, Any]) -> None:
    for exchange, answer in zip(scene["exchanges"], play(scene), strict=True):
        assert render.render(answer, DICTIONARY) == exchange["meaning"]
        assert answer.hex() == exchange["answer"]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene["name"])
def test_the_answers_obey_the_grammar(scene: dict[str, Any]) -> None:
    for exchange in scene["exchanges"]:
        strict.check(bytes.fromhex(exchange["request"]), DICTIONARY)
        strict.check(bytes.fromhex(exchange["answer"]), DICTIONARY)
