"""Users, permissions, policies and definitions of a running broker: over RabbitMQ's management API and on the command
line. Names are the scenario's own, and what it made it deletes."""

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import uuid

from harness.scenario import Skip, equal, main, scenario, true

ALL = {"configure": ".*", "write": ".*", "read": ".*"}


def ask(ctx, method, path, body=None, user=None):
    """(status, JSON or None)"""
    if not ctx.http:
        raise Skip("needs a broker of ours")
    request = urllib.request.Request(f"http://{ctx.http}/api{path}", method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def colobus(ctx, *args, code=0, stdin=""):
    if ctx.pid is None or not ctx.http:
        raise Skip("needs a broker of ours")
    done = subprocess.run([os.readlink(f"/proc/{ctx.pid}/exe"), *args, "--broker", ctx.http], capture_output=True,
                          input=stdin, text=True, timeout=30, check=False)
    equal((done.returncode, done.stderr if not code else ""), (code, ""), " ".join(args))
    return done.stderr if code else done.stdout


def quoted(name):
    return urllib.parse.quote(name, safe="")


def named(kind):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def a_user(ctx, tags="management", password="secret"):
    name = named("user")
    equal(ask(ctx, "PUT", f"/users/{name}", {"password": password, "tags": tags})[0], 201, "new user")
    try:
        yield name
    finally:
        ask(ctx, "DELETE", f"/users/{name}")


@contextlib.contextmanager
def a_vhost(ctx):
    name = named("shop/")
    equal(ask(ctx, "PUT", f"/vhosts/{quoted(name)}", {"description": "a test"})[0], 201, "new virtual host")
    try:
        yield name
    finally:
        equal(ask(ctx, "DELETE", f"/vhosts/{quoted(name)}")[0], 204, "deleted")


@scenario("who names a user must prove it")
def who_names_a_user_must_prove_it(ctx):
    with a_user(ctx) as name:
        equal(ask(ctx, "GET", "/whoami", user=f"{name}:secret")[1]["name"], name, "who")
        equal(ask(ctx, "GET", "/whoami", user=f"{name}:wrong"),
              (401, {"error": "not_authorised", "reason": "Login failed"}), "wrong password")
        equal(ask(ctx, "GET", "/whoami", user="nobody-at-all:secret")[0], 401, "unknown user")
        equal(ask(ctx, "GET", "/users", user=f"{name}:secret")[0], 401, "no administrator")
        equal(ask(ctx, "GET", "/topics", user=f"{name}:wrong")[0], 401, "our own paths, too")
        ask(ctx, "PUT", f"/users/{name}", {"password": "other", "tags": "management"})
        equal(ask(ctx, "GET", "/whoami", user=f"{name}:secret")[0], 401, "the old password")
        equal(ask(ctx, "GET", "/whoami", user=f"{name}:other")[0], 200, "the new password")
    equal(ask(ctx, "GET", "/whoami", user=f"{name}:other")[0], 401, "deleted")


@scenario("a user without a management tag is kept out")
def a_user_without_a_management_tag_is_kept_out(ctx):
    with a_user(ctx, tags="") as name:
        equal(ask(ctx, "GET", "/whoami", user=f"{name}:secret"),
              (401, {"error": "not_authorised", "reason": "Not management user"}), "no tag")


@scenario("a password hash of rabbitmq is taken as it is")
def a_password_hash_of_rabbitmq_is_taken_as_it_is(ctx):
    salt = bytes.fromhex("908dc60a")
    text = base64.b64encode(salt + hashlib.sha256(salt + b"test12").digest()).decode()
    name = named("user")
    equal(ask(ctx, "PUT", f"/users/{name}", {"password_hash": text, "tags": "administrator",
                                             "hashing_algorithm": "rabbit_password_hashing_sha256"})[0], 201, "new")
    equal(ask(ctx, "GET", "/users/" + name, user=f"{name}:test12")[1]["password_hash"], text, "the same again")
    equal(ask(ctx, "PUT", f"/users/{name}", {"password_hash": "nonsense!", "tags": ""})[0], 400, "no hash")
    equal(ask(ctx, "DELETE", f"/users/{name}")[0], 204, "deleted")


@scenario("permissions hold for each virtual host")
def permissions_hold_for_each_virtual_host(ctx):
    with a_user(ctx) as name, a_vhost(ctx) as vhost:
        path, me = f"/permissions/{quoted(vhost)}/{name}", f"{name}:secret"
        queue = f"/queues/{quoted(vhost)}/"
        equal(ask(ctx, "PUT", queue + "mine", {}, user=me)[0], 401, "no permission at all")
        equal(ask(ctx, "PUT", path, {**ALL, "configure": "^mine"})[0], 201, "permission")
        equal(ask(ctx, "PUT", path, {**ALL, "configure": "^mine"})[0], 204, "the same permission")
        equal(ask(ctx, "PUT", queue + "mine", {}, user=me)[0], 201, "mine")
        equal(ask(ctx, "PUT", queue + "yours", {}, user=me)[0], 401, "yours")
        equal(ask(ctx, "PUT", path, {**ALL, "write": "a("})[0], 400, "no pattern")
        equal(ask(ctx, "PUT", f"/permissions/{quoted(vhost)}/nobody-at-all", ALL)[0], 400, "no user")
        equal(ask(ctx, "DELETE", path)[0], 204, "taken away")
        equal(ask(ctx, "DELETE", queue + "mine", user=me)[0], 401, "no permission any more")


@scenario("a policy is shown with the queues it reaches")
def a_policy_is_shown_with_the_queues_it_reaches(ctx):
    with a_vhost(ctx) as vhost:
        v = quoted(vhost)
        ask(ctx, "PUT", f"/queues/{v}/orders", {"durable": True})
        policy = {"pattern": "^ord", "definition": {"max-length": 10}, "priority": 1, "apply-to": "queues"}
        equal(ask(ctx, "PUT", f"/policies/{v}/p", policy)[0], 201, "policy")
        told = ask(ctx, "GET", f"/queues/{v}/orders")[1]
        equal((told["policy"], told["operator_policy"], told["messages"], told["consumers"]), ("p", None, 0, 0), "told")
        equal(ask(ctx, "GET", f"/policies/{v}")[1], [{"vhost": vhost, "name": "p", **policy}], "policies")
        equal(ask(ctx, "PUT", f"/policies/{v}/q", {**policy, "definition": {"max-size": 1}})[0], 400, "no such key")
        equal(ask(ctx, "DELETE", f"/policies/{v}/p")[0], 204, "gone")
        equal(ask(ctx, "GET", f"/queues/{v}/orders")[1]["policy"], None, "no policy")
        equal(ask(ctx, "GET", f"/policies/{v}/p"), (404, {"error": "Object Not Found", "reason": "Not Found"}), "none")


@scenario("a binding is found by its properties key and taken away")
def a_binding_is_found_by_its_properties_key_and_taken_away(ctx):
    with a_vhost(ctx) as vhost:
        v = quoted(vhost)
        ask(ctx, "PUT", f"/queues/{v}/orders", {})
        path = f"/bindings/{v}/e/amq.headers/q/orders"
        for color in ("red", "blue"):
            equal(ask(ctx, "POST", path, {"routing_key": "", "arguments": {"color": color}})[0], 201, "bound")
        ask(ctx, "POST", f"/bindings/{v}/e/amq.topic/q/orders", {"routing_key": "a.#"})
        both = {one["arguments"]["color"]: one["properties_key"] for one in ask(ctx, "GET", path)[1]}
        equal(len(set(both.values())), 2, "keys")
        equal(ask(ctx, "GET", f"{path}/{quoted(both['red'])}")[1]["arguments"], {"color": "red"}, "one")
        equal(ask(ctx, "DELETE", f"{path}/{quoted(both['red'])}")[0], 204, "taken away")
        equal(ask(ctx, "DELETE", f"{path}/{quoted(both['red'])}")[0], 404, "there is none any more")
        equal([one["arguments"] for one in ask(ctx, "GET", path)[1]], [{"color": "blue"}], "left")
        equal(ask(ctx, "DELETE", f"/bindings/{v}/e/amq.topic/q/orders/{quoted('a.#')}")[0], 204, "by its routing key")
        equal(ask(ctx, "DELETE", f"/queues/{v}/orders/contents")[0], 204, "purged")
        equal(ask(ctx, "DELETE", f"/queues/{v}/none/contents")[0], 404, "no queue")


@scenario("definitions of a virtual host go out and in again")
def definitions_of_a_virtual_host_go_out_and_in_again(ctx):
    with a_vhost(ctx) as one, a_vhost(ctx) as other:
        v = quoted(one)
        ask(ctx, "PUT", f"/queues/{v}/orders", {"arguments": {"x-max-priority": 5, "x-dead-letter-exchange": "dead"}})
        ask(ctx, "PUT", f"/exchanges/{v}/events", {"type": "topic", "arguments": {"alternate-exchange": "dead"}})
        ask(ctx, "PUT", f"/exchanges/{v}/dead", {"type": "fanout"})
        equal(ask(ctx, "POST", f"/bindings/{v}/e/events/q/orders", {"routing_key": "order.#"})[0], 201, "bound")
        equal(ask(ctx, "POST", f"/bindings/{v}/e/events/e/dead", {"routing_key": "x"})[0], 201, "bound")
        ask(ctx, "PUT", f"/policies/{v}/p", {"pattern": ".", "definition": {"message-ttl": 1000}})
        ask(ctx, "PUT", f"/operator-policies/{v}/o", {"pattern": ".", "definition": {"max-length": 7}})
        told = ask(ctx, "GET", f"/definitions/{v}")[1]
        equal([len(told[part]) for part in ("queues", "exchanges", "bindings", "policies", "parameters")],
              [1, 2, 2, 1, 1], "what there is")
        for _ in range(2):  # the second time it is all there already
            equal(ask(ctx, "POST", f"/definitions/{quoted(other)}", told)[0], 204, "imported")
        equal(ask(ctx, "GET", f"/definitions/{quoted(other)}")[1], told, "the same again")
        told["queues"][0]["arguments"]["x-max-priority"] = 6
        status, error = ask(ctx, "POST", f"/definitions/{quoted(other)}", told)
        equal(status, 400, "another queue of that name")
        true("x-max-priority" in error["reason"], error["reason"])


@scenario("a document of rabbitmq brings users with it")
def a_document_of_rabbitmq_brings_users_with_it(ctx):
    name, vhost = named("user"), named("vhost")
    told = {"rabbit_version": "3.12.14", "rabbitmq_version": "3.12.14", "product_name": "RabbitMQ",
            "users": [{"name": name, "tags": ["administrator"], "limits": {},
                       "hashing_algorithm": "rabbit_password_hashing_sha256",
                       "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"}],
            "vhosts": [{"name": vhost, "limits": [], "metadata": {"description": "old", "tags": []}}],
            "permissions": [{"user": name, "vhost": vhost, **ALL}],
            "topic_permissions": [{"user": name, "vhost": vhost, "exchange": "amq.topic", "write": "^a", "read": ".*"}],
            "parameters": [], "global_parameters": [{"name": "cluster_name", "value": "rabbit@old"}],
            "policies": [{"vhost": vhost, "name": "ha", "pattern": ".*", "apply-to": "all", "priority": 0,
                          "definition": {"ha-mode": "all", "message-ttl": 5}}],
            "queues": [{"name": "q", "vhost": vhost, "durable": True, "auto_delete": False,
                        "arguments": {"x-queue-type": "quorum"}}],
            "exchanges": [], "bindings": [{"source": "amq.topic", "vhost": vhost, "destination": "q",
                                           "destination_type": "queue", "routing_key": "a.b", "arguments": {}}]}
    equal(ask(ctx, "POST", "/definitions", told), (204, None), "imported")
    me = f"{name}:test12"
    equal(ask(ctx, "GET", f"/queues/{vhost}/q", user=me)[1]["policy"], "ha", "policy")
    whole = ask(ctx, "GET", "/definitions", user=me)[1]
    for part in ("users", "permissions", "topic_permissions", "policies", "queues", "bindings", "global_parameters"):
        true(told[part][0] in whole[part], f"{part} came through: {told[part][0]}")
    equal(ask(ctx, "DELETE", f"/vhosts/{vhost}")[0], 204, "deleted")
    equal(ask(ctx, "GET", f"/users/{name}/permissions")[1], [], "permissions went with the virtual host")
    equal(ask(ctx, "DELETE", f"/users/{name}")[0], 204, "deleted")


@scenario("the command line does the same")
def the_command_line_does_the_same(ctx):
    name, vhost = named("user"), named("vhost")
    equal(colobus(ctx, "user", "add", name, "--tags", "monitoring", stdin="secret\n"), f"added {name}\n", "add")
    equal(colobus(ctx, "vhost", "add", vhost), f"added {vhost}\n", "vhost")
    colobus(ctx, "permission", "set", name, "^a", ".*", ".*", "--vhost", vhost)
    true([vhost, name, "^a", ".*", ".*"] in [row.split() for row in colobus(ctx, "permission", "list").splitlines()],
         "listed")
    equal(ask(ctx, "GET", "/whoami", user=f"{name}:secret")[1]["tags"], ["monitoring"], "tags")
    colobus(ctx, "user", "passwd", name, "other")
    equal(ask(ctx, "GET", "/whoami", user=f"{name}:other")[1]["tags"], ["monitoring"], "tags stay")
    colobus(ctx, "policy", "set", "p", "^q", '{"max-length":3}', "--priority", "2", "--vhost", vhost)
    true([vhost, "p", "^q", "all", "2", '{"max-length":3}'] in
         [row.split() for row in colobus(ctx, "policy", "list").splitlines()], "policy")
    equal(colobus(ctx, "policy", "clear", "none", "--vhost", vhost, code=1), "colobus: none: Not Found\n", "none")
    colobus(ctx, "policy", "clear", "p", "--vhost", vhost)
    told = colobus(ctx, "definitions", "export", "--vhost", vhost)
    equal(json.loads(told)["policies"], [], "no policy")
    colobus(ctx, "definitions", "import", "-", "--vhost", vhost, stdin=told)
    true("Login failed" in colobus(ctx, "user", "list", "--user", f"{name}:wrong", code=1), "wrong password")
    colobus(ctx, "permission", "clear", name, "--vhost", vhost)
    equal(colobus(ctx, "vhost", "delete", vhost), f"deleted {vhost}\n", "delete")
    equal(colobus(ctx, "user", "delete", name), f"deleted {name}\n", "delete")
    true(name not in colobus(ctx, "user", "list"), "gone")


if __name__ == "__main__":
    main("users")
