"""What the tests of the image and of the compose file share: it takes a minute to build."""

from pathlib import Path

import pytest

from tests.packaging import images


@pytest.fixture(scope="package")
def image(tmp_path_factory: pytest.TempPathFactory) -> images.Image:
    """The image, built by hand, where its user may read it."""
    root = tmp_path_factory.mktemp("image")
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o711)
    return images.built(root)
