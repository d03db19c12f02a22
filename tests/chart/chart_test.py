"""What the Helm chart promises, asked of what helm makes of it. `.ci/chart` runs this, with what it needs.

HELM is the path of helm, PROGRAM that of webinar-bridge. Nothing here needs a network or a cluster; that Kubernetes takes
the objects is known from its published schemas only.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "webinar-bridge"
HELM = os.environ["HELM"]
PROGRAM = os.environ["PROGRAM"]

ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
# The lowest version the chart says it takes, and the highest whose schemas are known.
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
    """The objects that helm makes of the chart, by kind and name without the release's."""
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
    """What helm says against the values; nothing if it takes them."""
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
    """A test of what is rendered of one case becomes one of all."""

    @functools.wraps(test)
    def of_all(self):
        for case in CASES:
            with self.subTest(case):
                test(self, case, rendered(values(case)))

    return of_all


class Chart(unittest.TestCase):
    maxDiff = None

    # Helm and Kubernetes

    def test_lint(self):
        for case in CASES:
            with self.subTest(case):
                done = helm("lint", "--strict", str(CHART), given=values(case))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_kubernetes_knows_every_field(self):
        for kubernetes in KUBERNETES:
            for case in CASES:
                for key, thing in rendered(values(case), kubernetes).items():
                    # A custom resource, whose schema is not Kubernetes' own.
                    if key[0] == "ServiceMonitor":
                        self.assertEqual(thing["apiVersion"], "monitoring.coreos.com/v1")
                        continue
                    with self.subTest(case, kubernetes=kubernetes, thing=key):
                        kubernetes_validate.validate(thing, kubernetes, strict=True)

    def test_an_unknown_field_would_be_found(self):
        for kubernetes in KUBERNETES:
            stateful = rendered(values("minimal"))["StatefulSet", ""]
            stateful["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(stateful, kubernetes, strict=True)

    def test_the_version_is_the_programs(self):
        said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(said.split(), ["webinar-bridge", str(ABOUT["appVersion"])])
        self.assertEqual(ABOUT["version"], ABOUT["appVersion"])
        image = container_of(rendered(values("minimal")))["image"]
        self.assertEqual(image, f"registry.example/webinar-bridge:{ABOUT['appVersion']}")

    # What there is

    def test_there_is_what_was_asked_for_and_nothing_else(self):
        always = {("ConfigMap", ""), ("Service", ""), ("Service", "-ops"), ("Service", "-headless"), ("StatefulSet", "")}
        ingress, policy, monitor = ("Ingress", ""), ("NetworkPolicy", ""), ("ServiceMonitor", "")
        for case, more in [
            ("secret-env", set()),
            ("existing-claim", set()),
            ("minimal", {ingress}),
            ("everything", {ingress, policy, monitor}),
        ]:
            self.assertEqual(set(rendered(values(case))), always | more, case)

    @each_case
    def test_everything_is_of_the_release(self, _, objects):
        for key, thing in objects.items():
            about = thing["metadata"]
            self.assertEqual(about["namespace"], "hooks", key)
            self.assertEqual(about["labels"]["app.kubernetes.io/instance"], "acme", key)
            self.assertEqual(about["labels"]["app.kubernetes.io/version"], ABOUT["appVersion"], key)

    def test_names_fit(self):
        done = helm("template", "r" * 53, str(CHART), given=values("minimal"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for thing in filter(None, yaml.safe_load_all(done.stdout)):
            self.assertLessEqual(len(thing["metadata"]["name"]), 63)
            # Kubernetes makes a label of it: the name, "-" and ten characters.
            if thing["kind"] == "StatefulSet":
                self.assertLessEqual(len(thing["metadata"]["name"]) + 11, 63)

    def test_every_value_is_documented_allowed_and_tried(self):
        def paths(table, above=()):
            for key, value in table.items():
                # What is empty here, its user fills.
                if isinstance(value, dict) and value:
                    yield from paths(value, (*above, key))
                else:
                    yield (*above, key)

        def allowed(schema, above=()):
            for key, below in schema["properties"].items():
                if "properties" in below:
                    self.assertIs(below["additionalProperties"], False, key)
                    yield from allowed(below, (*above, key))
                else:
                    yield (*above, key)

        text = (CHART / "values.yaml").read_text()
        required = {("config",), ("existingSecret",), ("image", "repository")}
        for *_, key in required:
            self.assertRegex(text, rf"\n *# {key}: ")
        documented = set(paths(yaml.safe_load(text))) | required
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertIs(schema["additionalProperties"], False)
        # Helm's own, and what Kubernetes knows better.
        top = {path for path in allowed(schema) if path[0] not in ("global", "resources")}
        self.assertEqual(top, {path for path in documented if path[0] != "resources"})
        tried = set(paths(values("everything"))) | set(paths(values("existing-claim")))
        untried = [path for path in documented if not any(path == some[: len(path)] for some in tried)]
        self.assertEqual(untried, [])

    # The pod

    @each_case
    def test_there_is_one_pod_with_a_store_of_its_own(self, case, objects):
        spec = objects["StatefulSet", ""]["spec"]
        self.assertEqual(spec["replicas"], 1)
        self.assertEqual(spec["serviceName"], objects["Service", "-headless"]["metadata"]["name"])
        self.assertEqual(objects["Service", "-headless"]["spec"]["clusterIP"], "None")
        self.assertTrue(within(pod_of(objects)["metadata"]["labels"], spec["selector"]["matchLabels"]))
        mounts = {mount["name"]: mount for mount in container_of(objects)["volumeMounts"]}
        self.assertEqual(mounts["data"], {"name": "data", "mountPath": "/data"})
        claims = {claim["metadata"]["name"]: claim["spec"] for claim in spec.get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in pod_of(objects)["spec"]["volumes"]}
        given = values(case).get("persistence", {})
        if claim := given.get("existingClaim"):
            self.assertEqual(claims, {})
            self.assertEqual(volumes["data"]["persistentVolumeClaim"], {"claimName": claim})
        else:
            self.assertNotIn("data", volumes)
            self.assertEqual(claims["data"]["resources"]["requests"]["storage"], given.get("size", "10Gi"))
            self.assertEqual(claims["data"].get("storageClassName"), given.get("storageClass"))
            self.assertEqual(claims["data"]["accessModes"], [given.get("accessMode", "ReadWriteOnce")])
        for name in ("BRIDGE__STORE__URL", "SQLITE_TMPDIR"):
            self.assertTrue(environment(objects)[name].removeprefix("sqlite:").startswith("/data"), name)

    @each_case
    def test_what_can_never_change_does_not_go_by_the_charts_version(self, _, objects):
        # An upgrade would be refused.
        spec = objects["StatefulSet", ""]["spec"]
        fixed = json.dumps([spec["selector"], spec.get("volumeClaimTemplates"), spec["serviceName"]])
        self.assertNotIn(ABOUT["version"], fixed)

    @each_case
    def test_the_pod_is_restricted(self, _, objects):
        """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and more."""
        pod = pod_of(objects)["spec"]
        of_pod = pod["securityContext"]
        self.assertIs(of_pod["runAsNonRoot"], True)
        self.assertEqual([of_pod[key] for key in ("runAsUser", "runAsGroup", "fsGroup")], [USER] * 3)
        self.assertEqual(of_pod["seccompProfile"], {"type": "RuntimeDefault"})
        for container in pod["containers"] + pod.get("initContainers", []):
            own = container["securityContext"]
            self.assertEqual(
                own,
                {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            )
            self.assertIn("memory", container["resources"]["limits"])
        self.assertIs(pod["automountServiceAccountToken"], False)
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            self.assertNotIn(key, pod)
        for volume in pod["volumes"]:
            self.assertLessEqual(set(volume) - {"name"}, {"configMap", "secret", "persistentVolumeClaim"})

    def test_the_pod_fits_the_image(self):
        image = (ROOT / "Dockerfile").read_text().splitlines()
        objects = rendered(values("minimal"))
        self.assertIn(f"USER {USER}:{USER}", image)
        self.assertIn("EXPOSE " + " ".join(str(port) for port in sorted(ports(objects).values())), image)
        self.assertIn("VOLUME /data", image)
        self.assertIn('ENTRYPOINT ["/usr/local/bin/webinar-bridge"]', image)
        self.assertEqual(container_of(objects)["args"], ["serve"])

    def test_stopping_is_given_its_time(self):
        for given, delay, timeout in [
            (values("minimal"), 5, 25),
            (values("everything"), 15, 40),
            (values("minimal", shutdown__delaySeconds=0, shutdown__timeoutSeconds=1), 0, 1),
        ]:
            objects = rendered(given)
            variables = environment(objects)
            self.assertEqual(seconds(variables["BRIDGE__LISTEN__SHUTDOWN_DELAY"]), delay)
            self.assertEqual(seconds(variables["BRIDGE__LISTEN__SHUTDOWN_TIMEOUT"]), timeout)
            # Of what comes after both: the store is closed.
            self.assertGreaterEqual(pod_of(objects)["spec"]["terminationGracePeriodSeconds"], delay + timeout + 5)

    @each_case
    def test_probes_ask_the_ops_listener(self, case, objects):
        container, variables = container_of(objects), environment(objects)
        for name, path in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
            self.assertEqual(container[name]["httpGet"], {"path": path, "port": "ops"})
        everywhere = values(case).get("listenAddress", "0.0.0.0")
        self.assertEqual(variables["BRIDGE__LISTEN__OPS"], f"{everywhere}:{ports(objects)['ops']}")
        self.assertEqual(variables["BRIDGE__LISTEN__WEBHOOKS"], f"{everywhere}:{ports(objects)['webhooks']}")

    # What reaches it

    @each_case
    def test_public_and_private_are_apart(self, case, objects):
        labels = pod_of(objects)["metadata"]["labels"]
        services = {key[1]: thing["spec"] for key, thing in objects.items() if key[0] == "Service"}
        for name, spec in services.items():
            self.assertTrue(within(labels, spec["selector"]), name)
            (port,) = spec["ports"]
            self.assertIn(port["targetPort"], ports(objects), name)
            private = name != ""
            self.assertEqual(port["targetPort"], "ops" if private else "webhooks", name)
            if private:
                self.assertEqual(spec["type"], "ClusterIP", name)
                self.assertIs(spec["publishNotReadyAddresses"], True, name)
            else:
                # Webhooks must not go to a pod that cannot store them.
                self.assertNotIn("publishNotReadyAddresses", spec)
                self.assertEqual(spec["type"], values(case).get("service", {}).get("type", "ClusterIP"))

    def test_the_ingress_passes_on_webhooks_only(self):
        for case in ("minimal", "everything"):
            objects = rendered(values(case))
            spec = objects["Ingress", ""]["spec"]
            self.assertNotIn("defaultBackend", spec)
            (rule,) = spec["rules"]
            self.assertEqual(rule["host"], "hooks.example.com")
            (path,) = rule["http"]["paths"]
            self.assertEqual((path["path"], path["pathType"]), ("/webhooks/", "Prefix"))
            public = objects["Service", ""]
            self.assertEqual(path["backend"]["service"]["name"], public["metadata"]["name"])
            self.assertEqual(path["backend"]["service"]["port"]["name"], public["spec"]["ports"][0]["name"])
            self.assertEqual(spec["tls"], [{"hosts": ["hooks.example.com"], "secretName": "hooks-tls"}])
        self.assertNotIn("tls", rendered(values("minimal", ingress__tlsSecret=None))["Ingress", ""]["spec"])

    def test_the_network_policy_lets_through_what_is_needed(self):
        plain = rendered(values("minimal", networkPolicy__enabled=True))
        policy = plain["NetworkPolicy", ""]["spec"]
        self.assertTrue(within(pod_of(plain)["metadata"]["labels"], policy["podSelector"]["matchLabels"]))
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual(policy["ingress"], [{"ports": [{"port": "webhooks", "protocol": "TCP"}]}])
        out = [(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]]
        self.assertEqual(out, [(53, "UDP"), (53, "TCP"), (443, "TCP")])

        webhooks, ops = rendered(values("everything"))["NetworkPolicy", ""]["spec"]["ingress"]
        self.assertEqual(webhooks["from"], values("everything")["networkPolicy"]["webhooksFrom"])
        self.assertEqual([port["port"] for port in ops["ports"]], ["ops"])
        (peer,) = ops["from"]
        (expression,) = peer["namespaceSelector"]["matchExpressions"]
        self.assertEqual(expression["key"], "kubernetes.io/metadata.name")
        self.assertEqual(expression["values"], ["monitoring", "operators"])

    def test_prometheus_finds_the_ops_service_alone(self):
        objects = rendered(values("everything"))
        monitor = objects["ServiceMonitor", ""]
        self.assertEqual(monitor["metadata"]["labels"]["release"], "kube-prometheus-stack")
        selector = monitor["spec"]["selector"]["matchLabels"]
        services = {key[1]: thing for key, thing in objects.items() if key[0] == "Service"}
        found = [name for name, thing in services.items() if within(thing["metadata"]["labels"], selector)]
        self.assertEqual(found, ["-ops"])
        (endpoint,) = monitor["spec"]["endpoints"]
        self.assertEqual(endpoint["port"], services["-ops"]["spec"]["ports"][0]["name"])
        self.assertEqual(endpoint["path"], "/metrics")
        self.assertEqual(monitor["spec"]["namespaceSelector"], {"matchNames": ["hooks"]})
        # As the alerts of the README call the job.
        label = services["-ops"]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        self.assertIn(f'job="{label}"', (ROOT / "README.md").read_text())

    # Configuration and secrets

    def test_the_configuration_arrives_as_it_was_written(self):
        odd = values("minimal")["config"] + '# tab\there, "quotes", ü, {{ not a template }}, $HOME  \n\n'
        for text in [values("everything")["config"], odd, "\n\n   " + odd, odd.replace("\n", "\r\n")]:
            objects = rendered(values("minimal", config=text))
            self.assertEqual(objects["ConfigMap", ""]["data"], {"bridge.toml": text})
            (volume,) = [volume for volume in pod_of(objects)["spec"]["volumes"] if volume["name"] == "config"]
            self.assertEqual(volume["configMap"]["name"], objects["ConfigMap", ""]["metadata"]["name"])
            (mount,) = [mount for mount in container_of(objects)["volumeMounts"] if mount["name"] == "config"]
            self.assertEqual(environment(objects)["BRIDGE_CONFIG"], f"{mount['mountPath']}/bridge.toml")

    def test_a_change_of_the_configuration_restarts_the_pod(self):
        def checksum(given):
            return pod_of(rendered(given))["metadata"]["annotations"]["checksum/config"]

        before = checksum(values("minimal"))
        changed = values("minimal")["config"].replace("Acme GmbH", "Acme Inc.")
        self.assertNotEqual(checksum(values("minimal", config=changed)), before)
        self.assertEqual(checksum(values("minimal", service__port=81)), before)

    @each_case
    def test_secrets_come_from_the_secret_that_is_there(self, case, objects):
        name = values(case)["existingSecret"]
        (volume,) = [volume for volume in pod_of(objects)["spec"]["volumes"] if "secret" in volume]
        self.assertEqual(volume["secret"]["secretName"], name)
        # Read by the group, which is the pod's; by nobody else.
        self.assertEqual(volume["secret"]["defaultMode"], 0o440)
        (mount,) = [mount for mount in container_of(objects)["volumeMounts"] if mount["name"] == volume["name"]]
        # With a subPath a file would never be read again.
        self.assertEqual(mount, {"name": volume["name"], "mountPath": SECRETS, "readOnly": True})
        wanted = values(case).get("secretEnv", {})
        taken = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]["key"]
            for entry in container_of(objects)["env"]
            if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == name
        }
        self.assertEqual(taken, wanted)

    def test_no_object_holds_a_secret(self):
        """A secret cannot get in: there is no value for it, and the two that are free text refuse one."""
        config = values("minimal")["config"]
        file = '{ file = "/run/secrets/webinar-bridge/zoom-secret-token" }'
        self.assertIn(f"secret = {file}", config)
        for written in [
            f'"{SECRET}"',
            f"'{SECRET}'",
            f'"""\n{SECRET}"""',
        ]:
            for text in [
                config.replace(f"secret = {file}", f"secret = {written}"),
                config.replace(f"secret = {file}", f"secrets = [{file}, {written}]"),
                config.replace(f"secret = {file}", f"secrets = [\n  {written},\n  {file},\n]"),
                config.replace(f"secret = {file}", f"secret = {file}\npath_token={written}"),
                config.replace("access_token = ", f"oauth = {{ client_id = 'x', client_secret = {written} }}\n# "),
                config.replace("[hubspot.main]", f"[hubspot.main]\n\"access_token\" = {written}"),
            ]:
                with self.subTest(text):
                    said = refusal(values("minimal", config=text))
                    self.assertIn("config has the text of a secret", said)
                    self.assertNotIn(SECRET, said)
        for text in [
            config + f"# secret = \"{SECRET}\"\n",
            config.replace(f"secret = {file}", f'secrets = [{file}, {{ env = "OLD" }}]'),
            config.replace(f"secret = {file}", 'secret.file = "/run/secrets/webinar-bridge/zoom-secret-token"'),
        ]:
            self.assertEqual(refusal(values("minimal", config=text)), "")
        for name in ("ZOOM_SECRET", "BRIDGE__HUBSPOT__MAIN__ACCESS_TOKEN", "DB_PASSWORD"):
            self.assertTrue(refusal(values("minimal", extraEnv=[{"name": name, "value": SECRET}])), name)

    @each_case
    def test_the_program_takes_what_is_rendered(self, case, objects):
        """`check` in a folder that has what the pod has: the file, the variables, the keys of the Secret, the volume."""
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            text = objects["ConfigMap", ""]["data"]["bridge.toml"]
            (here / "data").mkdir()
            for key in re.findall(rf"{SECRETS}/([\w.-]+)", text):
                (here / key).write_text(SECRET + "\n")
            (here / "bridge.toml").write_text(text.replace(SECRETS, folder))
            variables = {name: SECRET if value is None else value for name, value in environment(objects).items()}
            variables["BRIDGE_CONFIG"] = f"{folder}/bridge.toml"
            variables["BRIDGE__STORE__URL"] = variables["BRIDGE__STORE__URL"].replace("/data", f"{folder}/data")
            done = subprocess.run(
                [PROGRAM, "check"], env=variables, cwd=folder, capture_output=True, text=True, check=False
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(": valid;", done.stdout)
            self.assertIn(f"{folder}/data/bridge.db", done.stdout)

    # What is refused

    def test_mistakes_are_refused(self):
        wrong = {
            "an unknown key": values("minimal", replicas=1),
            "a misspelt key below": values("minimal", ingress__hostname="x"),
            "two pods": values("minimal", replicaCount=2),
            "no pod": values("minimal", replicaCount=0),
            "no Secret": values("minimal", existingSecret=None),
            "an empty Secret": values("minimal", existingSecret=""),
            "no configuration": values("minimal", config=None),
            "an empty configuration": values("minimal", config=""),
            "no image": values("minimal", image__repository=None),
            "an ingress for any host": values("minimal", ingress__host=""),
            "an ingress without a host": values("minimal", ingress__host=None),
            "many writers": values("minimal", persistence__accessMode="ReadWriteMany"),
            "a grace period of its own": values("minimal", terminationGracePeriodSeconds=1),
            "a listener on loopback": values("minimal", listenAddress="127.0.0.1"),
            "the ops port made public": values("minimal", service__opsPort=9090),
            "a label that finds the pod": values("minimal", podLabels={"app.kubernetes.io/name": "x"}),
            "another listener": values("minimal", extraEnv=[{"name": "BRIDGE__LISTEN__OPS", "value": "0.0.0.0:1"}]),
        }
        for what, given in wrong.items():
            with self.subTest(what):
                self.assertNotEqual(refusal(given), "")
        self.assertEqual(refusal(values("minimal")), "")

    def test_what_the_chart_sets_is_refused_in_the_configuration(self):
        config = values("minimal")["config"]
        for lines in [
            '[listen]\nops = "127.0.0.1:9090"',
            '[listen]\nwebhooks = "0.0.0.0:80"',
            '[listen]\n  shutdown_delay="1m"',
            '[listen]\nshutdown_timeout = "1m"',
            '[store]\nurl = "sqlite:elsewhere.db"',
        ]:
            said = refusal(values("minimal", config=f"{config}\n{lines}\n"))
            self.assertIn("which the chart sets", said, lines)
        first = f'store.url = "sqlite:elsewhere.db"\n{config}'
        self.assertIn("config has store.url, which the chart sets", refusal(values("minimal", config=first)))

    def test_the_schema_says_why_there_is_one_pod(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertIn("SQLite", schema["properties"]["replicaCount"]["description"])

    # What people read

    def test_the_notes_say_what_to_do_next(self):
        with tempfile.TemporaryDirectory() as folder:
            # helm shows notes of an installation only; rendered they are by any template that includes them.
            chart = Path(folder) / "webinar-bridge"
            shutil.copytree(CHART, chart)
            (chart / "templates" / "notes.yaml").write_text(
                "kind: Notes\nmetadata: { name: notes }\n"
                'text: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}\n'
            )
            for case, expected in [
                ("minimal", ["https://hooks.example.com/webhooks/acme-zoom\n", "data-acme-webinar-bridge-0"]),
                ("everything", ["/webhooks/zoom-emea\n", "/webhooks/zoom-us\n", "service/bridge-ops 9090"]),
                ("secret-env", ["https://HOST/webhooks/acme-zoom\n", "port 443 of the Service acme-webinar-bridge"]),
                ("existing-claim", ["--namespace hooks acme-webinar-bridge-0", "claim restored-from-backup"]),
            ]:
                text = rendered(values(case), chart=chart)["Notes", "notes"]["text"]
                for words in expected:
                    self.assertIn(words, text, case)

    def test_the_readme_shows_the_least_values(self):
        shown = f"```yaml\n{CASES['minimal'].read_text()}```" in (ROOT / "README.md").read_text()
        self.assertTrue(shown, "the README's values are not those of ci/minimal-values.yaml")


if __name__ == "__main__":
    unittest.main()
