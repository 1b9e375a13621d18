# pragma version 0.4.3
"""
@title Batch
@notice Several calls of one contract in one transaction, as anybody can make them of authorizations that were seen.
"""


@external
def run(target: address, calls: DynArray[Bytes[1024], 8]):
    for call: Bytes[1024] in calls:
        raw_call(target, call)
