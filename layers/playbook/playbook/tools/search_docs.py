"""Search the shop's help articles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ballast.playbook import FreeText, Read, ToolContext, tool

from ..records.values import Closed

if TYPE_CHECKING:
    from lunr.index import Index

KNOWLEDGE = Path(__file__).parent.parent / "knowledge"
MAX_HITS = 5
MAX_EXCERPT_CHARS = 600

# Where a word occurs and how exactly it fits, as weights of the ranking.
_TITLE, _BODY = 2, 1
_EXACT, _MISSPELT = 10, 1
# From this length on, a word may have one letter wrong.
_LONG_WORD = 5


class SearchDocs(Closed):
    """What to look for."""

    query: Annotated[str, FreeText] = Field(
        min_length=2, max_length=200, description='A few words in English, such as "return opened tent".'
    )


class Hit(Closed):
    """One article, best first; ``excerpt`` is its paragraph that fits best."""

    article: str
    title: str
    excerpt: str


class Hits(Closed):
    """What was found; empty where nothing fits."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Article:
    """A file of knowledge/: its name without the ending, its heading and the rest."""

    name: str
    title: str
    body: str


@tool(effect=Read(), untrusted=True)
def search_docs(args: SearchDocs, _: ToolContext) -> Hits:
    """Search the shop's help articles: returns, refunds, shipping, payment, warranty, privacy and so on.

    Use it before you state a rule of the shop, and say only what the articles say.
    """
    articles, index = _library()
    found = _search(index, args.query)[:MAX_HITS]
    return Hits(hits=tuple(_hit(articles[match["ref"]], match["match_data"].metadata) for match in found))


def read_articles(folder: Path) -> list[Article]:
    """Read the markdown files of ``folder``; the first line of each is its ``# Title``."""
    articles = []
    for file in sorted(folder.glob("*.md")):
        heading, _, body = file.read_text(encoding="utf-8").partition("\n")
        articles.append(Article(file.stem, heading.removeprefix("# ").strip(), body.strip()))
    return articles


@cache
def _library() -> tuple[dict[str, Article], Index]:
    """Build the index, once a process. The agent's function needs the schema only and never does."""
    from lunr import get_default_builder, lunr

    articles = {article.name: article for article in read_articles(KNOWLEDGE)}
    builder = get_default_builder()
    builder.metadata_whitelist = ["position"]
    fields = [{"field_name": "title", "boost": _TITLE}, {"field_name": "body", "boost": _BODY}]
    return articles, lunr("name", fields, [vars(article) for article in articles.values()], builder=builder)


def _search(index: Index, text: str) -> list[dict[str, Any]]:
    """Return lunr's matches, best first. The words are taken as words: there is no query language."""
    query = index.create_query()
    for word in re.findall(r"[^\W_]+", text.lower()):
        query.term(word, boost=_EXACT)
        if len(word) >= _LONG_WORD:
            query.term(word, boost=_MISSPELT, edit_distance=1)
    matches: list[dict[str, Any]] = index.query(query) if query.clauses else []
    return matches


def _hit(article: Article, matched: dict[str, Any]) -> Hit:
    """Quote the paragraph in which most of the matched terms occur; the first of them if equal."""
    positions = [
        (term, start) for term, fields in matched.items() for start, _ in fields.get("body", {}).get("position", [])
    ]
    best, most, begin = "", -1, 0
    for paragraph in article.body.split("\n\n"):
        end = begin + len(paragraph)
        terms = {term for term, start in positions if begin <= start < end}
        if len(terms) > most:
            best, most = paragraph, len(terms)
        begin = end + 2
    return Hit(article=article.name, title=article.title, excerpt=_short(best))


def _short(paragraph: str) -> str:
    text = " ".join(paragraph.split())
    return text if len(text) <= MAX_EXCERPT_CHARS else text[: MAX_EXCERPT_CHARS - 1].rsplit(" ", 1)[0] + "…"
