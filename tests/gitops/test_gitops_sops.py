"""SOPS files with age keys, made here as the format is documented."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.gitops.documents import BuildError, Reading, documents
from reconciler.gitops.sops import age_identities

pyrage = pytest.importorskip("pyrage")

MODIFIED = "2026-11-25T00:00:00Z"


class Encrypter:
    """Writes what SOPS would write."""

    def __init__(self, **rules: Any) -> None:
        self.identity = pyrage.x25519.Identity.generate()
        self.key = os.urandom(32)
        self.rules = rules
        self.hash = hashlib.sha512()

    def seal(self, text: str, kind: str, about: str) -> str:
        nonce = os.urandom(32)
        out = AESGCM(self.key).encrypt(nonce, text.encode(), about.encode())
        data, tag = (
            base64.b64encode(part).decode() for part in (out[:-16], out[-16:])
        )
        iv = base64.b64encode(nonce).decode()
        return f"ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]"

    def walk(self, value: Any, path: list[str]) -> Any:
        if isinstance(value, dict):
            return {k: self.walk(v, [*path, k]) for k, v in value.items()}
        if isinstance(value, list):
            return [self.walk(v, path) for v in value]
        text = {True: "True", False: "False"}.get(
            value if isinstance(value, bool) else None, str(value)
        )
        self.hash.update(text.encode())
        if path[0] not in ("data", "stringData", "spec") or value == "":
            return value
        kind = {bool: "bool", int: "int", float: "float", str: "str"}
        return self.seal(text, kind[type(value)], ":".join(path) + ":")

    def file(self, *documents: dict[str, Any]) -> bytes:
        sealed = [self.walk(d, []) for d in documents]
        recipient = self.identity.to_public()
        wrapped = base64.b64encode(pyrage.encrypt(self.key, [recipient]))
        begin, end = (
            f"-----{word} AGE ENCRYPTED FILE-----" for word in ("BEGIN", "END")
        )
        metadata = {
            "age": [
                {
                    "recipient": str(recipient),
                    "enc": f"{begin}\n{wrapped.decode()}\n{end}\n",
                }
            ],
            "lastmodified": MODIFIED,
            "mac": self.seal(self.hash.hexdigest().upper(), "str", MODIFIED),
            "encrypted_regex": "^(data|stringData|spec)$",
            **self.rules,
        }
        texts = [json.dumps(d | {"sops": metadata}) for d in sealed]
        return "\n---\n".join(texts).encode()

    def read(self, data: bytes) -> list[Any]:
        reading = Reading(None, (str(self.identity),), decrypts=True)
        return [d.value for d in documents("s.yaml", data, reading)]


SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s"},
    "stringData": {"user": "ada", "word": "hünter2", "none": ""},
}
SPEC: dict[str, Any] = {
    "apiVersion": "x/v1",
    "kind": "X",
    "metadata": {"name": "x", "labels": {"a": "b"}},
    "spec": {"i": 7, "f": 1.5, "t": True, "l": ["a", {"b": False}, 2]},
}


def test_types_lists_and_several_documents() -> None:
    made = Encrypter()
    data = made.file(SECRET, SPEC)
    assert b"hunter" not in data
    assert made.read(data) == [SECRET, SPEC]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"name": "s"', b'"name": "t"', "MAC"),
        (b'"kind": "Secret", ', b"", "MAC"),
        (b'"user": "ENC[', b'"word": "ENC[', "twice"),
        (b'"none": ""', b'"none": "plain"', "stringData.none is not encr"),
        (b"type:str]", b"type:list]", "was changed"),
        (b",tag:", b",tag:AAAA", "was changed"),
        (MODIFIED.encode(), b"2027-11-25T00:00:00Z", "sops.mac was changed"),
        (b'"stringData"', b'"data"', "data.user was changed"),
    ],
)
def test_a_changed_file_is_refused(
    old: bytes, new: bytes, message: str
) -> None:
    made = Encrypter()
    data = made.file(SECRET)
    assert old in data
    with pytest.raises(BuildError, match=message):
        made.read(data.replace(old, new))


def test_values_cannot_change_places() -> None:
    made = Encrypter()
    value = json.loads(made.file(SECRET))
    text = value["stringData"]
    text["user"], text["word"] = text["word"], text["user"]
    with pytest.raises(BuildError, match="user was changed"):
        made.read(json.dumps(value).encode())


def test_a_key_that_does_not_fit_names_the_recipient() -> None:
    made, other = Encrypter(), Encrypter()
    with pytest.raises(BuildError, match=r"s.yaml:1: .*encrypted for age1"):
        other.read(made.file(SECRET))


def test_several_key_groups_are_refused() -> None:
    made = Encrypter(key_groups=[{"age": []}, {"age": []}])
    with pytest.raises(BuildError, match="Shamir"):
        made.read(made.file(SECRET))


def test_the_digest_may_be_of_encrypted_values_only() -> None:
    made = Encrypter(mac_only_encrypted=True)
    made.hash = hashlib.sha512(hashlib.sha256(b"sops").digest())
    sealed = {"stringData": SECRET["stringData"]}
    data = json.loads(made.file(sealed))
    data |= {"apiVersion": "v1", "kind": "Secret"}
    found = made.read(json.dumps(data).encode())
    assert found[0]["stringData"] == SECRET["stringData"]


def test_without_a_decryption_it_is_refused() -> None:
    with pytest.raises(BuildError, match=r"spec\.decryption is not set"):
        documents("s.yaml", Encrypter().file(SECRET), Reading())


def test_an_object_with_such_a_field_is_left_alone() -> None:
    text = b"kind: X\nsops: {version: 1}\n"
    (found,) = documents("x.yaml", text, Reading(decrypts=True))
    assert found.value == {"kind": "X", "sops": {"version": 1}}
    assert not found.encrypted


def test_age_keys_of_a_secret() -> None:
    values = {
        "b.agekey": b"# created\n\nKEY-B\n",
        "a.agekey": b"KEY-A\r\nKEY-C",
        "identity.asc": b"other",
    }
    assert list(age_identities(values)) == ["KEY-A", "KEY-C", "KEY-B"]


def secret_of(key: str) -> dict[str, Any]:
    data = {"age.agekey": base64.b64encode(key.encode()).decode()}
    meta = {"name": "keys", "namespace": "default"}
    return {"metadata": meta, "data": data}


async def test_it_is_applied_decrypted_and_stored_encrypted(
    engine: Any, remote: Any, cluster: Any
) -> None:
    made = Encrypter()
    engine.raw["spec"]["decryption"] = {"secretRef": {"name": "keys"}}
    remote.commit({"s.yaml": made.file(SECRET)})
    await engine.settle()
    assert "Secret default/keys does not exist" in str(engine.condition())
    key = str(made.identity)
    cluster.objects["Secret", "default", "keys"] = secret_of(key)
    engine.wait()
    await engine.settle()
    live = cluster.objects["Secret", "default", "s"]
    assert live["stringData"] == SECRET["stringData"]
    assert "sops" not in live
    assert "PlainSecret" not in engine.events.reasons()
    stored = b"".join(
        p.read_bytes() for p in engine.root.rglob("*") if p.is_file()
    )
    shown = stored + repr((engine.raw, engine.events.told)).encode()
    assert "hünter2".encode() not in shown
    assert key.encode() not in shown
    writes = len(cluster.writes)
    engine.wait()
    await engine.settle()
    assert len(cluster.writes) == writes


async def test_a_lost_key_keeps_what_is_applied(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    made = Encrypter()
    engine.raw["spec"]["decryption"] = {"secretRef": {"name": "keys"}}
    cluster.objects["Secret", "default", "keys"] = secret_of(
        str(made.identity)
    )
    remote.commit({"s.yaml": made.file(SECRET)})
    await engine.settle()
    other = Encrypter()
    cluster.objects["Secret", "default", "keys"] = secret_of(
        str(other.identity)
    )
    remote.commit({"a.yaml": make_config_map("a")})
    engine.wait()
    await engine.settle()
    found = engine.condition()
    assert found["reason"] == "BuildFailed"
    assert "s.yaml:1: cannot be decrypted: no age key fits" in found["message"]
    assert ("Secret", "default", "s") in cluster.objects


async def test_a_plain_secret_is_warned_of_once(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    remote.commit({"s.yaml": text + "stringData: {k: hunter2}\n"})
    await engine.settle()
    for number in range(3):
        remote.commit({f"{number}.yaml": make_config_map(f"m{number}")})
        engine.wait()
        await engine.settle()
    assert engine.events.reasons().count("PlainSecret") == 1
    (note,) = [n for _, r, n in engine.events.told if r == "PlainSecret"]
    assert note.startswith("s.yaml:1: a Secret in plain text")
