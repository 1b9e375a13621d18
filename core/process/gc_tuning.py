"""Python's garbage collector, in processes that live long."""

import gc

_YOUNG = 10_000


def freeze_loaded_objects() -> None:
    """What is there now, stays: looking through all of it again and again would stop a process for 0.2 s.

    Cycles among what comes later are looked for after every 10,000 new containers and not 700: a busy process makes
    those within a few requests, and most are still in use.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
