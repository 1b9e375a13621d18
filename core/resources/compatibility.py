"""Tell which changes of a prompt would refuse requests that buyers' programs send today.

Functions take a connection and do not commit.
"""

from core import db
from core.db.queries.resource import sql
from core.failures import InvalidInput
from core.resources.draft import Draft
from core.resources.parameters import Parameter
from core.resources.template import USER_MESSAGE
from core.resources.versions import Version

_ADVICE = "buyers' programs would break; allow_breaking (--allow-breaking) publishes it all the same"


async def breaking(conn: db.Connection, current: Version, draft: Draft) -> dict[str, str]:
    """Name each parameter of the version on offer that its buyers' requests could no longer use as they do.

    Nothing is frozen before the first sale. A new parameter that nobody must send breaks nothing; limits may change.
    """
    problems = _problems(current, draft)
    if problems and await sql.is_sold(conn, account_id=current.account_id, resource_id=current.resource_id):
        return problems
    return {}


async def refuse_breaking(conn: db.Connection, current: Version, draft: Draft) -> None:
    """Refuse a draft that would break requests of buyers.

    Raises:
        InvalidInput: names `parameters` or `allows_user_message`.
    """
    if problems := await breaking(conn, current, draft):
        raise InvalidInput(problems)


def _problems(current: Version, draft: Draft) -> dict[str, str]:
    before = {parameter.name: parameter for parameter in current.parameters}
    now = {parameter.name: parameter for parameter in draft.parameters}
    told = [f"{name} is gone or has another name" for name in before if name not in now]
    told += [f"{name} must be sent now" for name in now if _must(now[name]) and not _must(before.get(name))]
    told += [f"{name} takes other values now" for name in before if name in now and not _takes(now[name], before[name])]
    problems = {"parameters": f"{', '.join(told)}: {_ADVICE}"} if told else {}
    if current.allows_user_message and not draft.allows_user_message:
        problems["allows_user_message"] = f"{USER_MESSAGE} is not taken any more: {_ADVICE}"
    return problems


def _must(parameter: Parameter | None) -> bool:
    """Whether a buyer must send it."""
    return parameter is not None and parameter.required and not parameter.default


def _takes(now: Parameter, before: Parameter) -> bool:
    """Whether whatever one took is taken by the other. Text takes whatever is no picture or file."""
    if before.type == now.type:
        return {*(before.values or ())} <= {*(now.values or ())}
    if (before.type, now.type) == ("integer", "number"):
        return True
    return now.type == "text" and before.type in ("enum", "integer", "number", "boolean")
