"""The rules of ``wixhttp check`` about the text of a user's files: each a function over a parsed and resolved file.

A rule tells only what it is sure of: a name that it cannot resolve is left alone. The server imports nothing from here.
"""
