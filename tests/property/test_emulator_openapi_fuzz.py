"""The server against its own OpenAPI documents: schemathesis sends what they allow, and what they do not.

Whatever is sent: an answer in time, with a status and a body that the document declares, no failure of the server,
nothing written outside its directory, and nothing of another sandbox told or touched. Half of the calls go to things
that exist, because unknown ids end too early to find much. The seed is fixed; with `E2B_FUZZ_EXAMPLES=150` it
looks longer, and elsewhere each time.
"""

import itertools
import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sandboxes.pytest_plugin import serve_on_thread
from tests.property.written_paths import find_outside, written_paths

pytestmark = pytest.mark.processes

ANSWER_DEADLINE_S = 10.0
SANDBOXES_MAX = 12
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
LIMITS_MAX = 60
"""How many cases of limits are tried for each call."""
KNOWN_FIELDS = {
    "templateID": "base",
    "name": "fuzzed",
    "target": "fuzzed",
    "tags": ["stable"],
    "network": {},
    "url": "http://127.0.0.1:9/",
    "events": ["sandbox.lifecycle.killed"],
}
CANARY = "what only the neighbour knows"
EXAMPLES_MAX = int(os.environ.get("E2B_FUZZ_EXAMPLES", "10"))
fuzzing = settings(
    max_examples=EXAMPLES_MAX,
    derandomize="E2B_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a case that fails is told as it is: to make it smaller may take minutes
    suppress_health_check=list(HealthCheck),
)
hostile_paths = st.lists(
    st.sampled_from(["..", ".", "", "~", "a", "é", "\0", "x" * 300, "out", "loop", "/", "tmp", "..%2f", "%00", "here"]),
    max_size=6,
).map("/".join)


class Service:
    """A server with two sandboxes: the one that is fuzzed, and its neighbour."""

    def __init__(self, server):
        self.url = server.url
        self._http = requests.Session()
        self.key = {"X-API-KEY": server.api_key}
        self._http.headers.update(self.key)
        self.neighbour = self._create()
        self._write(self.neighbour, "/home/user/secret", CANARY)
        self.target = {}
        self._build = self.ask("POST", "/v3/templates", json={"name": "fuzzed"}).json()
        self.settle()
        self._write(self.target, "here", "x" * 100)

    def ask(self, method, path, **options):
        answer = self._http.request(method, self.url + path, timeout=ANSWER_DEADLINE_S, **options)
        answer.raise_for_status()
        return answer

    def settle(self):
        """Make good what a call may have done: faults in force, too many sandboxes, the target gone or asleep."""
        living = {row["sandboxID"]: row for row in self.ask("GET", "/v2/sandboxes").json()}
        assert self.neighbour["sandboxID"] in living
        target = self.target.get("sandboxID")
        if living.get(target, {}).get("state") != "running" or len(living) > SANDBOXES_MAX // 2:
            for sandbox_id in living.keys() - {self.neighbour["sandboxID"]}:
                self._http.delete(f"{self.url}/sandboxes/{sandbox_id}", timeout=ANSWER_DEADLINE_S)
            self.target = self._create()

    def known_parts(self):
        """Return for the names in paths something that exists."""
        return {
            "sandbox_id": self.target["sandboxID"],
            "template_id": self._build["templateID"],
            "build_id": self._build["buildID"],
            "files_hash": "a" * 64,
            "alias": "base",
        }

    def read_secret(self):
        headers = envd_headers(self.neighbour)
        return self.ask("GET", "/files", params={"path": "/home/user/secret"}, headers=headers).text

    def _create(self):
        return self.ask("POST", "/v2/sandboxes", json={"templateID": "base", "timeout": 3600}).json()

    def _write(self, sandbox, path, text):
        headers = {**envd_headers(sandbox), "Content-Type": "application/octet-stream"}
        self.ask("POST", "/files", params={"path": path}, headers=headers, data=text)


def envd_headers(sandbox):
    return {"E2b-Sandbox-Id": sandbox["sandboxID"], "X-Access-Token": sandbox["envdAccessToken"]}


@pytest.fixture(scope="module")
def written():
    with written_paths() as found:
        yield found


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("outer") / "data"


@pytest.fixture(scope="module")
def service(written, data_dir):
    with serve_on_thread({"data_dir": data_dir, "sandboxes_max": SANDBOXES_MAX}) as server:
        yield Service(server)
    assert len(written) > 10  # the sandboxes' own files, at least
    assert find_outside(written, data_dir) == []


@pytest.fixture(scope="module")
def control_document(service):
    return load(service, headers={})


@pytest.fixture(scope="module")
def daemon_document(service):
    return load(service, headers={"E2b-Sandbox-Id": service.target["sandboxID"]})


def load(service, *, headers):
    document = service.ask("GET", "/openapi.json", headers=headers).json()
    config = schemathesis.Config.from_dict({"base-url": service.url})
    return schemathesis.openapi.from_dict(document, config=config)


def test_control_plane_does_what_its_document_says(control_document, service, subtests):
    def send(case, *, exists):
        if exists:
            replace_known(case.path_parameters, service.known_parts())
            if is_allowed(case):
                replace_known(case.body, KNOWN_FIELDS)
        leave_out_commands(case)
        answer = case.call(headers=service.key, timeout=ANSWER_DEADLINE_S)
        if "faults" in case.operation.path:
            service.ask("DELETE", "/_emulator/faults")
        service.settle()
        hold(case, answer)

    for operation in list_operations(control_document):
        with subtests.test(operation.label):
            fuzz(operation, send, exists=st.booleans())
            assert service.read_secret() == CANARY


def test_daemon_does_what_its_document_says(daemon_document, service, subtests):
    def send(case, *, path):
        if path is not None and is_allowed(case):
            replace_known(case.query, {"path": path, "username": "user"})
            replace_known(case.body, {"source_paths": [path], "destination": "joined", "username": "user"})
        answer = case.call(headers=envd_headers(service.target), timeout=ANSWER_DEADLINE_S)
        hold(case, answer)
        assert service.neighbour["envdAccessToken"] not in answer.text

    for operation in list_operations(daemon_document):
        with subtests.test(operation.label):
            fuzz(operation, send, path=st.none() | hostile_paths)
            assert service.read_secret() == CANARY


def list_operations(document):
    return [found.ok() for found in document.get_all_operations()]


def fuzz(operation, send, **more):
    """Send what the document calls good and bad, by chance from a fixed seed, and the limits of every field."""
    takes_any_bytes = any(body.media_type == "application/octet-stream" for body in operation.body)
    can_be_wrong = (
        operation.query or operation.headers or ((operation.body or operation.path_parameters) and not takes_any_bytes)
    )
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if can_be_wrong else [])]
    for mode in modes:
        check = given(case=operation.as_strategy(generation_mode=mode), **more)(send)
        fuzzing(check)()
    cases = operation.schema.iter_coverage_cases(
        operation, generation_modes=modes, generation_config=operation.schema.config.generation
    )
    for case in itertools.islice(cases, LIMITS_MAX):
        send(case, **dict.fromkeys(more))


def is_allowed(case):
    """Whether a case is what the document allows; one that is not must stay so."""
    return case.meta.generation.mode is GenerationMode.POSITIVE


def replace_known(part, known):
    """Put what exists in place of what was made up, where there is something."""
    if isinstance(part, dict):
        part.update({name: known[name] for name in part.keys() & known.keys()})


def hold(case, answer):
    """Fail unless an answer is one that the document allows, and the neighbour is as it was."""
    if answer.status_code == 400 and answer.headers.get("content-type", [""])[0].startswith("text/plain"):
        return  # no HTTP, such as a line that is too long: refused before anybody looks what it asks for
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    # Whatever is put into a field of a form is bytes on the wire, and so allowed.
    is_form = (case.media_type or "").startswith("multipart/")
    case.validate_response(answer, checks=[c for c in CHECKS if not (is_form and c is negative_data_rejection)])
    assert CANARY not in answer.text


def leave_out_commands(case):
    """Take command lines out of a build: they would really run, with the rights of whoever tests."""
    if case.operation.path.endswith("/builds/{build_id}") and isinstance(case.body, dict):
        for name in ("startCmd", "readyCmd"):
            case.body.pop(name, None)
