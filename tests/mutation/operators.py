"""The small changes: every mutant of a source file, one change each."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
NAMES = {"min": "max", "minimum": "maximum", "floor": "ceil", "all": "any", "argmin": "argmax", "zeros": "ones"}
NAMES |= {new: old for old, new in NAMES.items()}


@dataclass(frozen=True)
class Mutant:
    """One changed source: ``first`` and ``last`` are the lines whose execution it needs."""

    file: str
    line: int
    old: str
    new: str
    code: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.old}  ->  {self.new}"


def mutants(file: str, source: str) -> list[Mutant]:
    """All mutants of the source, in the order of its lines. Docstrings, annotations and f-strings are left alone."""
    tree, found = ast.parse(source), []
    for place in _places(tree, None):
        node = place.node
        for new in _alternatives(node):
            place.put(new)
            code = ast.unparse(ast.fix_missing_locations(tree))
            place.put(node)
            lines = (place.function.body[0].lineno, place.function.end_lineno) if place.function else (0, 0)
            if not place.default:
                lines = (place.statement.lineno, place.statement.end_lineno)
            found.append(Mutant(file, node.lineno, _short(node), _short(new), code, *lines))
    return sorted(found, key=lambda mutant: mutant.line)


@dataclass(frozen=True)
class _Place:
    """A node and where it hangs: in ``statement``, and in ``function``, in its body or as a ``default``."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    statement: ast.stmt
    function: ast.FunctionDef | None
    default: bool

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _places(parent: ast.AST, statement: ast.stmt | None, function=None, default: bool = False) -> Iterator[_Place]:
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns"):
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
                continue
            # A compound statement runs its first line; what hangs in it as a statement has lines of its own.
            here = _header(node) if isinstance(node, ast.stmt) else statement
            inside = parent if isinstance(parent, ast.FunctionDef) else function
            is_default = default or (isinstance(parent, ast.FunctionDef) and isinstance(node, ast.arguments))
            if hasattr(node, "lineno"):
                yield _Place(node, parent, field, index, here, inside, is_default)
            yield from _places(node, here, inside, is_default)


def _header(node: ast.stmt) -> ast.stmt:
    if not hasattr(node, "body"):
        return node
    header = copy.copy(node)
    header.end_lineno = max(node.lineno, node.body[0].lineno - 1)
    return header


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                for new in COMPARISONS[type(operator)]:
                    yield ast.Compare(node.left, [*node.ops[:i], new(), *node.ops[i + 1 :]], node.comparators)
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        case ast.BoolOp():
            yield ast.BoolOp(OPERATORS[type(node.op)](), node.values)
        case ast.UnaryOp():
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            yield ast.Call(ast.Name(NAMES[name]), node.args, node.keywords)
        case ast.Call(func=ast.Attribute(attr=name)) if name in NAMES:
            yield ast.Call(ast.Attribute(node.func.value, NAMES[name]), node.args, node.keywords)
        case ast.Return(value=ast.expr()) if ast.unparse(node) != "return None":
            yield ast.Return(ast.Constant(None))
        case ast.AugAssign():
            yield ast.Pass()
            if type(node.op) in OPERATORS:
                yield ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call()):
            yield ast.If(_negated(node.test), node.body, node.orelse)
        case ast.IfExp(test=ast.Name() | ast.Attribute() | ast.Call()):
            yield ast.IfExp(_negated(node.test), node.body, node.orelse)


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _short(node: ast.AST) -> str:
    """The change in one line; of a compound statement its head."""
    text = ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]
    return text if len(text) <= 100 else text[:97] + "..."
