"""Health, metrics and the offline page: what those see who hold no token."""

import re

from prometheus_client.parser import text_string_to_metric_families

from api_door import CORE_METRICS, Door, problem
from ledger_node import IMSI, INITIAL, ccr, service
from ocs.shell.api.docs_page import FILES, in_3_0


def samples(door: Door) -> dict[tuple[str, str], float]:
    answer = door.ask("GET", "/metrics", headers={})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, sample.labels.get("operator", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_process_lives_whatever_the_core_does(door: Door) -> None:
    door.backend.lost = True
    answer = door.ask("GET", "/livez", headers={})
    assert (answer.status_code, answer.json()["status"]) == (200, "alive")


def test_the_server_is_ready_once_it_serves(door: Door) -> None:
    assert door.ask("GET", "/readyz", headers={}).json()["status"] == "ready"


def test_what_keeps_it_from_being_ready_is_named(door: Door) -> None:
    door.backend.serving = False
    told = problem(door.ask("GET", "/readyz", headers={}), 503, "not-ready")
    assert told["reasons"] == {"core": "it is stopping, or has not begun to serve"}

    door.backend.lost = True
    told = problem(door.ask("GET", "/readyz", headers={}), 503, "not-ready")
    assert told["reasons"] == {"core": "the core does not answer"}

    door.backend.faults = {"journal": "7 groups are still to be read"}
    told = problem(door.ask("GET", "/readyz", headers={}), 503, "not-ready")
    assert told["reasons"] == {"journal": "7 groups are still to be read"}
    assert told["detail"] == "journal: 7 groups are still to be read"


def test_metrics_join_the_cores_and_the_followers(door: Door) -> None:
    door.operator()
    door.operator("other", prefix="00102")
    door.top_up(25_000_000)
    door.node.charge(ccr(INITIAL, 0, service(1)))

    found = samples(door)

    assert found["ocs_events_total", ""] == 7
    assert found["ocs_operator_available_credits", "home"] == 15_000_000
    assert found["ocs_operator_reserved_credits", "home"] == 10_000_000
    assert found["ocs_operator_available_credits", "other"] == 0
    assert found["ocs_open_sessions", "home"] == 1
    assert found["ocs_journal_index", ""] == 4
    assert found["ocs_books_index", ""] == 2, "top-up and charge are not posted yet"
    assert found["ocs_follower_lag_groups", ""] == 0
    assert found["ocs_books_lag_groups", ""] == 2
    assert found["ocs_core_up", ""] == found["ocs_ready", ""] == 1


def test_metrics_tell_a_lag_where_balances_would_be_old(door: Door) -> None:
    door.operator()
    door.backend.behind = True
    found = samples(door)
    assert found["ocs_journal_index", ""] == 1
    assert found["ocs_books_lag_groups", ""] == 0
    assert ("ocs_operator_available_credits", "home") not in found


def test_metrics_of_a_core_that_is_away_say_so(door: Door) -> None:
    door.backend.lost = True
    door.backend.faults = {"core": "not connected"}
    assert samples(door) == {
        ("ocs_core_up", ""): 0,
        ("ocs_ready", ""): 0,
        ("ocs_reconciliation_incidents_total", ""): 0,
        ("ocs_log_leaves", ""): 0,
    }


def test_no_metric_names_a_subscriber_or_a_session(door: Door) -> None:
    door.operator()
    door.top_up(25_000_000)
    door.node.charge(ccr(INITIAL, 0, service(1)))
    text = door.ask("GET", "/metrics", headers={}).text
    assert IMSI not in text
    assert "sgw;1;1" not in text
    assert CORE_METRICS in text


# The page


def test_the_page_and_all_it_loads_come_from_here(door: Door) -> None:
    page = door.ask("GET", "/docs", headers={})

    assert page.status_code == 200
    assert "://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {f"docs/{name}" for name in FILES} | {"docs/start.js", "openapi.json"} == set(loaded)
    for name in loaded:
        assert door.ask("GET", f"/{name}", headers={}).status_code == 200


def test_the_page_asks_no_validator_outside(door: Door) -> None:
    start = door.ask("GET", "/docs/start.js", headers={}).text
    assert "validatorUrl: null" in start
    assert "://" not in start


def test_a_style_or_script_names_no_place_outside(door: Door) -> None:
    style = door.ask("GET", "/docs/swagger-ui.css", headers={}).text
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", style)
    assert "@import" not in style


def test_the_pages_document_is_what_its_reader_understands(door: Door) -> None:
    document = door.ask("GET", "/docs/openapi.json", headers={})
    assert document.json()["openapi"] == "3.0.3"
    assert '"null"' not in document.text
    assert '"const"' not in document.text
    assert document.json()["paths"].keys() == door.ask("GET", "/openapi.json", headers={}).json()["paths"].keys()


def test_the_words_of_3_1_are_said_in_those_of_3_0() -> None:
    assert in_3_0({"anyOf": [{"type": "string"}, {"type": "null"}], "title": "T"}) == {
        "type": "string",
        "title": "T",
        "nullable": True,
    }
    assert in_3_0({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]}) == {"anyOf": [{"$ref": "#/x"}], "nullable": True}
    assert in_3_0({"anyOf": [{"type": "string"}, {"type": "integer"}]}) == {
        "anyOf": [{"type": "string"}, {"type": "integer"}]
    }
    assert in_3_0([{"const": "a", "examples": ["a", "b"]}]) == [{"enum": ["a"], "example": "a"}]
    assert in_3_0({"examples": {"named": {"value": 1}}}) == {"examples": {"named": {"value": 1}}}
