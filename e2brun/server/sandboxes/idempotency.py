"""A create request that is sent again with the same key gets the answer of the first."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from e2brun.server.http.messages import ApiError, Response

_KEY = re.compile(r"[a-z0-9-]{1,255}", re.ASCII)
_REMEMBERED = 4096


class Idempotency:
    """The answers that were given to keys, the last few thousand."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[bytes, asyncio.Future[Response]]] = OrderedDict()

    async def once(
        self, key: str | None, body: bytes, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """The answer of `work`, or of the request with this key that came before. Raises ApiError
        400 for a malformed key, 422 for one that came with another body."""
        if key is None:
            return await work()
        if not _KEY.fullmatch(key):
            raise ApiError(400, "Idempotency-Key must be 1 to 255 of a-z, 0-9 and -")
        digest = hashlib.sha256(body).digest()
        while (known := self._answers.get(key)) is not None:
            if known[0] != digest:
                more = {"error_code": "idempotency_request_mismatch"}
                message = "the Idempotency-Key was used before, with another request"
                raise ApiError(422, message, more=more)
            if (answer := await asyncio.shield(known[1])).status != 0:
                return answer
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._answers[key] = (digest, future)
        try:
            answer = await work()
        except BaseException:  # nothing was made: the next one may try
            self._answers.pop(key, None)
            future.set_result(Response(0))
            raise
        future.set_result(answer)
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return answer
