"""What runs in front of every endpoint: it may answer by itself, or change the response."""


def onRequest(context, next):
    """Forbid browsers to guess types."""
    response = next()
    response.headers.set("X-Content-Type-Options", "nosniff")
    return response
