"""The group requests of the Kafka protocol, every version: a table of their fields, and members that speak them."""

import re
import types

from harness import wire
from harness.scenario import eventually

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = range(8, 15)
DESCRIBE_GROUPS, LIST_GROUPS, DELETE_GROUPS, OFFSET_DELETE = 15, 16, 42, 47

# key -> (first flexible version, request, response). A field is name:type@versions, where the type is i8 ... i64, bool,
# str or bytes (both nullable) or [fields], an array, nullable too; "[str]" holds bare strings.
MESSAGES = {
    OFFSET_COMMIT: (8, """group:str generation:i32@1+ member:str@1+ instance:str@7+ retention:i64@2-4
        topics:[name:str partitions:[index:i32 offset:i64 epoch:i32@6+ metadata:str]]""",
        "throttle:i32@3+ topics:[name:str partitions:[index:i32 error:i16]]"),
    OFFSET_FETCH: (6, """group:str@0-7 topics:[name:str partitions:[i32]]@0-7
        groups:[group:str member:str@9+ epoch:i32@9+ topics:[name:str partitions:[i32]]]@8+ stable:bool@7+""",
        """throttle:i32@3+ topics:[name:str partitions:[index:i32 offset:i64 epoch:i32@5+ metadata:str error:i16]]@0-7
        error:i16@2-7 groups:[group:str
        topics:[name:str partitions:[index:i32 offset:i64 epoch:i32 metadata:str error:i16]] error:i16]@8+"""),
    FIND_COORDINATOR: (3, "key:str@0-3 key_type:i8@1+ keys:[str]@4+",
        """throttle:i32@1+ error:i16@0-3 message:str@1-3 node:i32@0-3 host:str@0-3 port:i32@0-3
        coordinators:[key:str node:i32 host:str port:i32 error:i16 message:str]@4+"""),
    JOIN_GROUP: (6, """group:str session:i32 rebalance:i32@1+ member:str instance:str@5+ protocol_type:str
        protocols:[name:str metadata:bytes] reason:str@8+""",
        """throttle:i32@2+ error:i16 generation:i32 protocol_type:str@7+ protocol:str leader:str skip:bool@9+ member:str
        members:[member:str instance:str@5+ metadata:bytes]"""),
    HEARTBEAT: (4, "group:str generation:i32 member:str instance:str@3+", "throttle:i32@1+ error:i16"),
    LEAVE_GROUP: (4, "group:str member:str@0-2 members:[member:str instance:str reason:str@5+]@3+",
        "throttle:i32@1+ error:i16 members:[member:str instance:str error:i16]@3+"),
    SYNC_GROUP: (4, """group:str generation:i32 member:str instance:str@3+ protocol_type:str@5+ protocol:str@5+
        assignments:[member:str assignment:bytes]""",
        "throttle:i32@1+ error:i16 protocol_type:str@5+ protocol:str@5+ assignment:bytes"),
    DESCRIBE_GROUPS: (5, "groups:[str] operations:bool@3+",
        """throttle:i32@1+ groups:[error:i16 message:str@6+ group:str state:str protocol_type:str protocol:str
        members:[member:str instance:str@4+ client:str host:str metadata:bytes assignment:bytes] operations:i32@3+]"""),
    LIST_GROUPS: (3, "states:[str]@4+ types:[str]@5+",
        "throttle:i32@1+ error:i16 groups:[group:str protocol_type:str state:str@4+ type:str@5+]"),
    DELETE_GROUPS: (2, "groups:[str]", "throttle:i32 results:[group:str error:i16]"),
    OFFSET_DELETE: (99, "group:str topics:[name:str partitions:[index:i32]]",
        "error:i16 throttle:i32 topics:[name:str partitions:[index:i32 error:i16]]"),
}

DEFAULTS = {"retention": -1, "epoch": -1, "generation": -1, "session": 10000, "rebalance": 10000,
            "protocol_type": "consumer", "member": ""}


class Field:
    """One field of a message: its name, type (None for an array), versions, and the fields of an array's items."""

    def __init__(self, name, kind, items):
        self.name, self.kind, self.items = name, kind, items
        self.low, self.high = 0, 99

    def bare(self):
        """An array of plain values, not of structs."""
        return len(self.items) == 1 and self.items[0].name is None


def parse(text):
    tokens = re.findall(r"\]|\[|@[\d+-]+|[a-z_]+:|[a-z]+\d*", text)

    def fields():
        found = []
        while tokens and tokens[0] != "]":
            name = tokens.pop(0)[:-1] if tokens[0].endswith(":") else None
            if tokens[0] == "[":
                tokens.pop(0)
                field = Field(name, None, fields())
                tokens.pop(0)
            else:
                field = Field(name, tokens.pop(0), [])
            if tokens and tokens[0].startswith("@"):
                low, high = re.match(r"@(\d+)[+-](\d*)", tokens.pop(0)).groups()
                field.low, field.high = int(low), int(high or 99)
            found.append(field)
        return found
    return fields()


PARSED = {key: (flexible, parse(request), parse(response)) for key, (flexible, request, response) in MESSAGES.items()}


def write_value(kind, value, flexible):
    if kind == "bool":
        return wire.i8(int(bool(value)))
    if kind in ("str", "bytes"):
        raw = value.encode() if isinstance(value, str) else value
        if flexible:
            return b"\0" if raw is None else wire.uvarint(len(raw) + 1) + raw
        return wire.text(value) if kind == "str" else wire.blob(raw)
    return getattr(wire, kind)(value or 0)


def write_array(field, values, version, flexible):
    if values is None:
        return b"\0" if flexible else wire.i32(-1)
    count = wire.uvarint(len(values) + 1) if flexible else wire.i32(len(values))
    if field.bare():
        return count + b"".join(write_value(field.items[0].kind, value, flexible) for value in values)
    return count + b"".join(write(field.items, value, version, flexible) for value in values)


def write(fields, values, version, flexible):
    """The fields that the version has, from a dictionary; what is absent from it is null, zero or its default."""
    out = b""
    for field in fields:
        if field.low <= version <= field.high:
            value = values.get(field.name, DEFAULTS.get(field.name))
            out += (write_array(field, value, version, flexible) if field.kind is None
                    else write_value(field.kind, value, flexible))
    return out + (b"\0" if flexible else b"")


def read_value(kind, reader, flexible):
    if kind == "bool":
        return bool(reader.i8())
    if kind not in ("str", "bytes"):
        return getattr(reader, kind)()
    if flexible:
        length = reader.uvarint() - 1
        raw = None if length < 0 else reader.take(length)
        return raw.decode() if kind == "str" and raw is not None else raw
    return reader.text() if kind == "str" else reader.blob()


def read_array(field, reader, version, flexible):
    count = reader.uvarint() - 1 if flexible else reader.i32()
    if count < 0:
        return None
    if field.bare():
        return [read_value(field.items[0].kind, reader, flexible) for _ in range(count)]
    return [read(field.items, reader, version, flexible) for _ in range(count)]


def read(fields, reader, version, flexible):
    found = types.SimpleNamespace()
    for field in fields:
        if field.low <= version <= field.high:
            value = (read_array(field, reader, version, flexible) if field.kind is None
                     else read_value(field.kind, reader, flexible))
            setattr(found, field.name, value)
    if flexible:
        read_tags(reader)
    return found


def read_tags(reader):
    for _ in range(reader.uvarint()):
        reader.uvarint()
        reader.take(reader.uvarint())


def send(conn, api, version, **values):
    """Sends a request; receive() with the same API and version reads its answer."""
    flexible, fields, _ = PARSED[api]
    head = b"\0" if version >= flexible else b""  # header v2: tags after the client id
    conn.send(api, version, head + write(fields, values, version, version >= flexible))


def receive(conn, api, version):
    flexible, _, fields = PARSED[api]
    correlation, reader = conn.recv()
    if correlation != conn.correlation:
        raise AssertionError(f"answer to {correlation}, expected {conn.correlation}")
    if version >= flexible:
        read_tags(reader)
    found = read(fields, reader, version, version >= flexible)
    reader.end()
    return found


def call(conn, api, version, **values):
    send(conn, api, version, **values)
    return receive(conn, api, version)


COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, METADATA_TOO_LARGE = 14, 15, 16, 12
ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INVALID_GROUP_ID, UNKNOWN_MEMBER, INVALID_SESSION = 22, 23, 24, 25, 26
REBALANCE, INVALID_REQUEST, NO_TRANSACTIONS, NON_EMPTY_GROUP, GROUP_NOT_FOUND = 27, 42, 53, 68, 69
MEMBER_ID_REQUIRED, FENCED_INSTANCE, SUBSCRIBED_TO_TOPIC = 79, 82, 86
NEWEST = {JOIN_GROUP: 9, SYNC_GROUP: 5, HEARTBEAT: 4, LEAVE_GROUP: 5}


def subscription(*topics, note=None):
    """Metadata of a consumer, ConsumerProtocolSubscription version 0. Apache Kafka reads it to know what a group has
    subscribed to, and fails on what is malformed."""
    return wire.i16(0) + wire.array(wire.text(topic) for topic in topics) + wire.blob(note)


def committed(conn, group, topic, partition=0, version=9):
    """(offset, epoch, metadata, error) of one partition; the group's error must be NONE."""
    wanted = [{"name": topic, "partitions": [partition]}]
    if version >= 8:
        answer = call(conn, OFFSET_FETCH, version, groups=[{"group": group, "topics": wanted}]).groups[0]
    else:
        answer = call(conn, OFFSET_FETCH, version, group=group, topics=wanted)
    if getattr(answer, "error", wire.NONE):
        raise AssertionError(f"OffsetFetch of {group}: error {answer.error}")
    found = answer.topics[0].partitions[0]
    return found.offset, getattr(found, "epoch", -1), found.metadata, found.error


def commit(conn, group, topic, offset, partition=0, version=9, metadata="", epoch=-1, **more):
    """Error of a commit for one partition, of nobody's unless generation and member are given."""
    part = {"index": partition, "offset": offset, "epoch": epoch, "metadata": metadata}
    answer = call(conn, OFFSET_COMMIT, version, group=group, topics=[{"name": topic, "partitions": [part]}], **more)
    return answer.topics[0].partitions[0].error


def wait_coordinator(conn, group):
    """A broker that has just started makes or loads what it keeps of groups."""
    def ready():
        found = call(conn, FIND_COORDINATOR, 0, key=group)
        fetched = call(conn, OFFSET_FETCH, 5, group=group, topics=None)
        retry = (COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR)
        return found.error not in retry and fetched.error not in retry
    eventually(ready, 20, "coordinator is there")


def new_group(ctx, stem="g"):
    group = ctx.name(stem)
    with ctx.connect() as conn:
        wait_coordinator(conn, group)
    return group


class Member:
    """A member of a group on a connection of its own. send_...() and receive_...() are the halves of a request, for
    answers that wait for other members; without a prefix: both. Errors are returned in the answers."""

    def __init__(self, ctx, group, protocols=(("range", subscription()),), instance=None, join_version=9, session=10000,
                 rebalance=10000, protocol_type="consumer", member=""):
        self.conn = ctx.connect()
        self.group, self.instance, self.member, self.generation = group, instance, member, -1
        self.protocols, self.protocol_type = list(protocols), protocol_type
        self.session, self.rebalance = session, rebalance
        self.versions = {api: min(newest, join_version) for api, newest in NEWEST.items()}
        self.joined = None

    def close(self):
        self.conn.sock.close()

    def send(self, api, **values):
        send(self.conn, api, self.versions[api], **{"group": self.group, "member": self.member,
                                                    "instance": self.instance, "generation": self.generation, **values})

    def receive(self, api):
        return receive(self.conn, api, self.versions[api])

    def send_join(self):
        self.send(JOIN_GROUP, session=self.session, rebalance=self.rebalance, protocol_type=self.protocol_type,
                  protocols=[{"name": name, "metadata": metadata} for name, metadata in self.protocols])

    def receive_join(self):
        """The answer; if it makes us a member, generation and member id are taken from it."""
        self.joined = self.receive(JOIN_GROUP)
        if self.joined.error == wire.NONE:
            self.generation, self.member = self.joined.generation, self.joined.member
        return self.joined

    def ask_id(self):
        """Lets the broker give a member id, where the version has it do that before it lets one join (KIP-394)."""
        if self.versions[JOIN_GROUP] >= 4 and not self.member and not self.instance:
            self.send_join()
            answer = self.receive_join()
            if answer.error != MEMBER_ID_REQUIRED:
                raise AssertionError(f"error {answer.error}, wanted {MEMBER_ID_REQUIRED} and a member id")
            self.member = answer.member

    def begin_join(self):
        """Sends the request that makes it a member."""
        self.ask_id()
        self.send_join()

    def join(self):
        self.begin_join()
        return self.receive_join()

    def send_sync(self, assignments=(), **values):
        """assignments: (member id, bytes) pairs, from the leader."""
        protocol = self.joined.protocol if self.joined else None
        pairs = [{"member": member, "assignment": assignment} for member, assignment in assignments]
        self.send(SYNC_GROUP, **{"protocol_type": self.protocol_type, "protocol": protocol, "assignments": pairs,
                                 **values})

    def sync(self, assignments=(), **values):
        self.send_sync(assignments, **values)
        return self.receive(SYNC_GROUP)

    def heartbeat(self, **values):
        self.send(HEARTBEAT, **values)
        return self.receive(HEARTBEAT).error

    def leave(self):
        """Error of the request, or else of the member in it."""
        self.send(LEAVE_GROUP, members=[{"member": self.member, "instance": self.instance}])
        answer = self.receive(LEAVE_GROUP)
        return answer.error or next((m.error for m in getattr(answer, "members", ())), wire.NONE)

    def commit(self, topic, offset, **more):
        return commit(self.conn, self.group, topic, offset, **{"generation": self.generation, "member": self.member,
                                                               "instance": self.instance, **more})


def join_all(*members):
    """All join in one generation, whether they are members already or not; returns the leader."""
    for member in members:
        member.begin_join()
    for member in members:
        answer = member.receive_join()
        if answer.error:
            raise AssertionError(f"JoinGroup: error {answer.error}")
    generations = {member.generation for member in members}
    if len(generations) != 1:
        raise AssertionError(f"joined in generations {generations}")
    return next(member for member in members if member.member == member.joined.leader)


def sync_all(leader, members):
    """The leader gives each member b"of " + its id."""
    answer = leader.sync([(member.member, b"of " + member.member.encode()) for member in members])
    if answer.error:
        raise AssertionError(f"SyncGroup of the leader: error {answer.error}")
    for member in members:
        got = member.sync()
        if (got.error, got.assignment) != (wire.NONE, b"of " + member.member.encode()):
            raise AssertionError(f"SyncGroup: error {got.error}, assignment {got.assignment}")


def stable(ctx, count=1, group=None, **options):
    """(group, members), with assignments; the first is the leader. The members join in one generation because the
    first, who is already in, is made to join again."""
    group = group or new_group(ctx)
    first = Member(ctx, group, **options)
    join_all(first)
    sync_all(first, [first])
    members = [first]
    for _ in range(count - 1):
        members.append(add_member(ctx, group, members, **options))
    return group, members


def add_member(ctx, group, members, **options):
    """Brings one more member into a stable group."""
    joiner = Member(ctx, group, **options)
    joiner.begin_join()
    for member in members:
        eventually(lambda member=member: member.heartbeat() == REBALANCE, 10, "the rebalance begins")
    for member in members:
        member.send_join()
    everyone = members + [joiner]
    for member in everyone:
        if error := member.receive_join().error:
            raise AssertionError(f"JoinGroup: error {error}")
    sync_all(members[0], everyone)
    return joiner
