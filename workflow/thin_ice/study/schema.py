"""Check a study against its JSON schema, and say what is wrong in one sentence."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from thin_ice.errors import ThinIceError

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "study.schema.yaml"
# JSON counts 5.0 as an integer; in the name of a folder and as a count it is none.
WHOLE = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: type(value) is int
)
VALIDATOR = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=WHOLE)


class BadStudy(ThinIceError):
    """The study cannot be run as it stands; names the key, the value and what is allowed."""

    def __init__(self, key: str, problem: str, file: str | Path = "") -> None:
        study = f"study {file}" if file else "study"
        super().__init__(f"{study}: {key}: {problem}" if key else f"{study}: {problem}")
        self.key, self.problem = key, problem


@cache
def schema() -> dict:
    """The JSON schema of a study."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def check_schema(raw: Any) -> None:
    """Raise `BadStudy` for the most telling violation of the schema."""
    if found := violation(raw, schema()):
        raise BadStudy(*found)


def violation(raw: Any, schema: dict) -> tuple[str, str] | None:
    """The key of the most telling violation of a schema, and what is wrong there; None if it is
    kept.
    """
    errors = list(VALIDATOR(schema).iter_errors(raw))
    if not errors:
        return None
    error = max(errors, key=_relevance)
    return ".".join(str(part) for part in error.absolute_path), _sentence(error)


def _relevance(error: jsonschema.ValidationError) -> tuple:
    """Prefer unknown and missing keys, which often cause the rest; then the deepest fault."""
    return error.validator in ("additionalProperties", "required"), len(error.path)


def _sentence(error: jsonschema.ValidationError) -> str:
    allowed = error.validator_value
    if error.validator in ("type", "pattern") and "instead" in error.schema:
        return f"{error.instance!r}; allowed: {error.schema['instead']}"
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = sorted(set(error.instance) - set(known), key=str)  # YAML has keys of any type
        return f"unknown key {', '.join(map(repr, unknown))}; allowed: {', '.join(known)}"
    if error.validator == "required":
        missing = [name for name in allowed if name not in error.instance]
        return f"{', '.join(map(repr, missing))} is missing"
    sentences = {
        "enum": lambda: f"one of {', '.join(map(str, allowed))}",
        "type": lambda: (
            f"a value of type {allowed if isinstance(allowed, str) else ' or '.join(allowed)}"
        ),
        "minimum": lambda: f"{allowed} or more",
        "maximum": lambda: f"{allowed} or less",
        "exclusiveMinimum": lambda: f"more than {allowed}",
        "exclusiveMaximum": lambda: f"less than {allowed}",
        "pattern": lambda: (
            "small letters, digits and underscores, beginning with a letter or digit"
        ),
        "minItems": lambda: f"a list of at least {allowed}",
        "minProperties": lambda: f"at least {allowed} entry",
        "uniqueItems": lambda: "a list without repetitions",
        "anyOf": lambda: "a number, or a fraction such as 8/255",
    }
    expected = sentences.get(error.validator, lambda: f"{error.validator} {allowed}")()
    return f"{error.instance!r}; allowed: {expected}"
