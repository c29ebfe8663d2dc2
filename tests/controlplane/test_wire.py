"""The protobuf of kubectl: decoding against a tiny encoder."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.wire.decoding import MAGIC, decode
from reconciler.controlplane.wire.messages import MESSAGES, TOP


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number, text):
    return _bytes(number, text.encode())


def _number(number, value):
    return _varint(number << 3) + _varint(value)


def _envelope(version, kind, content):
    types = _text(1, version) + _text(2, kind)
    return MAGIC + _bytes(1, types) + _bytes(2, content) + _text(4, "")


def test_a_secret_as_kubectl_sends_it():
    meta = _text(1, "s") + _text(2, "") + _bytes(8, b"")
    entry = _text(1, "a") + _bytes(2, b"b")
    content = _bytes(1, meta) + _bytes(2, entry) + _text(3, "Opaque")
    assert decode(_envelope("v1", "Secret", content)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"a": base64.b64encode(b"b").decode()},
        "type": "Opaque",
    }


def test_lists_maps_times_numbers_and_unknown_fields():
    owner = _text(1, "Kind") + _text(3, "o") + _number(6, 1)
    meta = (
        _text(1, "n")
        + _number(7, -3)
        + _bytes(8, _number(1, 60))
        + _bytes(11, _text(1, "k") + _text(2, "v"))
        + _bytes(13, owner)
        + _text(14, "f/one")
        + _text(14, "f/two")
        + _text(99, "unheard")
    )
    spec = _text(1, "me") + _number(2, 15) + _bytes(4, _number(2, 5000))
    content = _bytes(1, meta) + _bytes(2, spec)
    obj = decode(_envelope("coordination.k8s.io/v1", "Lease", content))
    assert obj["metadata"] == {
        "name": "n",
        "generation": -3,
        "creationTimestamp": "1970-01-01T00:01:00Z",
        "labels": {"k": "v"},
        "ownerReferences": [{"kind": "Kind", "name": "o", "controller": True}],
        "finalizers": ["f/one", "f/two"],
    }
    assert obj["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "renewTime": "1970-01-01T00:00:00.000005Z",
    }


def test_every_message_is_complete():
    scalars = {"text", "int", "bool", "bytes", "time", "micro"}
    for message in MESSAGES.values():
        for field in message.values():
            assert field.type in scalars or field.type in MESSAGES
    for _, kind in TOP:
        assert kind in MESSAGES


def test_other_kinds_have_to_be_json():
    with pytest.raises(ApiError) as refused:
        decode(_envelope("v1", "Pod", b""))
    assert refused.value.code == 415


@given(st.binary(max_size=80))
def test_any_bytes_decode_or_are_refused(body):
    for prefix in (b"", MAGIC, _envelope("v1", "Secret", b"")[:-2]):
        try:
            decode(prefix + body)
        except ApiError as error:
            assert error.code in (400, 415)  # noqa: PT017 - both are fine


@given(st.binary(max_size=60))
def test_any_content_of_a_secret(content):
    try:
        obj = decode(_envelope("v1", "Secret", content))
    except ApiError as error:
        assert error.code == 400  # noqa: PT017 - both are fine
    else:
        assert obj["kind"] == "Secret"
