"""What a person at a terminal sees: help, exit codes, suggestions, settings, completion.

Called with the binary and with doc/settings.md."""

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

BINARY, SETTINGS = sys.argv[1:3]


def run(*args, text_in=None):
    return subprocess.run([BINARY, *args], input=text_in, capture_output=True, text=True, timeout=60, check=False)


class Usage(unittest.TestCase):
    def test_help_of_everything(self):
        out = run()
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertEqual(run("--help").stdout, out.stdout)
        for command in ("serve", "config", "topic list", "topic create", "topic describe", "topic config", "topic delete",
                        "group list", "group describe", "group reset", "group delete", "queue list", "queue describe",
                        "queue purge", "queue delete", "exchange list", "binding list", "subscription list", "dump", "completion", "version"):
            self.assertIn(f"\n  {command}", out.stdout)
            own = run(*command.split(), "--help")
            self.assertEqual(own.returncode, 0)
            self.assertIn(f"Usage: colobus {command}", own.stdout)
            self.assertEqual(own.stdout, run("help", *command.split()).stdout)

    def test_lines_fit_a_terminal(self):
        for args in ([], ["serve"], ["config"], ["topic", "create"], ["group", "reset"], ["queue", "list"], ["queue", "delete"], ["subscription", "list"], ["config", "--describe"]):
            out = run(*args) if "--describe" in args else run(*args, "--help")
            self.assertLessEqual(max(map(len, out.stdout.splitlines())), 110, args)

    def test_help_of_serve_names_every_port(self):
        out = run("serve", "--help").stdout
        defaults = {row["key"]: row["default"] for row in json.loads(run("config", "--describe", "--json").stdout)}
        for protocol in ("kafka", "amqp", "redis", "http"):
            self.assertIn(defaults[protocol + ".listen"].removeprefix("127.0.0.1:"), out)
            self.assertIn(protocol + ".listen", out)

    def test_a_port_in_use_is_exit_1_with_the_setting(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.TemporaryDirectory() as data:
            off = [arg for key in ("kafka", "amqp", "http") for arg in ("--set", f"{key}.listen=off")]
            out = run("serve", "--data-dir", data, *off, "--set", f"redis.listen=127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual((out.returncode, out.stdout), (1, ""))
        self.assertIn('error="the address is in use" hint="set redis.listen to another, or to off"', out.stderr)

    def test_version(self):
        self.assertRegex(run("version").stdout, r"^colobus \d+\.\d+\.\d+\n$")
        self.assertEqual(run("--version").stdout, run("version").stdout)

    def test_misspelt_commands_get_a_suggestion(self):
        for typed, meant in (("srve", "serve"), ("confg", "config"), ("topic lst", "topic list"),
                             ("topics list", "topic list"), ("topic creat", "topic create"),
                             ("group describ", "group describe"), ("queue lst", "queue list"), ("queues purge", "queue purge"), ("groups reset", "group reset"),
                             ("subscriptions list", "subscription list")):
            out = run(*typed.split())
            self.assertEqual((out.returncode, out.stdout), (2, ""), typed)
            self.assertIn(f"did you mean {meant}?", out.stderr)
        self.assertIn("colobus --help", run("xyzzyxyzzy").stderr)

    def test_misspelt_options_get_a_suggestion(self):
        out = run("serve", "--data-dri=x")
        self.assertEqual(out.returncode, 2)
        self.assertIn("did you mean --data-dir?", out.stderr)

    def test_wrong_arguments_are_usage_errors(self):
        for args in (["topic"], ["topic", "create"], ["topic", "create", "a", "b"], ["topic", "list", "--json=yes"],
                     ["topic", "list", "--broker"], ["topic", "create", "a", "--partitions", "0"],
                     ["topic", "create", "a", "--config", "x"], ["group"], ["group", "describe"],
                     ["group", "delete"], ["group", "list", "a"], ["group", "reset", "a", "b"], ["group", "delete", "a", "--json"],
                     ["queue"], ["queue", "describe"], ["queue", "purge"], ["queue", "delete", "a", "b"], ["exchange", "list", "a"],
                     ["binding", "list", "--vhost"], ["subscription"], ["subscription", "list", "a"], ["subscription", "list", "--limit"],
                     ["dump"], ["completion", "tcsh"], ["serve", "now"]):
            out = run(*args)
            self.assertEqual((out.returncode, out.stdout), (2, ""), args)
            self.assertTrue(out.stderr)

    def test_completion_is_accepted_by_its_shell(self):
        for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            script = run("completion", shell).stdout
            self.assertIn("kafka.listen=", script)
            if shutil.which(shell):
                with tempfile.NamedTemporaryFile("w", suffix=shell) as file:
                    file.write(script)
                    file.flush()
                    done = subprocess.run([*check, file.name], capture_output=True, text=True, check=False)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))

    def complete(self, *words):
        line = f'source <({BINARY} completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _colobus; ' \
               'printf "%s\\n" "${COMPREPLY[@]}"'
        return subprocess.run(["bash", "-c", line, "bash", *words], capture_output=True, text=True,
                              check=True).stdout.split()

    def test_bash_completes(self):
        self.assertEqual(self.complete("colobus", "ser"), ["serve"])
        self.assertEqual(sorted(self.complete("colobus", "topic", "de")), ["delete", "describe"])
        self.assertEqual(sorted(self.complete("colobus", "group", "")), ["delete", "describe", "list", "reset"])
        self.assertEqual(self.complete("colobus", "group", "reset", "--p"), ["--partition"])
        self.assertEqual(self.complete("colobus", "serve", "--d"), ["--data-dir"])
        self.assertEqual(self.complete("colobus", "topic", "create", "--p"), ["--partitions"])
        self.assertEqual(self.complete("colobus", "serve", "--set", "kafka.li"), ["kafka.listen="])
        self.assertEqual(self.complete("colobus", "completion", "z"), ["zsh"])


class Settings(unittest.TestCase):
    def test_the_manual_is_current(self):
        with open(SETTINGS, encoding="utf-8") as file:
            self.assertEqual(file.read(), run("config", "--describe", "--markdown").stdout,
                             "run: build/colobus config --describe --markdown > doc/settings.md")

    def test_describe_as_json(self):
        rows = json.loads(run("config", "--describe", "--json", "--set", "shards=3").stdout)
        shards = next(row for row in rows if row["key"] == "shards")
        self.assertEqual((shards["value"], shards["source"], shards["default"]), ("3", "command line", "auto"))

    def test_an_unknown_key_is_exit_2_with_the_nearest(self):
        for command in ("serve", "config"):
            out = run(command, "--set", "kafka.lisen=127.0.0.1:1")
            self.assertEqual((out.returncode, out.stdout), (2, ""))
            self.assertEqual(out.stderr, 'colobus: unknown setting "kafka.lisen"; did you mean kafka.listen?\n')

    def test_a_bad_value_is_exit_2_with_the_reason(self):
        out = run("serve", "--set", "segment.bytes=big")
        self.assertEqual(out.returncode, 2)
        self.assertIn('segment.bytes: "big" is not a size', out.stderr)
        self.assertEqual(run("serve", "--log-level", "loud").returncode, 2)

    def test_the_command_line_wins_over_the_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write("shards = 2\n[kafka]\nmax-topics = 5\n")
            file.flush()
            out = run("config", "--config", file.name, "--set", "shards=3", "--data-dir", "here").stdout
        self.assertIn("\nshards = 3\n", out)
        self.assertIn("\nkafka.max-topics = 5\n", out)
        self.assertIn("data-dir = here\n", out)
        self.assertIn("\n; disk.threads = 2\n", out)

    def test_a_bad_file_is_exit_2_with_its_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write("[kafka]\nmax-topcs = 5\n")
            file.flush()
            out = run("serve", "--config", file.name)
        self.assertEqual(out.returncode, 2)
        self.assertIn(f"{file.name}:2: unknown setting \"kafka.max-topcs\"", out.stderr)
        self.assertEqual(run("serve", "--config", "/nonexistent").returncode, 2)


HEARD = {"totals": {"subscriptions": 9, "published": 1, "delivered": 2, "skipped": 0, "late_subscribers": 0, "slow_subscribers": 0}, "more": 7,
         "subscriptions": [
             {"name": "news", "vhost": "/", "kind": "channel", "subscriptions": 5},
             {"name": "a\\xff\033[1m", "name_base64": "Yf8bWzFt", "vhost": "/", "kind": "channel", "subscriptions": 3},
             {"name": "long", "name_bytes": 70000, "vhost": "shop", "kind": "pattern", "subscriptions": 1}]}
GROUP = {"name": "billing", "state": "Stable", "protocol_type": "consumer", "protocol": "range", "generation": 7, "lag": 5,
         "members": [{"id": "m-1", "instance_id": None, "client_id": "app", "host": "/127.0.0.1"}],
         "offsets": [{"topic": "orders", "partition": 1, "offset": 10, "start_offset": 0, "end_offset": 15, "lag": 5,
                      "metadata": ""}]}


class Broker(http.server.BaseHTTPRequestHandler):
    """Answers like the management port, and keeps what it was asked."""
    asked = []

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, json.loads(body) if body else None))
        status, reply = 200, {"topics": [{"name": "orders", "partitions": 2, "records": 1234567, "bytes": 2048}]}
        if self.command == "POST" and self.path == "/api/topics":
            status, reply = 201, {"name": "x"}
        elif self.command == "DELETE":
            status, reply = 204, None
        elif self.path == "/api/groups":
            reply = {"groups": [{"name": "bil\033[1mling", "state": "Stable", "protocol_type": "consumer", "members": 2,
                                 "offsets": 3, "lag": 1234}]}
        elif self.path.startswith("/api/groups/") and not self.path.endswith("/none"):
            reply = GROUP
        elif self.path.startswith("/api/subscriptions"):
            status, reply = (404, {"error": "not found"}) if "vhost=none" in self.path else (200, HEARD)
        elif self.path in ("/api/topics/none", "/api/groups/none"):
            status, reply = 404, {"error": "not found"}
        elif self.path != "/api/topics":
            reply = {"name": "orders", "id": "AAA", "partitions": [
                {"partition": 0, "shard": 1, "start_offset": 5, "end_offset": 105, "bytes": 10}],
                "configs": [{"name": "retention.ms", "value": "1", "default": False}]}
        text = json.dumps(reply).encode() if reply else b""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = do_PATCH = answer

    def log_message(self, *args):
        pass


class WithBroker(unittest.TestCase):
    def setUp(self):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Broker)
        self.broker = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        Broker.asked.clear()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()


class Groups(WithBroker):
    def group(self, *args):
        return run("group", *args, "--broker", self.broker)

    def test_list_is_a_table_and_no_command_to_the_terminal(self):
        out = self.group("list")
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertEqual(out.stdout, "GROUP        STATE   MEMBERS  PARTITIONS   LAG\n"
                                     "bil?[1mling  Stable        2           3  1234\n")

    def test_describe_has_offsets_and_members(self):
        out = self.group("describe", "a/b").stdout
        self.assertEqual(Broker.asked, [("GET", "/api/groups/a%2Fb", None)])
        self.assertEqual(out, "billing  Stable  generation 7  protocol range  lag 5\n\n"
                              "TOPIC   PARTITION  COMMITTED  END  LAG\n"
                              "orders          1         10   15    5\n\n"
                              "MEMBER  INSTANCE  CLIENT  HOST\n"
                              "m-1     -         app     /127.0.0.1\n")
        self.assertEqual(json.loads(self.group("describe", "billing", "--json").stdout), GROUP)

    def test_reset_sends_where(self):
        for to, sent in (("earliest", "earliest"), ("latest", "latest"), ("1500", 1500),
                         ("9223372036854775807", 2**63 - 1), ("2026-11-21T10:00:00Z", {"time_ms": 1795255200000}),
                         ("2000-02-29", {"time_ms": 951782400000})):
            Broker.asked.clear()
            out = self.group("reset", "billing", "--topic", "orders", "--to", to)
            self.assertEqual((out.returncode, out.stderr), (0, ""), to)
            self.assertIn("orders          1         10", out.stdout)
            self.assertEqual(Broker.asked, [("POST", "/api/groups/billing/reset", {"topic": "orders", "to": sent})])
        self.group("reset", "billing", "--topic=orders", "--partition=3", "--to=7")
        self.assertEqual(Broker.asked[-1][2], {"topic": "orders", "partition": 3, "to": 7})

    def test_a_reset_that_is_not_clear_is_exit_2(self):
        for args in (["--to", "latest"], ["--topic", "orders"], ["--topic", "orders", "--to", "newest"],
                     ["--topic", "orders", "--to", "-1"], ["--topic", "orders", "--to", ""],
                     ["--topic", "orders", "--to", "2026-02-29T00:00:00Z"],
                     ["--topic", "orders", "--to", "2026-11-21T10:00"],
                     ["--topic", "orders", "--to", "2026-11-21T10:00:00"], ["--topic", "orders", "--to", "2026-11-21 10:00"],
                     ["--topic", "orders", "--to", "2026-11-21T10:00:00Zulu"], ["--topic", "orders", "--to", "2026-11-"],
                     ["--topic", "orders", "--to", "9223372036854775808"], ["--topic", "orders", "--to", "0x10"],
                     ["--topic", "orders", "--to", " 1"], ["--topic", "orders", "--to", "1", "--partition", "2147483648"],
                     ["--topic", "orders", "--to", "1", "--partition", "-1"],
                     ["--topic", "orders", "--to", "1", "--partition", "one"]):
            out = self.group("reset", "billing", *args)
            self.assertEqual((out.returncode, out.stdout), (2, ""), args)
            self.assertTrue(out.stderr.startswith("colobus: "), args)
        self.assertEqual(Broker.asked, [])

    def test_delete(self):
        out = self.group("delete", "billing")
        self.assertEqual((out.returncode, out.stdout), (0, "deleted billing\n"))
        self.assertEqual(Broker.asked, [("DELETE", "/api/groups/billing", None)])

    def test_a_refusal_is_exit_1_with_the_reason(self):
        out = self.group("describe", "none")
        self.assertEqual((out.returncode, out.stdout, out.stderr), (1, "", "colobus: none: not found\n"))

    def test_no_broker_is_exit_1(self):
        self.server.server_close()
        for args in (["list"], ["describe", "g"], ["delete", "g"], ["reset", "g", "--topic", "t", "--to", "latest"]):
            out = self.group(*args)
            self.assertEqual((out.returncode, out.stdout), (1, ""))
            self.assertIn("no broker answers at", out.stderr)


class Subscriptions(WithBroker):
    def subscriptions(self, *args):
        return run("subscription", "list", *args, "--broker", self.broker)

    def test_list_is_a_table_and_no_command_to_the_terminal(self):
        out = self.subscriptions()
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertEqual(out.stdout, "VHOST  KIND     SUBSCRIPTIONS  NAME\n"
                                     "/      channel              5  news\n"
                                     "/      channel              3  a\\xff?[1m\n"
                                     "shop   pattern              1  long... (70000 bytes)\n"
                                     "and 7 more; --limit N shows up to 10000 of each kind\n")
        self.assertEqual(json.loads(self.subscriptions("--json").stdout), HEARD)

    def test_options_are_sent_escaped(self):
        self.subscriptions()
        self.subscriptions("--limit=5")
        self.subscriptions("--vhost", "/", "--pattern", "n?w s.[a-z]*&%", "--limit", "x")
        self.assertEqual([path for _, path, _ in Broker.asked],
                         ["/api/subscriptions", "/api/subscriptions?limit=5",
                          "/api/subscriptions?vhost=%2F&pattern=n%3Fw%20s.%5Ba-z%5D%2A%26%25&limit=x"])

    def test_a_refusal_is_exit_1_with_the_reason(self):
        out = self.subscriptions("--vhost", "none")
        self.assertEqual((out.returncode, out.stdout, out.stderr), (1, "", "colobus: none: not found\n"))


class Topics(WithBroker):
    def test_list_is_a_table(self):
        out = run("topic", "list", "--broker", self.broker)
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertEqual(out.stdout, "TOPIC   PARTITIONS  RECORDS     SIZE\norders           2  1234567  2.0 KiB\n")

    def test_list_as_json(self):
        out = run("topic", "list", f"--broker={self.broker}", "--json")
        self.assertEqual(json.loads(out.stdout)["topics"][0]["name"], "orders")

    def test_create_sends_partitions_and_configs(self):
        out = run("topic", "create", "orders", "--broker", self.broker, "--partitions", "6", "--config", "a.b=c=d")
        self.assertEqual((out.returncode, out.stdout), (0, "created orders\n"))
        self.assertEqual(Broker.asked, [("POST", "/api/topics",
                                         {"name": "orders", "partitions": 6, "configs": {"a.b": "c=d"}})])

    def test_describe(self):
        out = run("topic", "describe", "orders", "--broker", self.broker)
        self.assertIn("        0      1      5  105  10 B\n", out.stdout)
        self.assertIn("retention.ms  1      set\n", out.stdout)

    def test_config_shows_the_configs_alone(self):
        out = run("topic", "config", "orders", "--broker", self.broker)
        self.assertEqual(out.stdout, "CONFIG        VALUE  SOURCE\nretention.ms  1      set\n")
        self.assertEqual(Broker.asked, [("GET", "/api/topics/orders", None)])

    def test_config_sets_and_deletes(self):
        out = run("topic", "config", "orders", "a.b=c=d", "e=", "--delete", "f", "--delete=g", "--broker", self.broker)
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertEqual(Broker.asked, [("PATCH", "/api/topics/orders",
                                         {"configs": {"a.b": "c=d", "e": "", "f": None, "g": None}})])

    def test_config_without_a_value_is_exit_2(self):
        out = run("topic", "config", "orders", "retention.ms", "--broker", self.broker)
        self.assertEqual(out.returncode, 2)
        self.assertEqual(out.stderr, "colobus: a config is given as NAME=VALUE, as retention.ms=3600000\n")
        self.assertEqual(Broker.asked, [])

    def test_delete_escapes_the_name(self):
        self.assertEqual(run("topic", "delete", "a/b c", "--broker", self.broker).returncode, 0)
        self.assertEqual(Broker.asked[0][:2], ("DELETE", "/api/topics/a%2Fb%20c"))

    def test_a_refusal_is_exit_1_with_the_reason(self):
        out = run("topic", "describe", "none", "--broker", self.broker)
        self.assertEqual((out.returncode, out.stdout, out.stderr), (1, "", "colobus: none: not found\n"))

    def test_no_broker_is_exit_1(self):
        self.server.server_close()
        out = run("topic", "list", "--broker", self.broker)
        self.assertEqual(out.returncode, 1)
        self.assertIn("no broker answers at", out.stderr)

    def test_a_reader_that_is_gone_is_a_failure(self):
        with open(os.devnull, "rb") as closed:
            out = subprocess.run([BINARY, "version"], stdout=closed, stderr=subprocess.PIPE, check=False)
        self.assertEqual(out.returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
