"""Top-ups, reversals and write-offs over HTTP: money moves once, and never further than it may."""

import pytest

from api_door import Door, problem
from ledger_node import INITIAL, TERMINATION, ccr, service


def test_a_top_up_is_credited_and_read_again(door: Door) -> None:
    door.operator()

    made = door.post(
        "/operators/home/top-ups", {"amount": 250_000, "reference": "invoice 1", "kind": "lent"}, Idempotency_Key="k"
    )

    assert made.status_code == 201
    assert "idempotency-replayed" not in made.headers
    assert made.json() == {
        "number": 1,
        "operator": "home",
        "at": "2027-01-15T08:00:00.000Z",
        "amount": "250000",
        "kind": "lent",
        "reference": "invoice 1",
        "key": "k",
        "balance_after": {
            "credited": "250000",
            "available": "250000",
            "reserved": "0",
            "consumed": "0",
            "overrun": "0",
        },
    }
    assert door.ask("GET", made.headers["location"]).json() == made.json()
    assert door.get("/operators/home").json()["balance"]["available"] == "250000"


def test_a_repeat_is_answered_as_the_first_time_and_credits_nothing(door: Door) -> None:
    door.operator()
    first = door.top_up(100)
    door.top_up(900, key="another")

    again = door.top_up(100)

    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    assert door.get("/operators/home").json()["balance"]["credited"] == "1000"


def test_a_key_with_other_content_is_refused(door: Door) -> None:
    door.operator()
    door.top_up(100)

    problem(door.top_up(200), 422, "invalid-input")

    assert door.get("/operators/home").json()["balance"]["credited"] == "100"


def test_a_key_belongs_to_one_operator(door: Door) -> None:
    door.operator()
    door.operator("other", prefix="00102")
    assert door.top_up(100).json()["number"] == 1
    assert door.top_up(100, name="other").json()["number"] == 2


@pytest.mark.parametrize("body", [{"amount": "1", "reference": "r"}, {"amount": 1.5}])
def test_without_a_key_nothing_is_credited(door: Door, body: dict[str, object]) -> None:
    door.operator()
    problem(door.post("/operators/home/top-ups", body), 400, "idempotency-key-missing")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"amount": "0", "reference": "r"}, "k"),
        ({"amount": 10.0, "reference": "r"}, "k"),
        ({"amount": "1e3", "reference": "r"}, "k"),
        ({"amount": "10", "reference": ""}, "k"),
        ({"amount": "10", "reference": "two\nlines"}, "k"),
        ({"amount": "10", "reference": "r", "kind": "given"}, "k"),
        ({"amount": "10", "reference": "r"}, "k" * 256),
        ({"amount": "10", "reference": "r", "comment": "?"}, "k"),
    ],
)
def test_a_top_up_that_is_none_is_refused(door: Door, body: dict[str, object], key: str) -> None:
    door.operator()
    problem(door.post("/operators/home/top-ups", body, Idempotency_Key=key), 422, "invalid-input")
    assert door.node.account().funded == 0


def test_a_number_of_nineteen_digits_keeps_them_all(door: Door) -> None:
    door.operator()
    amount = 2**62 + 1
    assert door.top_up(amount).json()["amount"] == str(amount)
    assert door.get("/operators/home").json()["balance"]["available"] == str(amount)


def test_top_ups_come_in_pages_with_what_was_taken_back(door: Door) -> None:
    door.operator()
    door.operator("other", prefix="00102")
    for number in range(3):
        door.top_up(100, key=f"k{number}")
        door.top_up(5, name="other", key=f"k{number}")
    reversed_part = door.post("/operators/home/top-ups/3/reversals", {"amount": "40", "reason": "typed twice"})
    assert reversed_part.status_code == 201

    first = door.get("/operators/home/top-ups", limit=2).json()
    second = door.get("/operators/home/top-ups", limit=2, cursor=first["next"]).json()

    rows = first["items"] + second["items"]
    assert [row["key"] for row in rows] == ["k0", "k1", "k2"]
    assert [row["reversed"] for row in rows] == ["0", "40", "0"]
    assert second["next"] is None


def test_a_reversal_takes_back_at_most_what_is_there(door: Door) -> None:
    door.operator()
    door.top_up(15_000_000)
    door.node.charge(ccr(INITIAL, 0, service(1)))  # holds 10,000,000

    path = "/operators/home/top-ups/1/reversals"
    problem(door.post(path, {"amount": "5000001", "reason": "x"}), 409, "insufficient-balance")
    made = door.post(path, {"amount": "5000000", "reason": "paid twice"})

    assert made.status_code == 201
    assert made.json()["top_up"] == 1
    assert made.json()["balance"]["available"] == "0"
    assert made.json()["balance"]["credited"] == "10000000"
    problem(door.post(path, {"amount": "10000001", "reason": "x"}), 422, "invalid-input")


@pytest.mark.parametrize("number", ["2", "999"])
def test_a_top_up_of_another_operator_cannot_be_reversed(door: Door, number: str) -> None:
    door.operator()
    door.operator("other", prefix="00102")
    door.top_up(100)
    door.top_up(100, name="other")
    path = f"/operators/home/top-ups/{number}"
    problem(door.get(path), 404, "not-found")
    problem(door.post(f"{path}/reversals", {"amount": "1", "reason": "x"}), 404, "not-found")


@pytest.mark.parametrize("number", ["0", "-1", "x", str(2**64)])
def test_a_top_ups_number_is_a_number(door: Door, number: str) -> None:
    door.operator()
    told = problem(door.get(f"/operators/home/top-ups/{number}"), 422, "invalid-input")
    assert told["errors"][0]["where"] == "path/number"


def test_what_is_owed_is_written_off(door: Door) -> None:
    door.operator()
    door.top_up(10)
    door.node.charge(ccr(INITIAL, 0, service(1)))
    door.node.charge(ccr(TERMINATION, 1, service(1, ask=None, used=30)))

    path = "/operators/home/write-offs"
    problem(door.post(path, {"amount": "21", "reason": "x"}), 409, "insufficient-balance")
    problem(door.post(path, {"amount": "1", "reason": ""}), 422, "invalid-input")
    made = door.post(path, {"amount": "15", "reason": "insolvent"})

    assert made.status_code == 201
    assert (made.json()["balance"]["overrun"], made.json()["balance"]["written_off"]) == ("5", "15")
