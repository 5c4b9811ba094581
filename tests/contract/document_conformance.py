"""Holds what the control plane answers against the document it serves of itself."""

import msgspec
from jsonschema_rs import ValidationError, validator_for

from sandboxes.emulator.control.control_plane import ControlPlane
from sandboxes.emulator.errors import EmulatorError


class ConformanceCheck:
    """Watches all answers of control planes; what is not as the document says is collected."""

    def __init__(self, monkeypatch):
        self.deviations = []
        self._answer = ControlPlane.handle
        self._documents = {}
        monkeypatch.setattr(ControlPlane, "handle", lambda plane, request: self._handle(plane, request))

    async def _handle(self, plane, request):
        try:
            response = await self._answer(plane, request)
        except EmulatorError as refusal:
            self._check(plane, request, status=refusal.status, body=refusal.body())
            raise
        self._check(plane, request, status=response.status, body=response.body)
        return response

    def _check(self, plane, request, *, status, body):
        routes = [route for route in plane.routes if route.match(request.method, request.rel_url.raw_path) is not None]
        if not routes:
            return
        where = f"{request.method} {routes[0].path} {status}"
        document = self._documents.setdefault(plane, msgspec.json.decode(plane.document))
        answers = document["paths"][routes[0].path][request.method.lower()]["responses"]
        if str(status) not in answers:
            self.deviations.append(f"{where}: the status is not declared")
            return
        content = answers[str(status)].get("content", {})
        if not content and body:
            self.deviations.append(f"{where}: a body is not declared")
        if "application/json" in content:
            schema = {**content["application/json"]["schema"], "components": document["components"]}
            try:
                validator_for(schema).validate(msgspec.json.decode(body))
            except ValidationError as deviation:
                self.deviations.append(f"{where}: {deviation.message}")
