"""What holds for every test: hypothesis is repeatable and no clock fails a slow machine."""

import gc

from hypothesis import settings

# Other examples on each run: pytest --hypothesis-profile=default
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ci")


def pytest_collection_finish() -> None:
    """Look for garbage less often: botocore's and moto's models are large, and live as long as the tests do."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
