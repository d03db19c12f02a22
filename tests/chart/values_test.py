"""The configuration arrives in the pod, secrets stay out of the values, and mistakes are refused."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from rendering import (
    CHART,
    PROGRAM,
    SECRET,
    SECRETS,
    container_of,
    each_case,
    environment,
    pod_of,
    refusal,
    rendered,
    values,
)


class Values(unittest.TestCase):
    def test_configuration_arrives_unchanged(self):
        odd = values("minimal")["config"] + '# tab\there, "quotes", ü, {{ not a template }}, $HOME  \n\n'
        for text in [values("everything")["config"], odd, "\n\n   " + odd, odd.replace("\n", "\r\n")]:
            objects = rendered(values("minimal", config=text))
            self.assertEqual(objects["ConfigMap", ""]["data"], {"bridge.toml": text})
            (volume,) = [volume for volume in pod_of(objects)["spec"]["volumes"] if volume["name"] == "config"]
            self.assertEqual(volume["configMap"]["name"], objects["ConfigMap", ""]["metadata"]["name"])
            (mount,) = [mount for mount in container_of(objects)["volumeMounts"] if mount["name"] == "config"]
            self.assertEqual(environment(objects)["BRIDGE_CONFIG"], f"{mount['mountPath']}/bridge.toml")

    def test_changed_configuration_restarts_the_pod(self):
        def checksum(given):
            return pod_of(rendered(given))["metadata"]["annotations"]["checksum/config"]

        before = checksum(values("minimal"))
        changed = values("minimal")["config"].replace("Acme GmbH", "Acme Inc.")
        self.assertNotEqual(checksum(values("minimal", config=changed)), before)
        self.assertEqual(checksum(values("minimal", service__port=81)), before)

    @each_case
    def test_secrets_come_from_the_existing_secret(self, case, objects):
        name = values(case)["existingSecret"]
        (volume,) = [volume for volume in pod_of(objects)["spec"]["volumes"] if "secret" in volume]
        self.assertEqual(volume["secret"]["secretName"], name)
        # Readable by the pod's group and by nobody else.
        self.assertEqual(volume["secret"]["defaultMode"], 0o440)
        (mount,) = [mount for mount in container_of(objects)["volumeMounts"] if mount["name"] == volume["name"]]
        # A file with a subPath would never change.
        self.assertEqual(mount, {"name": volume["name"], "mountPath": SECRETS, "readOnly": True})
        wanted = values(case).get("secretEnv", {})
        taken = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]["key"]
            for entry in container_of(objects)["env"]
            if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == name
        }
        self.assertEqual(taken, wanted)

    def test_no_object_contains_a_secret(self):
        """No value takes a secret, and the two values of free text refuse one."""
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
                config.replace("access_token = ", f"oauth = {{ client_id = 'a#b', client_secret = {written} }}\n# "),
                config.replace(f"secret = {file}", f"secrets = [ # new, old\n  {file}, # the \"new\" one\n  {written} ]"),
            ]:
                with self.subTest(text):
                    said = refusal(values("minimal", config=text))
                    self.assertIn("config has the text of a secret", said)
                    self.assertNotIn(SECRET, said)
        for text in [
            config + f"# secret = \"{SECRET}\"\n",
            config.replace(f"secret = {file}", f'secrets = [{file}, {{ env = "OLD" }}]'),
            config.replace(f"secret = {file}", f'secrets = [ # new, old\n  {file}, # the "new" one\n] # "both"'),
            config.replace(f"secret = {file}", 'secret.file = "/run/secrets/webinar-bridge/zoom-secret-token"'),
        ]:
            self.assertEqual(refusal(values("minimal", config=text)), "")
        for name in ("ZOOM_SECRET", "BRIDGE__HUBSPOT__MAIN__ACCESS_TOKEN", "DB_PASSWORD"):
            self.assertTrue(refusal(values("minimal", extraEnv=[{"name": name, "value": SECRET}])), name)

    @each_case
    def test_program_accepts_the_rendered_configuration(self, case, objects):
        """Runs `check` in a folder like the pod's: the file, the variables, the keys of the Secret, the volume."""
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

    def test_keys_that_the_chart_sets_are_refused_in_the_configuration(self):
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

    def test_schema_explains_the_single_pod(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertIn("SQLite", schema["properties"]["replicaCount"]["description"])
