"""search_docs: full-text search over the articles that are shipped."""

from typing import Any

import pytest

from playbook.tools.search_docs import KNOWLEDGE, MAX_EXCERPT_CHARS, MAX_HITS, read_articles
from tests.functions.playbook.desk import Desk


def search(query: str) -> list[dict[str, Any]]:
    """Search without AWS: the tool needs no client."""
    hits: list[dict[str, Any]] = Desk(client=None).run("search_docs", query=query)["hits"]
    return hits


@pytest.mark.parametrize(
    ("query", "article"),
    [
        ("how long does a refund take", "refunds"),
        ("can I return opened tents", "returns"),
        ("broken tent pole after a year", "warranty"),
        ("unsubscribe from the newsletter", "privacy"),
        ("tracking stands still, where is my parcel?", "lost-parcels"),
        ("cancel my order", "cancellations"),
        ("open on Saturday?", "opening-hours"),
        ("PAYPAL", "payment"),
    ],
)
def test_the_article_that_answers_the_question_comes_first(query: str, article: str) -> None:
    assert search(query)[0]["article"] == article


def test_a_word_with_one_letter_wrong_is_found() -> None:
    assert search("waranty")[0]["article"] == "warranty"


def test_a_word_in_another_form_is_found() -> None:
    assert search("cancelling")[0]["article"] == "cancellations"


def test_the_excerpt_is_the_paragraph_that_fits() -> None:
    excerpt = search("parcel late after ten days, still at customs")[0]["excerpt"]

    assert excerpt.startswith("A parcel counts as late")
    assert "\n" not in excerpt


@pytest.mark.parametrize("query", ["title:* ^~ +-", "+return -return*", "a:b:c ~9 ^^", "💥💥", "'\"\\"])
def test_signs_of_a_query_language_are_harmless(query: str) -> None:
    assert isinstance(search(query), list)


def test_nothing_is_found_where_nothing_fits() -> None:
    assert search("xyzzy plugh") == []


def test_there_are_few_hits_and_they_are_short() -> None:
    hits = search("order parcel refund customer days")

    assert len(hits) == MAX_HITS
    assert all(0 < len(hit["excerpt"]) <= MAX_EXCERPT_CHARS for hit in hits)


def test_every_article_has_a_title_and_is_short() -> None:
    articles = read_articles(KNOWLEDGE)

    assert 12 <= len(articles) <= 15
    for article in articles:
        assert article.title, article.name
        assert not article.title.startswith("#"), article.name
        assert 200 < len(article.body) < 2_000, article.name
