"""What the functions behind the HTTP API share: who asks, what went wrong, page tokens, the resolver.

Imports Powertools, which takes time: only the functions behind the API import this package.
"""
