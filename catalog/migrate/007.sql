-- SPDX-License-Identifier: Apache-2.0
--
-- Version 7: what holds data in a cluster, and whether it is protected.

-- A record that an agent has put, one row each.
CREATE TABLE inventories (
	object      TEXT NOT NULL PRIMARY KEY,
	cluster     TEXT NOT NULL,
	at_ns       INTEGER NOT NULL, -- by the clock of who looked
	received_ns INTEGER NOT NULL,
	user        TEXT NOT NULL,
	host        TEXT NOT NULL,
	signer      TEXT NOT NULL,
	items       INTEGER NOT NULL,
	omitted     INTEGER NOT NULL, -- that had no room in it
	digest      TEXT NOT NULL     -- the same for the same items
) STRICT;
CREATE INDEX inventories_cluster ON inventories (cluster, received_ns);
CREATE TRIGGER inventories_stay BEFORE DELETE ON inventories
BEGIN
	SELECT raise(ABORT, 'inventories are never removed from the catalog');
END;
CREATE TRIGGER inventories_fixed BEFORE UPDATE ON inventories
BEGIN
	SELECT raise(ABORT, 'an inventory does not change');
END;

-- An item, from the receipt of the first record that had it so to that of the next one that had not.
CREATE TABLE inventory (
	id        INTEGER PRIMARY KEY,
	cluster   TEXT NOT NULL,
	kind      TEXT NOT NULL,
	namespace TEXT NOT NULL,
	name      TEXT NOT NULL,
	owner     TEXT NOT NULL, -- the workload, 'StatefulSet/db'
	class     TEXT NOT NULL,
	driver    TEXT NOT NULL,
	bytes     INTEGER NOT NULL, -- 0: not said
	count     INTEGER NOT NULL, -- volumes that it stands for
	state     TEXT NOT NULL CHECK (state IN ('exposed', 'excluded', 'protected')),
	reason    TEXT NOT NULL,
	policy    TEXT NOT NULL,
	rpo_s     INTEGER NOT NULL, -- that the policy asks for; 0: nothing
	why       TEXT NOT NULL,
	from_ns   INTEGER NOT NULL,
	until_ns  INTEGER -- NULL: it is in the newest record
) STRICT;
CREATE INDEX inventory_now ON inventory (cluster, kind, namespace, name, owner) WHERE until_ns IS NULL;
CREATE INDEX inventory_then ON inventory (from_ns, until_ns);
CREATE TRIGGER inventory_stay BEFORE DELETE ON inventory
BEGIN
	SELECT raise(ABORT, 'inventories are never removed from the catalog');
END;
CREATE TRIGGER inventory_fixed BEFORE UPDATE ON inventory
WHEN old.until_ns IS NOT NULL
     OR (old.cluster, old.kind, old.namespace, old.name, old.owner, old.class, old.driver, old.bytes, old.count,
         old.state, old.reason, old.policy, old.rpo_s, old.why, old.from_ns)
        IS NOT (new.cluster, new.kind, new.namespace, new.name, new.owner, new.class, new.driver, new.bytes, new.count,
                new.state, new.reason, new.policy, new.rpo_s, new.why, new.from_ns)
BEGIN
	SELECT raise(ABORT, 'an inventory does not change');
END;

-- ---- views ----

-- What holds data, at any time T: rows with from_ns <= T AND (until_ns IS NULL OR T < until_ns).
CREATE VIEW v_coverage_history AS
SELECT cluster, namespace, kind, name, owner, state, reason, policy, rpo_s, why, bytes, count, class, driver,
       strftime('%Y-%m-%dT%H:%M:%SZ', from_ns / 1000000000, 'unixepoch') AS since, from_ns, until_ns
FROM inventory;

-- The same by the newest record of each cluster. voltag: of the volume that has restore points; NULL: there is none.
CREATE VIEW v_coverage AS
SELECT i.cluster, i.namespace, i.kind, i.name, i.owner, i.state, i.reason, i.policy, i.rpo_s, i.why, i.bytes, i.count,
       i.class,
       i.driver, strftime('%Y-%m-%dT%H:%M:%SZ', i.from_ns / 1000000000, 'unixepoch') AS since, v.voltag
FROM inventory i
LEFT JOIN volumes v ON i.kind = 'claim' AND v.cluster = i.cluster AND v.namespace = i.namespace AND v.name = i.name
WHERE i.until_ns IS NULL;
