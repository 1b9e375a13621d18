"""`python -m sqltypes`: write the types of all queries, as a Postgres of its own says after all migrations."""

import tempfile
from pathlib import Path

from core.db.migrate import migrate
from deployments import postgres
from sqltypes.generate import written


def main() -> None:
    """Write the files that have changed, and name them."""
    with tempfile.TemporaryDirectory(prefix="instant-queries-") as folder, postgres.running(Path(folder)) as urls:
        migrate(urls.owner, "sandbox")
        for path, text in written(urls.instant).items():
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
                print(path)


if __name__ == "__main__":
    main()
