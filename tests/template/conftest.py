"""The template, read and translated once; a test that changes it takes a copy."""

import pytest

from tests.template import rendered


@pytest.fixture(scope="session")
def template() -> rendered.Template:
    """The template as written."""
    return rendered.written()


@pytest.fixture(scope="session")
def deployed(template: rendered.Template) -> rendered.Template:
    """The template as CloudFormation gets it."""
    return rendered.translated(template)
