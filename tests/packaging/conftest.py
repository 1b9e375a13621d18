"""What the tests of the image and of the compose file share: it takes a minute to build."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import images


@pytest.fixture(scope="package")
def image() -> Iterator[images.Image]:
    """The image, built by hand, in a folder that its user may pass to: pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="instant-image-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield images.built(Path(folder))
