#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Links inside the documents lead to files that are there, and to headings that exist.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

lint_files '*.md' | xargs -r perl -e '
	use strict;
	use File::Basename;
	# a heading becomes an anchor as the usual renderers make it
	sub anchors {
		my ($file) = @_;
		my (%have, $code);
		open my $in, "<:utf8", $file or return {};
		while (<$in>) {
			$code = !$code if /^\s*```/;
			next if $code or !/^#+\s+(.*?)\s*$/;
			my $a = lc $1;
			$a =~ s/[^\w\s-]//g;
			$a =~ s/\s/-/g;
			$have{$a} = 1;
		}
		return \%have;
	}
	for my $file (@ARGV) {
		open my $in, "<", $file or die "$file: $!\n";
		my ($code, $n) = (0, 0);
		while (my $line = <$in>) {
			$n++;
			$code = !$code if $line =~ /^\s*```/;
			next if $code;
			$line =~ s/`[^`]*`//g;
			while ($line =~ /\]\(([^)\s]+)\)/g) {
				my ($path, $anchor) = split /#/, $1, 2;
				next if $path =~ /^[a-z][a-z0-9+.-]*:/;
				my $to = $path eq "" ? $file : dirname($file) . "/" . $path;
				if (!-e $to) {
					print "$file:$n: there is no $path\n";
				} elsif (defined $anchor && $to =~ /\.md$/ && !anchors($to)->{lc $anchor}) {
					print "$file:$n: $to has no heading #$anchor\n";
				}
			}
		}
	}
' >"$findings"
lint_end links "$findings"
