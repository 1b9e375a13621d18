"""`instant doctor`: everything that an operator should look after, in one command."""

import asyncio
from dataclasses import asdict

from cli import output
from cli.shared import Flag, Json


def doctor(*, quiet: Flag = False, json: Json = False) -> int:
    """Check settings, database, keys, networks, Prefect, processes, books and this machine, and say what to do.

    Exits with 1 if something is wrong, and with 0 otherwise, also if there are warnings. It changes nothing.

    Args:
        quiet: leave out what is ok.
        json: print JSON.
    """
    from deployments.doctor.examination import examine_all

    found = asyncio.run(examine_all())
    is_well = all(one.state not in ("wrong", "unknown") for one in found)
    shown = [one for one in found if not (quiet and one.state == "ok")]
    if json:
        output.document({"ok": is_well, "findings": [asdict(one) for one in shown]})
    else:
        output.table(
            [{"": one.state, "check": one.check, "found": one.sentence} for one in shown], empty="All is well."
        )
    return 0 if is_well else 1
