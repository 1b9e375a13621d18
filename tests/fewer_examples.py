"""A pytest plugin for the inner loop: hypothesis tries a quarter of its examples. `make test` tries all of them."""

from hypothesis import settings

settings.register_profile("fewer", max_examples=25)
settings.load_profile("fewer")
