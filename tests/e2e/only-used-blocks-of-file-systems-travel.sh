#!/usr/bin/env bash
# A GPT disk with an ext4 that holds deleted files: the copy has the table and the files, and nothing of what
# was deleted.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v sfdisk >/dev/null || skip "no sfdisk"

table() {
	sfdisk -d "$1" | sed -e '/^device:/d' -e 's/^.*: start=/start=/'
}

mkdir "$work/files"
cp -a /etc "$work/files/"
head -c 30000000 /dev/urandom >"$work/files/kept"
yes 'this was deleted long ago' | head -c 20000000 >"$work/files/junk"
truncate -s 200M "$work/fs"
mke2fs -qF -t ext4 -d "$work/files" "$work/fs"
debugfs -w -R 'rm /junk' "$work/fs" 2>/dev/null
truncate -s 220M "$work/disk"
printf 'label: gpt\nstart=2048, size=409600\n' | sfdisk -q "$work/disk"
dd if="$work/fs" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
grep -qa 'deleted long ago' "$work/disk" || fail "the sample has no deleted file"

start_receiver
send "$work/disk"
sfdisk -q --verify "$target/disk0.raw" >/dev/null
[ "$(table "$target/disk0.raw")" = "$(table "$work/disk")" ] || fail "another partition table"
dd if="$target/disk0.raw" of="$work/fs2" bs=1M skip=1 count=200 status=none
e2fsck -fn "$work/fs2" >/dev/null 2>&1 || fail "the copied file system is not clean"
debugfs -R "dump /kept $work/kept" "$work/fs2" 2>/dev/null
cmp "$work/files/kept" "$work/kept"
! grep -qa 'deleted long ago' "$target/disk0.raw" || fail "deleted bytes were copied"
