-- SPDX-License-Identifier: Apache-2.0
--
-- Version 9: until when the store lets nobody delete restore points.

-- Somebody asked the store for the locks of points ('lock').
CREATE TABLE lock_looks (
	id          INTEGER PRIMARY KEY,
	observed_ns INTEGER NOT NULL, -- by the clock of who looked
	all_points  INTEGER NOT NULL CHECK (all_points IN (0, 1)), -- 0: only some were named
	lock_s      INTEGER NOT NULL, -- so long after its receipt a point was to be locked
	points      INTEGER NOT NULL,
	locked      INTEGER NOT NULL, -- of them: so long
	over        INTEGER NOT NULL, -- of them: their time was over, and nothing was asked
	extended    INTEGER NOT NULL, -- objects whose lock was too short, and is not any more
	missing     INTEGER NOT NULL, -- objects that were not in the store
	unreadable  INTEGER NOT NULL  -- points, nodes and chunks whose objects could not be told
) STRICT;

-- What was found of a point, where it says something new.
CREATE TABLE locks (
	session  TEXT NOT NULL,
	look     INTEGER NOT NULL REFERENCES lock_looks (id) DEFERRABLE INITIALLY DEFERRED,
	until_ns INTEGER NOT NULL, -- nothing of it can be deleted before that; 0: something is not locked
	at_least INTEGER NOT NULL CHECK (at_least IN (0, 1)), -- 1: and maybe longer, since no more was asked
	PRIMARY KEY (session, look)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER lock_looks_stay BEFORE DELETE ON lock_looks
BEGIN
	SELECT raise(ABORT, 'looks at locks are never removed from the catalog');
END;
CREATE TRIGGER lock_looks_fixed BEFORE UPDATE ON lock_looks
BEGIN
	SELECT raise(ABORT, 'a look at locks does not change');
END;
CREATE TRIGGER locks_stay BEFORE DELETE ON locks
BEGIN
	SELECT raise(ABORT, 'looks at locks are never removed from the catalog');
END;
CREATE TRIGGER locks_fixed BEFORE UPDATE ON locks
BEGIN
	SELECT raise(ABORT, 'a look at locks does not change');
END;

-- What is known of each point now.
CREATE VIEW v_locks AS
SELECT p.session, p.point, v.volume, p.received_ns, k.until_ns, k.at_least, l.observed_ns, l.lock_s
FROM points p
JOIN volumes v ON v.voltag = p.voltag
JOIN locks k ON k.session = p.session AND k.look = (SELECT max(x.look) FROM locks x WHERE x.session = p.session)
JOIN lock_looks l ON l.id = k.look
WHERE p.ended_ns IS NULL;
