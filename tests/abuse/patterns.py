"""Every regular expression of the source, and texts that make a bad one slow.

Patterns are collected from the source, so that a new one cannot be forgotten: each call of `re` and each
`Meta(pattern=...)` is evaluated in its module. Patterns that are built at run time are in `BUILT`, with samples.

The texts are generated from the pattern as *prefix x pump x end*: a prefix that leads to a repeat, a pump that the
repeat matches, and an end that makes the match fail. See Davis et al., "The Impact of Regular Expression Denial of
Service" (2018).
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as sre  # type: ignore[attr-defined]
from typing import Any

import chatd
from chatd.filters.link_filter import pattern_like
from chatd.filters.word_filter import pattern_of

CALLS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
# Expressions for patterns that are known only at run time, and samples of them.
BUILT = {
    "pattern_of({checked(word) for word in given})": [
        pattern_of(["spam", "ham eggs", "a b c", "-- --", "\u0e01\u0e02"]),
        pattern_of(["aaa", "aab", "a aaa a", "1 1 1"]),
    ],
    "'|'.join(ways)": [
        pattern_like(["evil.test", "a.internal", "b.intern"]),
        pattern_like(["evil.test", "intranet", "10.1.2.3", "2001:db8::1"]),
    ],
}
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
CATEGORIES = {
    op.CATEGORY_DIGIT: "0",
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_WORD: "a",
    op.CATEGORY_NOT_DIGIT: "a",
    op.CATEGORY_NOT_SPACE: "a",
    op.CATEGORY_NOT_WORD: " ",
}
COMMON = (" ", "a", "0", ".", "-", "=", "/", "\t", "%", ":")
ENDS = ("", "\x00", "!\n")
MAX_CHARS = 10
(NO_NEWLINE,) = ((code, str(argument)) for code, argument in sre.parse(r"(?!\n)"))


def collected() -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    """Each pattern, under the module and line where it occurs first."""
    seen = set()
    for info in pkgutil.walk_packages(chatd.__path__, "chatd."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for line, source in sources(Path(str(module.__file__)).read_text()):
            for number, pattern in enumerate(evaluated(source, vars(module))):
                if pattern not in seen:
                    seen.add(pattern)
                    yield f"{info.name}:{line}.{number}", pattern


def sources(text: str) -> Iterator[tuple[int, str]]:
    """The expressions that are patterns, and their lines."""
    if "pattern=" not in text and not any(f"re.{name}(" in text for name in CALLS):
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name("re"), attr=name) if name in CALLS:
                yield node.lineno, flagged(node)
            case ast.Name("Meta") | ast.Attribute(attr="Meta"):
                yield from ((node.lineno, ast.unparse(word.value)) for word in node.keywords if word.arg == "pattern")


def flagged(call: ast.Call) -> str:
    """The expression of a call as `re.compile`, with its flags if they are the second argument."""
    first, *rest = call.args
    is_compile = isinstance(call.func, ast.Attribute) and call.func.attr == "compile"
    flags = rest if is_compile else [word.value for word in call.keywords if word.arg == "flags"]
    return f"re.compile({', '.join(map(ast.unparse, [first, *flags]))})" if flags else ast.unparse(first)


def evaluated(source: str, names: dict[str, Any]) -> list["re.Pattern[Any]"]:
    built: Any = BUILT.get(source) or [eval(source, {**names, "re": re})]
    return [re.compile(pattern) for pattern in built]


def texts(pattern: "re.Pattern[Any]") -> Iterator[tuple[str, str, str]]:
    """Prefix, pump and end."""
    given = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    tree = sre.parse(given, pattern.flags)
    whole = sample(tree)
    prefixes = dict.fromkeys(["", whole, *cuts(tree, "")])
    characters = list(dict.fromkeys(members(tree)))
    some = [*characters[:: max(1, len(characters) // MAX_CHARS)], *COMMON]
    pumps = dict.fromkeys([*bodies(tree), *prefixes, *some])
    return product(prefixes, filter(None, pumps), ENDS)


def sample(tree: Any) -> str:
    """A short text that the parsed pattern matches, apart from lookarounds."""
    return "".join(sample_of(kind, argument) for kind, argument in tree)


def sample_of(kind: Any, argument: Any) -> str:
    if kind in REPEATS:
        return sample(argument[2]) * max(argument[0], min(1, argument[1]))
    if kind is op.SUBPATTERN:
        return sample(argument[3])
    if kind is op.ATOMIC_GROUP:
        return sample(argument)
    if kind is op.BRANCH:
        return sample(argument[1][0])
    return next(iter(characters_of(kind, argument)), "")


def characters_of(kind: Any, argument: Any) -> list[str]:
    """Representatives of one position: a literal, or the ends of each range of a class."""
    if kind is op.LITERAL:
        return [chr(argument)]
    if kind is op.RANGE:
        return [chr(argument[0]), chr(argument[1])]
    if kind is op.CATEGORY:
        return [CATEGORIES[argument]]
    if kind in (op.ANY, op.NOT_LITERAL):
        return ["a", " "]
    if kind is op.IN:
        if argument[0][0] is op.NEGATE:
            listed = {char for part in argument[1:] for char in characters_of(*part)}
            return [char for char in (*COMMON, "\u0416") if char not in listed][:4]
        return [char for part in argument for char in characters_of(*part)]
    return []


def parts(kind: Any, argument: Any) -> list[Any]:
    """The parsed patterns inside a node."""
    if kind in REPEATS:
        return [argument[2]]
    if kind is op.SUBPATTERN:
        return [argument[3]]
    if kind is op.BRANCH:
        return list(argument[1])
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [argument[1]]
    return [argument] if kind is op.ATOMIC_GROUP else []


def cuts(tree: Any, before: str) -> Iterator[str]:
    """The prefix of each repeat."""
    for kind, argument in tree:
        if kind in REPEATS:
            yield before
        for part in parts(kind, argument):
            yield from cuts(part, before)
        before += sample_of(kind, argument)


def bodies(tree: Any) -> Iterator[str]:
    """One round of each repeat, and each branch. Of the fixed texts of a list, such as domains, two are enough."""
    for kind, argument in tree:
        inside = parts(kind, argument)
        if kind is op.BRANCH:
            fixed = [part for part in inside if not repeats(part)]
            inside = [part for part in inside if part not in fixed[1:-1]]
        for part in inside:
            if kind in REPEATS or kind is op.BRANCH:
                yield sample(part)
            yield from bodies(part)


def repeats(tree: Any) -> bool:
    """Whether the parsed pattern contains a repeat."""
    return any(kind in REPEATS or any(map(repeats, parts(kind, argument))) for kind, argument in tree)


def members(tree: Any) -> Iterator[str]:
    for kind, argument in tree:
        yield from characters_of(kind, argument)
        for part in parts(kind, argument):
            yield from members(part)


def ends_before_newline(parts: Any) -> bool:
    """Whether a parsed pattern has a `$` which lets a final newline pass."""
    before = None
    for code, argument in parts:
        if (code, argument) == (op.AT, op.AT_END) and before != NO_NEWLINE:
            return True
        inner = (
            argument[1]
            if code is op.BRANCH
            else [part for part in listed(argument) if isinstance(part, sre.SubPattern)]
        )
        if any(map(ends_before_newline, inner)):
            return True
        before = (code, str(argument))
    return False


def listed(argument: Any) -> Any:
    return argument if isinstance(argument, tuple) else ()
