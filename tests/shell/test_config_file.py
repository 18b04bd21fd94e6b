"""Every bad configuration is told with its place and its mend, all faults at once; a good one means what it says."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ocs.errors import BadConfiguration, InvalidInput
from ocs.shell.config import Config
from ocs.shell.config_file import Setting, load, settings
from ocs.shell.config_values import parse_listen
from places import DOCS

PAGE = (DOCS / "configuration.md").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "ocs.yaml"
    path.write_text(text)
    return path


def faults(path: Path, environ: dict[str, str]) -> list[str]:
    """Give the lines of the explanation; none for a good configuration, and no other exception."""
    try:
        load(path, environ)
    except BadConfiguration as error:
        return str(error).splitlines()
    return []


BAD = {
    "gy: {lisen: [x]}": r":1: there is no key gy\.lisen; did you mean listen\?",
    "origin_hots: a": r":1: there is no key origin_hots; did you mean origin_host\?",
    "a: 1\nwatchdog_seconds: 5": r":2: there is no key watchdog_seconds; it is a key of another section: gy\.watchdog",
    "zzz: 1": r"there is no key zzz; `ocs config explain` lists",
    'gy:\n  listen: "x"': r":2: gy\.listen is 'x': .*list.*by default \[\"127\.0\.0\.1:3868\"\]",
    "gy:\n  watchdog_seconds: 3": r":2: gy\.watchdog_seconds is 3: .*6; it takes integer, by default 30",
    "gy: {watchdog_seconds: yes}": r"gy\.watchdog_seconds is true: ",
    "gy: {watchdog_seconds: 7.5}": r"gy\.watchdog_seconds is 7\.5",
    "gy: {watchdog_seconds: '7'}": r"gy\.watchdog_seconds is '7': .*integer",
    "gy:\n  peers: any\ngy:\n  peers: []": r":3: gy stands here and at .*:1; leave one of them out",
    "gy: [": r":1:6: this is not YAML",
    "- a": r":1: keys are wanted, as in `origin_host",
    "gy: 7": r":1: gy is a section with keys of its own, and not 7",
    "gy: {tls: {certificate: a}}": r"gy\.tls\.key is missing; add it: PEM .*\n.*gy\.tls\.ca is missing",
    "quota: {final_unit: {action: redirect}}": r"quota\.final_unit: .*redirect_url, for example",
    "quota: {final_unit: {action: restrict}}": r"quota\.final_unit: .*filter_ids or filter_rules",
    "quota: {min_octets: 5, default_octets: 3}": r"quota: min_octets \(5\), default_octets \(3\).*must rise",
    "quota: {no_balance_code: 5012}": r"quota\.no_balance_code is 5012: .*5003 or 4012",
    "gy: {peers: all}": r"gy\.peers is 'all': .*it takes any or list",
    "gy: {peers: [{origin_host: a, addresses: [b]}]}": r"gy\.peers\[0\]\.addresses\[0\] is 'b': .*write 192\.0\.2\.7",
    "gy: {peers: [{origin_host: a, profile: x}]}": r"peers\[0\]\.profile is 'x': .*standard",
    "gy: {peers: [{address: a}]}": r"peers\[0\]\.origin_host is missing; .*\n.*peers\[0\]\.address; did you mean",
    "gy: {listen: ['127.0.0.1']}": r"gy\.listen\[0\] is '127\.0\.0\.1': .*write 127\.0\.0\.1:3868 or \[::1\]:3868",
    "gy: {listen: ['::1:3868']}": r"no place to listen",
    "gy: {listen: ['127.0.0.1:70000']}": r"has no port between 0 and 65535",
    "api: {listen: 8080}": r"api\.listen is 8080: .*string",
    "gy: {listen: ['256.0.0.1:1', '[a]:1', 'a..b:1']}": r"'256\.0\.0\.1' is no IPv4.*'a' is no IPv6.*'a\.\.b' is no",
    "gy:\n  listen: []": r":1: gy: no place to listen is left; name one in listen, or in tls\.listen",
    "gy: {peers: [{origin_host: a}, {origin_host: A}]}": r":1: gy: peers names a twice; write one entry",
    "gy: {peers: [{origin_host: a, addresses: [10.0.0.1/8]}]}": r"names one address of a network; write 10\.0\.0\.0/8",
    "gy: {peers: {origin_host: a}}": r"gy\.peers is \{'origin_host': 'a'\}: .*it takes any or list of section",
    "gy: {peers: null}": r"gy\.peers is null: .*it takes any or list",
    "gy: {tls: {}}": r"certificate is missing; add it: .*\n.*key is missing; .*\n.*ca is missing",
    "gy: {tls: {certifcate: a}}": r"no key gy\.tls\.certifcate; did you mean certificate\?",
    "gy: {tls: on}": r"gy\.tls is a section with keys of its own, and not true",
    "GY: {listen: []}": r"no key GY; did you mean gy\?",
    "gy.listen: ['127.0.0.1:1']": r"no key gy\.listen; write it as a section: gy: \{listen: \.\.\.\}",
    "quota.final_unit.action: redirect": r"write it as a section: quota: \{final_unit: \{action: \.\.\.\}\}",
    "quota:\n  final_unit:\n    actoin: redirect": r":3: there is no key quota\.final_unit\.actoin; did you mean",
    "data: ''": r":1: data is '': some text of printable characters is wanted",
    'data: "a\\0b"': r":1: data is 'a\\x00b': some text",
    'data: "\\ud800"': r":1: data is '\\ud800': some text",
    "gy: {dictionaries: ['']}": r"gy\.dictionaries\[0\] is '': some text",
    "services: {emergency: {rating_groups: [-1]}}": r"rating_groups\[0\] is -1: .*equal to 0",
    "origin_host: a b": r"origin_host is 'a b': a Diameter identity is a domain name such as",
    "origin_host: ''": r"origin_host is ''",
    "logging: {level: loud}": r"logging\.level is 'loud': .*'debug', 'info'",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfiguration, match=re.compile(BAD[text], re.DOTALL)) as told:
        load(written(tmp_path, text), {})
    assert all(line.startswith(str(tmp_path)) for line in str(told.value).splitlines()), "each line names the file"


HOSTILE = {
    "1: 2": r":1: '1' is no key; keys are words",
    "\non: 1": r":2: 'on' is no key",
    "~: 1": r":1: '~' is no key",
    "? [a]\n: 1": r":1: a list or section is no key",
    '"": 1': r"there is no key ''; `ocs config explain`",
    '"gy[0]": 1': r"there is no key 'gy\[0\]'",
    'gy: {"list[": 1}': r"there is no key gy\.'list\['",
    '"a\\nb": 1': r"there is no key 'a\\nb'",
    "origin_host: &a [*a]": r"nested too deep, or in itself",
    "[" * 5000: r"nested too deep",
    "gy: {watchdog_seconds: " + "9" * 5000 + "}": r":1: gy\.watchdog_seconds is '9{79}\.\.\., which YAML takes for int",
    "gy:\n  watchdog_seconds: 0x_": r":2: gy\.watchdog_seconds is '0x_', which YAML takes for int, and is none",
    "gy: {strict_destination: !!bool maybe}": r"'maybe', which YAML takes for bool",
    "data: !!timestamp x": r"'x', which YAML takes for timestamp",
    "gy: !peer x": r":1:5: this is not YAML: could not determine a constructor for the tag",
    "a: 1\nb: \x07": r":2: this is not YAML: take the character U\+0007 out",
    "a: 1\n---\nb: 2": r":2:1: this is not YAML: but found another document",
    "gy:\n\tlisten: []": r":2:1: this is not YAML: found character '\\t'",
    "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in ("ab", "bc", "cd", "de", "ef", "fg"))
    + "\n": r"more than 100000 keys and values; aliases multiply",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:30])
def test_strange_yaml_is_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfiguration, match=HOSTILE[text]) as told:
        load(written(tmp_path, text), {})
    assert all(line.startswith(str(tmp_path)) for line in str(told.value).splitlines())
    assert len(str(told.value)) < 2000, "a long value is cut"


_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["any", "::1"])
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted({step for one in settings() for step in re.split(r"[][.]+", one.key) if step}))
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(tree=_TREES, cut=st.integers(0, 200))
def test_any_file_is_a_configuration_or_explained(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, cut: int
) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True)
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    for said in (text, text[:cut], text + text):
        path.write_text(said, encoding="utf-8", errors="surrogateescape")
        assert all(line.startswith(str(path)) for line in faults(path, {}))


@given(
    environ=st.dictionaries(
        st.sampled_from([one.variable for one in settings() if one.variable])
        | st.text(max_size=5).map("OCS__".__add__),
        st.text() | st.integers().map(str) | _TREES.map(yaml.safe_dump),
        max_size=4,
    )
)
def test_any_environment_is_a_configuration_or_explained(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "none.yaml"
    path.write_text("")
    assert all(line.startswith(("environment: ", "configuration: ", str(path))) for line in faults(path, environ))


def test_a_date_is_text_where_text_is_wanted(tmp_path: Path) -> None:
    assert load(written(tmp_path, "data: 2026-01-01"), {}).data == str(tmp_path / "2026-01-01")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as told:
        load(
            written(tmp_path, "a: 1\ngy: {b: 2, watchdog_seconds: 1}\n"), {"OCS__C": "3", "OCS__QUOTA__MAX_OCTETS": "x"}
        )
    assert len(str(told.value).splitlines()) == 5


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"No such file.*--config"):
        load(tmp_path / "none.yaml", {})
    with pytest.raises(BadConfiguration, match="Is a directory"):
        load(tmp_path, {})
    (tmp_path / "ocs.yaml").write_bytes(b"origin_host: \xff")
    with pytest.raises(BadConfiguration, match="octet 13 is not UTF-8"):
        load(tmp_path / "ocs.yaml", {})


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "gy:\nquota:\n  final_unit:\n", "{}"])
def test_nothing_said_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(written(tmp_path, text), {}) == Config().placed(tmp_path)


def test_defaults_listen_on_loopback_only() -> None:
    config = Config()
    for place in (*config.gy.listen, config.api.listen, config.usage.listen):
        assert parse_listen(place)[0] == "127.0.0.1"
    assert config.gy.tls is None
    assert config.gy.peers == []


def test_the_working_directorys_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).origin_host == Config().origin_host
    written(tmp_path, "origin_host: here.example")
    assert load(None, {}).origin_host == "here.example"


def test_paths_are_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = "data: d\ngy: {dictionaries: [v.dia, /abs.dia], tls: {certificate: c, key: k, ca: a}}"
    config = load(written(tmp_path, text), {})
    assert config.data == str(tmp_path / "d")
    assert config.gy.dictionaries == [str(tmp_path / "v.dia"), "/abs.dia"]
    assert config.gy.tls is not None
    assert (config.gy.tls.certificate, config.gy.tls.key) == (str(tmp_path / "c"), str(tmp_path / "k"))


def test_variables_overrule_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "gy: {watchdog_seconds: 10, listen: ['127.0.0.1:1']}")
    config = load(
        path,
        {
            "OCS__GY__WATCHDOG_SECONDS": "20",
            "OCS__GY__LISTEN": "127.0.0.1:2, [::1]:2",
            "OCS__GY__REALMS": '["a.example", "b.example"]',
            "OCS__GY__PEERS": "any",
            "OCS__GY__STRICT_DESTINATION": "true",
            "OCS__QUOTA__HOLDING_SECONDS": "null",
            "OCS__SERVICES__EMERGENCY__RATING_GROUPS": "[7, 8]",
            "OCS__ORIGIN_HOST": "1234",
            "PATH": "is nobody's",
        },
    )
    assert config.gy.watchdog_seconds == 20
    assert config.gy.listen == ["127.0.0.1:2", "[::1]:2"]
    assert config.gy.realms == ["a.example", "b.example"]
    assert config.gy.peers == "any"
    assert config.gy.strict_destination
    assert config.quota.holding_seconds is None
    assert config.services.emergency.rating_groups == [7, 8]
    assert config.origin_host == "1234"


def test_a_variable_means_what_its_key_takes(tmp_path: Path) -> None:
    path = written(tmp_path, "gy: {tls: null}\nquota: {final_unit: {action: redirect, redirect_url: a}}")
    config = load(
        path,
        {
            "OCS__DATA": "2026",
            "OCS__GY__TLS__CERTIFICATE": "1.0",
            "OCS__GY__TLS__KEY": "null",
            "OCS__GY__TLS__CA": "/abs/ca",
            "OCS__GY__PROFILE": "null",
            "OCS__QUOTA__FINAL_UNIT__REDIRECT_URL": "7",
            "OCS__SERVICES__EMERGENCY__RATING_GROUPS": "7, 8",
            "OCS__SERVICES__EMERGENCY__APNS": "- sos\n- 'null'",
            "OCS__SERVICES__CONTEXT_IDS": "",
        },
    )
    assert config.data == str(tmp_path / "2026"), "beside the file, like the file's own paths"
    assert config.gy.tls is not None
    assert (config.gy.tls.certificate, config.gy.tls.key) == (str(tmp_path / "1.0"), str(tmp_path / "null"))
    assert config.gy.tls.ca == "/abs/ca"
    assert config.gy.profile is None
    assert config.quota.final_unit.redirect_url == "7"
    assert config.services.emergency.rating_groups == [7, 8]
    assert config.services.emergency.apns == ["sos", "null"]
    assert config.services.context_ids == []


@pytest.mark.parametrize("one", [one for one in settings() if one.default != "required"], ids=lambda one: one.key)
def test_every_key_that_is_no_entrys_has_its_variable(one: Setting) -> None:
    if "[]" in one.key or one.kind == "section" or ".tls." in one.key:
        assert (one.variable == "") == ("[]" in one.key)
        return
    assert one.variable == "OCS__" + "__".join(one.key.upper().split("."))
    assert load(None, {one.variable: one.default.replace('"', "")}) == Config().placed(Path()), (
        "its default, said aloud"
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OCS__GY__LISTN", "x", r"OCS__GY__LISTN names no key; did you mean OCS__GY__LISTEN\?"),
        ("OCS__GY__LISTEN", "127.0.0.1:99999", r"environment: OCS__GY__LISTEN: gy\.listen\[0\] is"),
        (
            "OCS__QUOTA__MIN_OCTETS",
            "abc",
            r"environment: OCS__QUOTA__MIN_OCTETS: quota\.min_octets is 'abc': .*integer",
        ),
        ("OCS__ZZZ", "x", r"OCS__ZZZ names no key; `ocs config explain` lists"),
        ("OCS__gy__listen", "x", r"OCS__gy__listen names no key; did you mean OCS__GY__LISTEN\?"),
        ("OCS__GY__PEERS__0__ORIGIN_HOST", "x", r"names no key"),
        ("OCS__QUOTA__MIN_OCTETS", "9" * 5000, r"quota\.min_octets is '9{79}\.\.\.: .*integer"),
        ("OCS__GY__LISTEN", "", r"gy: no place to listen is left"),
        ("OCS__GY__TLS__KEY", "k", r"gy\.tls\.certificate is missing"),
        ("OCS__SERVICES__EMERGENCY__RATING_GROUPS", "7, x", r"rating_groups\[1\] is 'x': .*integer"),
        ("OCS__DATA", "\udcff", r"data is '\\udcff': some text"),
        ("OCS__GY__REALMS", "[a", r"environment: OCS__GY__REALMS: gy\.realms"),
    ],
)
def test_a_bad_variable_is_explained(name: str, value: str, told: str) -> None:
    with pytest.raises(BadConfiguration, match=told):
        load(None, {name: value})


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:65535", "ocs.example.net:3868"])
def test_places_to_listen(text: str) -> None:
    host, port = parse_listen(text)
    assert text in (f"{host}:{port}", f"[{host}]:{port}")


@pytest.mark.parametrize("text", ["", ":1", "a", "a:", "a:b", "a:-1", "a:65536", "::1:2", "[::1]", "a:٣"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_listen(text)


# The page


def test_the_page_lists_every_key_as_it_is() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (?:`([^|]*)`)? ?\| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.key, one.kind, one.default, one.meaning) for one in settings()]


def test_the_examples_of_the_page_are_configurations(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        assert load(written(tmp_path, text), {}).origin_host == "ocs.example.net"
        assert yaml.safe_load(text)


def test_every_default_is_the_one_that_is_shown() -> None:
    for one in settings():
        if "[]" in one.key or ".tls." in one.key or one.default in ("", "required"):
            continue
        value: object = Config()
        for step in one.key.split("."):
            value = getattr(value, step)
        assert yaml.safe_load(one.default) == value or one.default == value
