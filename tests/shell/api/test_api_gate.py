"""Every error is a problem, before any route and after; every route is documented, and so is every problem."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api_door import AUTHORIZED, JSON, TOKEN, Broken, Door, problem
from ocs.errors import OcsError
from ocs.shell.api.gate import BODY_OCTETS_MAX
from ocs.shell.api.problems import KINDS

DOCS = Path(__file__).parents[3] / "docs"
OPERATORS = "/api/v1/operators"
METHODS = ("get", "post", "put", "patch", "delete")


def operations(door: Door) -> Iterator[tuple[str, str]]:
    """Give every method and path of the OpenAPI document."""
    paths = door.ask("GET", "/openapi.json").json()["paths"]
    return ((method, path) for path, offered in paths.items() for method in METHODS if method in offered)


def filled(path: str) -> str:
    return path.replace("{number}", "1").replace("{", "").replace("}", "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer ÿ".encode("latin-1")},
    ],
)
def test_without_the_token_nothing_is_told(door: Door, headers: dict[str, str]) -> None:
    for path in (OPERATORS, "/api/v1", "/api/v1/nothing/here"):
        answer = door.ask("GET", path, headers=headers)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == 'Bearer realm="ocs"'


def test_every_route_under_the_prefix_needs_the_token(door: Door) -> None:
    public = "/api/v1/log/"
    asked = [
        (method, path)
        for method, path in operations(door)
        if path.startswith("/api/v1") and not path.startswith(public)
    ]
    assert len(asked) > 15
    for method, path in asked:
        problem(door.ask(method, filled(path), headers={}, content=b"no JSON"), 401, "unauthorized")


def test_the_token_comes_before_the_body(door: Door) -> None:
    answer = door.ask("POST", OPERATORS, headers={}, content=b"x" * (BODY_OCTETS_MAX + 1))
    problem(answer, 401, "unauthorized")


def test_the_schemes_name_is_of_any_case(door: Door) -> None:
    assert door.ask("GET", OPERATORS, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/api/v2/operators", "/docs/secret.js", "/api/v1/operators/"]
)
def test_what_is_not_there_is_a_problem(door: Door, path: str) -> None:
    problem(door.ask("GET", path), 404, "not-found")


def test_whoever_comes_without_a_path_is_led_to_the_page(door: Door) -> None:
    answer = door.ask("GET", "/", headers={})
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")


@pytest.mark.parametrize(("method", "path"), [("DELETE", OPERATORS), ("HEAD", OPERATORS), ("POST", "/readyz")])
def test_a_method_that_is_not_offered_names_those_that_are(door: Door, method: str, path: str) -> None:
    answer = door.ask(method, path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert method == "HEAD" or problem(answer, 405, "method-not-allowed")


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b'{"name": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"name": ' + b"9" * 5000 + b"}", b"no"],
)
def test_a_body_that_is_no_json_is_told_as_such(door: Door, content: bytes) -> None:
    answer = door.ask("POST", OPERATORS, content=content, headers=AUTHORIZED | JSON)
    told = answer.json()
    assert (answer.status_code, told["type"]) in [(400, "/problems/invalid-json"), (422, "/problems/invalid-input")]
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code == 422) == (content in (b"", b'{"name": NaN}')), "only these two can be read"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_body_of_another_type_is_refused(door: Door, kind: str) -> None:
    headers = AUTHORIZED | ({"Content-Type": kind} if kind else {})
    problem(door.ask("POST", OPERATORS, content=b"{}", headers=headers), 415, "unsupported-media-type")


def test_a_charset_beside_the_type_is_no_other_type(door: Door) -> None:
    headers = AUTHORIZED | {"Content-Type": "Application/JSON; charset=utf-8"}
    problem(door.ask("POST", OPERATORS, content=b"{}", headers=headers), 422, "invalid-input")


def test_a_body_is_bounded_by_its_declared_length(door: Door) -> None:
    fits = b'"' + b"x" * (BODY_OCTETS_MAX - 2) + b'"'
    problem(door.ask("POST", OPERATORS, content=fits, headers=AUTHORIZED | JSON), 422, "invalid-input")
    problem(door.ask("POST", OPERATORS, content=fits + b" ", headers=AUTHORIZED | JSON), 413, "body-too-large")


def test_a_body_is_bounded_where_no_length_is_declared(door: Door) -> None:
    async def chunks() -> object:
        for _ in range(BODY_OCTETS_MAX // 65_536 + 1):
            yield b" " * 65_536

    problem(door.ask("POST", OPERATORS, content=chunks(), headers=AUTHORIZED | JSON), 413, "body-too-large")


def test_no_route_takes_a_query_parameter_it_does_not_know(door: Door) -> None:
    door.operator("name", prefix="00105")
    asked = [(method, path) for method, path in operations(door) if not path.startswith("/problems")]
    for method, path in asked:
        body = {"headers": AUTHORIZED | JSON, "content": b"{}"} if method in ("post", "put", "patch") else {}
        told = problem(door.ask(method, filled(path) + "?bogus=1", **body), 422, "invalid-input")
        if "errors" in told:
            assert "query/bogus" in [error["where"] for error in told["errors"]], path


def test_what_nobody_foresaw_says_nothing_of_our_insides(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    async def live() -> object:
        raise ZeroDivisionError("secret insides")

    door.backend.live = live  # type: ignore[method-assign,assignment]  # a bug, put in by hand
    answer = door.get("/peers")

    told = problem(answer, 500, "internal")
    assert "secret" not in answer.text
    name = re.search(r"[0-9a-f]{32}", told["detail"])
    assert name is not None
    logged = capsys.readouterr()
    assert name[0] in logged.out + logged.err
    assert "secret insides" in logged.out + logged.err


def test_an_error_without_a_name_is_ours(door: Door) -> None:
    async def live() -> object:
        raise Broken("secret insides")

    door.backend.live = live  # type: ignore[method-assign,assignment]  # as above
    answer = door.get("/peers")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_a_core_that_is_away_is_told_with_when_to_come_again(door: Door) -> None:
    door.backend.lost = True
    for answer in (door.get("/operators"), door.get("/sessions"), door.get("/sessions/x"), door.get("/peers")):
        told = problem(answer, 503, "unavailable")
        assert told["detail"] == "the core does not answer"
        assert answer.headers["retry-after"] == "1"


def test_every_answer_is_kept_from_caches_and_guesses(door: Door) -> None:
    for answer in (door.get("/operators"), door.ask("GET", "/nothing"), door.ask("GET", "/readyz")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


# Documentation


def slugs() -> set[str]:
    found, left = set(KINDS), [OcsError]
    while left:
        kind = left.pop()
        left.extend(one for one in kind.__subclasses__() if one is not Broken)
        found.add(kind.slug)
    return found - {"journal-fault", "bad-configuration"}  # they end the process and never reach a door


def test_every_problem_is_documented() -> None:
    text = (DOCS / "problems.md").read_text()
    assert {slug for slug in slugs() if f"`{slug}`" not in text} == set()
    for kind in KINDS.values():
        assert re.search(rf"^\| `{kind.slug}` \| {kind.status} \|", text, re.MULTILINE), kind.slug


def test_every_problem_type_has_its_page(door: Door) -> None:
    for kind in KINDS.values():
        page = door.ask("GET", f"/problems/{kind.slug}", headers={})
        assert page.status_code == 200
        assert kind.meaning in page.text
    problem(door.ask("GET", "/problems/none"), 404, "not-found")


def test_every_error_the_door_may_meet_has_a_status_of_its_own() -> None:
    for slug, kind in KINDS.items():
        assert kind.status >= 400
        assert slug == kind.slug


def test_every_route_is_documented(door: Door) -> None:
    text = (DOCS / "api.md").read_text()
    missing = [
        f"{method.upper()} {path}" for method, path in operations(door) if f"`{method.upper()} {path}`" not in text
    ]
    assert missing == []


def test_the_document_describes_what_is_served(door: Door) -> None:
    document = door.ask("GET", "/openapi.json", headers={}).json()

    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    tags = {tag["name"] for tag in document["tags"]}
    for path, offered in document["paths"].items():
        for method, operation in offered.items():
            assert set(operation["tags"]) <= tags
            assert operation["summary"]
            if path.startswith("/api/v1") and not path.startswith("/api/v1/log/"):
                assert operation["security"] == [{"HTTPBearer": []}]
                assert {"401", "422", "500", "503"} <= set(operation["responses"]), (method, path)
    for name in re.findall(r'"#/components/schemas/(\w+)"', door.ask("GET", "/openapi.json").text):
        assert name in document["components"]["schemas"]
    bodies = [name for name in document["components"]["schemas"] if name.startswith("New")]
    assert len(bodies) >= 7
    for name in bodies:
        assert document["components"]["schemas"][name]["examples"]


def test_the_examples_in_the_document_are_obeyed(door: Door) -> None:
    schemas = door.ask("GET", "/openapi.json").json()["components"]["schemas"]

    def example(name: str) -> object:
        return schemas[name]["examples"][0]

    assert door.post("/operators", example("NewOperator")).status_code == 201
    assert door.post("/operators/home/tariffs", example("NewTariff")).status_code == 201
    assert door.post("/operators/home/top-ups", example("NewTopUp"), Idempotency_Key="k").status_code == 201
    assert door.post("/operators/home/top-ups/1/reversals", example("NewReversal")).status_code == 201
    put: httpx.Response = door.ask("PUT", "/api/v1/peers/sgw.visited.example", json=example("NewPeer"))
    assert put.status_code == 200
    for change in schemas["OperatorChange"]["examples"]:
        assert door.ask("PATCH", "/api/v1/operators/home", json=change).status_code == 200
