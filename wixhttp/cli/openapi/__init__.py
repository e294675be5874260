"""The OpenAPI document of a site: what its routes, and the text of their handlers, tell.

All modules of this package are private.
"""
