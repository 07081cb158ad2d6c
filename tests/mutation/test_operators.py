import ast
from pathlib import Path

from tests.mutation.equivalent import EQUIVALENT, reason
from tests.mutation.operators import mutants

SOURCE = '''"""Doc."""

LIMIT: int = 3


def f(x: int, scale=0.5, *, strict=False) -> "int | None":
    """Doc 1 + 1."""
    if x < LIMIT and not strict:
        raise ValueError(f"{x + 1}")
    total = 0
    for value in range(x):
        if value:
            continue
        total += value * scale
    return max(total, -1)
'''


def found(source=SOURCE):
    return {(m.line, m.old, m.new) for m in mutants("f.py", source)}


def test_every_kind_of_change_is_made_once():
    changes = [(m.line, m.old, m.new) for m in mutants("f.py", SOURCE)]
    assert set(changes) == {
        (3, "3", "4"),
        (3, "3", "2"),
        (6, "0.5", "1.5"),
        (6, "0.5", "-0.5"),
        (6, "False", "True"),
        (8, "x < LIMIT and (not strict)", "x < LIMIT or not strict"),
        (8, "x < LIMIT", "x <= LIMIT"),
        (8, "x < LIMIT", "x >= LIMIT"),
        (8, "not strict", "strict"),
        (9, "raise ValueError(f'{x + 1}')", "pass"),
        (10, "0", "1"),
        (10, "0", "-1"),
        (12, "if value:", "if not value:"),
        (13, "continue", "pass"),
        (14, "total += value * scale", "pass"),
        (14, "total += value * scale", "total -= value * scale"),
        (14, "value * scale", "value / scale"),
        (15, "return max(total, -1)", "return None"),
        (15, "max(total, -1)", "min(total, -1)"),
        (15, "-1", "1"),
        (15, "1", "2"),
        (15, "1", "0"),
    }
    assert len(changes) == len(set(changes))


def test_each_mutant_differs_from_the_source_in_its_change_alone():
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in mutants("f.py", SOURCE):
        code = mutant.code.splitlines()
        assert len(code) == len(plain)
        assert sum(one != other for one, other in zip(code, plain, strict=True)) == 1, mutant
        compile(mutant.code, "f.py", "exec")


def test_the_lines_that_a_mutant_needs_run():
    lines = {(m.line, m.old, m.new): (m.first, m.last) for m in mutants("f.py", SOURCE)}
    assert lines[6, "0.5", "1.5"] == (7, 15)  # a default: any line of the function's body
    assert lines[8, "not strict", "strict"] == (8, 8)  # a head without its body
    assert lines[14, "value * scale", "value / scale"] == (14, 14)
    assert lines[3, "3", "4"] == (3, 3)


def test_nothing_is_lost_between():
    assert found("def f():\n    return g(1 if a else 2)[0]\n") == {
        (2, "return g(1 if a else 2)[0]", "return None"),
        (2, "1 if a else 2", "1 if not a else 2"),
        (2, "1", "2"),
        (2, "1", "0"),
        (2, "2", "3"),
        (2, "2", "1"),
        (2, "0", "1"),
        (2, "0", "-1"),
    }
    assert found("a.b = c[1:] if d is None else ~e\n") >= {
        (1, "a.b = c[1:] if d is None else ~e", "pass"),
        (1, "d is None", "d is not None"),
        (1, "~e", "e"),
    }


def test_the_table_of_equivalent_mutants_speaks_of_mutants_that_there_are():
    root, seen = Path(__file__).resolve().parents[2], set()
    for file in {key[0] for key in EQUIVALENT}:
        source = (root / file).read_text()
        lines = source.splitlines()
        for mutant in mutants(file, source):
            entries = {key for key in EQUIVALENT if key[1] in lines[mutant.line - 1]}
            seen |= entries & {(file, key[1], mutant.old, mutant.new) for key in entries}
            assert (reason(mutant, source) is not None) == any(key[2:] == (mutant.old, mutant.new) for key in entries)
    assert seen == set(EQUIVALENT)
