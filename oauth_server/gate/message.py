"""Rule for one JSON-RPC message, the same over HTTP and stdio (JSON-RPC 2.0 sections 4 and 5).

What a client wrote another way is read as it was meant: an integer with a fraction of zero, and an empty array where an
object belongs, which is how PHP writes an empty object. Everything else is refused, and the refusal names the member.
"""

from collections.abc import Mapping
from typing import Any

from mcp_types import CLIENT_CAPABILITIES_META_KEY, INVALID_REQUEST
from mcp_types.jsonrpc import JSONRPCMessage, JSONRPCRequest, RequestId, jsonrpc_message_adapter
from pydantic import ValidationError

_EXACT = 2**53  # above it a number with a fraction stands for more than one integer (RFC 8259 section 6)
_OBJECTS = ("_meta", "arguments", "capabilities", "inputResponses", "task")  # members of `params`
_SETTINGS = ("experimental", "extensions")  # capabilities whose members hold whatever their authors define


class UndecodableError(Exception):
    """What is not one JSON-RPC message, or comes with header fields that do not fit one.

    `code`: the JSON-RPC error code. `request_id`: the id of the message, None where it has none that is valid.
    `data`: more about the error. `status`: of the HTTP answer.
    """

    def __init__(
        self,
        code: int,
        message: str,
        request_id: RequestId | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.data = data
        self.status = status

    def answer(self) -> dict[str, Any]:
        """The JSON-RPC answer."""
        told = {"code": self.code, "message": str(self), **({} if self.data is None else {"data": dict(self.data)})}
        return {"jsonrpc": "2.0", "id": self.request_id, "error": told}


def correct(raw: object) -> bool:
    """Change a message, as JSON has it, to what was meant; returns whether anything was changed."""
    if not isinstance(raw, dict):
        return False
    changed = _to_integer(raw, "id") | _to_object(raw, "params") | _to_object(raw, "result")
    params = raw.get("params")
    if isinstance(params, dict):
        for name in _OBJECTS:
            changed |= _to_object(params, name)
        changed |= _to_integer(params, "requestId")  # of notifications/cancelled
        changed |= _correct_capabilities(params.get("capabilities"))
        meta = params.get("_meta")
        if isinstance(meta, dict):
            changed |= _to_object(meta, CLIENT_CAPABILITIES_META_KEY)
            changed |= _correct_capabilities(meta.get(CLIENT_CAPABILITIES_META_KEY))
    return changed


def decode_message(raw: object) -> JSONRPCMessage:
    """Decode a message that was corrected, as the SDK does in every protocol version; raises UndecodableError."""
    if not isinstance(raw, dict):
        raise UndecodableError(INVALID_REQUEST, "a JSON-RPC 2.0 message must be an object")
    wrong, request_id = _wrong(raw), raw.get("id")
    request_id = request_id if _is_id(request_id) else None
    if wrong is not None:
        raise UndecodableError(INVALID_REQUEST, wrong, request_id)
    try:
        # Of 2026-07-28 the SDK takes all that fits a request for one, of the versions before what fits best of all
        # kinds. Both read the same, since what is a request and an answer at once was refused.
        if "method" in raw and "id" in raw:
            return JSONRPCRequest.model_validate(raw, by_name=False)
        return jsonrpc_message_adapter.validate_python(raw, by_name=False)
    except ValidationError:
        raise UndecodableError(INVALID_REQUEST, "result or error does not fit a JSON-RPC 2.0 answer") from None


def _wrong(raw: dict[str, Any]) -> str | None:  # noqa: PLR0911 - one line per rule
    """A sentence about the first member that is wrong, None if none is found here."""
    asks, answers = "method" in raw, "result" in raw or "error" in raw
    if raw.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if asks and answers:
        return "a JSON-RPC 2.0 message is a request or an answer, not both"
    if not asks and not answers:
        return "a JSON-RPC 2.0 message has the member method, result or error"
    if asks and not isinstance(raw["method"], str):
        return "method must be a string"
    # A notification has none. An error answers with null where the id of the request could not be read.
    optional = "id" not in raw if asks else "error" in raw and raw.get("id") is None
    if not optional and not _is_id(raw.get("id")):
        return "id must be a string or an integer"
    if asks and raw.get("params") is not None and not isinstance(raw["params"], dict):
        return "params must be an object"
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _to_integer(holder: dict[str, Any], name: str) -> bool:
    value = holder.get(name)
    if not isinstance(value, float) or not value.is_integer() or abs(value) > _EXACT:
        return False
    holder[name] = int(value)
    return True


def _to_object(holder: dict[str, Any], name: str) -> bool:
    if holder.get(name) != []:
        return False
    holder[name] = {}
    return True


def _correct_capabilities(found: object, *, named: bool = False) -> bool:
    """Correct capabilities at every depth; `named`: only these members, and not what is in them."""
    if not isinstance(found, dict):
        return False
    changed = False
    for name, value in found.items():
        changed |= _to_object(found, name)
        if not named:
            changed |= _correct_capabilities(value, named=name in _SETTINGS)
    return changed
