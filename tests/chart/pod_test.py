"""There is one restricted pod with its own store; its probes and its stop fit the program."""

import json
import unittest

from rendering import (
    ABOUT,
    ROOT,
    USER,
    container_of,
    each_case,
    environment,
    pod_of,
    ports,
    rendered,
    seconds,
    values,
    within,
)


class Pod(unittest.TestCase):
    @each_case
    def test_one_pod_has_its_own_store(self, case, objects):
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
    def test_immutable_fields_do_not_depend_on_the_charts_version(self, _, objects):
        # An upgrade would be refused.
        spec = objects["StatefulSet", ""]["spec"]
        fixed = json.dumps([spec["selector"], spec.get("volumeClaimTemplates"), spec["serviceName"]])
        self.assertNotIn(ABOUT["version"], fixed)

    @each_case
    def test_pod_is_restricted(self, _, objects):
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

    def test_pod_fits_the_image(self):
        image = (ROOT / "Dockerfile").read_text().splitlines()
        objects = rendered(values("minimal"))
        self.assertIn(f"USER {USER}:{USER}", image)
        self.assertIn("EXPOSE " + " ".join(str(port) for port in sorted(ports(objects).values())), image)
        self.assertIn("VOLUME /data", image)
        self.assertIn('ENTRYPOINT ["/usr/local/bin/webinar-bridge"]', image)
        self.assertEqual(container_of(objects)["args"], ["serve"])

    def test_stop_has_enough_time(self):
        for given, delay, timeout in [
            (values("minimal"), 5, 25),
            (values("everything"), 15, 40),
            (values("minimal", shutdown__delaySeconds=0, shutdown__timeoutSeconds=1), 0, 1),
        ]:
            objects = rendered(given)
            variables = environment(objects)
            self.assertEqual(seconds(variables["BRIDGE__LISTEN__SHUTDOWN_DELAY"]), delay)
            self.assertEqual(seconds(variables["BRIDGE__LISTEN__SHUTDOWN_TIMEOUT"]), timeout)
            # After both, the store is closed.
            self.assertGreaterEqual(pod_of(objects)["spec"]["terminationGracePeriodSeconds"], delay + timeout + 5)

    @each_case
    def test_probes_ask_the_ops_listener(self, case, objects):
        container, variables = container_of(objects), environment(objects)
        for name, path in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
            self.assertEqual(container[name]["httpGet"], {"path": path, "port": "ops"})
        everywhere = values(case).get("listenAddress", "0.0.0.0")
        self.assertEqual(variables["BRIDGE__LISTEN__OPS"], f"{everywhere}:{ports(objects)['ops']}")
        self.assertEqual(variables["BRIDGE__LISTEN__WEBHOOKS"], f"{everywhere}:{ports(objects)['webhooks']}")
