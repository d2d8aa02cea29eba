"""The HTTP API: routes, callers, errors, pages and their description.

Importing Powertools takes time, so only the functions behind the API import this package.
"""
