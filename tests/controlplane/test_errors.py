"""Status objects: reasons, codes and sentences as clients expect them."""

import os

import pytest

from reconciler.controlplane import credentials, errors
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.lock import LockedError, StateLock
from reconciler.controlplane.schema.errors import FieldError

KIND = ResourceKind("e.dev", "v1", "widgets", "Widget", namespaced=True)
CORE = ResourceKind("", "v1", "secrets", "Secret", namespaced=True)


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (errors.bad_request("no"), 400, "BadRequest", "no"),
        (errors.unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (
            errors.forbidden(KIND, "a", "so it is"),
            403,
            "Forbidden",
            'widgets.e.dev "a" is forbidden: so it is',
        ),
        (
            errors.not_found(CORE, "a"),
            404,
            "NotFound",
            'secrets "a" not found',
        ),
        (
            errors.not_allowed(KIND),
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            errors.already_exists(KIND, "a"),
            409,
            "AlreadyExists",
            'widgets.e.dev "a" already exists',
        ),
        (
            errors.modified(KIND, "a"),
            409,
            "Conflict",
            (
                'Operation cannot be fulfilled on widgets.e.dev "a": the '
                "object has been modified; please apply your changes to "
                "the latest version and try again"
            ),
        ),
        (errors.expired("old"), 410, "Expired", "old"),
        (
            errors.unsupported_media(["a/b", "c/d"]),
            415,
            "UnsupportedMediaType",
            (
                "the body of the request was in an unknown format - accepted "
                "media types include: a/b, c/d"
            ),
        ),
        (
            errors.version_too_large(9, 3),
            504,
            "Timeout",
            "Timeout: Too large resource version: 9, current: 3",
        ),
        (
            errors.internal("disk"),
            500,
            "InternalError",
            "Internal error occurred: disk",
        ),
    ],
)
def test_statuses(error, code, reason, message):
    status = error.status()
    assert (status["code"], status["reason"]) == (code, reason)
    assert status["message"] == message
    assert status["status"] == "Failure"


def test_details_name_the_object():
    details = errors.not_found(KIND, "a").status()["details"]
    assert details == {"name": "a", "group": "e.dev", "kind": "widgets"}
    details = errors.not_found(CORE, "a").status()["details"]
    assert details == {"name": "a", "kind": "secrets"}


def test_one_and_several_causes():
    first = FieldError("spec.a", "FieldValueRequired")
    second = FieldError("spec.b", "FieldValueInvalid", "too odd", 3)
    error = errors.invalid("Widget", "e.dev", "a", [first])
    assert error.message == (
        'Widget.e.dev "a" is invalid: spec.a: Required value'
    )
    error = errors.invalid("Widget", "e.dev", "a", [first, second, first])
    assert error.message == (
        'Widget.e.dev "a" is invalid: [spec.a: Required value, '
        "spec.b: Invalid value: 3: too odd]"
    )
    assert error.details["causes"][1] == {
        "reason": "FieldValueInvalid",
        "message": "Invalid value: 3: too odd",
        "field": "spec.b",
    }


def test_credentials_are_kept_and_renewed(tmp_path):
    first = credentials.ensure(tmp_path / "id")
    assert credentials.ensure(tmp_path / "id") == first
    first.context()
    soon = "2026-01-01T00:00:00+00:00"
    (tmp_path / "id" / "expiry").write_text(soon)
    renewed = credentials.ensure(tmp_path / "id")
    assert renewed.authority != first.authority
    assert renewed.token == first.token
    renewed.context()


@pytest.mark.parametrize("holder", ["another control plane", "`someone`"])
def test_a_lock_is_held_and_let_go(tmp_path, holder):
    lock = StateLock(tmp_path, holder)
    said = rf"in use by {holder} \(process {os.getpid()}\); stop it"
    with pytest.raises(LockedError, match=said):
        StateLock(tmp_path)
    lock.release()
    StateLock(tmp_path).release()
