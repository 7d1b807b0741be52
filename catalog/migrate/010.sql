-- SPDX-License-Identifier: Apache-2.0
--
-- Version 10: fences of sites.

-- A fence that the config has or had, one row each; texts are NULL where its facts are lost.
CREATE TABLE fences (
	epoch        INTEGER PRIMARY KEY, -- that it began
	at_ns        INTEGER NOT NULL,    -- by the clock of who fenced
	seen_ns      INTEGER NOT NULL,    -- when a sync first saw it
	scope        TEXT,                -- clusters, namespaces and volumes, 'we, ne/shop'
	reason       TEXT,
	successor    TEXT,                -- the cluster that goes on
	user         TEXT,
	host         TEXT,
	lifted_epoch INTEGER, -- NULL: it stands
	lifted_ns    INTEGER,
	lift_reason  TEXT,
	lift_user    TEXT
) STRICT;
CREATE TRIGGER fences_stay BEFORE DELETE ON fences
BEGIN
	SELECT raise(ABORT, 'fences are never removed from the catalog');
END;
CREATE TRIGGER fences_fixed BEFORE UPDATE ON fences
WHEN old.lifted_epoch IS NOT NULL
     OR (old.epoch, old.at_ns, old.seen_ns, old.scope, old.reason, old.successor, old.user, old.host)
        IS NOT (new.epoch, new.at_ns, new.seen_ns, new.scope, new.reason, new.successor, new.user, new.host)
BEGIN
	SELECT raise(ABORT, 'a fence does not change, but that it is lifted once');
END;
