#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Functions that have no place here, each with the reason and what to use. Comments and strings are
# not looked at. A use that is right says so in a comment on its own line, which this script and the
# reader see:     /* lint: allow system: mkfs has no library */
# Tests and benchmarks may run other programs, and may not sleep.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

lint_files '*.c' '*.h' | grep -v '^common/banned\.h$' | xargs -r perl -e '
	use strict;
	my %why = (
		strcpy => "no bound; use struct buf or memcpy with a length",
		strcat => "no bound; use struct buf",
		sprintf => "no bound; use buf_printf or snprintf",
		vsprintf => "no bound; use buf_printf or vsnprintf",
		strncpy => "may leave no terminator, pads with zeros; use struct buf or memcpy",
		strncat => "its bound is not the size of the target; use struct buf",
		strtok => "hidden state shared by threads; use strsep or strcspn",
		gets => "no bound",
		atoi => "takes nonsense for 0 and overflow is undefined; use common/num.h",
		atol => "takes nonsense for 0 and overflow is undefined; use common/num.h",
		strtol => "accepts blanks, signs and rests; use common/num.h",
		strtoul => "accepts blanks, minus signs and rests; use common/num.h",
		alloca => "stack without limit; use auto_free and malloc",
		system => "a shell between us and the program; use posix_spawn",
		popen => "a shell between us and the program; use posix_spawn",
		signal => "semantics differ by system; use sigaction or signalfd",
		localtime => "shared static result; use localtime_r, or better UTC by common/now.h",
		gmtime => "shared static result; use gmtime_r or common/now.h",
		ctime => "shared static result; use common/now.h",
		asctime => "shared static result; use common/now.h",
		readdir_r => "deprecated, may overrun; use readdir",
		rand => "poor and shared; use randombytes_buf or a generator passed in",
		srand => "poor and shared; use randombytes_buf or a generator passed in",
		mktemp => "racy name; use mkstemp, O_TMPFILE or mkdtemp",
		tmpnam => "racy name; use mkstemp, O_TMPFILE or mkdtemp",
	);
	my %asleep = map { $_ => "a test never sleeps; wait for the event itself" } qw(sleep usleep nanosleep);
	for my $file (@ARGV) {
		my $test = $file =~ m{^(tests|bench)/};
		my %ban = (%why, $test ? %asleep : ());
		delete @ban{qw(system popen)} if $test;
		my $names = join "|", keys %ban;
		open my $in, "<", $file or die "$file: $!\n";
		my $text = do { local $/; <$in> };
		my @allowed = map { /lint: allow (\w+): \S/ ? $1 : "" } split /\n/, $text, -1;
		# comments, strings and characters go; their line ends stay
		$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
			{ my $s = $1; $s =~ tr/\n//cd; $s eq "" ? " " : $s }gse;
		my $n = 0;
		for my $line (split /\n/, $text, -1) {
			$n++;
			while ($line =~ /(?<![\w.>])($names)\s*\(/g) {
				print "$file:$n: $1: $ban{$1}\n" unless $allowed[$n - 1] eq $1;
			}
		}
	}
' >"$findings"
lint_end banned "$findings"
