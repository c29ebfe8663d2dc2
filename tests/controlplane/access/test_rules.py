"""What a rule allows and covers, and how roles become a policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.access.identity import (
    AUTHENTICATED,
    MASTERS,
    User,
    account_user,
)
from reconciler.controlplane.access.policy import compile_policy
from reconciler.controlplane.access.rules import Request, Rule, uncovered


def rule(verbs, groups="", resources="", names="", paths=""):
    def split(text):
        return ["" if part == "core" else part for part in text.split()]

    return {
        "verbs": split(verbs),
        "apiGroups": split(groups),
        "resources": split(resources),
        "resourceNames": split(names),
        "nonResourceURLs": split(paths),
    }


@pytest.mark.parametrize(
    ("given_rule", "request_", "allowed"),
    [
        (rule("get", "core", "secrets"), ("get", "", "secrets"), True),
        (rule("get", "core", "secrets"), ("list", "", "secrets"), False),
        (rule("*", "core", "secrets"), ("list", "", "secrets"), True),
        (rule("get", "a.dev", "secrets"), ("get", "", "secrets"), False),
        (rule("get", "*", "secrets"), ("get", "", "secrets"), True),
        (rule("get", "core", "*"), ("get", "", "secrets", "status"), True),
        (rule("get", "core", "pods"), ("get", "", "pods", "status"), False),
        (rule("get", "core", "pods/status"), ("get", "", "pods"), False),
        (
            rule("get", "core", "pods/status"),
            ("get", "", "pods", "status"),
            True,
        ),
        (rule("get", "core", "*/status"), ("get", "", "pods", "status"), True),
        (rule("get", "core", "*/status"), ("get", "", "pods", "scale"), False),
        (
            rule("get", "core", "pods", "a b"),
            ("get", "", "pods", "", "", "b"),
            True,
        ),
        (
            rule("get", "core", "pods", "a b"),
            ("get", "", "pods", "", "", "c"),
            False,
        ),
        (rule("list", "core", "pods", "a"), ("list", "", "pods"), False),
    ],
)
def test_rules_for_resources(given_rule, request_, allowed):
    assert Rule.of(given_rule).allows(Request(*request_)) is allowed


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/x", False),
        ("/healthz/*", "/healthz/x", True),
        ("/healthz*", "/healthz", True),
        ("*", "/any", True),
    ],
)
def test_rules_for_paths(pattern, path, allowed):
    made = Rule.of(rule("get", paths=pattern))
    assert made.allows(Request("get", path=path)) is allowed
    assert not made.allows(Request("get", "", "secrets"))


words = st.sampled_from(["get", "list", "*"])
groups = st.sampled_from(["", "a.dev", "*"])
resources = st.sampled_from(["pods", "pods/status", "*/status", "*"])
names = st.sampled_from(["a", "b"])
rules = st.builds(
    Rule,
    st.frozensets(words, min_size=1),
    st.frozensets(groups, min_size=1),
    st.frozensets(resources, min_size=1),
    st.frozensets(names),
)
requests = st.builds(
    Request,
    st.sampled_from(["get", "list", "patch"]),
    st.sampled_from(["", "a.dev", "b.dev"]),
    st.sampled_from(["pods", "nodes"]),
    st.sampled_from(["", "status", "scale"]),
    st.just(""),
    st.sampled_from(["", "a", "b", "c"]),
)


@given(st.lists(rules, max_size=3), rules, requests)
def test_who_covers_a_rule_may_all_that_it_allows(mine, wanted, request_):
    """The escalation check is sound: nothing new can be given away."""
    if uncovered(mine, [wanted]):
        return
    if wanted.allows(request_):
        assert any(one.allows(request_) for one in mine)


@given(rules, requests)
def test_the_atoms_of_a_rule_allow_what_it_allows(whole, request_):
    parts = any(atom.allows(request_) for atom in whole.atoms())
    assert parts == whole.allows(request_)
    assert not uncovered([whole], [whole])


def metadata(name, namespace="", **labels):
    made = {"name": name, "labels": labels}
    return made | ({"namespace": namespace} if namespace else {})


def role(name, *parts, namespace="", **labels):
    return {"metadata": metadata(name, namespace, **labels), "rules": parts}


def binding(name, kind, target, *subjects, namespace=""):
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata(name, namespace),
        "roleRef": {"kind": kind, "name": target},
        "subjects": list(subjects),
    }


BUILDER = {"kind": "ServiceAccount", "name": "builder", "namespace": "ci"}
BUILDER_USER = account_user("ci", "builder")
READ = rule("get", "core", "secrets")
GET = Request("get", "", "secrets", "", "prod", "s")


def may(policy, user=BUILDER_USER, request_=GET):
    return policy.decide(user, request_).allowed


def test_a_role_binding_counts_in_its_namespace_only():
    bound = binding("b", "ClusterRole", "r", BUILDER, namespace="prod")
    policy = compile_policy([], [role("r", READ)], [bound], [])
    assert may(policy)
    other = Request("get", "", "secrets", "", "dev", "s")
    assert not may(policy, request_=other)
    assert not may(policy, account_user("ci", "other"))


def test_a_role_is_that_of_the_bindings_namespace():
    bound = binding("b", "Role", "r", BUILDER, namespace="prod")
    here = role("r", READ, namespace="prod")
    elsewhere = role("r", READ, namespace="dev")
    assert may(compile_policy([here], [], [bound], []))
    assert not may(compile_policy([elsewhere], [], [bound], []))


def test_groups_and_users():
    group = {"kind": "Group", "name": "team"}
    policy = compile_policy(
        [],
        [role("r", READ)],
        [],
        [
            binding("b", "ClusterRole", "r", group),
            binding("c", "ClusterRole", "r", {"kind": "User", "name": "eve"}),
        ],
    )
    assert may(policy, User("ann", ("team",)))
    assert may(policy, User("eve"))
    assert not may(policy, User("bob", (AUTHENTICATED,)))


def test_masters_may_everything_and_nobody_else_anything():
    policy = compile_policy([], [], [], [])
    assert may(policy, User("root", (MASTERS,)))
    assert not may(policy)


def test_a_binding_without_its_role_allows_nothing():
    bound = binding("b", "ClusterRole", "absent", BUILDER)
    assert not may(compile_policy([], [], [], [bound]))


@given(st.lists(rules, max_size=4), rules, requests)
def test_one_more_rule_never_takes_anything_away(have, more, request_):
    def policy(parts):
        made = role("r", *(part.stored() for part in parts))
        bound = binding("b", "ClusterRole", "r", BUILDER)
        return compile_policy([], [made], [], [bound])

    before, after = policy(have), policy([*have, more])
    assert may(after, request_=request_) >= may(before, request_=request_)
