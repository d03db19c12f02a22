"""The program accepts what independent libraries sign, and they accept what it signs.

PROGRAM is the path of webinar-bridge. `.ci/signers` runs this, with what it needs. Nothing leaves the machine.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jwt
from standardwebhooks.webhooks import Webhook

PROGRAM = os.environ["PROGRAM"]
STANDARD = "whsec_c2lnbmVycyBvZiBvdGhlciBwZW9wbGUsIHRlc3RlZA=="
SHARED = "a secret that both sides know, longer than the 64 bytes of the longest hash that may be asked for"
# A time that is wrong by any clock: nearer ones are answered 503 while nothing has confirmed the program's clock.
FAR_OFF = timedelta(hours=30)
VARIABLES = {"STANDARD_SECRET": STANDARD, "SHARED_SECRET": SHARED}

CONFIGURATION = """
listen.webhooks = "127.0.0.1:0"
listen.ops = "127.0.0.1:0"
store.url = "sqlite:{folder}/bridge.db"

[hubspot.main]
access_token = "none that is ever used"
deliver = false

[source.standard]
provider = "custom"
secret = {{ env = "STANDARD_SECRET" }}
external_account_id = "standard"
verify = {{ scheme = "standard_webhooks" }}
map = {{ event_id = "payload.id", name = "payload.name" }}

[source.beside]
provider = "custom"
secret = {{ env = "SHARED_SECRET" }}
external_account_id = "beside"
verify = {{ scheme = "jwt", algorithms = ["HS256"], issuer = "tests", audience = "bridge", body_claim = "body_sha256" }}
map = {{ event_id = "payload.id", name = "payload.name" }}

[source.whole]
provider = "custom"
secret = {{ env = "SHARED_SECRET" }}
external_account_id = "whole"
verify = {{ scheme = "jwt", algorithms = ["HS256"], token = "body" }}
map = {{ event_id = "payload.id", name = "payload.name" }}
"""


class Signers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        (cls.folder / "bridge.toml").write_text(CONFIGURATION.format(folder=cls.folder))
        command = [PROGRAM, "serve", "--config", cls.folder / "bridge.toml"]
        cls.bridge = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | VARIABLES)
        cls.addClassCleanup(cls.bridge.stdout.close)
        cls.addClassCleanup(cls.bridge.wait)
        cls.addClassCleanup(cls.bridge.terminate)
        for line in cls.bridge.stdout:
            if address := json.loads(line).get("listen.webhooks"):
                cls.webhooks = f"http://{address}/webhooks"
                break
        else:
            raise AssertionError("the program did not start")

    def post(self, source, body, headers):
        """The answer: its HTTP status, and the status in its body."""
        request = urllib.request.Request(f"{self.webhooks}/{source}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)["status"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["error"]

    def signed(self, source, variable, body):
        """The headers and the body of the command that `sign` prints."""
        command = [PROGRAM, "sign", "--provider", "custom", "--config", self.folder / "bridge.toml", "--source", source]
        command += ["--secret-env", variable, "--url", f"{self.webhooks}/{source}"]
        done = subprocess.run(command, input=body, capture_output=True, env=os.environ | VARIABLES, check=True)
        printed = done.stdout.decode()
        headers = dict(re.findall(r"--header '([^:]+): ([^']*)'", printed))
        (data,) = re.findall(r"--data-raw '([^']*)'", printed)
        return headers, data.encode()

    def standard(self, id, body, at=None, family="webhook"):
        at = at or datetime.now(timezone.utc)
        signature = Webhook(STANDARD).sign(id, at, body.decode())
        values = {"id": id, "timestamp": str(int(at.timestamp())), "signature": signature}
        return {f"{family}-{name}": value for name, value in values.items()}

    def test_program_accepts_the_signature_of_standardwebhooks(self):
        body = b'{"id": "s-1", "name": "Na\xc3\xafve"}'
        for family in ("webhook", "svix"):
            headers = self.standard(f"msg_{family}", body, family=family)
            self.assertEqual(self.post("standard", body, headers), (200, "accepted"))
            # The same id is the same delivery, whatever its time.
            again = self.standard(f"msg_{family}", body, datetime.now(timezone.utc) + timedelta(seconds=2), family)
            self.assertEqual(self.post("standard", body, again), (200, "duplicate"))
            self.assertEqual(self.post("standard", body + b" ", headers), (401, "unauthorized"))
        old = self.standard("msg_old", body, datetime.now(timezone.utc) - FAR_OFF)
        self.assertEqual(self.post("standard", body, old), (401, "unauthorized"))
        new = self.standard("msg_new", body)
        new["webhook-signature"] = f"v1a,bm9uZQ== v1,bm9uZQ== {new['webhook-signature']}"
        self.assertEqual(self.post("standard", body, new), (200, "accepted"))

    def test_standardwebhooks_accepts_the_signature_of_the_program(self):
        body = '{"id": "s-2", "name": "Naïve"}'.encode()
        headers, sent = self.signed("standard", "STANDARD_SECRET", body)
        self.assertEqual(Webhook(STANDARD).verify(sent, headers), json.loads(body))
        self.assertEqual(self.post("standard", sent, headers), (200, "accepted"))

    def test_program_accepts_the_token_of_pyjwt(self):
        body = b'{"id": "j-1", "name": "Tokens"}'
        digest = hashlib.sha256(body).hexdigest()
        right = {"iss": "tests", "aud": ["others", "bridge"], "exp": time.time() + 60, "body_sha256": digest}

        def beside(key=SHARED, algorithm="HS256", **changes):
            token = jwt.encode(right | changes, key, algorithm=algorithm)
            return self.post("beside", body, {"Authorization": f"Bearer {token}"})

        self.assertEqual(beside(), (200, "accepted"))
        for wrong in (
            {"iss": "others"},
            {"aud": "others"},
            {"exp": time.time() - FAR_OFF.total_seconds()},
            {"nbf": time.time() + FAR_OFF.total_seconds()},
            {"body_sha256": hashlib.sha256(b"another body").hexdigest()},
            {"key": SHARED + "!"},
            {"algorithm": "HS512"},
        ):
            self.assertEqual(beside(**wrong), (401, "unauthorized"), wrong)
        unsigned = jwt.encode(right, None, algorithm="none")
        self.assertEqual(self.post("beside", body, {"Authorization": f"Bearer {unsigned}"}), (401, "unauthorized"))

        whole = jwt.encode({"id": "j-2", "name": "Whole", "exp": int(time.time()) + 60}, SHARED, algorithm="HS256")
        self.assertEqual(self.post("whole", whole.encode(), {}), (200, "accepted"))
        self.assertEqual(self.post("whole", whole.encode() + b"A", {}), (401, "unauthorized"))

    def test_pyjwt_accepts_the_token_of_the_program(self):
        body = b'{"id": "j-3", "name": "Tokens"}'
        headers, sent = self.signed("beside", "SHARED_SECRET", body)
        token = headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, SHARED, algorithms=["HS256"], issuer="tests", audience="bridge")
        self.assertEqual(claims["body_sha256"], hashlib.sha256(sent).hexdigest())
        headers, sent = self.signed("whole", "SHARED_SECRET", body)
        claims = jwt.decode(sent, SHARED, algorithms=["HS256"])
        self.assertEqual((claims["id"], claims["name"]), ("j-3", "Tokens"))
        self.assertEqual(self.post("whole", sent, headers), (200, "accepted"))
