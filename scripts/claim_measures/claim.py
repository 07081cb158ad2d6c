"""What a claim says: the entries of configs/claims.yaml, checked against the measures that they name."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from scripts.claim_measures import MEASURES
from scripts.claim_measures.finding import ClaimError, Finding, Sweep

MOST_WORDS = 15


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tolerance(_Strict):
    """How far from the paper is near enough; ``value`` where the measure takes one."""

    value: float | None = None
    reason: str = Field(min_length=1)


class Claim(_Strict):
    """One statement of the paper. ``corrected`` is what is true instead of a statement with a counterexample."""

    id: str = Field(pattern=r"^[a-z0-9.-]+$")
    quote: str = Field(min_length=1)
    place: str = Field(min_length=1)
    sweep: str
    measure: str
    parameters: dict[str, Any] = {}
    paper: float | None = None
    tolerance: Tolerance
    at_paper_scale: str = Field(min_length=1)
    corrected: str | None = None

    @field_validator("quote")
    @classmethod
    def _short(cls, quote: str) -> str:
        if len(quote.split()) > MOST_WORDS:
            raise ValueError(f"should have at most {MOST_WORDS} words")
        return quote

    def decided(self, sweep: Sweep) -> Finding:
        """What the measure finds. Raises ClaimError where it cannot decide from these runs."""
        return self._measure()(sweep, **self._arguments())

    def check(self) -> None:
        """Raise ValueError where the measure is unknown or takes other values than the claim has."""
        try:
            inspect.signature(self._measure()).bind(None, **self._arguments())
        except KeyError:
            raise ValueError(f"measure={self.measure!r}: allowed are {', '.join(MEASURES)}") from None
        except TypeError as error:
            raise ValueError(f"measure={self.measure}: {error}") from None

    def _measure(self) -> Callable[..., Finding]:
        return MEASURES[self.measure]

    def _arguments(self) -> dict[str, Any]:
        """The parameters, and paper and tolerance where they have a value or the measure can take None for N/A."""
        found = dict(self.parameters)
        if self.tolerance.value is not None:
            found["tolerance"] = self.tolerance.value
        if self.paper is not None or "paper" in inspect.signature(self._measure()).parameters:
            found["paper"] = self.paper
        return found


class Claims(_Strict):
    """The whole file."""

    claims: list[Claim]


def load(file: Path) -> Claims:
    """Read and check the claims. Raises ClaimError with one line: which claim, which field, what is wrong."""
    try:
        values = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        found = Claims.model_validate(values)
    except (OSError, yaml.YAMLError) as error:
        raise ClaimError(f"{file}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = list(first["loc"])
        if place[:1] == ["claims"] and len(place) > 1:
            named = values["claims"][place[1]]
            place[:2] = [f"claim {named.get('id', place[1])!r}" if isinstance(named, dict) else f"claim {place[1]}"]
        raise ClaimError(f"{file}: {': '.join(map(str, place))}: {first['msg']}") from None
    seen = set()
    for claim in found.claims:
        if claim.id in seen:
            raise ClaimError(f"{file}: claim {claim.id!r}: the id is there twice")
        seen.add(claim.id)
        try:
            claim.check()
        except ValueError as error:
            raise ClaimError(f"{file}: claim {claim.id!r}: {error}") from None
    return found
