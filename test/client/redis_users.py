"""Users of the broker for the scenarios of Redis's clients."""

import base64
import contextlib
import json
import urllib.error
import urllib.request

from harness.scenario import Skip, equal
from redis_wire import OK, integer, server

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


def manage(ctx, method, path, body=None):
    """The management API as guest; the status."""
    request = urllib.request.Request(f"http://{ctx.http}/api{path}", method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json",
                                              "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as problem:
        return problem.code


@contextlib.contextmanager
def a_user(ctx, permissions=None, topics=None, tags=None):
    """Name of a user with the password `secret`, and these permissions on /; None: all. `topics`: regular expressions for keys of
    amq.topic. `tags`: as RabbitMQ's users have them."""
    name = ctx.name("user")
    if ctx.external:
        if permissions is not None or topics is not None or tags is not None:
            raise Skip("Redis has other permissions")
        with server(ctx) as conn:
            conn.answers(OK, "ACL", "SETUSER", name, "on", ">secret", "allchannels", "+@all")
            yield name
            conn.answers(integer(1), "ACL", "DELUSER", name)
        return
    equal(manage(ctx, "PUT", f"/users/{name}", {"password": "secret", "tags": tags or ""}), 201, "new user")
    try:
        if permissions != {}:
            equal(manage(ctx, "PUT", f"/permissions/%2F/{name}", permissions or EVERYTHING), 201, "permissions")
        if topics:
            equal(manage(ctx, "PUT", f"/topic-permissions/%2F/{name}", {"exchange": "amq.topic", **topics}), 201, "topic permissions")
        yield name
    finally:
        manage(ctx, "DELETE", f"/users/{name}")
