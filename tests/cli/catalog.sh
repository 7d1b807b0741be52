#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# aksdr-catalog with an audit key: what there is, whether it is sound, what is missing.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src && echo one >src/file
run 0 backup data="$work/src"
echo two >src/file
run 0 backup data="$work/src"
run 0 backup --namespace shop orders="$work/src"
export AKSDR_KEY=$audit

t 'before the first sync there is no catalog, and that is said'
run 4 "$catalog" list
err 'sync'

t 'sync reads what the store has'
run 0 "$catalog" sync --output json
json_is 3 items 0 added
run 0 "$catalog" sync --output json
json_is 0 items 0 added

t 'list: points, volumes'
run 0 "$catalog" list --output json
ok test "$(json items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" -eq 3
run 0 "$catalog" list volumes
out '^shop/orders +filesystem +1'
run 0 "$catalog" list --volume orders --output json
ok test "$(json items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" -eq 1
run 4 "$catalog" list --volume nothing || true

t 'show tells all of a point'
run 0 "$catalog" show data
out 'data'
run 4 "$catalog" show nothing
err 'nothing'

t 'query reads by SQL, and refuses to write'
run 0 "$catalog" query 'SELECT name, sequence FROM v_points ORDER BY name, sequence' --output csv
out_is <<'END'
name,sequence
data,1
data,2
orders,1
END
for sql in 'DELETE FROM points' "UPDATE volumes SET name = 'x'" 'DROP TABLE points' \
	"ATTACH '$work/other.db' AS o" 'PRAGMA writable_schema = 1' 'SELECT 1; DELETE FROM points' \
	"SELECT writefile('$work/written', 'x')" "SELECT load_extension('x')"; do
	run '1|2' "$catalog" query "$sql"
done
ok not test -e other.db
ok not test -e written
run 2 "$catalog" query 'SELEC 1'
err 'syntax error'

t 'the catalog is an SQLite database that other tools open'
db=$(find "$AKSDR_STATE" -name '*.db' -print -quit)
ok test -n "$db"
if command -v sqlite3 >/dev/null; then
	ok test "$(sqlite3 -readonly "$db" 'SELECT count(*) FROM v_points')" = 3
	ok test "$(sqlite3 "$db" 'DELETE FROM points' 2>&1 | grep -c 'never removed')" -eq 1
fi

t 'a catalog that was deleted is made anew, from an audit key alone'
rm -rf "$AKSDR_STATE"
run 0 "$catalog" rebuild
run 0 "$catalog" query --help
out 'give up after this time, as 30s or 2m' # and it does so by itself
out 'default: 5m'
run 0 "$catalog" query 'SELECT count(*) AS n FROM points' --output csv
out '^3\s*$'

t 'a catalog that is damaged says so, and how to go on'
noise 20000 >"$db"
run 5 "$catalog" list
err 'rebuild'
run 0 "$catalog" rebuild --quiet
run 0 "$catalog" list

t 'check with an audit key goes up to level 3'
for level in 0 1 2 3; do
	run 0 "$catalog" check --level $level
done
run 1 "$catalog" check --level 4
err 'recovery key'
run 0 "$catalog" check --level 4 --key "$recovery"
run 0 "$catalog" list checks --output json
ok test "$(json items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" -eq 5

t 'a restore point that was removed from the store is told'
first=$(cd r && find commit -type f -printf '%T@ %p\n' | sort -n | head -n 1 | cut -d ' ' -f 2)
mv "r/$first" saved
run '0|3|5' "$catalog" sync --output json
json_is 1 items 0 gone
err 'gone|gap|missing'
run 0 "$catalog" list anomalies
out 'gap'
mv saved "r/$first"
run 0 "$catalog" sync --output json
json_is 1 items 0 returned
run 0 "$catalog" list anomalies --output json
json_is '[]' items

t 'a catalog of one repository is not filled from another'
new_repo other
run 2 "$catalog" sync --key "$audit" --catalog "$db"
err 'is of repository .*, the store holds .*: name another file by --catalog'

finish
