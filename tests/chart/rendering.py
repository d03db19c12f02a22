"""Renders the chart with helm, for the tests beside this file. `.ci/chart` runs them.

HELM is the path of helm, PROGRAM that of webinar-bridge. Nothing here needs a network or a cluster: the
objects are validated against the published schemas of Kubernetes.
"""

import functools
import json
import os
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "webinar-bridge"
HELM = os.environ["HELM"]
PROGRAM = os.environ["PROGRAM"]

ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
# The lowest version that the chart accepts, and the highest with known schemas.
KUBERNETES = [
    re.fullmatch(r">=(\d+\.\d+)\.0-0", ABOUT["kubeVersion"])[1],
    kubernetes_validate.latest_version().rpartition(".")[0],
]
CASES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}

USER = 65532
SECRETS = "/run/secrets/webinar-bridge"
# Long enough for every use.
SECRET = "a-secret-of-the-tests-of-more-than-32-bytes"


def values(case, **changes):
    """The values of a case, with keys changed: `a__b=1` is `a.b`; None removes."""
    given = yaml.safe_load(CASES[case].read_text())
    for path, value in changes.items():
        *above, key = path.split("__")
        table = given
        for name in above:
            table = table.setdefault(name, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return given


def helm(*arguments, given):
    """Runs helm with those values."""
    command = [HELM, *arguments, "--values", "-"]
    return subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)


def rendered(given, kubernetes=KUBERNETES[-1], chart=CHART):
    """The objects that helm renders, by kind and by name without the release's name."""
    done = helm("template", "acme", str(chart), "--namespace", "hooks", "--kube-version", kubernetes, given=given)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    name = given.get("fullnameOverride") or "acme-webinar-bridge"
    objects = {}
    for thing in filter(None, yaml.safe_load_all(done.stdout)):
        key = (thing["kind"], thing["metadata"]["name"].replace(name, "", 1))
        if key in objects:
            raise AssertionError(f"twice: {key}")
        objects[key] = thing
    return objects


def refusal(given):
    """The reason why helm refuses the values; nothing if it accepts them."""
    done = helm("template", "acme", str(CHART), "--namespace", "hooks", given=given)
    return done.stderr if done.returncode else ""


def pod_of(objects):
    return objects["StatefulSet", ""]["spec"]["template"]


def container_of(objects):
    (container,) = pod_of(objects)["spec"]["containers"]
    return container


def environment(objects):
    return {entry["name"]: entry.get("value") for entry in container_of(objects)["env"]}


def ports(objects):
    """The container's ports by name."""
    return {port["name"]: port["containerPort"] for port in container_of(objects)["ports"]}


def seconds(duration):
    return int(re.fullmatch(r"(\d+)s", duration)[1])


def within(labels, selector):
    return selector.items() <= labels.items()


def each_case(test):
    """Runs a test of one rendered case for all cases."""

    @functools.wraps(test)
    def of_all(self):
        for case in CASES:
            with self.subTest(case):
                test(self, case, rendered(values(case)))

    return of_all
