"""What holds for every test: hypothesis is repeatable and no clock fails a slow machine."""

from hypothesis import settings

# Other examples on each run: pytest --hypothesis-profile=default
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ci")
