"""What every fork would import, imported once by the process that is forked.

Garbage is not looked for in it, neither here nor in the forks: that would copy the memory that they share.
"""

import gc
from importlib import import_module

_MODULES = [
    "api.app",
    "cli.app",
    "cli.buy_wallet",
    "cli.catalog",
    "cli.creators",
    "cli.money",
    "cli.notices",
    "cli.refunds",
    "cli.resources",
    "cli.usage",
    "core.db.migrate",
    "deployments.ports",
    "deployments.postgres",
    "flows.catalog_sync",
    "flows.instant_execution",
    "sandbox.facilitator",
    "sandbox.openrouter",
    "tasks.unfinished_runs",
    "tests.forks",
    "tests.servers",
    "uvicorn",
]

gc.disable()
for name in _MODULES:
    import_module(name)
gc.freeze()
gc.enable()
