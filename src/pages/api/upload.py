"""/api/upload takes a form with a file: <form method="post" enctype="multipart/form-data">"""

from __future__ import annotations

import hashlib

from wixhttp import limits
from wixhttp.endpoints import FormFile, Request, Response


@limits(max_body="10MB")
def POST(request: Request) -> Response:
    """Describe what was sent: the text of ``title``, and name, type, size and digest of ``file``."""
    form = request.formData()
    file = form.get("file")
    if not isinstance(file, FormFile):
        return Response.json({"error": "send a file, in the field 'file'"}, status=400)
    digest = hashlib.sha256()
    for piece in file.stream():
        digest.update(piece)
    sent = {"name": file.name, "type": file.type, "size": file.size, "sha256": digest.hexdigest()}
    return Response.json({"title": form.get("title"), "file": sent}, status=201)
