-- SPDX-License-Identifier: Apache-2.0
--
-- Version 6: journals of runs, what drills have shown, who serves which plan, and who holds keys.

-- ---- runs ----

-- Records of journals. What a signer has put who does not count has its number, and no kind.
CREATE TABLE run_steps (
	run         TEXT NOT NULL CHECK (length(run) = 32),
	n           INTEGER NOT NULL CHECK (n > 0),
	kind        TEXT CHECK (kind IN ('failover', 'failback', 'drill', 'restore')),
	plan        TEXT, -- '': of none
	step        TEXT,
	at_ns       INTEGER, -- by the clock of who put it
	received_ns INTEGER NOT NULL, -- by the store
	user        TEXT,
	host        TEXT,
	signer      TEXT,
	by_admin    INTEGER NOT NULL CHECK (by_admin IN (0, 1)), -- others' records say nothing
	detail      TEXT, -- JSON: what belongs to the step; NULL: nothing, or too much
	given_up    INTEGER CHECK (given_up IN (0, 1)), -- of the step "end"; NULL: the step says nothing of it
	volumes     INTEGER,
	missing     INTEGER, -- of these: that were not restored
	loss_s      INTEGER,
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

-- Reports of drills, which the last record of a drill has.
CREATE TABLE drills (
	run          TEXT PRIMARY KEY,
	plan         TEXT NOT NULL,
	version      TEXT NOT NULL,
	from_cluster TEXT NOT NULL, -- whose points
	to_cluster   TEXT NOT NULL, -- restored into
	began_ns     INTEGER NOT NULL,
	ended_ns     INTEGER NOT NULL,
	rpo_target_s INTEGER, -- that the plan asks for; NULL: nothing
	rto_target_s INTEGER,
	rpo_s        INTEGER, -- age of the oldest point at the begin; NULL: unknown
	rto_ms       INTEGER NOT NULL, -- from the begin to the last check
	bytes        INTEGER NOT NULL, -- of all volumes
	left_out     INTEGER NOT NULL, -- volumes that are not in drill_volumes
	check_wanted INTEGER NOT NULL CHECK (check_wanted IN (0, 1)),
	passed       INTEGER NOT NULL CHECK (passed IN (0, 1)),
	damaged      INTEGER NOT NULL CHECK (damaged IN (0, 1)),
	why          TEXT, -- why it did not pass
	user         TEXT NOT NULL,
	host         TEXT NOT NULL,
	signer       TEXT NOT NULL
) STRICT;
CREATE TABLE drill_phases (
	run      TEXT NOT NULL REFERENCES drills (run),
	n        INTEGER NOT NULL,
	name     TEXT NOT NULL,
	began_ns INTEGER NOT NULL,
	ms       INTEGER NOT NULL,
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE drill_volumes (
	run           TEXT NOT NULL REFERENCES drills (run),
	n             INTEGER NOT NULL,
	volume        TEXT NOT NULL, -- as volumes.volume
	claim         TEXT NOT NULL, -- that it was restored to
	point         TEXT,          -- NULL: there is none that can be used
	frozen_ns     INTEGER,
	bytes         INTEGER NOT NULL,
	files         INTEGER NOT NULL,
	fetched_bytes INTEGER NOT NULL,
	gaps          INTEGER NOT NULL, -- places that are missing
	ms            INTEGER NOT NULL,
	restored      INTEGER NOT NULL CHECK (restored IN (0, 1)),
	verified      INTEGER NOT NULL CHECK (verified IN (0, 1)), -- read back, and as in the point
	damaged       INTEGER NOT NULL CHECK (damaged IN (0, 1)),
	why           TEXT, -- what is wrong with it
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX drill_volumes_by_volume ON drill_volumes (volume);
CREATE TABLE drill_checks (
	run       TEXT NOT NULL REFERENCES drills (run),
	n         INTEGER NOT NULL,
	namespace TEXT NOT NULL,
	passed    INTEGER NOT NULL CHECK (passed IN (0, 1)),
	ms        INTEGER NOT NULL,
	why       TEXT, -- why it did not pass
	said      TEXT NOT NULL, -- the end of its output
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

-- Who serves a plan from then on.
CREATE TABLE owners (
	plantag     TEXT NOT NULL CHECK (length(plantag) = 16),
	n           INTEGER NOT NULL CHECK (n > 0),
	plan        TEXT, -- NULL: of a signer who does not count
	cluster     TEXT,
	run         TEXT, -- that it came of; NULL: by hand
	reason      TEXT,
	at_ns       INTEGER,
	epoch       INTEGER,
	received_ns INTEGER NOT NULL,
	user        TEXT,
	host        TEXT,
	signer      TEXT,
	by_admin    INTEGER NOT NULL CHECK (by_admin IN (0, 1)),
	PRIMARY KEY (plantag, n)
) STRICT, WITHOUT ROWID;

-- ---- keys ----

ALTER TABLE signers ADD COLUMN revoked_ns INTEGER; -- by the config; NULL: it counts
-- Who can read data, by the config.
CREATE TABLE recipients (
	recipient TEXT PRIMARY KEY CHECK (length(recipient) = 16),
	public    TEXT NOT NULL CHECK (length(public) = 64),
	name      TEXT NOT NULL,
	seen_ns   INTEGER NOT NULL, -- when a sync first saw it
	gone_ns   INTEGER           -- when a sync found it taken out; NULL: it is in the config
) STRICT;
-- Revisions of the config. What it said is known of those that a sync found as the newest.
CREATE TABLE configs (
	revision    INTEGER PRIMARY KEY,
	received_ns INTEGER NOT NULL, -- by the store
	hash        TEXT CHECK (length(hash) = 64),
	signatures  INTEGER, -- signers that must agree before something is expired
	signers     INTEGER, -- that count
	recipients  INTEGER
) STRICT;

-- ---- what was seen stays ----

CREATE TRIGGER run_steps_stay BEFORE DELETE ON run_steps
BEGIN
	SELECT raise(ABORT, 'journals of runs are never removed from the catalog');
END;
CREATE TRIGGER run_steps_fixed BEFORE UPDATE ON run_steps
BEGIN
	SELECT raise(ABORT, 'a journal of a run does not change');
END;
CREATE TRIGGER drills_stay BEFORE DELETE ON drills
BEGIN
	SELECT raise(ABORT, 'reports of drills are never removed from the catalog');
END;
CREATE TRIGGER drills_fixed BEFORE UPDATE ON drills
BEGIN
	SELECT raise(ABORT, 'the report of a drill does not change');
END;
CREATE TRIGGER drill_phases_stay BEFORE DELETE ON drill_phases
BEGIN
	SELECT raise(ABORT, 'reports of drills are never removed from the catalog');
END;
CREATE TRIGGER drill_phases_fixed BEFORE UPDATE ON drill_phases
BEGIN
	SELECT raise(ABORT, 'the report of a drill does not change');
END;
CREATE TRIGGER drill_volumes_stay BEFORE DELETE ON drill_volumes
BEGIN
	SELECT raise(ABORT, 'reports of drills are never removed from the catalog');
END;
CREATE TRIGGER drill_volumes_fixed BEFORE UPDATE ON drill_volumes
BEGIN
	SELECT raise(ABORT, 'the report of a drill does not change');
END;
CREATE TRIGGER drill_checks_stay BEFORE DELETE ON drill_checks
BEGIN
	SELECT raise(ABORT, 'reports of drills are never removed from the catalog');
END;
CREATE TRIGGER drill_checks_fixed BEFORE UPDATE ON drill_checks
BEGIN
	SELECT raise(ABORT, 'the report of a drill does not change');
END;
CREATE TRIGGER owners_stay BEFORE DELETE ON owners
BEGIN
	SELECT raise(ABORT, 'who served a plan is never removed from the catalog');
END;
CREATE TRIGGER owners_fixed BEFORE UPDATE ON owners
BEGIN
	SELECT raise(ABORT, 'who served a plan does not change');
END;

-- ---- views ----

-- Records of journals that count.
CREATE VIEW v_run_steps AS
SELECT t.run, t.n, t.kind, t.plan, t.step, strftime('%Y-%m-%dT%H:%M:%SZ', t.at_ns / 1000000000, 'unixepoch') AS at,
       strftime('%Y-%m-%dT%H:%M:%SZ', t.received_ns / 1000000000, 'unixepoch') AS received,
       t.user, t.host, t.signer, s.name AS signer_name, t.detail, t.at_ns, t.received_ns
FROM run_steps t
LEFT JOIN signers s ON s.signer = t.signer
WHERE t.by_admin;

-- One row a run. state: 'open'; 'ended'; 'given up'. rto_s: of a failover, from its begin until it was promoted.
CREATE VIEW v_runs AS
SELECT f.run, f.kind, f.plan, f.at AS began,
       strftime('%Y-%m-%dT%H:%M:%SZ', x.ended_ns / 1000000000, 'unixepoch') AS ended,
       CASE WHEN x.ended_ns IS NULL THEN 'open' WHEN x.given_up THEN 'given up' ELSE 'ended' END AS state,
       x.steps, x.last_step, strftime('%Y-%m-%dT%H:%M:%SZ', x.promoted_ns / 1000000000, 'unixepoch') AS promoted,
       CASE f.kind WHEN 'failover' THEN (x.promoted_ns - f.at_ns) / 1000000000 END AS rto_s,
       x.volumes, x.missing, x.loss_s, f.user, f.host, f.signer_name, f.at_ns AS began_ns, x.ended_ns, x.promoted_ns
FROM v_run_steps f
JOIN (SELECT run, min(n) AS first, count(*) AS steps,
             max(CASE step WHEN 'end' THEN at_ns END) AS ended_ns,
             max(CASE step WHEN 'promote' THEN at_ns END) AS promoted_ns,
             max(given_up) AS given_up,
             max(volumes) AS volumes,
             max(missing) AS missing,
             max(loss_s) AS loss_s,
             (SELECT l.step FROM run_steps l WHERE l.run = s.run AND l.by_admin ORDER BY l.n DESC LIMIT 1) AS last_step
      FROM run_steps s WHERE by_admin GROUP BY run) x ON x.run = f.run AND x.first = f.n;

-- One row a drill. verdict: 'passed', 'failed', 'damaged', 'not ended'.
CREATE VIEW v_drills AS
SELECT r.run, r.plan, r.began, r.ended,
       CASE WHEN d.run IS NULL THEN 'not ended' WHEN d.damaged THEN 'damaged' WHEN d.passed THEN 'passed'
            ELSE 'failed' END AS verdict,
       d.rpo_s, d.rpo_target_s, d.rto_ms / 1000.0 AS rto_s, d.rto_target_s,
       (SELECT sum(ms) FROM drill_phases p WHERE p.run = r.run AND p.name = 'choose') AS choose_ms,
       (SELECT sum(ms) FROM drill_phases p WHERE p.run = r.run AND p.name = 'restore') AS restore_ms,
       (SELECT sum(ms) FROM drill_phases p WHERE p.run = r.run AND p.name = 'check') AS check_ms,
       (SELECT count(*) FROM drill_volumes v WHERE v.run = r.run) + d.left_out AS volumes,
       CASE WHEN d.run IS NOT NULL THEN (SELECT count(*) FROM drill_volumes v WHERE v.run = r.run AND v.restored
                                         AND v.verified AND NOT v.damaged) END AS verified,
       d.bytes, d.why, d.from_cluster, d.to_cluster, d.version, r.user, r.host, r.signer_name, r.began_ns, d.ended_ns
FROM v_runs r
LEFT JOIN drills d ON d.run = r.run
WHERE r.kind = 'drill';

-- One row a volume and drill that it was in. result: 'verified', 'damaged', 'missing', 'not read back'.
CREATE VIEW v_drill_volumes AS
SELECT v.volume, v.run, d.plan, strftime('%Y-%m-%dT%H:%M:%SZ', d.began_ns / 1000000000, 'unixepoch') AS began,
       CASE WHEN v.damaged THEN 'damaged' WHEN NOT v.restored THEN 'missing' WHEN v.verified THEN 'verified'
            ELSE 'not read back' END AS result,
       v.why, v.claim, v.point, strftime('%Y-%m-%dT%H:%M:%SZ', v.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       v.bytes, v.files, v.fetched_bytes, v.gaps, v.ms, d.passed, d.began_ns, d.ended_ns, v.frozen_ns
FROM drill_volumes v
JOIN drills d ON d.run = v.run;

-- One row a volume: the newest drill that it was in, and the newest that read it back and found it as it was.
CREATE VIEW v_volume_drills AS
SELECT v.volume, v.cluster, v.namespace, v.name, l.run AS last_run, l.plan, l.began AS last, l.result, l.why,
       g.run AS verified_run, g.began AS verified, l.began_ns AS last_ns, g.began_ns AS verified_ns
FROM volumes v
LEFT JOIN v_drill_volumes l ON l.volume = v.volume AND l.run = (
	SELECT x.run FROM drill_volumes x JOIN drills d ON d.run = x.run
	WHERE x.volume = v.volume ORDER BY d.began_ns DESC, x.run DESC LIMIT 1)
LEFT JOIN v_drill_volumes g ON g.volume = v.volume AND g.run = (
	SELECT x.run FROM drill_volumes x JOIN drills d ON d.run = x.run
	WHERE x.volume = v.volume AND x.restored AND x.verified AND NOT x.damaged
	ORDER BY d.began_ns DESC, x.run DESC LIMIT 1);

-- One row a plan: who serves it.
CREATE VIEW v_owners AS
SELECT o.plan, o.cluster, strftime('%Y-%m-%dT%H:%M:%SZ', o.at_ns / 1000000000, 'unixepoch') AS since, o.reason,
       o.run, o.epoch, o.user, o.host, s.name AS signer_name, o.n, o.at_ns
FROM owners o
LEFT JOIN signers s ON s.signer = o.signer
WHERE o.by_admin AND o.n = (SELECT max(x.n) FROM owners x WHERE x.plantag = o.plantag AND x.by_admin);

-- One row a signer: since when it signs, and how much.
CREATE VIEW v_signers AS
SELECT s.signer, s.name, strftime('%Y-%m-%dT%H:%M:%SZ', s.revoked_ns / 1000000000, 'unixepoch') AS revoked,
       p.points, strftime('%Y-%m-%dT%H:%M:%SZ', p.first_ns / 1000000000, 'unixepoch') AS first_point,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.last_ns / 1000000000, 'unixepoch') AS last_point,
       s.public, s.revoked_ns, p.first_ns, p.last_ns
FROM signers s
LEFT JOIN (SELECT signer, count(*) AS points, min(received_ns) AS first_ns, max(received_ns) AS last_ns
           FROM points GROUP BY signer) p ON p.signer = s.signer;
