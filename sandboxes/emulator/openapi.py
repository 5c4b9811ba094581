"""The server's own description of its HTTP calls, as an OpenAPI 3.1 document: one for each plane.

It is made of what the calls themselves run on - the table of routes with their contracts (`contracts.py`), the types
that msgspec reads requests into and writes answers from, and the parameters' own limits - so that none of it can say
something else than the server does. Each plane serves its document at `/openapi.json`, and a fuzzer reads it.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from msgspec import Struct

from sandboxes.emulator.contracts import Body, Contract, Media
from sandboxes.emulator.parameters import Description

DOCUMENT_PATH = "/openapi.json"
OPENAPI_VERSION = "3.1.0"
REFERENCES = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call, as the document shows it."""

    method: str
    path: str
    meaning: str
    """What it does, in a sentence."""
    contract: Contract
    is_open: bool = False
    """Whether it asks for no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """What all calls of one plane have in common."""

    title: str
    meaning: str
    security: Mapping[str, Description]
    """The ways to show that one may call; one of them is enough."""
    refusals: Mapping[int, tuple[type[Struct], ...]]
    """The refusals with a body of their own: one of these."""
    refuses: tuple[int, ...] = ()
    """The statuses that any call may be refused with."""
    refusal: type[Struct]
    """The body of all other refusals."""


class Document:
    """Puts a document together."""

    def __init__(self, plane: Plane, operations: Iterable[Operation]) -> None:
        self._plane = plane
        self._operations = tuple(operations)
        types = list(dict.fromkeys(self._find_types()))
        schemas, self._components = msgspec.json.schema_components(
            types, schema_hook=describe_object, ref_template=REFERENCES
        )
        self._schemas = dict(zip(types, schemas, strict=True))

    def describe(self) -> Description:
        """Return the document."""
        paths: dict[str, dict[str, Description]] = {}
        for operation in self._operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = self._describe_operation(operation)
        return {
            "openapi": OPENAPI_VERSION,
            "info": {"title": self._plane.title, "description": self._plane.meaning, "version": "1"},
            "paths": paths,
            "security": [{name: []} for name in self._plane.security],
            "components": {"schemas": self._components, "securitySchemes": dict(self._plane.security)},
        }

    def _find_types(self) -> Iterator[object]:
        yield self._plane.refusal
        yield from itertools.chain(*self._plane.refusals.values())
        for operation in self._operations:
            bodies = (operation.contract.takes, *operation.contract.answers.values())
            yield from (body for body in bodies if body is not None and not isinstance(body, Media))

    def _describe_operation(self, operation: Operation) -> Description:
        contract = operation.contract
        described: Description = {
            "operationId": "_".join([operation.method.lower(), *re.findall(r"\w+", operation.path)]),
            "summary": operation.meaning,
            "parameters": [
                *describe_path(operation.path),
                *(parameter.describe() for parameter in contract.parameters),
            ],
            "responses": {str(status): answer for status, answer in sorted(self._describe_answers(operation))},
        }
        if operation.is_open:
            described["security"] = []
        if contract.takes is not None:
            content: Description = {"application/json": {"schema": self._schemas[contract.takes]}}
            described["requestBody"] = {"content": content, "required": has_required_fields(contract.takes)}
        elif contract.takes_media:
            kinds = {media.kind: {"schema": media.schema} for media in contract.takes_media}
            described["requestBody"] = {"content": kinds, "required": True}
        return described

    def _describe_answers(self, operation: Operation) -> Iterator[tuple[int, Description]]:
        contract = operation.contract
        headers = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in contract.answer_headers.items()
        }
        for status, body in contract.answers.items():
            answer: Description = {"description": HTTPStatus(status).phrase}
            if body is not None:
                answer["content"] = self._describe_body(body)
            yield status, {**answer, "headers": headers} if headers else answer
        for status in find_refusals(operation, self._plane):
            kinds = [self._schemas[kind] for kind in self._plane.refusals.get(status, (self._plane.refusal,))]
            schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
            content = {"application/json": {"schema": schema}}
            yield status, {"description": HTTPStatus(status).phrase, "content": content}

    def _describe_body(self, body: Body) -> Description:
        if isinstance(body, Media):
            return {body.kind: {"schema": body.schema}}
        return {"application/json": {"schema": self._schemas[body]}}


def find_refusals(operation: Operation, plane: Plane) -> list[int]:
    """Return the statuses by which a call may be refused: its own, and those of all that are like it."""
    contract = operation.contract
    takes_something = contract.takes is not None or contract.takes_media or contract.parameters
    common = {*plane.refuses, *(() if operation.is_open else (401,)), *((400,) if takes_something else ())}
    return sorted({*contract.refuses, *common})


def describe_path(path: str) -> Iterator[Description]:
    """Yield the parameters that a path names in braces."""
    for name in re.findall(r"\{(\w+)\}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def describe_object(kind: type) -> Description:
    """Return what fits a value of which nothing is said: any JSON."""
    if kind is not object:
        raise NotImplementedError(f"{kind} has no JSON schema")
    return {"description": "any JSON"}


def has_required_fields(kind: type[Struct]) -> bool:
    """Whether a body cannot be left out: no body is read as an empty object."""
    return any(field.required for field in msgspec.structs.fields(kind))


def read_meaning(handler: object) -> str:
    """Return the first paragraph of a handler's docstring."""
    return " ".join((handler.__doc__ or "").partition("\n\n")[0].split())
