#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the formatter does not see: licence line, include guards, line length, comment style, words
# that mark unfinished work; and the tools that know about scripts, spelling and Python.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

mapfile -t c < <(lint_files '*.c' '*.h')
mapfile -t sql < <(lint_files '*.sql')
# with_shebang PATTERN: scripts without a suffix, by what their first line calls
with_shebang() {
	lint_files 'scripts/*' 'recipes/*' 'bench/*' '.ci/*' '.githooks/*' 'tests/*' | while read -r f; do
		head -c 64 "$f" | head -n 1 | LC_ALL=C grep -aqE "^#!.*[/ ]$1( |\$)" && echo "$f"
	done
}
mapfile -t python < <({ lint_files '*.py'; with_shebang 'python3?'; } | sort -u)
mapfile -t scripts < <({ lint_files '*.sh'; with_shebang '(ba|da)?sh'; } | sort -u)
mapfile -t texts < <(lint_files '*.md' '*.yaml' '*.json' '*.toml' 'changelog/*' | grep -v '/package-lock\.json$')

# Length is counted as shown: a tab goes to the next multiple of 8.
perl -CSD -e '
	for my $file (@ARGV) {
		my $is_c = $file =~ /\.[ch]$/;
		my $columns = $is_c ? 100 : 120;
		open my $in, "<", $file or die "$file: $!\n";
		my $first = "";
		while (my $line = <$in>) {
			print "$file:$.: no line end at the end of the file\n" unless $line =~ s/\n\z//;
			my $at = "$file:$.: ";
			$first .= "$line\n" if $. <= 2;
			print $at, "carriage return\n" if $line =~ /\r/;
			print $at, "blanks at the end of the line\n" if $line =~ /[ \t]\z/;
			print $at, "a blank before a tab\n" if $line =~ /^\t* +\t/;
			print $at, "words that mark unfinished work\n"
				if $line =~ /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/;
			print $at, "no author names: version control knows them\n"
				if $line =~ /\@a[u]thor\b|\b[Aa]u[t]hors?:|\b[Ww]ritten b[y] [A-Z]|\bC[o]pyright\b/;
			my $width = 0;
			$width = $_ eq "\t" ? $width + 8 - $width % 8 : $width + 1 for split //, $line;
			print $at, "$width columns, $columns are allowed\n" if $width > $columns;
			print $at, "struct types are not hidden by typedef\n"
				if $is_c && $line =~ /^\s*typedef\s+(struct|union)\b/;
		}
		print "$file:1: the first line names the licence: SPDX-License-Identifier: Apache-2.0\n"
			unless $first =~ ($is_c ? qr{\A/\* SPDX-License-Identifier: Apache-2\.0 \*/\n}
						: qr{SPDX-License-Identifier: Apache-2\.0\n});
	}
' -- "${c[@]}" "${sql[@]}" "${python[@]}" "${scripts[@]}" >"$findings"

# A guard is the path: AKSDR_STORE_STORE_H. Under tests/ and bench/ the end of the path will do.
for f in "${c[@]}"; do
	case $f in
	*.h)
		guard=AKSDR_$(tr 'a-z/.-' 'A-Z___' <<<"$f")
		like=$guard
		case $f in
		tests/* | bench/*) like="AKSDR_([A-Z_]*_)?$(basename "$f" .h | tr 'a-z.-' 'A-Z__')_H" ;;
		esac
		grep -qxE "#ifndef $like" "$f" ||
			echo "$f:1: the include guard is $guard" >>"$findings"
		;;
	esac
done

# No // comments. Strings go first, so that an URL in one does not count.
if [ ${#c[@]} -ne 0 ]; then
	perl -e '
		for my $file (@ARGV) {
			open my $in, "<", $file or die "$file: $!\n";
			my $text = do { local $/; <$in> };
			$text =~ s{(/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
				{ my $s = $1; $s =~ tr/\n//cd; $s }gse;
			my $n = 0;
			for my $line (split /\n/, $text) {
				$n++;
				print "$file:$n: comments are /* */\n" if $line =~ m{//};
			}
		}
	' "${c[@]}" >>"$findings"
fi

# A test waits for what it needs, not for time to pass.
for f in "${scripts[@]}"; do
	case $f in
	tests/lint/*) ;;
	tests/*) grep -nE '^[^#]*\bsleep [0-9.$]' "$f" | grep -v 'lint: allow sleep: ' |
		sed "s|^\([0-9]*\):.*|$f:\1: a test never sleeps; wait for the event itself|" >>"$findings" || true ;;
	esac
done

if [ ${#scripts[@]} -ne 0 ]; then
	printf '%s\0' "${scripts[@]}" | xargs -0 -P "$(nproc)" -n 4 shellcheck --external-sources --severity=warning \
		--format=gcc >>"$findings" || true
fi
for f in "${python[@]}"; do
	python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$f" 2>&1 |
		tail -n 1 | sed "s|^|$f: |" >>"$findings" || true
done
codespell --ignore-words=tests/lint/codespell.ignore "${c[@]}" "${sql[@]}" "${python[@]}" \
	"${scripts[@]}" "${texts[@]}" Makefile >>"$findings" || true
lint_end style "$findings"
