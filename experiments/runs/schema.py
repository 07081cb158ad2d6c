"""The configuration's fields: what each allows, and one line that says so when a value is not allowed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from experiments.runs.store import Run, Store

Finite = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Progress = Callable[..., Iterable]  # tqdm, or anything with its arguments


def _not_tiny(value: float) -> float:
    """Return the value. Raises ValueError where its square may leave float64."""
    if value < 1e-100:
        raise ValueError("should be at least 1e-100")
    return value


Positive = Annotated[float, Field(gt=0, le=1e100, allow_inf_nan=False), AfterValidator(_not_tiny)]


def as_list(value: Any) -> Any:
    """Return a list as it is, a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def distinct(values: list) -> list:
    """Return the values. Raises ValueError if one is repeated."""
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"values should be distinct, {repeated} repeated")
    return values


# A value or a list of values: a list is one batched program and still saves one run per cell.
_LIST = (BeforeValidator(as_list), AfterValidator(distinct), Field(min_length=1))
PositiveList = Annotated[list[Positive], *_LIST]
StepList = Annotated[list[Annotated[Positive, Field(le=1e30)]], *_LIST]  # of parameters in float32
CountList = Annotated[list[Count], *_LIST]
SeedList = Annotated[list[Seed], *_LIST]


class ConfigError(Exception):
    """A configuration that is refused; the message is one line: field, value, what is allowed."""


class Strict(BaseModel):
    """Fields as declared: no others, no silent conversion ("1" is no number, true is no 1)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*")
    @classmethod
    def _zero(cls, value: Any) -> Any:
        """Return 0 for -0, which computes the same numbers under another id."""
        return 0.0 if isinstance(value, float) and value == 0 else value


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: the rows of its history, the results of its summary, whether all stayed finite."""

    run: Run
    history: pd.DataFrame
    results: Mapping
    finite: bool = True

    @property
    def status(self) -> str:
        """One of the two that count as complete."""
        return "completed" if self.finite else "diverged"


class Experiment(Strict):
    """The configuration of one job of an experiment: how to name its runs and how to make them."""

    def runs(self) -> list[Run]:
        """Return one Run per cell."""
        raise NotImplementedError

    def agreed(self, choose: Callable[[], list[Run]]) -> list[Run]:
        """Return what ``choose`` returns; if several processes train one model, rank 0's choice for all."""
        return choose()

    def parts(self, runs: list[Run]) -> Iterable[list[Run]]:
        """Split ``runs`` into what one process locks and makes at a time: each alone, or those of one program."""
        return [[run] for run in runs]

    def prepare(self, store: Store, progress: Progress) -> None:
        """Make what the missing runs start from, for experiments that need anything."""

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Make the runs, a subset of ``self.runs()``, and yield the outcome of each."""
        raise NotImplementedError


def validated(model: type[Strict], values: Any, within: str = "") -> Any:
    """Make ``model`` of ``values``. Raises ConfigError with one line for the first field that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(model, error, within)) from None


@dataclass(frozen=True)
class Nested(BeforeValidator):
    """The types behind ``nested``: the model of a name, one of ``names``, or without names the one model."""

    model: Callable[[str | None], type[Strict]] = None
    names: tuple[str, ...] = ()


def nested(field: str, model: type[Strict] | Callable[[str], type[Strict]], names: Iterable[str] = ()) -> Nested:
    """Declare a field that holds a model, or the one of ``names`` by its ``name``; errors name the inner field."""

    def parse(values: Any) -> Strict:
        if not names:
            return validated(model, values, field)
        name = values.get("name") if isinstance(values, dict) else values
        if name not in names:
            raise ConfigError(f"{field}={name!r}: allowed are {', '.join(names)}")
        return validated(model(name), values, field)

    return Nested(parse, model=model if names else lambda _: model, names=tuple(names))


def _one_line(model: type[Strict], error: ValidationError, within: str) -> str:
    first = error.errors()[0]
    path = [part for part in first["loc"] if isinstance(part, str)]  # an index into a list is no part of the name
    name = ".".join([within, *path] if within else path)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "missing":
        return f"{name}: missing, a value is required{more}"
    if first["type"] == "extra_forbidden":
        return f"{name}={first['input']!r}: no such field; allowed are {', '.join(model.model_fields)}{more}"
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" and not path:  # a check across fields: its text names field and value
        return text + more
    return f"{name}={first['input']!r}: {text[0].lower()}{text[1:]}{more}"
