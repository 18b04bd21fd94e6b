"""Operators over HTTP: what is made can be read, and each mistake is a problem that says how to mend it."""

import pytest

from api_door import Door, problem
from ledger_node import INITIAL, TERMINATION, ccr, service

NEW = {"name": "home", "prefixes": ["00101"], "tariff": {"price": "2", "per_octets": 1000}}
EMPTY = {"credited": "0", "available": "0", "reserved": "0", "consumed": "0", "overrun": "0", "written_off": "0"}


def test_an_operator_is_made_and_read(door: Door) -> None:
    made = door.post("/operators", NEW | {"grant_max": 5_000_000})

    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/operators/home"
    shown = door.ask("GET", made.headers["location"])
    assert shown.status_code == 200
    assert shown.json() == made.json()
    assert made.json() == {
        "name": "home",
        "prefixes": ["00101"],
        "created_at": "2027-01-15T08:00:00.000Z",
        "grant_max": "5000000",
        "open_sessions": 0,
        "balance": EMPTY,
        "tariffs": [
            {"number": 1, "rating_group": None, "apn": None, "price": "2", "per_octets": "1000", "in_force": True}
        ],
    }


def test_every_account_of_the_balance_is_shown(door: Door) -> None:
    door.operator()
    door.top_up(15_000_000)
    door.node.charge(ccr(INITIAL, 0, service(1)))
    door.node.charge(ccr(INITIAL, 0, service(1), session="other"))
    door.node.charge(ccr(TERMINATION, 1, service(1, ask=None, used=16_000_000), session="sgw;1;1"))

    balance = door.get("/operators/home").json()["balance"]

    account = door.node.account()
    assert balance["credited"] == "15000000"
    assert balance["overrun"] == str(account.overrun) != "0"
    assert balance["reserved"] == str(account.reserved)
    assert int(balance["credited"]) == sum(int(balance[name]) for name in ("available", "reserved", "consumed"))
    assert door.get("/operators/home").json()["open_sessions"] == 1


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"prefixes": ["00101"], "tariff": {"price": "1", "per_octets": "1"}}, "body/name"),
        (NEW | {"tariff": {"price": 1.5, "per_octets": "1"}}, "body/tariff/price"),
        (NEW | {"tariff": {"price": "1.5", "per_octets": "1"}}, "body/tariff/price"),
        (NEW | {"tariff": {"price": True, "per_octets": "1"}}, "body/tariff/price"),
        (NEW | {"tariff": {"price": -1, "per_octets": "1"}}, "body/tariff/price"),
        (NEW | {"tariff": {"price": str(2**63), "per_octets": "1"}}, "body/tariff/price"),
        (NEW | {"tariff": {"price": None, "per_octets": "1"}}, "body/tariff/price"),
        (NEW | {"tariff": "free"}, "body/tariff"),
        (NEW | {"prefixes": "00101"}, "body/prefixes"),
        (NEW | {"prefixes": [101]}, "body/prefixes/0"),
        (NEW | {"name": 7}, "body/name"),
        (NEW | {"grantmax": "1"}, "body/grantmax"),
        (NEW | {"a/b~c": "1"}, "body/a~1b~0c"),
        ([], "body"),
    ],
)
def test_a_body_of_another_shape_is_told_where_and_how(door: Door, body: object, where: str) -> None:
    told = problem(door.post("/operators", body), 422, "invalid-input")

    (error,) = told["errors"]
    assert error["where"] == where
    assert error["what"]
    assert error["mend"]
    assert len(door.node.events) == 0


@pytest.mark.parametrize(
    "body",
    [
        NEW | {"name": "two words"},
        NEW | {"name": "\ud800"},
        NEW | {"prefixes": []},
        NEW | {"prefixes": ["0010"]},
        NEW | {"tariff": {"price": "1", "per_octets": "0"}},
        NEW | {"grant_max": "0"},
    ],
)
def test_the_nodes_own_refusals_come_through(door: Door, body: dict[str, object]) -> None:
    problem(door.post("/operators", body), 422, "invalid-input")


def test_a_name_and_a_prefix_belong_to_one_operator(door: Door) -> None:
    door.operator()

    problem(door.post("/operators", NEW), 409, "conflict")
    problem(door.post("/operators", NEW | {"name": "other"}), 409, "conflict")


def test_operators_come_in_pages(door: Door) -> None:
    for number in range(5):
        door.operator(f"op{number}", prefix=f"0010{number}")

    names, cursor, sizes = [], None, []
    while True:
        page = door.get("/operators", limit=2, **({"cursor": cursor} if cursor else {})).json()
        sizes.append(len(page["items"]))
        names += [one["name"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        if len(names) == 2:
            door.operator("late", prefix="00109")  # neither lost nor doubled

    assert names == ["op0", "op1", "op2", "op3", "op4", "late"]
    assert sizes == [2, 2, 2]


def test_a_patch_changes_what_it_names_and_nothing_else(door: Door) -> None:
    door.operator()

    def patch(body: dict[str, object]) -> dict[str, object]:
        answer = door.ask("PATCH", "/api/v1/operators/home", json=body)
        assert answer.status_code == 200, answer.text
        shown: dict[str, object] = answer.json()
        return shown

    assert patch({"grant_max": "700"})["grant_max"] == "700"
    changed = patch({"add_prefixes": ["00103"]})
    assert (changed["grant_max"], changed["prefixes"]) == ("700", ["00101", "00103"])
    assert patch({"grant_max": None})["grant_max"] is None


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({}, 422, "invalid-input"),
        ({"name": "new"}, 422, "invalid-input"),
        ({"add_prefixes": ["x"]}, 422, "invalid-input"),
        ({"add_prefixes": ["00101"]}, 409, "conflict"),
    ],
)
def test_a_patch_that_cannot_be_done_is_refused(door: Door, body: dict[str, object], status: int, slug: str) -> None:
    door.operator()
    problem(door.ask("PATCH", "/api/v1/operators/home", json=body), status, slug)


def test_tariffs_are_kept_and_the_newest_is_in_force(door: Door) -> None:
    door.operator()

    made = door.post("/operators/home/tariffs", {"rating_group": 7, "apn": "IMS", "price": "3", "per_octets": "10"})
    assert made.status_code == 201
    assert made.json()["apn"] == "ims"
    door.post("/operators/home/tariffs", {"price": "0", "per_octets": "1"})

    listed = door.get("/operators/home/tariffs").json()
    assert [(row["number"], row["in_force"]) for row in listed["items"]] == [(1, False), (2, True), (3, True)]
    assert [row["number"] for row in door.get("/operators/home").json()["tariffs"]] == [3, 2]
    first = door.get("/operators/home/tariffs", limit=1).json()
    assert door.get("/operators/home/tariffs", cursor=first["next"]).json()["items"] == listed["items"][1:]


def test_a_tariff_needs_a_rating_group_that_exists_on_the_wire(door: Door) -> None:
    door.operator()
    body = {"rating_group": 2**32, "price": "1", "per_octets": "1"}
    told = problem(door.post("/operators/home/tariffs", body), 422, "invalid-input")
    assert told["errors"][0]["where"] == "body/rating_group"


@pytest.mark.parametrize("path", ["/operators/none", "/operators/none/tariffs", "/operators/none/top-ups"])
def test_an_unknown_operator_is_not_found(door: Door, path: str) -> None:
    problem(door.get(path), 404, "not-found")
