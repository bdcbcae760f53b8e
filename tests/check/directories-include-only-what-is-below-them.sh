#!/usr/bin/env bash
# The dependency rule of docs/architecture.md: data flows one way, includes point down only, a directory is
# entered through its one public header, and a third-party library has one owner.
set -eu
cd "$(dirname "$0")/../.."

declare -A may=(
	[base]="" [disk]="base" [map]="base" [wire]="base" [console]="base"
	[inventory]="base disk" [plan]="base disk inventory" [prepare]="base disk map inventory plan"
	[copy]="base map wire" [verify]="base map wire copy disk" [cloud]="base"
	[image]="base" [receiver]="base wire image"
	[pipeline]="base wire cloud image"
	[cmd]="base disk map wire console inventory plan prepare copy verify image receiver cloud pipeline"
)
declare -A owner=(
	[curl/curl.h]="wire cloud receiver" [microhttpd.h]="receiver" [bearssl.h]="base wire cloud" [zstd.h]="wire copy inventory prepare receiver image"
	[xxhash.h]="wire" [ext2fs/ext2fs.h]="disk" [blkid/blkid.h]="disk" [libdevmapper.h]="prepare"
)
bad=0
complain() {
	echo "$*"
	bad=1
}

while IFS=: read -r file _ include; do
	from=$(echo "$file" | cut -d/ -f2)
	header=$(echo "$include" | sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+["<]([^">]+)[">].*/\1/p')
	case $include in
	*\"*)
		to=${header%%/*}
		[ -f "src/$header" ] || complain "$file: \"$header\" is not written from src/"
		[ "$to" = "$from" ] && continue
		case " ${may[$from]-?} " in
		*" $to "*) ;;
		*) complain "$file: $from must not include $to ($header)" ;;
		esac
		[ "$to" = base ] || [ "$header" = "$to/$to.h" ] ||
			complain "$file: $header is private to $to (its public header is $to/$to.h)"
		;;
	*)
		[ -n "${owner[$header]-}" ] || continue
		case " ${owner[$header]} " in
		*" $from "*) ;;
		*) complain "$file: <$header> belongs to ${owner[$header]}" ;;
		esac
		;;
	esac
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include' src --include='*.[ch]')

# Nothing ends the process below cmd/, nothing runs a shell.
while IFS= read -r line; do
	complain "not allowed: $line"
done < <(grep -rnE '(^|[^a-z_])(system|popen|alloca)\(' src --include='*.[ch]'
	grep -rnE '(^|[^a-z_])exit\(' src --include='*.[ch]' | grep -v '^src/cmd/')
exit $bad
