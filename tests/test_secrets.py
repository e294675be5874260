"""wixhttp.secrets: where a secret is found, and that it is not shown."""

from __future__ import annotations

import asyncio
import base64
import copy
import html
import json
import os
import pickle
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import markupsafe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp.errors import ConfigError, ProjectError, SecretNotFound
from wixhttp.project.dotenv import parse
from wixhttp.secrets import Secret, SecretStore, getSecret, mask, override, remove_secret, set_default_store, set_secret


@pytest.fixture(autouse=True)
def no_default_store() -> Iterator[None]:
    set_default_store(None)
    yield
    set_default_store(None)


def store_of(root: Path, environ: dict[str, str] | None = None, mode: str = "production") -> SecretStore:
    return SecretStore(root, mode, Path("secrets.env"), {} if environ is None else environ)


def private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_the_order_of_the_places(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    store = store_of(tmp_path, environ)
    private(tmp_path / "secrets.env", "KEY=secrets.env")
    assert store.get("KEY") == "secrets.env"
    for name in (".env", ".env.local", ".env.production", ".env.production.local"):
        (tmp_path / name).write_text(f"KEY={name}")
        assert store.get("KEY") == name
    environ["KEY"] = ""
    assert store.get("KEY") == ""
    assert store.names() == {"KEY": ".env.production.local"}


def test_the_files_of_another_mode_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env.production").write_text("KEY=p")
    (tmp_path / ".env.development").write_text("KEY=d")
    assert store_of(tmp_path, mode="development").get("KEY") == "d"


def test_not_found_names_the_places_in_order(tmp_path: Path) -> None:
    with pytest.raises(SecretNotFound) as caught:
        store_of(tmp_path).get("KEY")
    assert caught.value.name == "KEY"
    assert caught.value.places == (
        "the process environment",
        ".env.production.local",
        ".env.production",
        ".env.local",
        ".env",
        "secrets.env",
    )
    assert isinstance(caught.value, LookupError)
    assert "where it may be missing, write try and except SecretNotFound" in str(caught.value)


def test_a_secrets_file_elsewhere(tmp_path: Path) -> None:
    path = private(tmp_path / "app.env", "KEY=value")
    (tmp_path / "site").mkdir()
    store = SecretStore(tmp_path / "site", "production", path, {})
    assert store.names() == {"KEY": str(path)}


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for value in ("one", "two", "three"):
        set_secret(tmp_path / "secrets.env", "KEY", value)
        assert store.get("KEY") == value
    (tmp_path / "secrets.env").unlink()
    with pytest.raises(SecretNotFound):
        store.get("KEY")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_secrets_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "secrets.env", "KEY=hunter2")
    store = store_of(tmp_path, {"OTHER": "x"})
    assert store.get("KEY") == "hunter2"
    path.chmod(mode)
    with pytest.raises(ProjectError, match=f"its mode is {mode:04o}; run: chmod 600 {path}"):
        store.get("KEY")
    assert store.get("OTHER") == "x"


def test_a_file_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nhunter2 x")
    with pytest.raises(ConfigError, match=r"\.env:2: ") as caught:
        store_of(tmp_path).get("KEY")
    assert "hunter2" not in str(caught.value)
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 at byte 2"):
        store_of(tmp_path).get("KEY")


def test_a_virtual_environment_called_dot_env(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert store_of(tmp_path).names() == {}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(".env")
    with pytest.raises(ProjectError, match="cannot be read"):
        store_of(tmp_path).names()


def test_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfKEY=value")
    assert store_of(tmp_path).get("KEY") == "value"


def test_a_secret_is_text_with_a_masked_repr() -> None:
    secret = Secret("hunter2")
    assert isinstance(secret, str)
    assert secret == "hunter2"
    assert f"{secret} {secret!s}" == "hunter2 hunter2"
    assert type(str(secret)) is str
    assert repr(secret) == f"{secret!r}" == "Secret('***')"
    assert "hunter2" not in repr({"key": [secret]})
    assert json.dumps(secret) == '"hunter2"'
    assert hash(secret) == hash("hunter2")


def test_a_secret_can_be_copied() -> None:
    secret = Secret("hunter2")
    pickled = [pickle.dumps(secret, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for same in (copy.copy(secret), copy.deepcopy(secret), *map(pickle.loads, pickled)):
        assert same == secret
        assert type(same) is Secret


def test_a_secret_can_be_awaited() -> None:
    async def ported() -> tuple[Secret, tuple[Secret, Secret]]:
        with override(SecretStore.from_mapping({"KEY": "hunter2"})):
            one, two = await asyncio.gather(getSecret("KEY"), getSecret("KEY"))
            return await getSecret("KEY"), (one, two)

    one, two = asyncio.run(ported())
    assert [one, *two] == ["hunter2"] * 3
    assert type(one) is Secret


def test_the_default_store_is_that_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wixhttp.toml").write_text("mode = 'development'\nsecrets_file = 'app.env'")
    (tmp_path / ".env.development").write_text("KEY=hunter2")
    private(tmp_path / "app.env", "OTHER=hunter3")
    monkeypatch.setenv("WIXHTTP_PROJECT", str(tmp_path))
    monkeypatch.setenv("THIRD", "hunter4")
    assert mask("hunter3") == "hunter3"
    assert [getSecret("KEY"), getSecret("OTHER"), getSecret("THIRD")] == ["hunter2", "hunter3", "hunter4"]
    assert mask("hunter2 hunter3 hunter4 hunter5") == "*** *** *** hunter5"


def test_override_is_for_one_context(tmp_path: Path) -> None:
    set_default_store(SecretStore.from_mapping({"KEY": "default"}))
    seen: list[str] = []
    with override(SecretStore.from_mapping({"KEY": "outer"})) as outer:
        with override(SecretStore.from_mapping({"KEY": "inner"})) as inner:
            assert getSecret("KEY") == inner.get("KEY") == "inner"
        with pytest.raises(ZeroDivisionError), override(inner):
            raise ZeroDivisionError
        assert getSecret("KEY") == outer.get("KEY") == "outer"
        thread = threading.Thread(target=lambda: seen.append(getSecret("KEY")))
        thread.start()
        thread.join()
    assert seen == ["default"]
    assert getSecret("KEY") == "default"


def test_a_store_from_a_mapping_looks_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSIDE", "x")
    store = SecretStore.from_mapping({"KEY": "value"})
    assert store.names() == {"KEY": "the values of the test"}
    with pytest.raises(SecretNotFound):
        store.get("OUTSIDE")


def test_setting_the_default_store_reads_its_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=hunter2\nDEBUG=true\nPIN=123")
    store = store_of(tmp_path)
    assert store.values() == frozenset()
    set_default_store(store)
    assert store.values() == {"hunter2", "true", "123"}
    assert mask("hunter2 true 123") == "*** true 123"


def test_an_old_value_stays_masked(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for value in ("old-value", "new-value"):
        set_secret(tmp_path / "secrets.env", "KEY", value)
        store.get("KEY")
    assert store.mask("old-value new-value") == "*** ***"


def test_the_longest_is_masked_first() -> None:
    store = SecretStore.from_mapping({"A": "abcd", "B": "abcdef", "C": "a.*c"})
    assert store.mask("abcdefg abcde a.*c abbc") == "***g ***e *** abbc"


def test_other_spellings_are_masked() -> None:
    value = 'line "one"\nline\ttwo'
    with override(SecretStore.from_mapping({"KEY": value})):
        assert mask(f"{value} {value!r} {json.dumps(value)}") == "*** '***' \"***\""


def test_nothing_known() -> None:
    text = "as it was"
    assert mask(text) is text
    assert SecretStore.from_mapping({}).mask(text) is text


@given(st.dictionaries(st.text(min_size=1), st.text("abc*\\\n", min_size=4), max_size=5), st.text("abc*\\\n"))
def test_no_known_value_is_left(values: dict[str, str], text: str) -> None:
    masked = SecretStore.from_mapping(values).mask(" ".join([text, *values.values()]))
    assert not any(value in masked for value in values.values() if "*" not in value)


def test_threads_share_a_store() -> None:
    environ = {f"KEY{n}": f"value-{n}-" for n in range(50)}
    store = SecretStore(Path("/nowhere"), "production", Path("secrets.env"), environ)
    threads = [threading.Thread(target=lambda: [store.mask(store.get(name)) for name in environ]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.values() == set(environ.values())
    assert store.mask(" ".join(environ.values())) == " ".join(["***"] * 50)


def test_set_makes_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    before = os.umask(0)
    try:
        set_secret(path, "KEY", "va lue")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == 'KEY="va lue"\n'
    assert os.listdir(tmp_path) == ["secrets.env"]


def test_set_and_remove_keep_the_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_bytes(b"# head\r\nA=1 # first\r\n\nexport B='x\ny'  # second\n  C=\n# foot")
    set_secret(path, "A", "two words")
    set_secret(path, "B", "z")
    set_secret(path, "C", "c")
    set_secret(path, "D", "d")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b'# head\r\nA="two words" # first\r\n\nexport B=z  # second\n  C=c\n# foot\nD=d\n'
    assert remove_secret(path, "B")
    assert remove_secret(path, "A")
    assert not remove_secret(path, "A")
    assert path.read_bytes() == b"# head\r\n\n  C=c\n# foot\nD=d\n"


def test_a_name_that_stands_there_twice_is_set_where_it_counts_and_removed_everywhere(tmp_path: Path) -> None:
    path = private(tmp_path / "secrets.env", "A=1\nB='b'# note\n\n\n  A = 2 # two\nC= # empty\nA\n")
    set_secret(path, "A", "3")
    set_secret(path, "B", "z")
    set_secret(path, "C", "c")
    assert path.read_text() == "A=1\nB=z # note\n\n\n  A =3 # two\nC=c # empty\nA\n"
    assert store_of(tmp_path).get("A") == "3"
    assert remove_secret(path, "A")
    assert path.read_text() == "B=z # note\n\n\nC=c # empty\nA\n"
    assert store_of(tmp_path).names() == {"B": "secrets.env", "C": "secrets.env"}


def test_variables_are_of_the_environment_and_masked(tmp_path: Path) -> None:
    private(tmp_path / "secrets.env", "PASS=hunter2\nURL=https://me:${PASS}@${HOST:-localhost}/")
    store = store_of(tmp_path, {"HOST": "db"})
    assert store.get("URL") == "https://me:hunter2@db/"
    assert store.mask("hunter2 https://me:hunter2@db/") == "*** ***"
    set_secret(tmp_path / "secrets.env", "PASS", "${URL}")
    assert store.get("PASS") == "${URL}"


def test_remove_from_no_file(tmp_path: Path) -> None:
    assert not remove_secret(tmp_path / "secrets.env", "KEY")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=B", "A\nB", "../A"])
def test_names_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    for edit in (lambda: set_secret(tmp_path / "s", name, "x"), lambda: remove_secret(tmp_path / "s", name)):
        with pytest.raises(ValueError, match="a name is letters"):
            edit()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["hunter2\0", "hunter2\ud800"])
def test_values_that_cannot_be_written_leave_the_file(tmp_path: Path, value: str) -> None:
    path = private(tmp_path / "secrets.env", "A=1\n")
    with pytest.raises(ValueError) as caught:
        set_secret(path, "KEY", value)
    assert "hunter2" not in str(caught.value)
    assert path.read_text() == "A=1\n"
    assert os.listdir(tmp_path) == ["secrets.env"]


def test_a_broken_file_is_not_touched(tmp_path: Path) -> None:
    path = private(tmp_path / "secrets.env", "A=1\n? ?\n")
    with pytest.raises(ConfigError):
        set_secret(path, "B", "x")
    assert path.read_text() == "A=1\n? ?\n"


def test_a_link_is_followed(tmp_path: Path) -> None:
    target = private(tmp_path / "real.env", "A=1\n")
    link = tmp_path / "secrets.env"
    link.symlink_to("real.env")
    set_secret(link, "A", "2")
    assert link.is_symlink()
    assert target.read_text() == "A=2\n"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8")))
    )
)
def test_edits_behave_as_a_mapping(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str | None]]
) -> None:
    path = tmp_path_factory.mktemp("edits") / "secrets.env"
    path.write_bytes(b"# head\nA=1 # note\r\n")
    model = {"A": "1"}
    for name, value in edits:
        if value is None:
            assert remove_secret(path, name) == (model.pop(name, None) is not None)
        else:
            set_secret(path, name, value)
            model[name] = value
    text = path.read_bytes().decode()
    assert parse(text, "secrets.env") == model
    assert text.startswith("# head\n")


_SECRETS = st.text(st.characters(exclude_characters="*", codec="utf-8"), min_size=8, max_size=40)


def _encoded(value: str) -> list[str]:
    """A value as encoders write it into a text: HTML, JSON, URLs, forms, scripts."""
    return [
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        str(markupsafe.escape(value)),
        urllib.parse.quote(value),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote_plus(value),
        urllib.parse.quote(value, safe="!'()*~"),
        re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(value, safe="")),
        urllib.parse.urlencode({"key": value}).removeprefix("key="),
    ]


@given(_SECRETS, st.text("ab&%+\"'\\", max_size=5))
def test_encoded_values_are_masked(value: str, around: str) -> None:
    store = SecretStore.from_mapping({"KEY": value})
    for encoded in _encoded(value):
        assert store.mask(f"{around}|{encoded}|{around}") == f"{around}|***|{around}"


@given(_SECRETS, st.binary(max_size=7), st.binary(max_size=7), st.integers(0, 50))
def test_codes_of_values_are_masked_wherever_they_stand(value: str, before: bytes, after: bytes, at: int) -> None:
    store = SecretStore.from_mapping({"KEY": value, "OTHER": "0123456789" * 5})
    data = value.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = store.mask("_" * at + encode(before + data + after).decode())
        assert "***" in shown
        beside = len(encode(before).rstrip(b"=")) + len(encode(after).rstrip(b"="))
        assert len(shown.replace("*", "").lstrip("_")) <= beside + 4  # the characters at its edges have bits of both
    for text in (data.hex(), data.hex().upper()):
        assert store.mask("_" * at + text) == "_" * at + "***"


def test_a_long_value_is_masked_as_a_whole() -> None:
    value = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvAIBADANBgkqhkiG9w0BAQEFAASC+/BKYwggSiAgEAAoIBAQC7\n" * 40
    store = SecretStore.from_mapping({"KEY": value})
    data = value.encode()
    for code in (data.hex(), base64.b64encode(data).decode(), base64.urlsafe_b64encode(b"x" + data).decode()[2:]):
        assert store.mask(f"is {code}.") == "is ***."
    for text in (value, json.dumps(value)[1:-1], repr(value)[1:-1], urllib.parse.quote_plus(value)):
        assert store.mask(f"is {text}.") == "is ***."


def test_codes_of_short_values_are_ordinary_text() -> None:
    store = SecretStore.from_mapping({"PORT": "8000", "USER": "admin"})
    for value in ("8000", "admin"):
        for text in (base64.b64encode(value.encode()).decode(), value.encode().hex()):
            assert store.mask(text) == text


def test_masking_takes_time_in_proportion_to_the_text() -> None:
    values = {f"K{n}": f"{'ab' * 20}{n:03}" for n in range(50)} | {"B": "\\" * 30 + "x", "P": "%" * 30 + "x"}
    store = SecretStore.from_mapping(values)
    for text in ("ab", "\\", "%25", "6162", "YWJh", "&quot;"):
        began = time.process_time()
        store.mask(text * (300_000 // len(text)))
        assert time.process_time() - began < 5
