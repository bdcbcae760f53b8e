#!/usr/bin/env bash
# docs/hacking.md names each file that reads foreign bytes, and its fuzz target or why it has none; each target is there,
# has a corpus, and is named.
set -eu
cd "$(dirname "$0")/../.."
bad=0
say() {
	echo "$*"
	bad=1
}
table=$(sed -n '/^## Parsers and their fuzz targets/,/^## /p' docs/hacking.md | grep '^| `')
names=$(echo "$table" | grep -oE '`[a-z]+/[a-z0-9_]+\.[ch]`' | tr -d '`' | sort)
[ "$(echo "$names" | wc -l)" -gt 60 ] || { echo "the table was not found"; exit 1; }

# How foreign bytes come in: a cursor, JSON, text in lines and words, files of others, sockets, decoders of libraries.
ways='cursor_of\(|json_parse\(|json_load[a-z]*\(|json_read_file\(|sscanf\(|strtok_r\(|strptime\(|io_read_file\(|io_read_line\('
ways+='|vault_read\(|run_lines\(|recvmsg\(|wire_control_get\(|wire_control_fetch\(|br_[a-z0-9]+_decoder_init\(|ext2fs_open2?\('
ways+='|blkid_new_probe|CURLOPT_WRITEFUNCTION|getline\(|fgets\('
readers=$(grep -rlE "$ways" --include='*.c' src | grep -v '^src/base/' | sed 's|^src/||' | sort)
[ "$(echo "$readers" | wc -l)" -gt 60 ] || { echo "the readers were not found"; exit 1; }
for f in $readers; do
	echo "$names" | grep -qx "$f" || say "src/$f reads foreign bytes and is not in the table of docs/hacking.md"
done
for f in $(echo "$names" | uniq -d); do
	say "src/$f is twice in the table"
done
for f in $names; do
	[ -f "src/$f" ] || say "docs/hacking.md names src/$f, which is not there"
done

targets=$(echo "$table" | grep -oE '`fuzz_[a-z0-9_]+`' | tr -d '`' | sort -u)
for t in $targets; do
	[ -f "tests/fuzz/$t.c" ] || say "docs/hacking.md names the target $t, which is not there"
done
for f in tests/fuzz/fuzz_*.c; do
	t=$(basename "$f" .c)
	echo "$targets" | grep -qx "$t" || say "$t is not in the table of docs/hacking.md"
	[ -n "$(ls "tests/fuzz/corpus/${t#fuzz_}" 2>/dev/null)" ] || say "$t has no corpus"
done
exit $bad
