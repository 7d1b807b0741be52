-- SPDX-License-Identifier: Apache-2.0
--
-- The catalog, version 1: what docs/CATALOG.md describes. The store is the truth and this file can
-- be made from it again, so tables take over names and keys of the store and make up none: the same
-- store gives the same rows, whenever they were written. What was seen once is never rewritten;
-- triggers refuse it.

-- Which repository this is a catalog of. One row.
CREATE TABLE repository (
	one       INTEGER PRIMARY KEY CHECK (one = 1),
	id        TEXT NOT NULL CHECK (length(id) = 32),
	synced_ns INTEGER -- when a sync last came to its end; NULL: never
) STRICT;

-- Who may sign, by the repository's config.
CREATE TABLE signers (
	signer TEXT PRIMARY KEY CHECK (length(signer) = 16),
	public TEXT NOT NULL CHECK (length(public) = 64),
	name   TEXT NOT NULL
) STRICT;

CREATE TABLE clusters (
	cluster TEXT PRIMARY KEY -- '' for volumes outside of a cluster
) STRICT;

CREATE TABLE volumes (
	voltag    TEXT PRIMARY KEY CHECK (length(voltag) = 16),
	cluster   TEXT NOT NULL REFERENCES clusters (cluster),
	namespace TEXT NOT NULL,
	name      TEXT NOT NULL,
	volume    TEXT NOT NULL GENERATED ALWAYS AS ( -- how it is named in commands and reports
		CASE cluster WHEN '' THEN '' ELSE cluster || '/' END ||
		CASE namespace WHEN '' THEN '' ELSE namespace || '/' END || name) VIRTUAL,
	UNIQUE (cluster, namespace, name)
) STRICT;

CREATE TABLE points (
	session          TEXT PRIMARY KEY,
	point            TEXT NOT NULL CHECK (length(point) = 32),
	set_id           TEXT, -- shared by points that were taken together
	voltag           TEXT NOT NULL REFERENCES volumes (voltag),
	volume_uid       TEXT,
	kind             TEXT NOT NULL CHECK (kind IN ('filesystem', 'block')),
	domain           TEXT NOT NULL,
	sequence         INTEGER NOT NULL CHECK (sequence > 0),
	previous_session TEXT, -- NULL: the first of its volume
	previous_hash    TEXT,
	started_ns       INTEGER NOT NULL,
	frozen_ns        INTEGER NOT NULL,
	finished_ns      INTEGER NOT NULL,
	received_ns      INTEGER NOT NULL, -- by the store
	consistency      TEXT NOT NULL CHECK (consistency IN ('application', 'filesystem', 'crash', 'fuzzy')),
	driver           TEXT,
	root_id          TEXT NOT NULL,
	root_pack        TEXT NOT NULL,
	root_offset      INTEGER NOT NULL,
	root_stored      INTEGER NOT NULL,
	root_plain       INTEGER NOT NULL,
	root_counter     INTEGER NOT NULL,
	root_key         INTEGER NOT NULL,
	root_compression INTEGER NOT NULL,
	levels           INTEGER NOT NULL,
	files            INTEGER NOT NULL,
	directories      INTEGER NOT NULL,
	others           INTEGER NOT NULL,
	bytes_logical    INTEGER NOT NULL,
	bytes_read       INTEGER NOT NULL,
	bytes_new        INTEGER NOT NULL,
	bytes_stored     INTEGER NOT NULL,
	unreadable       INTEGER NOT NULL,
	changed          INTEGER NOT NULL,
	vanished         INTEGER NOT NULL,
	host             TEXT,
	agent            TEXT,
	epoch            INTEGER NOT NULL,
	hash             TEXT NOT NULL CHECK (length(hash) = 64), -- SHA-256 of the commit object
	signer           TEXT NOT NULL CHECK (length(signer) = 16),
	gone_at_ns       INTEGER -- when a sync found it missing from the store; NULL: it is there
) STRICT;
CREATE INDEX points_by_volume ON points (voltag, sequence);
CREATE INDEX points_by_id ON points (point);
CREATE INDEX points_by_set ON points (set_id);
CREATE INDEX points_by_time ON points (frozen_ns);

-- Index segments that a point names.
CREATE TABLE point_segments (
	session TEXT NOT NULL REFERENCES points (session),
	n       INTEGER NOT NULL,
	key     TEXT NOT NULL,
	PRIMARY KEY (session, n)
) STRICT, WITHOUT ROWID;

-- Entries that a backup could not read as they were.
CREATE TABLE point_problems (
	session TEXT NOT NULL REFERENCES points (session),
	n       INTEGER NOT NULL,
	path    TEXT NOT NULL, -- bytes outside of printable ASCII as \xNN
	why     TEXT NOT NULL,
	PRIMARY KEY (session, n)
) STRICT, WITHOUT ROWID;

-- Commits that do not fit: into their volume's chain, or at all.
CREATE TABLE anomalies (
	id          INTEGER PRIMARY KEY,
	kind        TEXT NOT NULL CHECK (kind IN ('gap', 'fork', 'bad_signature', 'unreadable')),
	object      TEXT NOT NULL, -- key of the commit
	other       TEXT NOT NULL, -- key of the commit that it does not fit to, or ''
	voltag      TEXT,          -- of the volume, as far as it is known
	detail      TEXT NOT NULL,
	found_ns    INTEGER NOT NULL,
	resolved_ns INTEGER        -- when a sync no longer found it so
) STRICT;
CREATE UNIQUE INDEX anomalies_open ON anomalies (kind, object, other) WHERE resolved_ns IS NULL;

-- Volumes whose points changed since their chain was last looked at; empty after a sync.
CREATE TABLE unjudged (
	voltag TEXT PRIMARY KEY
) STRICT;

-- Verifications of the repository that were run with this catalog.
CREATE TABLE checks (
	id           INTEGER PRIMARY KEY,
	level        INTEGER NOT NULL CHECK (level BETWEEN 0 AND 4),
	started_ns   INTEGER NOT NULL,
	finished_ns  INTEGER NOT NULL,
	key_kind     TEXT NOT NULL CHECK (key_kind IN ('recovery', 'agent', 'audit')),
	points       INTEGER NOT NULL,
	objects      INTEGER NOT NULL,
	bytes        INTEGER NOT NULL, -- read from the store
	problems     INTEGER NOT NULL,
	hurt_points  INTEGER NOT NULL,
	hurt_entries INTEGER NOT NULL
) STRICT;

CREATE TABLE check_problems (
	check_id INTEGER NOT NULL REFERENCES checks (id),
	n        INTEGER NOT NULL,
	object   TEXT NOT NULL,
	kind     TEXT NOT NULL,
	detail   TEXT NOT NULL,
	chunks   INTEGER NOT NULL, -- of restore points that it hurts
	PRIMARY KEY (check_id, n)
) STRICT, WITHOUT ROWID;

-- ---- what was seen stays ----

CREATE TRIGGER points_stay BEFORE DELETE ON points
BEGIN
	SELECT raise(ABORT, 'restore points are never removed from the catalog');
END;
CREATE TRIGGER points_fixed BEFORE UPDATE ON points
WHEN (old.session, old.point, old.voltag, old.kind, old.domain, old.sequence, old.started_ns,
      old.frozen_ns, old.finished_ns, old.received_ns, old.consistency, old.root_id, old.root_pack,
      old.root_offset, old.root_stored, old.root_plain, old.root_counter, old.root_key,
      old.root_compression, old.levels, old.files, old.directories, old.others, old.bytes_logical,
      old.bytes_read, old.bytes_new, old.bytes_stored, old.unreadable, old.changed, old.vanished,
      old.epoch, old.hash, old.signer)
     IS NOT
     (new.session, new.point, new.voltag, new.kind, new.domain, new.sequence, new.started_ns,
      new.frozen_ns, new.finished_ns, new.received_ns, new.consistency, new.root_id, new.root_pack,
      new.root_offset, new.root_stored, new.root_plain, new.root_counter, new.root_key,
      new.root_compression, new.levels, new.files, new.directories, new.others, new.bytes_logical,
      new.bytes_read, new.bytes_new, new.bytes_stored, new.unreadable, new.changed, new.vanished,
      new.epoch, new.hash, new.signer)
  OR (old.set_id, old.volume_uid, old.previous_session, old.previous_hash, old.driver, old.host, old.agent)
     IS NOT
     (new.set_id, new.volume_uid, new.previous_session, new.previous_hash, new.driver, new.host, new.agent)
BEGIN
	SELECT raise(ABORT, 'a restore point does not change; only gone_at_ns does');
END;
CREATE TRIGGER volumes_stay BEFORE DELETE ON volumes
BEGIN
	SELECT raise(ABORT, 'volumes are never removed from the catalog');
END;
CREATE TRIGGER volumes_fixed BEFORE UPDATE ON volumes
BEGIN
	SELECT raise(ABORT, 'a volume does not change');
END;
CREATE TRIGGER point_segments_stay BEFORE DELETE ON point_segments
BEGIN
	SELECT raise(ABORT, 'restore points are never removed from the catalog');
END;
CREATE TRIGGER point_segments_fixed BEFORE UPDATE ON point_segments
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
END;
CREATE TRIGGER point_problems_stay BEFORE DELETE ON point_problems
BEGIN
	SELECT raise(ABORT, 'restore points are never removed from the catalog');
END;
CREATE TRIGGER point_problems_fixed BEFORE UPDATE ON point_problems
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
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
CREATE TRIGGER checks_fixed BEFORE UPDATE ON checks
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

-- ---- views: what people and reports ask for ----

-- All restore points with their volume, times as text as well.
CREATE VIEW v_points AS
SELECT p.point, p.session, v.volume, v.cluster, v.namespace, v.name, p.kind, p.volume_uid, p.domain, p.set_id,
       p.sequence, p.previous_session, p.previous_hash,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.received_ns / 1000000000, 'unixepoch') AS received,
       p.consistency, p.driver, p.files, p.directories, p.others,
       p.bytes_logical, p.bytes_read, p.bytes_new, p.bytes_stored,
       p.unreadable, p.changed, p.vanished,
       CASE WHEN p.gone_at_ns IS NULL THEN 'present' ELSE 'gone' END AS state,
       p.host, p.agent, p.epoch, p.signer, s.name AS signer_name, p.hash,
       p.started_ns, p.frozen_ns, p.finished_ns, p.received_ns, p.gone_at_ns,
       p.root_id, p.root_pack, p.root_offset, p.root_stored, p.root_plain, p.root_counter,
       p.root_key, p.root_compression, p.levels, p.voltag
FROM points p
JOIN volumes v ON v.voltag = p.voltag
LEFT JOIN signers s ON s.signer = p.signer;

-- One row a volume: what there is of it now. age_s is the achieved RPO at the moment of asking.
CREATE VIEW v_volume_status AS
SELECT v.volume, v.cluster, v.namespace, v.name, n.kind, count(p.session) AS points,
       n.point AS newest_point, n.session AS newest_session,
       strftime('%Y-%m-%dT%H:%M:%SZ', n.frozen_ns / 1000000000, 'unixepoch') AS newest_frozen,
       CAST(strftime('%s', 'now') AS INTEGER) - n.frozen_ns / 1000000000 AS age_s,
       n.consistency, n.bytes_logical,
       coalesce(sum(p.bytes_new), 0) AS bytes_new, coalesce(sum(p.bytes_stored), 0) AS bytes_stored,
       n.unreadable + n.changed AS problems,
       (SELECT count(*) FROM anomalies a WHERE a.voltag = v.voltag AND a.resolved_ns IS NULL) AS anomalies,
       n.frozen_ns AS newest_frozen_ns, min(p.frozen_ns) AS oldest_frozen_ns, v.voltag
FROM volumes v
LEFT JOIN points n ON n.session = (
	SELECT session FROM points
	WHERE voltag = v.voltag AND gone_at_ns IS NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)
LEFT JOIN points p ON p.voltag = v.voltag AND p.gone_at_ns IS NULL
GROUP BY v.voltag;

-- The same for any time T: the rows with from_ns <= T AND (until_ns IS NULL OR T < until_ns).
-- The age at T is T - newest_frozen_ns.
CREATE VIEW v_volume_history AS
SELECT v.volume, v.cluster, v.namespace, v.name, t.from_ns, t.until_ns,
       (SELECT count(*) FROM points p
        WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
          AND (p.gone_at_ns IS NULL OR p.gone_at_ns > t.from_ns)) AS points,
       (SELECT coalesce(sum(bytes_stored), 0) FROM points p
        WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
          AND (p.gone_at_ns IS NULL OR p.gone_at_ns > t.from_ns)) AS bytes_stored,
       n.point AS newest_point, n.session AS newest_session, n.frozen_ns AS newest_frozen_ns,
       n.consistency, n.kind, n.bytes_logical, n.unreadable + n.changed AS problems, t.voltag
FROM (SELECT voltag, at_ns AS from_ns, lead(at_ns) OVER (PARTITION BY voltag ORDER BY at_ns) AS until_ns
      FROM (SELECT voltag, received_ns AS at_ns FROM points
            UNION SELECT voltag, gone_at_ns FROM points WHERE gone_at_ns IS NOT NULL)) t
JOIN volumes v ON v.voltag = t.voltag
LEFT JOIN points n ON n.session = (
	SELECT session FROM points p
	WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
	  AND (p.gone_at_ns IS NULL OR p.gone_at_ns > t.from_ns)
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
SELECT id, level, strftime('%Y-%m-%dT%H:%M:%SZ', started_ns / 1000000000, 'unixepoch') AS started,
       (finished_ns - started_ns) / 1000000000 AS took_s, key_kind, points, objects, bytes, problems,
       hurt_points, hurt_entries,
       CASE WHEN problems = 0 THEN 'ok' ELSE 'damaged' END AS verdict
FROM checks;
