"""Only webhooks reach the pod from outside, and only probes and metrics from inside."""

import unittest

from rendering import ROOT, each_case, pod_of, ports, rendered, values, within


class Network(unittest.TestCase):
    @each_case
    def test_public_and_private_services_are_separate(self, case, objects):
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

    def test_ingress_passes_on_webhooks_only(self):
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

    def test_network_policy_allows_the_needed_traffic(self):
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

    def test_prometheus_finds_only_the_ops_service(self):
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
        # The alerts in the docs select this job.
        label = services["-ops"]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        self.assertIn(f'job="{label}"', (ROOT / "docs/metrics.md").read_text())
