"""Read the JSON document in an answer. Its syntax may be repaired; no content is added or lost.

The document is the whole text, or the one fenced block in it. Invalid JSON is repaired only if it begins and ends like
a document, and only if the repaired document holds exactly the same brackets, keys, strings and numbers.
"""

import json
import re

from core.net.strict_json import refuse_constant, unique_members
from core.providers import answer_schema, json_repairer
from core.providers.errors import provider_failure
from core.providers.json_depth import is_deeper

# A line of three or more backticks or tildes, and the info word after them (CommonMark 0.31, section 4.5).
_FENCE = re.compile(r"^[ \t]*+(?P<marks>`{3,}+|~{3,}+)[ \t]*+(?P<word>[^`\s]*+)[ \t]*$", re.MULTILINE)
_FENCE_WORDS = frozenset({"", "json", "jsonc", "json5"})
_ENDS = {"{": "}", "[": "]"}
# Possessive, and to the end of the text if unclosed: searching for the end of each would take quadratic time.
_COMMENT = re.compile(r"//[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/)?")
# Python's spelling of JSON's literals, which models mix up.
_LITERAL = re.compile(r"\b(?:True|False|None)\b")
_LITERALS = {"True": "true", "False": "false", "None": "null"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PUNCTUATION = re.compile(r"[\s,:\"'`“”‘’\\]+")

_REPAIRABLE_CHARACTERS = 24_000
_DEEPEST = 64
# Python reads and writes 4,300 digits as an int; the repair would make longer numbers text.
_INT_DIGITS = 4_000
# Replaces every longer number: beyond what a schema compares with, and short enough for jsonschema's messages.
_BEYOND: int = 10 ** (_INT_DIGITS + 200)


class RepairNeeded(Exception):
    """The document does not parse, and may only be repaired where that holds up nobody."""


def read_document(text: str, schema: str | None, *, may_repair: bool = True) -> str:
    """Read the document in an answer.

    Args:
        text: the model's text without its reasoning.
        schema: JSON Schema that the document has to fit, as JSON.
        may_repair: whether a process may be started to repair it, which takes part of a second, or seconds on a busy
            machine.

    Returns:
        The document as JSON text: verbatim if it parses, otherwise repaired.

    Raises:
        ExecutionFailed: `provider_malformed_json`.
        RepairNeeded: it has to be repaired, and that may not be done here.
    """
    document = _document(text.strip().removeprefix("\ufeff").strip(), may_repair=may_repair)
    if document is None or (schema is not None and not answer_schema.fits(schema, _parse(document))):
        raise provider_failure("provider_malformed_json")
    return document


def _document(text: str, *, may_repair: bool) -> str | None:
    if _is_json(text):
        return text
    blocks = _fenced_blocks(text)
    if len(blocks) > 1:
        return None
    candidate = blocks[0].strip() if blocks else text
    if blocks and _is_json(candidate):
        return candidate
    if not _is_repairable(candidate):
        return None
    if not may_repair:
        raise RepairNeeded
    return _repaired(candidate)


def _fenced_blocks(text: str) -> list[str]:
    """Find the fenced blocks of JSON, in linear time; an unclosed block does not count."""
    blocks = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence["marks"].startswith(opened["marks"]) and not fence["word"]:
            if opened["word"].lower() in _FENCE_WORDS:
                blocks.append(text[opened.end() : fence.start()])
            opened = None
    return blocks


def _parse(text: str) -> object:
    """Parse a document, with numbers as a schema compares them: equal spellings are equal.

    Raises:
        ValueError: not JSON, nested too deep, or an object with a duplicate name.
    """
    if is_deeper(text, _DEEPEST):
        raise ValueError("nested too deep")
    return json.loads(text, parse_int=_integer, parse_constant=refuse_constant, object_pairs_hook=unique_members)


def _is_json(text: str) -> bool:
    try:
        _parse(text)
    except ValueError:
        return False
    return True


def _is_repairable(text: str) -> bool:
    """Whether a text looks like a document whose syntax alone is wrong."""
    if len(text) > _REPAIRABLE_CHARACTERS or _ENDS.get(text[:1]) != text[-1:] or is_deeper(text, _DEEPEST):
        return False
    return re.search(rf"[0-9]{{{_INT_DIGITS}}}", text) is None


def _repaired(text: str) -> str | None:
    """Repair the syntax of a text; None if the repair takes too long, or would lose or add content."""
    repaired = json_repairer.repair(text)
    if repaired is None:
        return None
    try:
        values = _parse(repaired)
    except ValueError:
        return None
    without_comments = _COMMENT.sub(" ", text)
    for source in (text, without_comments):
        if _content(source) == _content(repaired) and _is_quoted(values, source):
            return repaired
    return None


def _content(text: str) -> str:
    """Reduce a document to its content: brackets and everything written, in order, without punctuation."""
    text = _LITERAL.sub(lambda match: _LITERALS[match[0]], text)
    return _PUNCTUATION.sub("", _ESCAPE.sub(_unescaped, text))


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    # \n, \t and the like are white space, which is left out.
    return "" if escape[2] in "ntrbf" else escape[2]


def _is_quoted(values: object, text: str) -> bool:
    """Whether each string value was quoted: bare words in brackets are prose. Member names may be bare."""
    position = 0
    for value in _strings(values):
        escaped = json.dumps(value, ensure_ascii=False)[1:-1]
        start = min(
            (
                index
                for form in {escaped, value}
                for quote in "\"'"
                if (index := text.find(f"{quote}{form}{quote}", position)) >= 0
            ),
            default=-1,
        )
        if start < 0:
            return False
        position = start + len(value) + 1
    return True


def _strings(values: object) -> list[str]:
    """List the string values of a document in order, without member names."""
    strings: list[str] = []
    rest = [values]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            strings.append(value)
        elif isinstance(value, dict):
            rest.extend(reversed(value.values()))
        elif isinstance(value, list):
            rest.extend(reversed(value))
    return strings


def _integer(digits: str) -> int:
    if len(digits) <= _INT_DIGITS:
        return int(digits)
    return -_BEYOND if digits[0] == "-" else _BEYOND
