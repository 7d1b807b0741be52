-- SPDX-License-Identifier: Apache-2.0
--
-- Version 2: what is expired, by whom and why; what is held; checks that were run anywhere. A point
-- that is gone is told from one that was lost.

DROP VIEW v_checks;
DROP VIEW v_anomalies;
DROP VIEW v_rpo;
DROP VIEW v_volume_history;
DROP VIEW v_volume_status;
DROP VIEW v_points;
DROP TRIGGER anomalies_stay;
DROP TRIGGER anomalies_fixed;
DROP TRIGGER checks_stay;
DROP TRIGGER checks_fixed;
DROP TRIGGER check_problems_stay;
DROP TRIGGER check_problems_fixed;

-- ---- points ----

ALTER TABLE points ADD COLUMN previous_missing INTEGER NOT NULL DEFAULT 0; -- the writer did not see the one before
-- NULL: nothing was said. Else 'proposed' (tombstones of too few signers), 'held', 'expired'.
ALTER TABLE points ADD COLUMN expiry TEXT CHECK (expiry IN ('proposed', 'held', 'expired'));
ALTER TABLE points ADD COLUMN expired_ns INTEGER; -- receipt of the tombstone that expired it; NULL: it is not
-- The end of its life: it was expired, or was found missing.
ALTER TABLE points ADD COLUMN ended_ns INTEGER
	GENERATED ALWAYS AS (min(coalesce(expired_ns, gone_at_ns), coalesce(gone_at_ns, expired_ns))) VIRTUAL;

-- ---- statements ----

CREATE TABLE tombstones (
	number      INTEGER PRIMARY KEY CHECK (number > 0),
	at_ns       INTEGER NOT NULL, -- by who made it
	received_ns INTEGER NOT NULL, -- by the store
	policy      TEXT,             -- NULL: none, it was asked for
	user        TEXT NOT NULL,
	host        TEXT NOT NULL,
	signer      TEXT NOT NULL CHECK (length(signer) = 16),
	points      INTEGER NOT NULL
) STRICT;

CREATE TABLE tombstone_points (
	number  INTEGER NOT NULL REFERENCES tombstones (number),
	session TEXT NOT NULL, -- of a point, which may have gone before this catalog saw it
	why     TEXT NOT NULL,
	PRIMARY KEY (number, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstone_points_by_session ON tombstone_points (session);

CREATE TABLE holds (
	number         INTEGER PRIMARY KEY CHECK (number > 0),
	session        TEXT, -- of one point; NULL: all of a volume
	voltag         TEXT NOT NULL CHECK (length(voltag) = 16),
	volume         TEXT, -- its name, where the hold is of all of it
	reason         TEXT NOT NULL,
	ordered_by     TEXT NOT NULL,
	at_ns          INTEGER NOT NULL,
	received_ns    INTEGER NOT NULL,
	user           TEXT NOT NULL,
	host           TEXT NOT NULL,
	signer         TEXT NOT NULL CHECK (length(signer) = 16),
	released       INTEGER, -- number of the release that ended it; NULL: it holds
	release_reason TEXT,
	release_by     TEXT
) STRICT;
CREATE INDEX holds_by_volume ON holds (voltag);

-- Sessions that were fenced: they ended without a restore point.
CREATE TABLE fenced (
	session     TEXT PRIMARY KEY,
	voltag      TEXT NOT NULL,
	received_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ---- anomalies: more kinds ----

CREATE TABLE new_anomalies (
	id          INTEGER PRIMARY KEY,
	kind        TEXT NOT NULL
		CHECK (kind IN ('gap', 'fork', 'lost', 'bad_signature', 'unreadable', 'statement')),
	object      TEXT NOT NULL, -- key of the commit; of statements, what is wrong with all of them
	other       TEXT NOT NULL, -- key of the commit that it does not fit to, or ''
	voltag      TEXT,          -- of the volume, as far as it is known
	detail      TEXT NOT NULL,
	found_ns    INTEGER NOT NULL,
	resolved_ns INTEGER        -- when a sync no longer found it so
) STRICT;
INSERT INTO new_anomalies SELECT * FROM anomalies;
DROP TABLE anomalies;
ALTER TABLE new_anomalies RENAME TO anomalies;
CREATE UNIQUE INDEX anomalies_open ON anomalies (kind, object, other) WHERE resolved_ns IS NULL;

-- ---- checks: run with this catalog, or recorded in the store ----

CREATE TABLE new_checks (
	id             INTEGER PRIMARY KEY,
	run            TEXT UNIQUE CHECK (length(run) = 32), -- NULL: by a program of before
	object         TEXT UNIQUE, -- the record in the store; NULL: none was put
	level          INTEGER NOT NULL CHECK (level BETWEEN 0 AND 5),
	all_packs      INTEGER NOT NULL, -- 0: by a budget, a sample or an age
	started_ns     INTEGER NOT NULL,
	finished_ns    INTEGER NOT NULL,
	key_kind       TEXT CHECK (key_kind IN ('recovery', 'agent', 'audit')),
	signer         TEXT, -- of the record
	user           TEXT,
	host           TEXT,
	points         INTEGER NOT NULL,
	objects        INTEGER NOT NULL,
	bytes          INTEGER NOT NULL, -- read from the store
	packs_verified INTEGER NOT NULL, -- read in full, and good
	bytes_verified INTEGER NOT NULL,
	problems       INTEGER NOT NULL,
	hurt_points    INTEGER NOT NULL,
	hurt_entries   INTEGER NOT NULL
) STRICT;
INSERT INTO new_checks (id, level, all_packs, started_ns, finished_ns, key_kind, points, objects, bytes,
                        packs_verified, bytes_verified, problems, hurt_points, hurt_entries)
SELECT id, level, 1, started_ns, finished_ns, key_kind, points, objects, bytes, 0, 0, problems, hurt_points,
       hurt_entries
FROM checks;
CREATE TABLE new_check_problems (
	check_id INTEGER NOT NULL REFERENCES new_checks (id),
	n        INTEGER NOT NULL,
	object   TEXT NOT NULL,
	kind     TEXT NOT NULL,
	detail   TEXT NOT NULL,
	chunks   INTEGER NOT NULL, -- of restore points that it hurts
	PRIMARY KEY (check_id, n)
) STRICT, WITHOUT ROWID;
INSERT INTO new_check_problems SELECT * FROM check_problems;
DROP TABLE check_problems;
DROP TABLE checks;
ALTER TABLE new_checks RENAME TO checks;
ALTER TABLE new_check_problems RENAME TO check_problems;

-- ---- what was seen stays ----

CREATE TRIGGER points_chain_fixed BEFORE UPDATE ON points
WHEN old.previous_missing IS NOT new.previous_missing
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
END;
CREATE TRIGGER tombstones_stay BEFORE DELETE ON tombstones
BEGIN
	SELECT raise(ABORT, 'tombstones are never removed from the catalog');
END;
CREATE TRIGGER tombstones_fixed BEFORE UPDATE ON tombstones
BEGIN
	SELECT raise(ABORT, 'a tombstone does not change');
END;
CREATE TRIGGER tombstone_points_stay BEFORE DELETE ON tombstone_points
BEGIN
	SELECT raise(ABORT, 'tombstones are never removed from the catalog');
END;
CREATE TRIGGER tombstone_points_fixed BEFORE UPDATE ON tombstone_points
BEGIN
	SELECT raise(ABORT, 'a tombstone does not change');
END;
CREATE TRIGGER holds_stay BEFORE DELETE ON holds
BEGIN
	SELECT raise(ABORT, 'holds are never removed from the catalog');
END;
CREATE TRIGGER holds_fixed BEFORE UPDATE ON holds
WHEN (old.number, old.session, old.voltag, old.volume, old.reason, old.ordered_by, old.at_ns, old.received_ns,
      old.user, old.host, old.signer)
     IS NOT
     (new.number, new.session, new.voltag, new.volume, new.reason, new.ordered_by, new.at_ns, new.received_ns,
      new.user, new.host, new.signer)
  OR old.released IS NOT NULL
BEGIN
	SELECT raise(ABORT, 'a hold can be released once, and does not change else');
END;
CREATE TRIGGER fenced_stay BEFORE DELETE ON fenced
BEGIN
	SELECT raise(ABORT, 'sessions are never removed from the catalog');
END;
CREATE TRIGGER fenced_fixed BEFORE UPDATE ON fenced
BEGIN
	SELECT raise(ABORT, 'how a session ended does not change');
END;
CREATE TRIGGER anomalies_stay BEFORE DELETE ON anomalies
BEGIN
	SELECT raise(ABORT, 'anomalies are never removed from the catalog');
END;
CREATE TRIGGER anomalies_fixed BEFORE UPDATE ON anomalies
WHEN (old.id, old.kind, old.object, old.other, old.voltag, old.detail, old.found_ns)
     IS NOT (new.id, new.kind, new.object, new.other, new.voltag, new.detail, new.found_ns)
  OR old.resolved_ns IS NOT NULL
BEGIN
	SELECT raise(ABORT, 'an anomaly can be marked as resolved once, and does not change else');
END;
CREATE TRIGGER checks_stay BEFORE DELETE ON checks
BEGIN
	SELECT raise(ABORT, 'checks are never removed from the catalog');
END;
-- A check of this machine learns of its record in the store.
CREATE TRIGGER checks_fixed BEFORE UPDATE ON checks
WHEN (old.id, old.run, old.level, old.all_packs, old.started_ns, old.finished_ns, old.key_kind, old.points,
      old.objects, old.bytes, old.packs_verified, old.bytes_verified, old.problems, old.hurt_points,
      old.hurt_entries)
     IS NOT
     (new.id, new.run, new.level, new.all_packs, new.started_ns, new.finished_ns, new.key_kind, new.points,
      new.objects, new.bytes, new.packs_verified, new.bytes_verified, new.problems, new.hurt_points,
      new.hurt_entries)
  OR old.object IS NOT NULL
BEGIN
	SELECT raise(ABORT, 'the result of a check does not change');
END;
CREATE TRIGGER check_problems_stay BEFORE DELETE ON check_problems
BEGIN
	SELECT raise(ABORT, 'checks are never removed from the catalog');
END;
CREATE TRIGGER check_problems_fixed BEFORE UPDATE ON check_problems
BEGIN
	SELECT raise(ABORT, 'the result of a check does not change');
END;

-- ---- views ----

-- All restore points with their volume, times as text as well. state: 'present'; 'proposed', 'held' or
-- 'expired' and in the store; 'deleted' after it was expired; 'lost'.
CREATE VIEW v_points AS
SELECT p.point, p.session, v.volume, v.cluster, v.namespace, v.name, p.kind, p.volume_uid, p.domain, p.set_id,
       p.sequence, p.previous_session, p.previous_hash,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.received_ns / 1000000000, 'unixepoch') AS received,
       p.consistency, p.driver, p.files, p.directories, p.others,
       p.bytes_logical, p.bytes_read, p.bytes_new, p.bytes_stored,
       p.unreadable, p.changed, p.vanished,
       CASE WHEN p.gone_at_ns IS NULL THEN coalesce(p.expiry, 'present')
            WHEN p.expired_ns IS NULL THEN 'lost' ELSE 'deleted' END AS state,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.expired_ns / 1000000000, 'unixepoch') AS expired,
       (SELECT max(c.started_ns) FROM checks c
        WHERE c.level >= 3 AND c.all_packs AND c.problems = 0 AND c.started_ns > p.received_ns) AS verified_ns,
       p.host, p.agent, p.epoch, p.signer, s.name AS signer_name, p.hash,
       p.started_ns, p.frozen_ns, p.finished_ns, p.received_ns, p.expired_ns, p.gone_at_ns, p.ended_ns,
       p.root_id, p.root_pack, p.root_offset, p.root_stored, p.root_plain, p.root_counter,
       p.root_key, p.root_compression, p.levels, p.voltag
FROM points p
JOIN volumes v ON v.voltag = p.voltag
LEFT JOIN signers s ON s.signer = p.signer;

-- One row a volume: what can be restored of it now. age_s is the achieved RPO at the moment of asking.
CREATE VIEW v_volume_status AS
SELECT v.volume, v.cluster, v.namespace, v.name, n.kind, count(p.session) AS points,
       n.point AS newest_point, n.session AS newest_session,
       strftime('%Y-%m-%dT%H:%M:%SZ', n.frozen_ns / 1000000000, 'unixepoch') AS newest_frozen,
       CAST(strftime('%s', 'now') AS INTEGER) - n.frozen_ns / 1000000000 AS age_s,
       n.consistency, n.bytes_logical,
       coalesce(sum(p.bytes_new), 0) AS bytes_new, coalesce(sum(p.bytes_stored), 0) AS bytes_stored,
       n.unreadable + n.changed AS problems,
       (SELECT count(*) FROM anomalies a WHERE a.voltag = v.voltag AND a.resolved_ns IS NULL) AS anomalies,
       (SELECT count(*) FROM holds h WHERE h.voltag = v.voltag AND h.released IS NULL) AS holds,
       n.frozen_ns AS newest_frozen_ns, min(p.frozen_ns) AS oldest_frozen_ns, v.voltag
FROM volumes v
LEFT JOIN points n ON n.session = (
	SELECT session FROM points
	WHERE voltag = v.voltag AND ended_ns IS NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)
LEFT JOIN points p ON p.voltag = v.voltag AND p.ended_ns IS NULL
GROUP BY v.voltag;

-- The same for any time T: the rows with from_ns <= T AND (until_ns IS NULL OR T < until_ns).
-- The age at T is T - newest_frozen_ns.
CREATE VIEW v_volume_history AS
SELECT v.volume, v.cluster, v.namespace, v.name, t.from_ns, t.until_ns,
       (SELECT count(*) FROM points p
        WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
          AND (p.ended_ns IS NULL OR p.ended_ns > t.from_ns)) AS points,
       (SELECT coalesce(sum(bytes_stored), 0) FROM points p
        WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
          AND (p.ended_ns IS NULL OR p.ended_ns > t.from_ns)) AS bytes_stored,
       n.point AS newest_point, n.session AS newest_session, n.frozen_ns AS newest_frozen_ns,
       n.consistency, n.kind, n.bytes_logical, n.unreadable + n.changed AS problems, t.voltag
FROM (SELECT voltag, at_ns AS from_ns, lead(at_ns) OVER (PARTITION BY voltag ORDER BY at_ns) AS until_ns
      FROM (SELECT voltag, received_ns AS at_ns FROM points
            UNION SELECT voltag, ended_ns FROM points WHERE ended_ns IS NOT NULL)) t
JOIN volumes v ON v.voltag = t.voltag
LEFT JOIN points n ON n.session = (
	SELECT session FROM points p
	WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
	  AND (p.ended_ns IS NULL OR p.ended_ns > t.from_ns)
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1);

-- The gap between the freeze times of points that follow each other, points now gone included.
CREATE VIEW v_rpo AS
SELECT v.volume, v.cluster, v.namespace, v.name, p.session, p.sequence,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       (p.frozen_ns - lag(p.frozen_ns) OVER w) / 1000000000 AS gap_s,
       p.frozen_ns, lag(p.frozen_ns) OVER w AS previous_frozen_ns, p.voltag
FROM points p
JOIN volumes v ON v.voltag = p.voltag
WINDOW w AS (PARTITION BY p.voltag ORDER BY p.frozen_ns, p.session);

-- What is wrong now.
CREATE VIEW v_anomalies AS
SELECT a.kind, a.object, a.other, v.volume, a.detail,
       strftime('%Y-%m-%dT%H:%M:%SZ', a.found_ns / 1000000000, 'unixepoch') AS found, a.voltag
FROM anomalies a
LEFT JOIN volumes v ON v.voltag = a.voltag
WHERE a.resolved_ns IS NULL;

CREATE VIEW v_checks AS
SELECT id, run, level, strftime('%Y-%m-%dT%H:%M:%SZ', started_ns / 1000000000, 'unixepoch') AS started,
       (finished_ns - started_ns) / 1000000000 AS took_s, key_kind, user, host, all_packs, points, objects, bytes,
       packs_verified, bytes_verified, problems, hurt_points, hurt_entries,
       CASE WHEN problems = 0 THEN 'ok' ELSE 'damaged' END AS verdict
FROM checks;

-- Who expired which point, when, why and by which policy; one row for each tombstone that names it.
CREATE VIEW v_deletions AS
SELECT t.number AS tombstone, v.volume, p.point, x.session, x.why, t.policy, t.user, t.host,
       strftime('%Y-%m-%dT%H:%M:%SZ', t.received_ns / 1000000000, 'unixepoch') AS received,
       coalesce(p.expiry, 'unknown') AS expiry,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.gone_at_ns / 1000000000, 'unixepoch') AS gone,
       t.signer, s.name AS signer_name, t.received_ns, p.gone_at_ns, substr(x.session, 12, 16) AS voltag
FROM tombstone_points x
JOIN tombstones t ON t.number = x.number
LEFT JOIN points p ON p.session = x.session
LEFT JOIN volumes v ON v.voltag = substr(x.session, 12, 16)
LEFT JOIN signers s ON s.signer = t.signer;

CREATE VIEW v_holds AS
SELECT h.number, coalesce(v.volume, h.volume) AS volume, p.point, h.session, h.reason, h.ordered_by,
       strftime('%Y-%m-%dT%H:%M:%SZ', h.received_ns / 1000000000, 'unixepoch') AS received,
       CASE WHEN h.released IS NULL THEN 'holds' ELSE 'released' END AS state, h.released, h.release_reason,
       h.release_by, h.user, h.host, h.signer, h.received_ns, h.voltag
FROM holds h
LEFT JOIN points p ON p.session = h.session
LEFT JOIN volumes v ON v.voltag = h.voltag;
