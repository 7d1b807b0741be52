-- SPDX-License-Identifier: Apache-2.0
--
-- Version 5: how the view of a point came to be: how long the volume stood still, what hooks did and told, what is
-- not in it, and what became of a driver's list of changes.

DROP VIEW v_points;

ALTER TABLE points ADD COLUMN freeze_ms INTEGER; -- that the volume stood still; NULL: it did not
ALTER TABLE points ADD COLUMN moment TEXT        -- of a set; NULL: of none
	CHECK (moment IN ('one', 'window'));
ALTER TABLE points ADD COLUMN fallback TEXT; -- why a better driver was not used; NULL: it was
ALTER TABLE points ADD COLUMN hooks_run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE points ADD COLUMN hooks_failed INTEGER NOT NULL DEFAULT 0; -- with a status, a signal, or by time
ALTER TABLE points ADD COLUMN base_session TEXT;      -- of the point that a list of changes began from; NULL: none did
ALTER TABLE points ADD COLUMN bytes_claimed INTEGER;  -- that may have changed, by that list
ALTER TABLE points ADD COLUMN bytes_skipped INTEGER;  -- taken from that point unread
ALTER TABLE points ADD COLUMN bytes_compared INTEGER; -- said to be unchanged, and compared; NULL: nothing was
ALTER TABLE points ADD COLUMN bytes_wrong INTEGER;    -- of these: they had changed
CREATE TRIGGER points_capture_fixed BEFORE UPDATE ON points
WHEN (old.freeze_ms, old.moment, old.fallback, old.hooks_run, old.hooks_failed, old.base_session, old.bytes_claimed,
      old.bytes_skipped, old.bytes_compared, old.bytes_wrong)
     IS NOT (new.freeze_ms, new.moment, new.fallback, new.hooks_run, new.hooks_failed, new.base_session,
             new.bytes_claimed, new.bytes_skipped, new.bytes_compared, new.bytes_wrong)
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
END;

-- Commands that were run before and after the moment.
CREATE TABLE point_hooks (
	session    TEXT NOT NULL REFERENCES points (session),
	n          INTEGER NOT NULL,
	phase      TEXT NOT NULL CHECK (phase IN ('pre', 'post')),
	command    TEXT NOT NULL,
	exit       INTEGER NOT NULL,
	signal     INTEGER NOT NULL, -- that ended it; 0: none
	timed_out  INTEGER NOT NULL CHECK (timed_out IN (0, 1)),
	started_ns INTEGER NOT NULL,
	ms         INTEGER NOT NULL,
	output     TEXT NOT NULL,    -- the end of it
	cut_bytes  INTEGER NOT NULL, -- of its beginning that are left out
	PRIMARY KEY (session, n)
) STRICT, WITHOUT ROWID;
-- What hooks told, such as a recovery position.
CREATE TABLE point_facts (
	session TEXT NOT NULL REFERENCES points (session),
	n       INTEGER NOT NULL,
	name    TEXT NOT NULL,
	value   TEXT NOT NULL,
	PRIMARY KEY (session, n)
) STRICT, WITHOUT ROWID;
-- Sentences: what is not in the view.
CREATE TABLE point_notes (
	session TEXT NOT NULL REFERENCES points (session),
	n       INTEGER NOT NULL,
	note    TEXT NOT NULL,
	PRIMARY KEY (session, n)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER point_hooks_stay BEFORE DELETE ON point_hooks
BEGIN
	SELECT raise(ABORT, 'restore points are never removed from the catalog');
END;
CREATE TRIGGER point_hooks_fixed BEFORE UPDATE ON point_hooks
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
END;
CREATE TRIGGER point_facts_stay BEFORE DELETE ON point_facts
BEGIN
	SELECT raise(ABORT, 'restore points are never removed from the catalog');
END;
CREATE TRIGGER point_facts_fixed BEFORE UPDATE ON point_facts
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
END;
CREATE TRIGGER point_notes_stay BEFORE DELETE ON point_notes
BEGIN
	SELECT raise(ABORT, 'restore points are never removed from the catalog');
END;
CREATE TRIGGER point_notes_fixed BEFORE UPDATE ON point_notes
BEGIN
	SELECT raise(ABORT, 'a restore point does not change');
END;

-- ---- views ----

-- All restore points with their volume, times as text as well. state: 'present'; 'incomplete'; 'proposed', 'held'
-- or 'expired' and in the store; 'deleted' after it was expired; 'revoked'; 'lost'. geo: 'yes', 'no', 'unknown';
-- NULL: no second region was ever seen.
CREATE VIEW v_points AS
SELECT p.point, p.session, v.volume, v.cluster, v.namespace, v.name, p.kind, p.volume_uid, p.domain, p.set_id,
       p.sequence, p.previous_session, p.previous_hash,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.received_ns / 1000000000, 'unixepoch') AS received,
       p.consistency, p.driver, p.fallback, p.freeze_ms, p.moment, p.hooks_run, p.hooks_failed,
       p.base_session, p.bytes_claimed, p.bytes_skipped, p.bytes_compared, p.bytes_wrong,
       p.files, p.directories, p.others,
       p.bytes_logical, p.bytes_read, p.bytes_new, p.bytes_stored,
       p.unreadable, p.changed, p.vanished,
       CASE WHEN p.gone_at_ns IS NULL
            THEN coalesce(p.expiry, CASE WHEN p.incomplete_ns IS NULL THEN 'present' ELSE 'incomplete' END)
            WHEN p.expired_ns IS NOT NULL THEN 'deleted'
            WHEN p.revoked_ns IS NOT NULL THEN 'revoked' ELSE 'lost' END AS state,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.expired_ns / 1000000000, 'unixepoch') AS expired,
       CASE WHEN p.geo_ns IS NOT NULL THEN 'yes'
            ELSE (SELECT CASE kind WHEN 'unknown' THEN 'unknown' ELSE 'no' END FROM cuts ORDER BY id DESC LIMIT 1)
            END AS geo,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.geo_ns / 1000000000, 'unixepoch') AS geo_since, p.geo_kind,
       (SELECT max(c.started_ns) FROM checks c
        WHERE c.level >= 3 AND c.all_packs AND c.problems = 0 AND c.started_ns > p.received_ns) AS verified_ns,
       p.host, p.agent, p.epoch, p.signer, s.name AS signer_name, p.hash,
       p.started_ns, p.frozen_ns, p.finished_ns, p.received_ns, p.expired_ns, p.gone_at_ns, p.ended_ns, p.revoked_ns,
       p.geo_ns, p.incomplete_ns, p.loss,
       p.root_id, p.root_pack, p.root_offset, p.root_stored, p.root_plain, p.root_counter,
       p.root_key, p.root_compression, p.levels, p.voltag
FROM points p
JOIN volumes v ON v.voltag = p.voltag
LEFT JOIN signers s ON s.signer = p.signer;

-- What hooks did. outcome: 'ok', 'timed out', 'signal N' or 'status N'.
CREATE VIEW v_hooks AS
SELECT v.volume, p.point, h.session, h.n, h.phase, h.command,
       CASE WHEN h.timed_out THEN 'timed out' WHEN h.signal THEN 'signal ' || h.signal
            WHEN h.exit THEN 'status ' || h.exit ELSE 'ok' END AS outcome,
       strftime('%Y-%m-%dT%H:%M:%SZ', h.started_ns / 1000000000, 'unixepoch') AS started,
       h.ms, h.output, h.cut_bytes, h.exit, h.signal, h.timed_out, h.started_ns, p.frozen_ns
FROM point_hooks h
JOIN points p ON p.session = h.session
JOIN volumes v ON v.voltag = p.voltag;

-- What hooks told.
CREATE VIEW v_facts AS
SELECT v.volume, p.point, f.session, f.name, f.value,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen, p.frozen_ns
FROM point_facts f
JOIN points p ON p.session = f.session
JOIN volumes v ON v.voltag = p.voltag;
