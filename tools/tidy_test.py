"""Every rule of tidy.py can fail, and lets pass what it should."""

import unittest

import tidy


def rules(path, source):
    """(line, rule) of each breach in one file; missing READMEs are another test's matter."""
    return [(line, rule) for where, line, rule, _ in tidy.breaches({path: source}) if where == path]


class Includes(unittest.TestCase):
    def test_downwards_and_same_room_pass(self):
        text = '#include "base/err.h"\n#include "store/journal.h"\n#include <stdint.h>\n'
        self.assertEqual(rules("src/store/log.c", text), [])

    def test_upwards_fails(self):
        self.assertEqual(rules("src/store/log.c", '\n#include "core/topic.h"\n'), [(2, "include")])

    def test_protocols_do_not_know_each_other(self):
        self.assertEqual(rules("src/proto/kafka/fetch.c", '#include "proto/amqp/queue.h"\n'), [(1, "include")])
        self.assertEqual(rules("src/proto/kafka/fetch.c", '#include "proto/proto.h"\n'), [])
        self.assertEqual(rules("src/proto/proto.c", '#include "proto/kafka/kafka.h"\n'), [(1, "include")])

    def test_a_path_not_from_src_fails(self):
        self.assertEqual(rules("src/store/log.c", '#include "journal.h"\n'), [(1, "include")])
        self.assertEqual(rules("src/store/log.c", '#include "../core/topic.h"\n'), [(1, "include")])
        self.assertEqual(rules("src/proto/kafka/fetch.c", '#include "kafka_wire.gen.h"\n'), [])


class Seam(unittest.TestCase):
    def test_system_calls_above_the_seam_fail(self):
        for call in ("open(path, 0)", "clock_gettime(0, &ts)", "x = read(fd, p, n)", "rand()", "fdatasync (fd)"):
            self.assertEqual(rules("src/core/a.c", f"    {call};\n"), [(1, "seam")], call)

    def test_members_own_names_comments_and_texts_pass(self):
        for text in ("j->read(j);", "ops.write(x);", "os_open(path);", "/* open(x) */", 'say("read(x)");', "(*open)(x);"):
            self.assertEqual(rules("src/core/a.c", text + "\n"), [], text)

    def test_os_may(self):
        self.assertEqual(rules("src/os/real/file.c", "#include <unistd.h>\n    open(path, 0);\n    free(p);\n"), [])

    def test_tests_may_read_recorded_bytes_and_no_more(self):
        self.assertEqual(rules("src/core/a_test.c", "    fopen(path, mode);\n    sleep(1);\n"), [(2, "seam")])

    def test_base_may_only_where_listed(self):
        self.assertEqual(rules("src/base/say.c", "    write(2, p, n);\n"), [(1, "seam")])
        self.assertEqual(rules("src/base/mem.c", "    p = malloc(n);\n"), [])

    def test_system_headers_fail(self):
        self.assertEqual(rules("src/store/a.c", "#include <unistd.h>\n"), [(1, "seam")])
        self.assertEqual(rules("src/store/a.c", "#include <sys/socket.h>\n"), [(1, "seam")])

    def test_heap_calls_fail_outside_mem(self):
        self.assertEqual(rules("src/proto/http/a.c", "    free(p);\n"), [(1, "memory")])
        self.assertEqual(rules("src/proto/http/a.c", "    mem_free(p);\n"), [])


class Sizes(unittest.TestCase):
    def test_a_long_function_fails(self):
        function = "int f(void)\n{\n" + "    x();\n" * 68 + "}\n"
        self.assertEqual(rules("src/core/a.c", function), [])
        self.assertEqual(rules("src/core/a.c", function.replace("{\n", "{\n    y();\n")), [(2, "length")])

    def test_a_long_file_fails(self):
        self.assertEqual(rules("tools/x.py", "\n" * 1000), [])
        self.assertEqual(rules("tools/x.py", "\n" * 1001), [(1, "length")])


class Words(unittest.TestCase):
    def test_paths_of_one_machine_fail(self):
        self.assertEqual(rules("doc/a.md", "see /" + "work/main\n"), [(1, "words")])
        self.assertEqual(rules("doc/a.md", "\nin /" + "root/x\n"), [(2, "words")])
        self.assertEqual(rules("doc/a.md", "the homework/folder and src/root/x\n"), [])

    def test_registries_fail(self):
        self.assertEqual(rules("doc/a.md", "from https://" + "pypi.example/simple\n"), [(1, "words")])
        self.assertEqual(rules("doc/a.md", "see https://kafka.apache.org/ http://maven.apache.org/POM/4.0.0\n"), [])


class Readmes(unittest.TestCase):
    def test_a_folder_without_readme_fails(self):
        files = {"src/store/log.c": ""}
        self.assertEqual([b[0] for b in tidy.breaches(files)], ["src/store/README.md"])
        self.assertEqual(list(tidy.breaches(files | {"src/store/README.md": "x"})), [])


if __name__ == "__main__":
    unittest.main()
