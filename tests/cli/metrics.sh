#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Metrics as files: another program's parser reads them, and they follow the conventions of
# Prometheus for names, units and types.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
"$PYTHON" -c 'import prometheus_client' 2>"$work/.err" || { echo 'no prometheus_client'; exit 77; }

# metrics_lint FILE: prints "NAME{LABEL=VALUE,...} VALUE" a sample; what is against a convention fails
metrics_lint() {
	"$PYTHON" - "$1" <<'PY'
import re, sys
from prometheus_client.parser import text_string_to_metric_families

text = open(sys.argv[1], encoding="utf-8", newline="").read()
bad, seen, families = [], set(), set()
units = ("seconds", "bytes", "points", "objects", "entries", "hooks", "volumes", "holds", "anomalies", "problems")
for f in text_string_to_metric_families(text):
    name = f.name + ("_total" if f.type == "counter" else "")
    if name in families:
        bad.append(f"{name}: in two places")
    families.add(name)
    if not f.documentation.endswith(".") or f.type not in ("gauge", "counter"):
        bad.append(f"{name}: no help or no type")
    if not re.fullmatch(r"aksdr(_[a-z]+)+", name) or re.search(r"_(ns|ms|kib|mib|minutes)(_|$)", name):
        bad.append(f"{name}: no base unit, or no name")
    if f.type == "gauge" and name.endswith("_total"):
        bad.append(f"{name}: a gauge is no total")
    if not f.samples:
        bad.append(f"{name}: no samples")
    for s in f.samples:
        key = (s.name, tuple(sorted(s.labels.items())))
        if s.name != name or key in seen:
            bad.append(f"{key}: out of place, or twice")
        seen.add(key)
        print(s.name + "{" + ",".join(f"{k}={v}" for k, v in sorted(s.labels.items())) + "}", s.value)
for line in re.findall(r"^# TYPE (\S+) ", text, re.M):
    if line not in families:
        bad.append(f"{line}: the parser did not see it")
print("\n".join(bad), file=sys.stderr)
sys.exit(bool(bad))
PY
}

new_repo r
mkdir src && echo content >src/file && noise 300000 >src/large
odd='o"d\d {x}'
mkdir "$work/copy"
sync() { "$catalog" sync --quiet --key "$audit" "$@"; }

t 'the catalog: a parser of Prometheus reads it'
run 0 backup data="$work/src" "$odd=$work/src"
run 0 sync
run 0 "$catalog" mirror --quiet --to "file://$work/copy"
run 0 "$catalog" check --level 3 --key "$audit"
echo more >>src/file
run 0 backup data="$work/src"
run 0 sync --mirror "file://$work/copy" --metrics "$work/c.prom"
run 0 metrics_lint "$work/c.prom"
out '^aksdr_volume_points\{volume=data\} 2$'
out '^aksdr_volume_points\{volume=o"d\\d \{x\}\} 1$'
out '^aksdr_volume_info\{cluster=,kind=filesystem,name=data,namespace=,volume=data\} 1$'
out '^aksdr_check_problems\{level=3\} 0$'
out '^aksdr_volume_geo_waiting_points\{volume=data\} 1$'
out '^aksdr_volume_bytes\{kind=logical,volume=data\} 300013$'
ok promtool check metrics <"$work/c.prom"
out '^aksdr_metrics_dropped\{\} 0$'

t 'every metric that is written is in the manual, and the other way round'
grep -oE '^# TYPE [a-z_]+' "$work/c.prom" | cut -d' ' -f3 | sort >written
sed -n '/^### What the catalog tells/,/^##* [^#]/p' "$SRC/docs/OPERATIONS.md" |
	grep -oE '^\| `aksdr_[^|]*' | grep -oE 'aksdr_[a-z_]+' | sort >told
ok test -s written
# Not of this story: a snapshot that stands still, drills and clusters. tests/cli/alerts.sh compares with the sources.
comm -23 written told >untold
ok empty untold
finish
