"""``--help`` of an experiment: each field with its value and comment in configs/, and what its schema allows."""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.runs.command_line import CONFIGS, GROUPS, model
from experiments.runs.schema import Nested, Strict

COMMENTED = re.compile(r"( *)(\w+):.*?(?:# (.*))?")
BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
HUGE = 1e9  # a bound that only keeps numbers in range says nothing


def text(config_name: str, config: DictConfig) -> str:
    """Describe the fields of an experiment; ``config`` is all of its configuration, Hydra's part included."""
    name, file = config_name.removeprefix("experiment/"), CONFIGS / f"{config_name}.yaml"
    schema, comments = model(name), _comments(file)
    title = file.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ").partition(" What ")[0]
    lines = [title, "", f"python -m experiments.{name} FIELD=VALUE ...", ""]
    for field in config:
        if field in ("hydra", "runs", "scale", "sweep"):
            continue
        nested = _nested(schema, field)
        choice = config.hydra.runtime.choices.get(field)
        if not OmegaConf.is_dict(config[field]):
            lines.append(_line(field, config[field], comments.get(field), _allowed(schema, field)))
            continue
        lines.append(_line(field, choice, comments.get(field), " or ".join(nested.names) if nested else ""))
        inside = _of_option(field, choice) if choice else comments
        inner = nested.model(choice and config[field].name) if nested else None
        for key in config[field]:
            if choice and key == "name":
                continue
            shown = "???" if OmegaConf.is_missing(config[field], key) else config[field][key]
            lines.append(_line(f"{field}.{key}", shown, inside.get(f"{field}.{key}"), _allowed(inner, key)))
    return "\n".join(lines)


def _line(name: str, value: Any, comment: str | None, allowed: str) -> str:
    shown = name if value is None and not allowed else f"{name}={'null' if value is None else value}"
    return f"  {shown:<34}  {'; '.join(part for part in (comment, allowed) if part)}".rstrip()


def _of_option(group: str, choice: str) -> dict[str, str]:
    """Return the comments of an option of a group: those of its own file, or those under its name in the group's."""
    own = CONFIGS / group / f"{choice}.yaml"
    if own.is_file():
        return _comments(own, f"{group}.")
    named = _comments(GROUPS[group]).items() if group in GROUPS else ()
    return {group + name.removeprefix(choice): comment for name, comment in named if name.startswith(f"{choice}.")}


def _comments(file: Path, prefix: str = "") -> dict[str, str]:
    """Return the comment behind each field of a file, under the field's dotted name."""
    found, outer = {}, []
    for line in file.read_text(encoding="utf-8").splitlines():
        match = COMMENTED.fullmatch(line)
        if match:
            outer = [*outer[: len(match[1]) // 2], match[2]]
            found[prefix + ".".join(outer)] = match[3]
    return found


def _nested(schema: type[Strict], field: str) -> Nested | None:
    known = schema.model_fields.get(field)
    return next((found for found in known.metadata if isinstance(found, Nested)), None) if known else None


def _allowed(schema: type[Strict] | None, field: str) -> str:
    return _words(schema.model_json_schema()["properties"].get(field, {})) if schema else ""


def _words(schema: dict) -> str:
    """Return a JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(map(_words, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of: {_words(schema['items'])}"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if schema.get(key, HUGE) < HUGE]
    return f"{schema.get('type', '')} {' and '.join(bounds)}".strip()
