"""The schema language (schema/README.md): parses files into messages, structs and fields."""

import re
from dataclasses import dataclass, field
from pathlib import Path

FOREVER = 32767  # the upper end of "3+": versions are 16 bits wide

# Bytes on the wire of the types that always take the same number.
FIXED_BYTES = {'i8': 1, 'i16': 2, 'u16': 2, 'i32': 4, 'u32': 4, 'i64': 8, 'f64': 8, 'bool': 1, 'uuid': 16}
# Types that start with a length: bytes of the length, not compact. The compact one takes one byte or more.
COUNTED_BYTES = {'string': 2, 'bytes': 4, 'records': 4}
TYPES = set(FIXED_BYTES) | set(COUNTED_BYTES)


class SchemaError(Exception):
    pass


@dataclass(frozen=True)
class Versions:
    """An inclusive range; empty if first > last."""
    first: int
    last: int

    @staticmethod
    def parse(text):
        m = re.fullmatch(r'(\d+)(?:(\+)|-(\d+))?', text)
        if not m:
            raise SchemaError(f'"{text}" is not a range of versions: 3, 3+ or 3-11')
        first = int(m[1])
        return Versions(first, FOREVER if m[2] else int(m[3] or first))

    def __and__(self, other):
        return Versions(max(self.first, other.first), min(self.last, other.last))

    def covers(self, other):
        return self.first <= other.first and other.last <= self.last

    def empty(self):
        return self.first > self.last

    def __iter__(self):
        return iter(range(self.first, self.last + 1))

    def __str__(self):
        if self.first == self.last:
            return str(self.first)
        return f'{self.first}+' if self.last == FOREVER else f'{self.first}-{self.last}'


NEVER = Versions(1, 0)


@dataclass
class Field:
    name: str
    type: str            # one of TYPES, or the name of a struct
    array: bool
    versions: Versions
    null: Versions       # versions in which it may be null
    tag: int = None      # number of a tagged field
    default: str = None  # None: zero, false, empty
    plain: bool = False  # never in the compact encoding
    struct: 'Struct' = None


@dataclass
class Struct:
    name: str            # in C, without the prefix: produce_request_topic
    versions: Versions   # in which it can occur
    fields: list = field(default_factory=list)

    def tagged(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)

    def untagged(self):
        return [f for f in self.fields if f.tag is None]


@dataclass
class Message:
    name: str            # produce_request
    api: 'Api'           # None: a message of its own
    response: bool
    versions: Versions
    flexible: Versions
    structs: list = field(default_factory=list)  # inner ones first, the message's own last

    @property
    def root(self):
        return self.structs[-1]

    def min_bytes(self, struct, version):
        """The smallest number of bytes that a struct takes in a version."""
        compact = version in range(self.flexible.first, self.flexible.last + 1)
        total = 1 if compact else 0  # the section of tagged fields
        for f in struct.untagged():
            if f.versions.first <= version <= f.versions.last:
                total += self.min_field_bytes(f, version, compact and not f.plain)
        return total

    def min_field_bytes(self, f, version, compact):
        if f.array:
            return 1 if compact else 4
        if f.type in FIXED_BYTES:
            return FIXED_BYTES[f.type]
        if f.type in COUNTED_BYTES:
            return 1 if compact else COUNTED_BYTES[f.type]
        return 1 if not f.null.empty() else self.min_bytes(f.struct, version)


@dataclass
class Api:
    name: str
    key: int = None
    versions: Versions = None
    advertise: Versions = None
    flexible: Versions = NEVER
    plain_response_header: bool = False


@dataclass
class Schema:
    path: Path
    name: str = ''
    apis: list = field(default_factory=list)
    messages: list = field(default_factory=list)


class Parser:
    """One file, line by line. `stack` holds the open structs with the indentation of their fields."""

    def __init__(self, path):
        self.schema = Schema(Path(path), Path(path).stem)
        self.subject = None  # the Api or Message that settings apply to
        self.stack = []

    def parse(self):
        for number, raw in enumerate(self.schema.path.read_text().splitlines(), 1):
            line = raw.split('#')[0].rstrip()
            if not line:
                continue
            try:
                self.line(len(line) - len(line.lstrip()), line.split())
            except (SchemaError, ValueError, IndexError) as e:
                raise SchemaError(f'{self.schema.path}:{number}: {e}') from None
        try:
            for api in self.schema.apis:
                if api.key is None or api.versions is None:
                    raise SchemaError(f'api {api.name}: no key or no versions')
            for message in self.schema.messages:
                check(message)
        except SchemaError as e:
            raise SchemaError(f'{self.schema.path}: {e}') from None
        return self.schema

    def line(self, indent, words):
        if indent:
            self.field(indent, words)
        elif words[0] in ('request', 'response'):
            api = self.subject
            self.message(f'{api.name}_{words[0]}', api, words[0] == 'response')
        elif words[0] == 'api':
            self.subject = Api(words[1])
            self.schema.apis.append(self.subject)
        elif words[0] == 'message':
            self.message(words[1], None, False)
            self.subject = self.schema.messages[-1]
        else:
            self.setting(words[0], words[1])

    def message(self, name, api, response):
        versions, flexible = (api.versions, api.flexible) if api else (None, NEVER)
        self.schema.messages.append(Message(name, api, response, versions, flexible))
        self.stack = [(1, Struct(name, versions))]
        self.schema.messages[-1].structs.append(self.stack[0][1])

    def setting(self, name, value):
        s = self.subject
        if name == 'key':
            s.key = int(value)
        elif name == 'versions':
            s.versions = Versions.parse(value)
            if isinstance(s, Message):
                s.root.versions = s.versions
        elif name == 'advertise':
            s.advertise = Versions.parse(value)
        elif name == 'flexible':
            s.flexible = Versions.parse(value)
        elif name == 'response_header' and value == '0':
            s.plain_response_header = True
        else:
            raise SchemaError(f'unknown setting "{name} {value}"')

    def field(self, indent, words):
        while len(self.stack) > 1 and indent < self.stack[-1][0]:
            self.stack.pop()
        level, owner = self.stack[-1]
        if not owner.fields:
            self.stack[-1] = (indent, owner)
        elif indent != level:
            raise SchemaError('indented like no line above it')
        f = self.parse_field(words)
        if any(f.name == other.name for other in owner.fields):
            raise SchemaError(f'"{f.name}" occurs twice')
        owner.fields.append(f)
        if f.type not in TYPES:
            self.open_struct(f, owner, indent)

    def open_struct(self, f, owner, indent):
        """Fields that follow, further in, are those of the struct; one named before is used again."""
        message = self.schema.messages[-1]
        versions = f.versions & owner.versions
        name = f'{message.name}_{f.type}'
        f.struct = next((s for s in message.structs if s.name == name), None)
        if f.struct:
            v = f.struct.versions
            f.struct.versions = Versions(min(v.first, versions.first), max(v.last, versions.last))
            return
        f.struct = Struct(name, versions)
        message.structs.insert(message.structs.index(owner), f.struct)
        self.stack.append((indent + 1, f.struct))

    @staticmethod
    def parse_field(words):
        name, kind, versions = words[0], words[1], Versions.parse(words[2])
        array = kind.startswith('[') and kind.endswith(']')
        f = Field(name, kind.strip('[]'), array, versions, NEVER)
        rest = words[3:]
        while rest:
            word = rest.pop(0)
            if word == 'null':
                ranged = rest and re.fullmatch(r'\d+\S*', rest[0])
                f.null = Versions.parse(rest.pop(0)) & versions if ranged else versions
            elif word == 'tag':
                f.tag = int(rest.pop(0))
            elif word == 'default':
                f.default = rest.pop(0)
            elif word == 'plain':
                f.plain = True
            else:
                raise SchemaError(f'unknown word "{word}"')
        return f


def check(message):
    """What the emitter relies on."""
    if message.versions is None:
        raise SchemaError(f'{message.name}: no versions')
    for s in message.structs:
        if s is not message.root and not s.fields:
            raise SchemaError(f'{s.name} has no fields')
        for f in s.fields:
            check_field(message, s, f)


def check_field(message, s, f):
    where = f'{s.name}.{f.name}'
    if (f.versions & s.versions).empty():
        raise SchemaError(f'{where}: in no version of {s.name} ({s.versions})')
    if f.tag is not None and not message.flexible.covers(f.versions & s.versions):
        raise SchemaError(f'{where}: tagged in versions that are not flexible')
    if f.type == 'records' and (f.array or f.tag is not None):
        raise SchemaError(f'{where}: records can be neither in an array nor tagged')
    if f.struct and not f.array and f.default not in (None, 'null'):
        raise SchemaError(f'{where}: a struct has no default')
    if f.default == 'null' and f.null.empty():
        raise SchemaError(f'{where}: null by default, but never nullable')
    if f.array and f.struct:
        for version in f.versions & s.versions:
            if message.min_bytes(f.struct, version) < 1:
                raise SchemaError(f'{where}: elements of no bytes cannot be bounded')


def parse_files(paths):
    return [Parser(p).parse() for p in paths]
