"""The same work in other frameworks, each written the way its own documentation writes it."""
