"""Check prompt templates, validate a buyer's inputs, and substitute them into messages.

A tag is `{name}{/name}`. An empty string counts as absent everywhere, so `{"topic": ""}` and `{}` are the same request.
"""

import re
from collections.abc import Iterable, Sequence

from core.db.states import InputsIn
from core.failures import InvalidInput
from core.resources import attachments, field_errors
from core.resources.parameters import UNSTORABLE, Parameter, as_text
from core.resources.prompt_shield import Marks

USER_MESSAGE = "user_message"
# Values that JSON may have as a number, true or false.
_TYPED = frozenset({"enum", "integer", "number", "boolean"})
NO_USER_MESSAGE = "Please respond based on the system instructions."

NAME_LIMIT = 64
# Unknown fields are the sender's text; naming a few of them is enough to find the mistake.
UNKNOWN_LIMIT = 16

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TAG = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)\}\{/\1\}")


def check_template(template: str, parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """Check whether a template may be published with these parameters.

    Returns:
        The names of parameters whose tag the template lacks: allowed, but probably a mistake. A picture or file needs
        none, because it is sent beside the template.

    Raises:
        InvalidInput: names each wrong field (`template`, `parameters.0.name` ...).
    """
    fields: dict[str, str] = {}
    names = [parameter.name for parameter in parameters]
    tags = tag_names(template)
    if not template.strip():
        fields["template"] = "The template is empty"
    elif UNSTORABLE.search(template):
        fields["template"] = "The template contains a character that cannot be stored"
    elif undefined := [tag for tag in tags if tag not in names]:
        hint = field_errors.nearest(undefined[0], names)
        fields["template"] = f"Tags without a parameter: {', '.join(map(_shown, undefined[:UNKNOWN_LIMIT]))}{hint}"
    for index, parameter in enumerate(parameters):
        if problem := _name_problem(parameter.name, names[:index]):
            fields[f"parameters.{index}.name"] = problem
        for field in ("description", "default"):
            if UNSTORABLE.search(getattr(parameter, field) or ""):
                fields[f"parameters.{index}.{field}"] = f"The {field} contains a character that cannot be stored"
    if fields:
        raise InvalidInput(fields)
    return tuple(
        parameter.name
        for parameter in parameters
        if not attachments.is_kind(parameter.type) and parameter.name not in tags
    )


def tag_names(template: str) -> tuple[str, ...]:
    """List the names of all tags, each once, in the order of their appearance."""
    return tuple(dict.fromkeys(match[1] for match in _TAG.finditer(template)))


def validate_inputs(
    inputs: object,
    parameters: Iterable[Parameter],
    *,
    allows_user_message: bool,
    value_limit: int,
    inputs_limit: int,
    file_limit: int,
) -> dict[str, str]:
    """Validate a buyer's inputs.

    Absent and empty are the same; null is neither and "must be a string". A number, true or false for a parameter of
    such a type may be JSON's own or text, and is text from here on.

    Args:
        inputs: the decoded JSON body.
        allows_user_message: whether the buyer may also send the user turn.
        value_limit: most characters of one text.
        inputs_limit: most characters of all texts together.
        file_limit: most bytes of one picture or file.

    Returns:
        The values that are neither absent nor empty; `substitute` fills in defaults.

    Raises:
        InvalidInput: has one sentence for each wrong field; `body` means the whole.
    """
    if not isinstance(inputs, dict):
        raise InvalidInput({"body": "The inputs must be a JSON object"})
    declared = {parameter.name: parameter for parameter in parameters}
    inputs = inputs | {
        name: as_text(inputs[name]) for name, one in declared.items() if one.type in _TYPED and name in inputs
    }
    fields: dict[str, str] = {}
    for parameter in declared.values():
        value = inputs.get(parameter.name, "")
        if value == "" and parameter.required and not parameter.default:
            fields[parameter.name] = f"Missing required parameter: {parameter.name}"
        elif problem := _parameter_problem(parameter, value, value_limit, file_limit):
            fields[parameter.name] = problem
    message = inputs.get(USER_MESSAGE, "")
    if message != "" and not allows_user_message:
        fields[USER_MESSAGE] = "This template does not accept user messages"
    elif problem := _value_problem(USER_MESSAGE, message, value_limit):
        fields[USER_MESSAGE] = problem
    known = declared.keys() | {USER_MESSAGE}
    for name in [name for name in inputs if name not in known][:UNKNOWN_LIMIT]:
        fields.setdefault(_shown(name), f"Unknown parameter: {_shown(name)}{field_errors.nearest(name, known)}")
    values = {name: value for name, value in inputs.items() if name in known and value != ""}
    files = {parameter.name for parameter in declared.values() if attachments.is_kind(parameter.type)}
    texts = (value for name, value in values.items() if isinstance(value, str) and name not in files)
    if sum(map(len, texts)) > inputs_limit:
        fields.setdefault("body", f"The inputs together are longer than {inputs_limit} characters")
    if fields:
        raise InvalidInput(fields)
    return values


def substitute(
    template: str, parameters: Iterable[Parameter], inputs: dict[str, str], marks: Marks | None = None
) -> str:
    """Replace every tag of the template in one pass: the content of a value is never read as a tag.

    A picture or file is a marker in the text: `[image: photo]`. With marks, a buyer's text stands between markers.
    """
    values = {parameter.name: _words(parameter, inputs.get(parameter.name), marks) for parameter in parameters}
    return _TAG.sub(lambda tag: values.get(tag[1], tag[0]), template)


def messages(
    template: str,
    parameters: Sequence[Parameter],
    inputs: dict[str, str],
    marks: Marks | None = None,
    *,
    inputs_in: InputsIn = "template",
) -> tuple[dict[str, object], ...]:
    """Build the messages: the substituted template as system turn, then the buyer's message or a placeholder.

    Pictures and files follow that message, each behind its marker, in the order of the parameters.

    Args:
        template: the prompt.
        parameters: its parameters.
        inputs: the buyer's values.
        marks: what marks them as data; None: nothing does, and the system turn is the template alone.
        inputs_in: where they stand; `user` needs marks: the system turn then has their names only.
    """
    words, texts = inputs.get(USER_MESSAGE) or NO_USER_MESSAGE, inputs
    if marks and inputs_in == "user":
        words, texts = _in_user_turn(parameters, inputs, marks, words)
    sent = [
        part
        for parameter in parameters
        if attachments.is_kind(parameter.type) and (value := inputs.get(parameter.name))
        for part in attachments.parts(parameter.type, parameter.name, value)
    ]
    system = substitute(template, parameters, texts, marks if texts is inputs else None)
    return (
        {"role": "system", "content": system + (marks.declaration if marks else "")},
        {"role": "user", "content": [{"type": "text", "text": words}, *sent] if sent else words},
    )


def input_name(name: str) -> str:
    """Return the words that stand for a value in the system turn while it is in the user turn."""
    return f"[input: {name}]"


def _in_user_turn(
    parameters: Iterable[Parameter], inputs: dict[str, str], marks: Marks, words: str
) -> tuple[str, dict[str, str]]:
    """Put the buyer's texts before their message; return that, and what stands at the tags instead of them."""
    texts = [one.name for one in parameters if not attachments.is_kind(one.type) and inputs.get(one.name)]
    listed = [f"{input_name(name)} {marks.wrap(inputs[name])}" for name in texts]
    return "\n\n".join([*listed, words]), inputs | {name: input_name(name) for name in texts}


def _words(parameter: Parameter, value: str | None, marks: Marks | None) -> str:
    if value and attachments.is_kind(parameter.type):
        return attachments.marker(parameter.type, parameter.name)
    return (marks.wrap(value) if marks else value) if value else parameter.default or ""


def _name_problem(name: str, earlier: Sequence[str]) -> str | None:
    if not _NAME.fullmatch(name):
        return "A name consists of letters, digits and underscores and does not begin with a digit"
    if len(name) > NAME_LIMIT:
        return f"The name is longer than {NAME_LIMIT} characters"
    if name == USER_MESSAGE:
        return f"The name {USER_MESSAGE} is taken by the buyer's message"
    if name in earlier:
        return f"The name {name} is used twice"
    return None


def _parameter_problem(parameter: Parameter, value: object, value_limit: int, file_limit: int) -> str | None:
    subject = f"Parameter '{parameter.name}'"
    if parameter.type in _TYPED:
        told = (
            "must be of its type" if not isinstance(value, str) else None if value == "" else parameter.problem(value)
        )
        return None if told is None else f"{subject} {told}"
    if not attachments.is_kind(parameter.type) or not isinstance(value, str) or value == "":
        return _value_problem(subject, value, parameter.most_characters(value_limit))
    problem = attachments.problem(parameter.type, value, parameter.most_bytes(file_limit))
    return None if problem is None else f"{subject} {problem}"


def _value_problem(subject: str, value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return f"{subject} must be a string"
    if len(value) > limit:
        return f"{subject} is longer than {limit} characters"
    if UNSTORABLE.search(value):
        return f"{subject} contains a character that cannot be stored"
    return None


def _shown(name: str) -> str:
    """Make a foreign name safe to show: short, and valid UTF-8."""
    return name[:NAME_LIMIT].encode(errors="backslashreplace").decode()
