"""The parameters of calls beside their bodies: each is declared once, read by the call and shown in its description.

A call reads a parameter through the object that the server's OpenAPI document describes it by, so that limits, defaults
and choices cannot say one thing there and another here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from multidict import MultiMapping

from sandboxes.emulator.clock import parse_timestamp
from sandboxes.emulator.errors import ApiError

Description = dict[str, object]

NUMBER_DIGITS_MAX = 20
"""More than any bound has; Python refuses to read thousands of them."""


class Parameter(Protocol):
    """What the document needs of a parameter."""

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberParameter:
    """A whole number."""

    name: str
    meaning: str
    bounds: tuple[int, int]
    """The lowest and the highest that is taken."""
    default: int | None = None

    def find(self, query: MultiMapping[str]) -> int | None:
        """Return the number if it is given. Raises `ApiError` (400) for anything else, or one out of bounds."""
        text = query.get(self.name)
        if text is None:
            return None
        lowest, highest = self.bounds
        if not text.removeprefix("-").isdecimal() or not text.isascii():
            raise ApiError(400, f"{self.name} is {text!r}: it must be a whole number")
        if len(text) > NUMBER_DIGITS_MAX or not lowest <= int(text) <= highest:
            raise ApiError(400, f"{self.name} is {text}: it must lie between {lowest} and {highest}")
        return int(text)

    def read(self, query: MultiMapping[str]) -> int:
        """Return the number, or the default. Raises `ApiError` (400)."""
        found = self.find(query)
        if found is not None:
            return found
        assert self.default is not None
        return self.default

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""
        schema: Description = {"type": "integer", "minimum": self.bounds[0], "maximum": self.bounds[1]}
        if self.default is not None:
            schema["default"] = self.default
        return describe_query(self.name, self.meaning, schema=schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceParameter:
    """One word out of a few."""

    name: str
    meaning: str
    choices: tuple[str, ...]
    default: str

    def read(self, query: MultiMapping[str]) -> str:
        """Return the word, or the default. Raises `ApiError` (400) for another one."""
        text = query.get(self.name, self.default)
        if text not in self.choices:
            raise ApiError(400, f"{self.name} is {text!r}: it must be {' or '.join(self.choices)}")
        return text

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""
        schema: Description = {"type": "string", "enum": list(self.choices), "default": self.default}
        return describe_query(self.name, self.meaning, schema=schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagParameter:
    """True or false, and false if it is absent."""

    name: str
    meaning: str

    def read(self, query: MultiMapping[str]) -> bool:
        """Return the flag. Raises `ApiError` (400)."""
        text = query.get(self.name, "false")
        if text not in ("true", "false"):
            raise ApiError(400, f"{self.name} is {text!r}: it must be true or false")
        return text == "true"

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""
        return describe_query(self.name, self.meaning, schema={"type": "boolean", "default": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListParameter:
    """Several words, given with commas or by naming the parameter several times."""

    name: str
    meaning: str
    choices: tuple[str, ...] = ()
    """Empty for any words."""
    length_max: int | None = None
    is_required: bool = False

    def read(self, query: MultiMapping[str]) -> list[str]:
        """Return the words, none if the parameter is absent. Raises `ApiError` (400) for unknown ones or too many."""
        words = [word for text in query.getall(self.name, []) for word in text.split(",")]
        if not self.choices:
            words = [word for word in words if word]
        unknown = [word for word in words if self.choices and word not in self.choices]
        if unknown:
            raise ApiError(400, f"{self.name} holds {unknown[0]!r}: there are {', '.join(self.choices)}")
        if self.is_required and not words:
            raise ApiError(400, f"{self.name} names nothing: name 1 to {self.length_max}")
        if self.length_max is not None and len(words) > self.length_max:
            raise ApiError(400, f"{self.name} names {len(words)}: name {self.length_max} at most")
        return words

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""
        word: Description = {"type": "string", "enum": list(self.choices)} if self.choices else {"type": "string"}
        if not self.choices:
            word["pattern"] = "^[^,]+$"
        schema: Description = {"type": "array", "items": word, "minItems": 1}
        if self.length_max is not None:
            schema["maxItems"] = self.length_max
        described = describe_query(self.name, self.meaning, schema=schema, is_required=self.is_required)
        return {**described, "style": "form", "explode": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentParameter:
    """A moment, as RFC 3339 writes it; without a zone it is UTC."""

    name: str
    meaning: str

    def find(self, query: MultiMapping[str]) -> datetime | None:
        """Return the moment if it is given. Raises `ApiError` (400)."""
        text = query.get(self.name)
        if text is None:
            return None
        try:
            return parse_timestamp(text)
        except ValueError as error:
            raise ApiError(400, f"{self.name} is malformed: {error}") from error

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""
        return describe_query(self.name, self.meaning, schema={"type": "string", "format": "date-time"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TextParameter:
    """Any text; what is wrong with some, the call itself says."""

    name: str
    meaning: str
    place: Literal["query", "header"] = "query"
    pattern: str | None = None
    is_required: bool = False

    def find(self, texts: MultiMapping[str]) -> str | None:
        """Return the text if it is given."""
        return texts.get(self.name)

    def describe(self) -> Description:
        """Return the parameter as OpenAPI writes it."""
        schema: Description = {"type": "string"}
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        described = describe_query(self.name, self.meaning, schema=schema, is_required=self.is_required)
        return {**described, "in": self.place}


def describe_query(name: str, meaning: str, *, schema: Description, is_required: bool = False) -> Description:
    """Return a parameter of the query as OpenAPI writes it."""
    return {"name": name, "in": "query", "description": meaning, "required": is_required, "schema": schema}
