"""Helm and Kubernetes accept the chart, it renders the right objects, and its texts are true."""

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml

from rendering import (
    ABOUT,
    CASES,
    CHART,
    KUBERNETES,
    PROGRAM,
    ROOT,
    container_of,
    each_case,
    helm,
    rendered,
    values,
)


class Chart(unittest.TestCase):
    def test_lint(self):
        for case in CASES:
            with self.subTest(case):
                done = helm("lint", "--strict", str(CHART), given=values(case))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_field_is_in_the_schema_of_kubernetes(self):
        for kubernetes in KUBERNETES:
            for case in CASES:
                for key, thing in rendered(values(case), kubernetes).items():
                    # A custom resource; Kubernetes has no schema for it.
                    if key[0] == "ServiceMonitor":
                        self.assertEqual(thing["apiVersion"], "monitoring.coreos.com/v1")
                        continue
                    with self.subTest(case, kubernetes=kubernetes, thing=key):
                        kubernetes_validate.validate(thing, kubernetes, strict=True)

    def test_unknown_field_is_found(self):
        for kubernetes in KUBERNETES:
            stateful = rendered(values("minimal"))["StatefulSet", ""]
            stateful["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(stateful, kubernetes, strict=True)

    def test_version_is_that_of_the_program(self):
        said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(said.split(), ["webinar-bridge", str(ABOUT["appVersion"])])
        self.assertEqual(ABOUT["version"], ABOUT["appVersion"])
        image = container_of(rendered(values("minimal")))["image"]
        self.assertEqual(image, f"registry.example/webinar-bridge:{ABOUT['appVersion']}")

    def test_objects_are_exactly_the_requested_ones(self):
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
    def test_objects_carry_the_name_of_the_release(self, _, objects):
        for key, thing in objects.items():
            about = thing["metadata"]
            self.assertEqual(about["namespace"], "hooks", key)
            self.assertEqual(about["labels"]["app.kubernetes.io/instance"], "acme", key)
            self.assertEqual(about["labels"]["app.kubernetes.io/version"], ABOUT["appVersion"], key)

    def test_long_names_stay_within_limits(self):
        done = helm("template", "r" * 53, str(CHART), given=values("minimal"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for thing in filter(None, yaml.safe_load_all(done.stdout)):
            self.assertLessEqual(len(thing["metadata"]["name"]), 63)
            # Kubernetes derives a label from it: the name, "-" and ten characters.
            if thing["kind"] == "StatefulSet":
                self.assertLessEqual(len(thing["metadata"]["name"]) + 11, 63)

    def test_every_value_is_documented_validated_and_tried(self):
        def paths(table, above=()):
            for key, value in table.items():
                # The user fills empty tables.
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
        # Helm's own values, and those that Kubernetes validates.
        top = {path for path in allowed(schema) if path[0] not in ("global", "resources")}
        self.assertEqual(top, {path for path in documented if path[0] != "resources"})
        tried = set(paths(values("everything"))) | set(paths(values("existing-claim")))
        untried = [path for path in documented if not any(path == some[: len(path)] for some in tried)]
        self.assertEqual(untried, [])

    def test_notes_list_the_next_steps(self):
        with tempfile.TemporaryDirectory() as folder:
            # helm shows notes only after an installation; a template that includes them renders them here.
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

    def test_the_docs_show_the_least_values(self):
        shown = f"```yaml\n{CASES['minimal'].read_text()}```" in (ROOT / "docs/kubernetes.md").read_text()
        self.assertTrue(shown, "the values in docs/kubernetes.md are not those of ci/minimal-values.yaml")
