"""What kubectl apply -k would send, judged without a cluster."""

from __future__ import annotations

import json
import re
import subprocess

import kubernetes_validate
import pytest
from cluster import NAMESPACE, OVERLAYS, ROOT, rendered

from reconciler.cli.kinds import KINDS
from reconciler.cli.main import parser
from reconciler.cli.up import roles_of

VERSIONS = ("1.29", "1.32", "1.36")
FOREIGN = {"ServiceMonitor"}
"""Kinds that Kubernetes itself does not have."""


def of_kind(overlay, *kinds):
    return [o for o in rendered(overlay) if o["kind"] in kinds]


def pods(overlay):
    return {
        o["metadata"]["name"]: o["spec"]["template"]
        for o in of_kind(overlay, "Deployment", "DaemonSet")
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_follows_the_schemas_of_kubernetes(overlay, version):
    for item in rendered(overlay):
        if item["kind"] not in FOREIGN:
            kubernetes_validate.validate(item, version, strict=True)


def test_the_schemas_refuse_a_misspelt_field():
    item = json.loads(json.dumps(of_kind("manifests", "Deployment")[0]))
    item["spec"]["template"]["spec"]["containers"][0]["liveness"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_edits_a_namespace_does_not_act_as_the_controller(overlay):
    """A ConfigRepository applies to every namespace, with its rights."""
    writers = [
        role["metadata"]
        for role in of_kind(overlay, "ClusterRole")
        for rule in role["rules"]
        if {"configrepositories", "*"} & set(rule["resources"])
        and {"create", "update", "patch", "*"} & set(rule["verbs"])
    ]
    assert {w["name"] for w in writers} == {
        "reconciler-controller",
        "reconciler-gitops",
    }
    assert not any(
        label.startswith("rbac.authorization.k8s.io/aggregate-to-")
        for writer in writers
        for label in writer.get("labels") or {}
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_kind_is_installed_and_named_in_the_rules(overlay):
    plurals = {kind.definition.plural for kind in KINDS}
    crds = of_kind(overlay, "CustomResourceDefinition")
    assert {c["spec"]["names"]["plural"] for c in crds} == plurals
    roles = {r["metadata"]["name"]: r for r in of_kind(overlay, "ClusterRole")}
    for name in ("shared", "controller", "edit"):
        listed = {
            resource
            for rule in roles[f"reconciler-{name}"]["rules"]
            if "reconciler.dev" in rule["apiGroups"]
            for resource in rule["resources"]
            if "/" not in resource
        }
        missing = {"configrepositories"} if name == "edit" else set()
        assert listed == plurals - missing, name
    reported = {
        resource.removesuffix("/status")
        for name in ("controller", "node")
        for rule in roles[f"reconciler-{name}"]["rules"]
        for resource in rule["resources"]
        if resource.endswith("/status")
    }
    assert reported == plurals


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_that_objects_refer_to_exist(overlay):
    everything = {
        (o["kind"], o["metadata"]["name"]) for o in rendered(overlay)
    }
    for template in pods(overlay).values():
        spec = template["spec"]
        assert ("ServiceAccount", spec["serviceAccountName"]) in everything
        volumes = {v["name"]: v for v in spec["volumes"]}
        for container in [
            *spec["containers"],
            *spec.get("initContainers", ()),
        ]:
            for mount in container["volumeMounts"]:
                volume = volumes[mount["name"]]
                claim = volume.get("persistentVolumeClaim")
                if claim:
                    named = ("PersistentVolumeClaim", claim["claimName"])
                    assert named in everything
    for binding in of_kind(overlay, "RoleBinding", "ClusterRoleBinding"):
        reference = binding["roleRef"]
        assert (reference["kind"], reference["name"]) in everything
        for subject in binding["subjects"]:
            assert subject["namespace"] == NAMESPACE
            assert (subject["kind"], subject["name"]) in everything


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_the_pods_and_ports_exist(overlay):
    labels = {n: t["metadata"]["labels"] for n, t in pods(overlay).items()}
    ports = {
        name: {
            p["name"]
            for c in template["spec"]["containers"]
            for p in c["ports"]
        }
        for name, template in pods(overlay).items()
    }
    for service in of_kind(overlay, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        assert spec["selector"].items() <= labels[name].items()
        assert {p["targetPort"] for p in spec["ports"]} == ports[name]
    for policy in of_kind(overlay, "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"]["matchLabels"].items()
        chosen = [n for n, found in labels.items() if wanted <= found.items()]
        assert chosen
        for rule in policy["spec"].get("ingress", ()):
            for port in rule["ports"]:
                assert all(port["port"] in ports[n] for n in chosen)
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert any(wanted <= found.items() for found in labels.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_containers_run_commands_that_exist_with_ports_that_they_declare(
    overlay,
):
    for template in pods(overlay).values():
        container = template["spec"]["containers"][0]
        words = [
            re.sub(r"\$\(\w+\)", "10.0.0.1", word)
            for word in container["args"]
        ]
        options = parser().parse_args(words)
        declared = {p["name"]: p["containerPort"] for p in container["ports"]}
        assert options.probes.port == declared["metrics"]
        if options.serve is not None:
            assert options.serve.port == declared["serve"]
        if options.webhooks is not None:
            assert options.webhooks.port == declared["webhooks"]
        controls = "controller" in roles_of(options.roles)
        assert controls == (options.webhooks is not None)
        given = {e["name"] for e in container["env"]}
        used = set(re.findall(r"\$\((\w+)\)", " ".join(container["args"])))
        assert used == given
        mounted = {m["mountPath"] for m in container["volumeMounts"]}
        assert {options.state, options.artifacts} <= mounted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_container_is_root_or_may_become_it(overlay):
    for template in pods(overlay).values():
        spec = template["spec"]
        assert spec["securityContext"]["seccompProfile"]
        for container in spec["containers"]:
            context = spec["securityContext"] | container["securityContext"]
            assert context["runAsNonRoot"]
            assert context["runAsUser"] >= 1000
            assert context["readOnlyRootFilesystem"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
        for container in spec.get("initContainers", ()):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {
                "drop": ["ALL"],
                "add": ["CHOWN"],
            }


def test_a_laptop_shares_volumes_of_one_node_and_pulls_nothing():
    overlay = "manifests/overlays/laptop-k3s"
    for claim in of_kind(overlay, "PersistentVolumeClaim"):
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    for template in pods(overlay).values():
        spec = template["spec"]
        for container in [
            *spec["containers"],
            *spec.get("initContainers", ()),
        ]:
            assert container["imagePullPolicy"] == "Never"


def test_production_has_two_controllers_and_a_service_monitor():
    overlay = "manifests/overlays/production"
    (deployment,) = of_kind(overlay, "Deployment")
    assert deployment["spec"]["replicas"] == 2
    assert of_kind(overlay, "ServiceMonitor")
    images = {
        c["image"]
        for template in pods(overlay).values()
        for c in template["spec"]["containers"]
    }
    assert all(image.startswith("registry.example.com/") for image in images)


@pytest.mark.parametrize(
    "component",
    ["service-monitor", "gitops-any-kind", "intel-gpu", "intel-npu"],
)
def test_every_component_can_be_added(component, tmp_path):
    # Kustomize takes bases by relative path only.
    place = ROOT / "build" / f"kustomize-{tmp_path.name}"
    place.mkdir(parents=True)
    file = place / "kustomization.yaml"
    try:
        file.write_text(
            "resources: [../../manifests/base]\n"
            f"components: [../../manifests/components/{component}]\n"
        )
        with_it = subprocess.run(
            ["kubectl", "kustomize", str(place)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
    finally:
        file.unlink(missing_ok=True)
        place.rmdir()
    base = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "manifests/base")],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert len(with_it) > len(base)


def test_the_embedded_server_takes_them_and_the_second_time_nothing_changes(
    cluster,
):
    for overlay in OVERLAYS:
        cluster.install(overlay)
    again = cluster.install(OVERLAYS[-1]).splitlines()
    assert len(again) > 20
    assert all(line.endswith(" unchanged") for line in again)
