"""Send one message and exit. All use of apprise is here.

The process reads a job as JSON from its standard input, has no environment, and runs under the egress guard. Its
exit code is the result. What plugins print is discarded, because it may hold secrets.
"""

import json
import mimetypes
import resource
import sys
from ipaddress import ip_network

from core.notices import egress_guard

DELIVERED, NOT_DELIVERED, NOT_UNDERSTOOD = 0, 1, 3

_MEMORY_BYTES = 1 << 30


def main() -> int:
    """Execute the job on standard input: `{url, networks, title, body}`, or only `{url, networks}` to check a URL.

    Returns:
        The exit code.
    """
    job = json.load(sys.stdin)
    # No server's answer may fill the memory or the disk.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    mimetypes.init()
    import apprise

    sys.addaudithook(egress_guard.hook(map(ip_network, job["networks"])))
    asset = apprise.AppriseAsset(
        app_id="x402 Instant",
        app_desc="x402 Instant",
        async_mode=False,
        http_redirects=False,
        pem_autogen=False,
        pgp_autogen=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise.instantiate(job["url"], asset=asset)
    if service is None:
        return NOT_UNDERSTOOD
    if "body" not in job:
        return DELIVERED
    is_delivered = apprise.Apprise(service, asset=asset).notify(
        title=job["title"], body=job["body"], body_format=apprise.NotifyFormat.TEXT
    )
    return DELIVERED if is_delivered else NOT_DELIVERED


if __name__ == "__main__":
    sys.exit(main())
