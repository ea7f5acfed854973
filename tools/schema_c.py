"""Emits C for parsed schemas. Each method returns a list of lines; the C it emits is meant to be read."""

import re

from schema_lang import COUNTED_BYTES, FIXED_BYTES

WIDTH = 110
C_TYPES = {'i8': 'int8_t', 'i16': 'int16_t', 'u16': 'uint16_t', 'i32': 'int32_t', 'u32': 'uint32_t',
           'i64': 'int64_t', 'f64': 'double', 'bool': 'bool', 'string': 'struct span', 'bytes': 'struct span',
           'records': 'struct rope'}


def indent(lines, by=1):
    return ['    ' * by + line if line else line for line in lines]


def fold(line):
    """Breaks a line that is too wide after its last separator that fits."""
    if len(line) <= WIDTH:
        return [line]
    margin = len(line) - len(line.lstrip())
    for separator in r', | \+ | = | && ', r'\(':
        ends = [m.end() for m in re.finditer(separator, line) if margin < m.end() <= WIDTH]
        if ends:
            break
    else:
        return [line]
    at = ends[-1]
    return [line[:at].rstrip()] + fold(' ' * (margin + 8) + line[at:])


def condition(versions, within):
    """A C condition on `version`, or '' if it always holds within a range."""
    parts = []
    if versions.first > within.first:
        parts.append(f'version >= {versions.first}')
    if versions.last < within.last:
        parts.append(f'version <= {versions.last}')
    if len(parts) == 2 and versions.first == versions.last:
        return f'version == {versions.first}'
    return ' && '.join(parts)


def guarded(cond, lines):
    """`lines` under a condition, with braces where they are more than one statement."""
    if not cond:
        return lines
    if len(lines) == 1:
        return [f'if ({cond})'] + indent(lines)
    return [f'if ({cond}) {{'] + indent(lines) + ['}']


def c_int(value):
    number = int(value, 0)
    if number == -2 ** 31:
        return 'INT32_MIN'
    return f'{number}LL' if abs(number) >= 2 ** 31 else str(number)


def negate(test):
    if '&&' in test:
        return f'!{test}'  # in parentheses already
    if ' == ' in test:
        return test.replace(' == ', ' != ')
    return test[1:] if test.startswith('!') else f'!{test}'


def function(signature, body):
    return [signature, '{'] + indent(body) + ['}', '']


class StructCode:
    """The code of one struct of one message."""

    def __init__(self, prefix, message, struct):
        self.prefix = prefix
        self.message = message
        self.struct = struct
        self.c = f'{prefix}_{struct.name}'
        self.range = struct.versions & message.versions
        self.is_root = struct is message.root

    def c_name(self, struct):
        return f'{self.prefix}_{struct.name}'

    def c_type(self, f):
        if f.struct:
            return f'struct {self.c_name(f.struct)}'
        return f'struct {self.prefix}_uuid' if f.type == 'uuid' else C_TYPES[f.type]

    def when(self, versions):
        """C truth value of "version is in `versions`": true, false or an expression."""
        if (versions & self.range).empty():
            return 'false'
        return condition(versions, self.range) or 'true'

    def flexible(self, f=None):
        if f and f.plain:
            return 'false'
        known = self.when(self.message.flexible)
        return known if known in ('true', 'false') else 'flexible'

    def nullable(self, f):
        return self.when(f.null) if not f.null.covers(f.versions) else 'true'

    def flexible_local(self):
        """Declares `flexible` if some field needs it."""
        if self.when(self.message.flexible) in ('true', 'false'):
            return []
        return [f'const bool flexible = {condition(self.message.flexible, self.range)};', '']

    # Declarations

    def declaration(self):
        lines = [f'struct {self.c} {{']
        for f in self.struct.fields:
            lines += indent(self.member(f))
        return lines + ['};', '']

    def member(self, f):
        notes = []
        if not f.versions.covers(self.range):
            notes.append(f'versions {f.versions}')
        if not f.null.empty():
            notes.append('nullable' if f.null.covers(f.versions & self.range) else f'nullable {f.null}')
        if f.tag is not None:
            notes.append(f'tag {f.tag}')
        if f.default is not None and f.default != 'null':
            notes.append(f'default {f.default}')
        note = f' /* {", ".join(notes)} */' if notes else ''
        if f.array:
            return [f'{self.c_type(f)} *{f.name};{note}', f'int32_t {f.name}_count;']
        head = [f'bool has_{f.name};'] if f.struct and not f.null.empty() else []
        return head + [f'{self.c_type(f)} {f.name};{note}']

    # Defaults

    def init(self):
        body = ['memset(ret, 0, sizeof(*ret));']
        for f in self.struct.fields:
            body += self.init_field(f)
        return function(f'void {self.c}_init(struct {self.c} *ret)', body)

    def init_field(self, f):
        if f.array:
            return [f'ret->{f.name}_count = -1;'] if f.default == 'null' else []
        if f.struct:
            return [f'{self.c_name(f.struct)}_init(&ret->{f.name});'] + (
                [f'ret->has_{f.name} = true;'] if not f.null.empty() and f.default != 'null' else [])
        if f.type in ('string', 'bytes'):
            if f.default == 'null':
                return []
            return [f'ret->{f.name} = ' + (f'span_str("{f.default}");' if f.default else 'wire_empty;')]
        if f.default in (None, 'null', 'false', '0') or f.type in ('uuid', 'records'):
            return []
        return [f'ret->{f.name} = {f.default if f.type in ("bool", "f64") else c_int(f.default)};']

    def is_default(self):
        tests = [self.field_is_default(f) for f in self.struct.fields]
        head = f'static bool {self.c}_is_default(const struct {self.c} *m)'
        lines = [f'return {tests[0]}'] + [f'       {t}' for t in tests[1:]]
        return function(head, [line + ' &&' for line in lines[:-1]] + [lines[-1] + ';'])

    def field_is_default(self, f):
        at = f'm->{f.name}'
        if f.array:
            return f'{at}_count == {-1 if f.default == "null" else 0}'
        if f.struct:
            yes = f'{self.c_name(f.struct)}_is_default(&{at})'
            if f.null.empty():
                return yes
            return f'!m->has_{f.name}' if f.default == 'null' else f'(m->has_{f.name} && {yes})'
        if f.type == 'uuid':
            return f'wire_uuid_is_zero({at})'
        if f.type in ('string', 'bytes'):
            if f.default == 'null':
                return f'!{at}.ptr'
            same = f'span_eq_str({at}, "{f.default}")' if f.default else f'{at}.len == 0'
            return same if f.null.empty() else f'({at}.ptr && {same})'
        if f.type == 'bool':
            return at if f.default == 'true' else f'!{at}'
        return f'{at} == {c_int(f.default or "0")}'

    # Reading

    def min_bytes_values(self):
        return [min(self.message.min_bytes(self.struct, v), 255) for v in self.range]

    def min_bytes_name(self):
        api = self.message.api
        return f'{self.struct.name[len(api.name) + 1:] if api else self.struct.name}_min_bytes'

    def min_bytes_table(self):
        """The smallest encoding by version, where it varies; for arrays of this struct."""
        values = self.min_bytes_values()
        if len(set(values)) == 1:
            return []
        text = ', '.join(map(str, values))
        return [f'/* Bytes of the smallest {self.struct.name}, from version {self.range.first} on. */',
                f'static const uint8_t {self.min_bytes_name()}[] = {{{text}}};', '']

    def element_min_bytes(self, f):
        if f.struct:
            inner = StructCode(self.prefix, self.message, f.struct)
            values = inner.min_bytes_values()
            if len(set(values)) == 1:
                return str(values[0])
            index = f'version - {inner.range.first}' if inner.range.first else 'version'
            return f'{inner.min_bytes_name()}[{index}]'
        if f.type in FIXED_BYTES:
            return str(FIXED_BYTES[f.type])
        plain, flexible = COUNTED_BYTES[f.type], self.flexible(f)
        return {'true': '1', 'false': str(plain)}.get(flexible, f'{flexible} ? 1 : {plain}')

    def amplification_asserts(self):
        lines = []
        for f in self.struct.fields:
            if f.array and f.struct:
                least = min(StructCode(self.prefix, self.message, f.struct).min_bytes_values())
                lines.append(f'_Static_assert(sizeof({self.c_type(f)}) <= {least} * WIRE_MAX_AMPLIFICATION, '
                             f'"{f.struct.name}");')
        return lines + ([''] if lines else [])

    def read(self):
        body = self.version_check() + self.flexible_local() + [f'{self.c}_init(ret);']
        for f in self.struct.untagged():
            body += guarded(condition(f.versions, self.range), self.read_field(f, self.flexible(f)))
        body += self.tags('read_tags(r, version, ret);', 'wire_skip_tags(r);')
        return self.read_tags() + function(self.signature('read'), body)

    def read_field(self, f, flexible):
        at = f'ret->{f.name}'
        nullable = self.nullable(f)
        if f.array:
            item = self.read_value(f, f'{at}[i]', flexible, 'false')
            call = f'{at} = wire_read_array(r, {flexible}, {nullable},'
            rest = f'{self.element_min_bytes(f)}, sizeof(*{at}), &{at}_count);'
            return [f'{call} {rest}',
                    f'for (int32_t i = 0; i < {at}_count && !r->err; i++)'] + indent(item)
        if f.struct and nullable != 'false':
            read = self.read_value(f, at, flexible, 'false')
            present = f'ret->has_{f.name} = read_i8(r) >= 0;'
            if nullable != 'true':
                present = f'ret->has_{f.name} = !({nullable}) || read_i8(r) >= 0;'
            return [present, f'if (ret->has_{f.name})'] + indent(read)
        return self.read_value(f, at, flexible, nullable)

    def read_value(self, f, at, flexible, nullable):
        if f.struct:
            return [f'{self.c_name(f.struct)}_read(r, version, &{at});']
        if f.type == 'uuid':
            return [f'{at} = wire_read_uuid(r);']
        if f.type in COUNTED_BYTES:
            return [f'{at} = wire_read_{f.type}(r, {flexible}, {nullable});']
        return [f'{at} = read_{f.type}(r);']

    def read_tags(self):
        """A function for the known tagged fields, if there are any."""
        if not self.struct.tagged():
            return []
        loop = ['struct wire_open_tag tag = wire_open_tag(r);']
        word = 'if'
        for f in self.struct.tagged():
            cond = condition(f.versions, self.tag_range())
            loop.append(f'{word} (tag.number == {f.tag}{" && " + cond if cond else ""}) {{')
            loop += indent(self.read_field(f, 'true'))
            word = '} else if'
        loop += ['} else {', '    wire_skip_tag(r);', '}', 'wire_close_tag(r, &tag);']
        body = ['uint32_t count = read_uvarint(r);', 'for (uint32_t k = 0; k < count && !r->err; k++) {']
        head = f'static void {self.c}_read_tags(struct reader *r, int version, struct {self.c} *ret)'
        return function(head, body + indent(loop) + ['}'])

    # Writing

    def write(self):
        body = self.version_check() + self.flexible_local()
        for f in self.struct.untagged():
            body += guarded(condition(f.versions, self.range), self.write_field(f, self.flexible(f)))
        body += self.tags('write_tags(w, version, m);', 'write_uvarint(w, 0); /* no tagged fields */')
        return self.write_tags() + function(self.signature('write'), body)

    def write_field(self, f, flexible, w='w'):
        at = f'm->{f.name}'
        nullable = self.nullable(f)
        if f.array:
            return [f'wire_write_count({w}, {flexible}, {nullable}, {at}_count);'] + [
                f'for (int32_t i = 0; i < {at}_count; i++)'] + indent(
                    self.write_value(f, f'{at}[i]', flexible, 'false', w))
        if f.struct and nullable != 'false':
            lines = guarded('' if nullable == 'true' else nullable,
                            [f'write_i8({w}, m->has_{f.name} ? 1 : -1);'])
            test = f'm->has_{f.name}' + ('' if nullable == 'true' else f' || !({nullable})')
            return lines + [f'if ({test})'] + indent(self.write_value(f, at, flexible, 'false', w))
        return self.write_value(f, at, flexible, nullable, w)

    def write_value(self, f, at, flexible, nullable, w):
        if f.struct:
            return [f'{self.c_name(f.struct)}_write({w}, version, &{at});']
        if f.type == 'uuid':
            return [f'wire_write_uuid({w}, {at});']
        if f.type == 'records':
            return [f'wire_write_records({w}, {flexible}, &{at});']
        if f.type in COUNTED_BYTES:
            return [f'wire_write_{f.type}({w}, {flexible}, {nullable}, {at});']
        return [f'write_{f.type}({w}, {at});']

    def write_tags(self):
        """A function that writes the tagged fields that differ from their defaults, lowest tag first."""
        tagged = self.struct.tagged()
        if not tagged:
            return []
        body = []
        for f in tagged:
            cond = condition(f.versions, self.tag_range())
            differs = negate(self.field_is_default(f))
            body += [f'const bool with_{f.name} = {cond + " && " if cond else ""}{differs};']
        names = ' + '.join(f'with_{f.name}' for f in tagged)
        body += ['', f'write_uvarint(w, (uint32_t)({names}));' if len(tagged) > 1
                 else f'write_uvarint(w, {names});']
        for f in tagged:
            body += [f'if (with_{f.name}) {{', '    struct wire_tag tag;', '    wire_begin_tag(&tag, w);']
            body += indent(self.write_field(f, 'true', '&tag.w'))
            body += [f'    wire_end_tag(&tag, w, {f.tag});', '}']
        head = f'static void {self.c}_write_tags(struct writer *w, int version, const struct {self.c} *m)'
        return function(head, body)

    # Both

    def tag_range(self):
        """The versions in which there are tagged fields at all."""
        return self.range & self.message.flexible

    def tags(self, known, unknown):
        flexible = self.flexible()
        call = f'{self.c}_{known}' if self.struct.tagged() else unknown
        return guarded('' if flexible == 'true' else flexible, [call]) if flexible != 'false' else []

    def version_check(self):
        v = self.range
        return [f'assert(version >= {v.first} && version <= {v.last});'] if self.is_root else []

    def signature(self, verb):
        io, arg = ('struct reader *r', f'struct {self.c} *ret') if verb == 'read' else (
            'struct writer *w', f'const struct {self.c} *m')
        static = '' if self.is_root else 'static '
        return f'{static}void {self.c}_{verb}({io}, int version, {arg})'

    # Dumps

    def dump(self):
        body = []
        for f in self.struct.fields:
            body += self.dump_field(f)
        static = '' if self.is_root else 'static '
        return function(f'{static}void {self.c}_dump(struct wire_text *t, const struct {self.c} *m)', body)

    def dump_field(self, f):
        at = f'm->{f.name}'
        if f.array and f.struct:
            return [f'wire_dump_count(t, "{f.name}", {at}_count);',
                    f'for (int32_t i = 0; i < {at}_count; i++) {{', f'    wire_dump_enter(t, "{f.name}", i);',
                    f'    {self.c_name(f.struct)}_dump(t, &{at}[i]);', '    wire_dump_leave(t);', '}']
        if f.array:
            return [f'wire_dump_count(t, "{f.name}", {at}_count);', f'if ({at}_count > 0)',
                    f'    wire_dump_enter(t, "{f.name}", -1);', f'for (int32_t i = 0; i < {at}_count; i++)',
                    '    ' + self.dump_value(f, 'NULL', f'{at}[i]'), f'if ({at}_count > 0)',
                    '    wire_dump_leave(t);']
        if not f.struct:
            return [self.dump_value(f, f'"{f.name}"', at)]
        lines = [f'wire_dump_enter(t, "{f.name}", -1);', f'{self.c_name(f.struct)}_dump(t, &{at});',
                 'wire_dump_leave(t);']
        if f.null.empty():
            return lines
        return [f'wire_dump_count(t, "{f.name}", m->has_{f.name} ? 1 : -1);'] + guarded(f'm->has_{f.name}', lines)

    @staticmethod
    def dump_value(f, name, at):
        kind = f.type if f.type in ('string', 'bytes', 'records', 'uuid', 'bool', 'f64') else 'int'
        return f'wire_dump_{kind}(t, {name}, {"&" if kind == "records" else ""}{at});'


class CodeWriter:
    """The files."""

    def __init__(self, prefix, runtime):
        self.prefix = prefix
        self.runtime = runtime

    def codes(self, message):
        return [StructCode(self.prefix, message, s) for s in message.structs]

    def files(self, schemas):
        for s in schemas:
            yield f'{self.prefix}_{s.name}.gen.h', self.text(s, self.header(s))
            yield f'{self.prefix}_{s.name}.gen.c', self.text(s, self.source(s))
        yield f'{self.prefix}_wire.gen.h', self.text(None, self.umbrella(schemas))
        yield f'{self.prefix}_api.gen.c', self.text(None, self.api_table(schemas))
        yield f'{self.prefix}_dump.gen.c', self.text(None, self.dumps(schemas))

    def text(self, schema, lines):
        origin = f'{schema.name}.schema' if schema else f'all {self.prefix} schemas'
        while lines[-1] == '':
            lines = lines[:-1]
        folded = [part for line in lines for part in fold(line)]
        return '\n'.join([f'/* Generated from {origin} by tools/schema_gen.py: edit those. */'] + folded) + '\n'

    def guard(self, name, lines):
        macro = f'COLOBUS_{self.prefix}_{name}_GEN_H'.upper()
        return [f'#ifndef {macro}', f'#define {macro}', ''] + lines + ['#endif']

    def header(self, schema):
        lines = [f'#include "{self.runtime}"', '']
        for message in schema.messages:
            codes = self.codes(message)
            for c in codes:
                lines += c.declaration()
            lines += [f'/* Versions {message.versions}. */']
            lines += [f'{codes[-1].signature(verb)};' for verb in ('read', 'write')]
            lines += ['/* The defaults of the schema, for messages and elements of arrays built by hand. */']
            lines += [f'void {c.c}_init(struct {c.c} *ret);' for c in codes] + ['']
        return self.guard(schema.name, lines)

    def source(self, schema):
        lines = [f'#include "{self.prefix}_{schema.name}.gen.h"', '', '#include <assert.h>', '']
        for message in schema.messages:
            tagged, arrays = self.used_as(message)
            for c in self.codes(message):
                lines += c.amplification_asserts()
                lines += c.min_bytes_table() if c.struct.name in arrays else []
                lines += c.init()
                lines += c.is_default() if c.struct.name in tagged else []
                lines += c.read() + c.write()
        return lines

    @staticmethod
    def used_as(message):
        """Names of structs compared with their defaults (tagged), and of those in arrays."""
        tagged, arrays = set(), set()
        for s in reversed(message.structs):  # outer ones first
            for f in s.fields:
                if f.struct and f.array:
                    arrays.add(f.struct.name)
                elif f.struct and f.default != 'null' and (f.tag is not None or s.name in tagged):
                    tagged.add(f.struct.name)
        return tagged, arrays

    def apis(self, schemas):
        return sorted((a for s in schemas for a in s.apis), key=lambda a: a.key)

    def umbrella(self, schemas):
        p = self.prefix
        lines = [f'#include "{p}_{s.name}.gen.h"' for s in schemas] + ['']
        if self.apis(schemas):
            lines += ['/* Every API that has a schema, by key. */',
                      f'extern const struct {p}_api_info {p}_api_info[];',
                      f'extern const size_t {p}_api_info_count;',
                      '/* NULL: none. */', f'const struct {p}_api_info *{p}_find_api(int16_t key);', '']
        lines += ['/* Every message. */', f'extern const struct wire_message {p}_messages[];',
                  f'extern const size_t {p}_messages_count;', '']
        for s in schemas:
            for m in s.messages:
                lines.append(f'void {p}_{m.name}_dump(struct wire_text *t, const struct {p}_{m.name} *m);')
        return self.guard('wire', lines + [''])

    def api_table(self, schemas):
        p, apis = self.prefix, self.apis(schemas)
        lines = [f'#include "{p}_wire.gen.h"', '']
        if not apis:
            return lines
        lines.append(f'const struct {p}_api_info {p}_api_info[] = {{')
        for a in apis:
            shown = a.advertise or a.versions
            flexible = 'INT16_MAX' if a.flexible.empty() else a.flexible.first
            plain = 'true' if a.plain_response_header else 'false'
            lines.append(f'    {{{a.key}, "{a.name}", {a.versions.first}, {a.versions.last}, {shown.first}, '
                         f'{shown.last}, {flexible}, {plain}}},')
        lines += ['};', f'const size_t {p}_api_info_count = {len(apis)};', '']
        return lines + function(f'const struct {p}_api_info *{p}_find_api(int16_t key)', [
            f'for (size_t i = 0; i < {p}_api_info_count; i++) {{', f'    if ({p}_api_info[i].key == key)',
            f'        return &{p}_api_info[i];', '}', 'return NULL;'])

    def dumps(self, schemas):
        lines = [f'#include "{self.prefix}_wire.gen.h"', '']
        messages = [m for s in schemas for m in s.messages]
        for m in messages:
            for c in self.codes(m):
                lines += c.dump()
            lines += self.untyped(m)
        lines.append(f'const struct wire_message {self.prefix}_messages[] = {{')
        for m in messages:
            key, response = m.api.key if m.api else -1, 'true' if m.response else 'false'
            lines.append(f'    {{"{m.name}", {key}, {response}, {m.versions.first}, {m.versions.last},')
            lines.append(f'     sizeof(struct {self.prefix}_{m.name}), {m.name}_read_any, {m.name}_write_any,')
            lines.append(f'     {m.name}_dump_any}},')
        return lines + ['};', f'const size_t {self.prefix}_messages_count = {len(messages)};']

    def untyped(self, m):
        """Functions of one type for the table: calls through a cast pointer would be undefined."""
        c = f'{self.prefix}_{m.name}'
        read = f'static void {m.name}_read_any(struct reader *r, int version, void *ret)'
        write = f'static void {m.name}_write_any(struct writer *w, int version, const void *m)'
        dump = f'static void {m.name}_dump_any(struct wire_text *t, const void *m)'
        return (function(read, [f'{c}_read(r, version, ret);'])
                + function(write, [f'{c}_write(w, version, m);'])
                + function(dump, [f'{c}_dump(t, m);']))
