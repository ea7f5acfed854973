#!/bin/sh
# Records test/golden/kafka again from the Java client, after a change of the schemas or of the client's
# version in test/golden/java/pom.xml. Needs Maven and Java 17, and Maven Central.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 tools/schema_gen.py --list schema/kafka/*.schema >"$scratch/messages"
rm -f test/golden/kafka/*.golden
mvn -q -B -f test/golden/java/pom.xml "-Dgolden.target=$scratch/target" compile exec:java \
    -Dexec.mainClass=RecordGolden "-Dexec.args=$scratch/messages $PWD/test/golden/kafka"
python3 tools/golden_seeds.py
ls -l test/golden/kafka
