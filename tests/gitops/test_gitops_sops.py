"""SOPS files: vectors that sops 3.11 and age-keygen 1.1.1 made, and faults."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.gitops.build import Builder
from reconciler.gitops.documents import BuildError, compose, documents
from reconciler.gitops.edit import EditError, ModelName, pin
from reconciler.gitops.sops.cipher import decrypt, encrypt
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.keys import AgeKeys, IdentityError, new_identity
from reconciler.gitops.sops.metadata import Metadata, Rules
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.sops.scalars import Plain, plain
from reconciler.gitops.sops.sealing import as_json, as_yaml, seal

HERE = Path(__file__).parent / "sops_vectors"
KEYS = AgeKeys.file("age.agekey", (HERE / "age.agekey").read_bytes())
RECIPIENT = "age1q3cny2mu55hlk4cef573peg46jae9st5xt3vck08sk58gq2kfygqrkdje8"
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: s, labels: {port: "5"}}
n: 1.10
stringData:
  password: hunter2
  other: "sw0rdfish"
---
apiVersion: v1
kind: Secret
metadata: {name: t}
data: {a: aGVsbG8=}
"""


def read(text: str | bytes, keys: AgeKeys | None = KEYS) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    found = documents("f.yaml", data, None, Opener(keys))
    assert all(d.secret for d in found)
    return [d.value for d in found]


def sealed(text: str = SECRET, **rules: str) -> str:
    nodes = compose("f.yaml", text)
    made = seal(nodes, [RECIPIENT], *([Rules(**rules)] if rules else []))
    return as_yaml(nodes, made)


def refused(text: str) -> str:
    with pytest.raises(BuildError) as error:
        read(text)
    assert "hunter2" not in str(error.value)
    assert "sw0rdfish" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["scalars.yaml", "mac-only.yaml"])
def test_every_type_of_value_as_sops_reads_it(name: str) -> None:
    secret, other = read((HERE / name).read_bytes())
    assert secret["data"] == {"a": "aGVsbG8=", "empty": "", "nul": None}
    assert secret["stringData"] == {
        "word": "päss ${X} 🚀",
        "n": 5,
        "f": 1.5,
        "b": True,
        "list": [1, "a", {"k": "v"}],
        "multi": "one\ntwo\n",
    }
    assert secret["spec"]["l"] == [1, 31, 1000, 8, "x"]
    assert other["data"] == {"x": "y"}
    assert "sops" not in secret
    assert "sops" not in other


@pytest.mark.parametrize("name", ["unencrypted-regex.yaml", "many.yaml"])
def test_other_rules_and_several_recipients(name: str) -> None:
    (found,) = read((HERE / name).read_bytes())
    assert found["stringData"] == {"a": "b"}


def test_json() -> None:
    (found,) = read((HERE / "secret.json").read_bytes())
    assert found["stringData"] == {
        "token": "sesame ä 🚀 /",
        "n": 7,
        "f": 2.5,
        "t": True,
    }
    assert isinstance(found["stringData"]["n"], int)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("everything.yaml", r":1: kind: has to be readable: encrypt only"),
        ("shamir.yaml", r"sops\.key_groups: .*Shamir"),
        ("comment-rule.yaml", r"sops\.encrypted_comment_regex: is not supp"),
        ("stranger.yaml", r"encrypted for age14.*, and none of the keys"),
    ],
)
def test_what_is_not_supported_says_so(name: str, reason: str) -> None:
    with pytest.raises(BuildError, match=reason):
        read((HERE / name).read_bytes())


@pytest.mark.parametrize(
    ("text", "kind", "canonical"),
    [
        ("1.10", "float", "1.1"),
        ("0x1F", "int", "31"),
        ("010", "int", "8"),
        ("08", "float", "8"),
        ("-1_000", "int", "-1000"),
        ("0b11", "int", "3"),
        ("1e21", "float", "1000000000000000000000"),
        ("1e-7", "float", "0.0000001"),
        (".5", "float", "0.5"),
        ("-0.0", "float", "-0"),
        ("True", "bool", "True"),
        ("yes", "str", "yes"),
        ("2001-1-2", "time", "2001-01-02T00:00:00Z"),
        (
            "2001-12-14t21:59:43.10-05:00",
            "time",
            "2001-12-14T21:59:43.1-05:00",
        ),
        ("2001-12-14 21:59:43.10", "time", "2001-12-14T21:59:43.1Z"),
        ("2001-13-45", "str", "2001-13-45"),
        ("2001-12-14T21:59:43", "str", "2001-12-14T21:59:43"),
        ("1.2.3", "str", "1.2.3"),
    ],
)
def test_scalars_as_go_reads_them(
    text: str, kind: str, canonical: str
) -> None:
    assert plain(text) == Plain(kind, canonical)


@pytest.mark.parametrize("text", ["", "~", "null", "NULL"])
def test_null_is_no_value(text: str) -> None:
    assert plain(text) is None


@pytest.mark.parametrize("text", [".nan", "-.inf", "9" * 30])
def test_what_sops_would_not_hash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        plain(text)


@settings(deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=40),
    st.text(max_size=10),
)
def test_a_value_opens_in_its_place_only(text: str, path: str) -> None:
    key = b"k" * 32
    made = encrypt(Plain("str", text), key, path)
    assert decrypt(made, key, path).text == text
    if text:
        for other in ((b"x" * 32, path), (key, path + "x")):
            with pytest.raises(SopsError, match="cannot be decrypted"):
                decrypt(made, *other)


PRINTED = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.recursive(
        st.text(alphabet=PRINTED, max_size=12)
        | st.integers(-(2**53), 2**53)
        | st.booleans()
        | st.none()
        | st.floats(-1e9, 1e9).map(lambda x: round(x, 3)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abcdef", min_size=1), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_is_sealed_opens_to_the_same(value: Any) -> None:
    body = {"kind": "Secret", "x": value, "data": {"a": "b", "v": value}}
    nodes = compose("f.json", as_text(body))
    made = seal(nodes, [RECIPIENT])
    assert read(as_json(nodes[0], made)) == [body]
    nodes = compose("f.json", as_text(body))
    made = seal(nodes, [RECIPIENT])
    assert read(as_yaml(nodes, made)) == [body]


def as_text(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def test_what_is_sealed_shows_nothing_and_opens() -> None:
    text = sealed("# old: hunter2\n" + SECRET)
    assert "hunter2" not in text
    assert "sw0rdfish" not in text
    assert "aGVsbG8=" not in text
    first, second = read(text)
    assert first["stringData"]["password"] == "hunter2"
    assert first["metadata"]["labels"] == {"port": "5"}
    assert second["data"] == {"a": "aGVsbG8="}


def moved(text: str, first: str, second: str) -> str:
    """Two encrypted values, exchanged."""
    one, two = (
        re.search(rf"{name}: (ENC\S+)", text)[1]  # type: ignore[index]
        for name in (first, second)
    )
    return text.replace(one, "@").replace(two, one).replace("@", two)


def flipped(text: str, part: str, name: str = "password") -> str:
    """One byte of an encrypted value is another."""
    match = re.search(rf"{name}: ENC\[\S*{part}:([^,\]]+)", text)
    assert match
    data = bytearray(base64.b64decode(match[1]))
    data[0] ^= 1
    new = base64.b64encode(bytes(data)).decode()
    return text[: match.start(1)] + new + text[match.end(1) :]


@pytest.mark.parametrize("part", ["data", "iv", "tag"])
def test_a_changed_value_is_refused(part: str) -> None:
    message = refused(flipped(sealed(), part))
    assert re.match(
        r"f\.yaml:9: stringData\.password: cannot be decrypted", message
    )


def test_a_moved_value_is_refused() -> None:
    message = refused(moved(sealed(), "password", "other"))
    assert "stringData.password: cannot be decrypted" in message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('port: "5"', 'port: "6"'),
        ("n: 1.10", "n: 1.2"),
        ("name: t", "name: s2"),
        ("lastmodified: '20", "lastmodified: '19"),
        ("n: 1.10\n", "n: 1.10\nadded: x\n"),
        ("n: 1.10\n", ""),
    ],
)
def test_what_is_not_encrypted_is_under_the_checksum(
    old: str, new: str
) -> None:
    text = sealed()
    assert text.count(old)
    assert "sops.mac" in refused(text.replace(old, new))


def test_a_value_in_clear_among_encrypted_ones_is_refused() -> None:
    text = re.sub(r"password: ENC\S+", "password: plain", sealed())
    assert "stringData.password: is not encrypted" in refused(text)
    text = re.sub(r"password: ENC\S+", "password: 5", sealed())
    assert "stringData.password: is not encrypted" in refused(text)


def test_an_older_file_under_the_same_key_is_not_mixed_in() -> None:
    text = sealed()
    parts = text.split("---\napiVersion")
    assert "sops.mac" in refused(parts[0])
    swapped = f"apiVersion{parts[1]}---\n{parts[0]}"
    assert "sops.mac" in refused(swapped)


@pytest.mark.parametrize(
    ("pattern", "new", "reason"),
    [
        (r"  mac: .*\n", "", r"sops\.mac: is missing"),
        (r"  mac: .*\n", "  mac: x\n", r"sops\.mac: is not encrypted"),
        (r"  lastmodified: .*\n", "", r"sops\.lastmodified: is no time"),
        (
            r"  age:\n(?:  - .*\n|    .*\n)*",
            "  age: []\n",
            r"sops\.age: no age",
        ),
        (r"  age:\n", "  pgp: [{fp: x}]\n  x:\n", r"it has pgp"),
        (r"enc: \|", "enk: |", r"sops\.age: an entry has no enc"),
        (r"  age:\n", "  age: x\n  y:\n", r"sops\.age: has to be a list"),
        (
            r"  encrypted_regex: .*\n",
            "  encrypted_regex: '('\n",
            r"sops\.encrypted_regex: is no regular expression",
        ),
        (
            r"  version",
            "  encrypted_suffix: x\n  version",
            r"only one of them may be given",
        ),
        (r"sops:\n", "sops: {}\nsops:\n", r"appears twice|is missing"),
    ],
)
def test_broken_metadata_say_what_is_wrong(
    pattern: str, new: str, reason: str
) -> None:
    text, count = re.subn(pattern, new, sealed(), count=1)
    assert count
    assert re.search(reason, refused(text))


def test_metadata_in_a_later_document_only() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n"
    assert "the first document" in refused(head + sealed())


def test_an_encrypted_value_without_metadata_goes_nowhere() -> None:
    text = sealed()
    text = re.sub(r"sops:\n( .*\n)*", "", text)
    message = refused(text)
    assert message.startswith("f.yaml:10: an encrypted value without sops")


def test_aliases_and_depth_are_refused() -> None:
    text = sealed().replace("n: 1.10", "n: &a 1.10\nm: *a")
    assert "aliases are not supported" in refused(text)
    deep = "x: " + "[" * 70 + "]" * 70
    assert "nested more than" in refused(sealed().replace("n: 1.10", deep))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("password:", r'"pass\ud800":'),
        ("n: 1.10", r'n: "\ud800"'),
        ("recipient:", r'"x\ud800":'),
        ("encrypted_regex: ", r'encrypted_regex: "\ud800" # '),
        ("enc: |", r'enc: "\ud800"' + "\n    x: |"),
    ],
)
def test_half_of_a_character_is_refused(old: str, new: str) -> None:
    text = sealed()
    assert old in text
    assert "surrogate" in refused(text.replace(old, new))


def test_without_a_key_it_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(BuildError, match=r"f\.yaml:1: .*spec\.decryption"):
        read(sealed(), None)


def test_compared_without_a_key_values_stay_closed() -> None:
    files = {"f.yaml": sealed(SECRET.replace("n: 1.10", "n: '${X}'")).encode()}
    items = Builder("default", opener=Opener(closed=True)).build(files)
    for item in items:
        assert item.sealed
        assert "sops" not in item.body
    values = items[0].body["stringData"]
    assert values["password"].startswith("ENC[")


def test_an_object_may_be_left_to_another_operator() -> None:
    note = "annotations: {reconciler.dev/decrypt: disabled}"
    text = sealed(SECRET.replace("labels:", f"{note}, labels:"))
    (first, _) = read(text, None)
    assert first["stringData"]["password"].startswith("ENC[")
    assert "sops" in first


def test_a_model_in_an_encrypted_file_is_not_edited() -> None:
    model = (
        "apiVersion: reconciler.dev/v1alpha1\nkind: Model\n"
        "metadata: {name: m}\nspec: {}\ndata: {a: b}\n"
    )
    data = sealed(model).encode()
    with pytest.raises(EditError, match="is encrypted"):
        pin("f.yaml", data, ModelName("default", "m", "default"), "m-2")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\n", "nothing to encrypt"),
        ("- 1\n", "is no mapping"),
        ("data: {a: &x b, c: *x}\n", "aliases"),
        ("data: {a: .nan}\n", r"data\.a: is no number"),
    ],
)
def test_what_cannot_be_sealed(text: str, reason: str) -> None:
    with pytest.raises(SopsError, match=reason):
        sealed(text)
    with pytest.raises(SopsError, match=r"metadata\.name: has to stay"):
        sealed(SECRET, encrypted_regex="^metadata$")
    with pytest.raises(SopsError, match="already"):
        sealed(sealed())


def test_identities() -> None:
    one, recipient = new_identity()
    two, _ = new_identity()
    text = f"# c\n\n{one}\n"
    keys = AgeKeys.of({"a.agekey": text.encode(), "b.agekey": two.encode()})
    assert str(keys.identities[0].to_public()) == recipient
    again = AgeKeys.of({"a.agekey": f"{one}\n{two}".encode()})
    assert keys == again
    assert len({keys, again, KEYS}) == 2
    assert one not in repr(keys)
    with pytest.raises(IdentityError, match="no identity in a key that ends"):
        AgeKeys.of({"key": one.encode()})
    with pytest.raises(IdentityError, match=r"^a\.agekey:2 is no id") as error:
        AgeKeys.of({"a.agekey": f"#\n{one}x".encode()})
    assert one not in str(error.value)
    with pytest.raises(IdentityError, match="is no age recipient"):
        seal(compose("f", SECRET), [one[:10]])


def test_a_data_key_of_another_size_is_none() -> None:
    import pyrage
    from pyrage import x25519

    to = x25519.Recipient.from_str(RECIPIENT)
    text = sealed()
    enc = pyrage.encrypt(b"short", [to], armored=True).decode()
    block = "".join(f"      {line}\n" for line in enc.splitlines())
    text = re.sub(r"    enc: \|\n(      .*\n)+", f"    enc: |\n{block}", text)
    assert "none of the keys given opens it" in refused(text)


def test_the_time_is_that_of_the_change() -> None:
    moment = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
    nodes = compose("f", SECRET)
    made = seal(nodes, [RECIPIENT], now=moment)
    assert made.modified == "2026-11-25T10:00:00Z"
    text = as_yaml(nodes, made)
    offset = text.replace("10:00:00Z", "10:00:00.25+00:00")
    assert read(offset) == read(text)


BASE = sealed().encode()
PIECES = st.sampled_from(
    [b"", b"ENC[", b"sops:", b"\n", b": ", b"- ", b"&a ", b"*a", b"\xff",
     b"type:int]", b"{", b"'", b"!!int ", b"0", b"---\n"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(BASE)), st.integers(0, 30), PIECES),
        min_size=1,
        max_size=4,
    )
)
def test_a_mutated_file_opens_as_it_was_or_is_refused(
    edits: list[tuple[int, int, bytes]],
) -> None:
    data = BASE
    for at, length, piece in edits:
        data = data[:at] + piece + data[at + length :]
    try:
        found = documents("f.yaml", data, None, Opener(KEYS))
    except BuildError as error:
        assert "hunter2" not in str(error)  # noqa: PT017 - both may be
        return
    values = [d.value for d in found]
    if not any(d.secret for d in found):
        assert "hunter2" not in str(values)
        return
    assert "".join(leaves(values)) == "".join(leaves(read(BASE)))


def leaves(value: Any) -> Iterator[str]:
    """The values, which the checksum is over; names of fields are not."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        yield str(value)


def test_what_was_opened_is_not_shown() -> None:
    nodes = compose("f.yaml", sealed())
    assert Opener(KEYS).open(nodes)
    assert "hunter2" not in repr(nodes)
    found = documents("f.yaml", BASE, None, Opener(KEYS))
    assert "hunter2" not in repr(found)


def test_metadata_tell_no_more_than_they_need() -> None:
    mapping = compose("f", sealed())[0].value[-1][1]
    found = Metadata.of(mapping)
    assert "BEGIN AGE" not in repr(found)
