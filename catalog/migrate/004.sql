-- SPDX-License-Identifier: Apache-2.0
--
-- Version 4: how far the second region is, and which points are in it; what a failover took, and that it was
-- accepted.

DROP VIEW v_points;

-- ---- geo-durability ----

-- What a sync learned of the second region; one row a sync, while the store has one.
CREATE TABLE cuts (
	id          INTEGER PRIMARY KEY,
	observed_ns INTEGER NOT NULL, -- by the clock of who looked
	at_ns       INTEGER,          -- the same by the store's clock; NULL: not known
	kind        TEXT NOT NULL CHECK (kind IN ('unknown', 'last_sync', 'compared', 'replication')),
	cut_ns      INTEGER,          -- what the store received until then is in the second region; NULL: not known
	behind      INTEGER NOT NULL, -- objects that are known to lack there
	status      TEXT              -- the service's own word; of an unknown one: why
) STRICT;
CREATE TRIGGER cuts_stay BEFORE DELETE ON cuts
BEGIN
	SELECT raise(ABORT, 'what was seen of the second region is never removed from the catalog');
END;
CREATE TRIGGER cuts_fixed BEFORE UPDATE ON cuts
BEGIN
	SELECT raise(ABORT, 'what was seen of the second region does not change');
END;

ALTER TABLE points ADD COLUMN geo_kind TEXT -- of the cut that said so; NULL: not known to be there
	CHECK (geo_kind IN ('last_sync', 'compared', 'replication'));
ALTER TABLE points ADD COLUMN geo_ns INTEGER; -- when a sync first found it in the second region

-- ---- failovers ----

-- A look at what a store has after a failover.
CREATE TABLE reconciliations (
	id         INTEGER PRIMARY KEY,
	at_ns      INTEGER NOT NULL,
	user       TEXT NOT NULL,
	host       TEXT NOT NULL,
	accepted   INTEGER NOT NULL CHECK (accepted IN (0, 1)),
	config     INTEGER NOT NULL, -- revision of the config that the store showed
	level      INTEGER NOT NULL, -- of the check that told which points are whole
	survived   INTEGER NOT NULL, -- points that are whole
	incomplete INTEGER NOT NULL, -- points that are there and not whole
	lost       INTEGER NOT NULL, -- points that were there and are not
	sessions   INTEGER NOT NULL, -- that did not end
	packs      INTEGER NOT NULL, -- that nothing names
	bytes      INTEGER NOT NULL  -- of these
) STRICT;
CREATE TRIGGER reconciliations_stay BEFORE DELETE ON reconciliations
BEGIN
	SELECT raise(ABORT, 'reconciliations are never removed from the catalog');
END;
CREATE TRIGGER reconciliations_fixed BEFORE UPDATE ON reconciliations
BEGIN
	SELECT raise(ABORT, 'what a reconciliation found does not change');
END;

-- When a reconciliation found that the point is not whole; NULL: nothing is known against it.
ALTER TABLE points ADD COLUMN incomplete_ns INTEGER;
-- The reconciliation that accepted its loss; NULL: none.
ALTER TABLE points ADD COLUMN loss INTEGER REFERENCES reconciliations (id);

-- ---- views ----

-- All restore points with their volume, times as text as well. state: 'present'; 'incomplete'; 'proposed', 'held'
-- or 'expired' and in the store; 'deleted' after it was expired; 'revoked'; 'lost'. geo: 'yes', 'no', 'unknown';
-- NULL: no second region was ever seen.
CREATE VIEW v_points AS
SELECT p.point, p.session, v.volume, v.cluster, v.namespace, v.name, p.kind, p.volume_uid, p.domain, p.set_id,
       p.sequence, p.previous_session, p.previous_hash,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.received_ns / 1000000000, 'unixepoch') AS received,
       p.consistency, p.driver, p.files, p.directories, p.others,
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

-- What was seen of the second region. lag_s: how far the cut was behind.
CREATE VIEW v_cuts AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', observed_ns / 1000000000, 'unixepoch') AS observed, kind,
       strftime('%Y-%m-%dT%H:%M:%SZ', cut_ns / 1000000000, 'unixepoch') AS cut,
       CASE WHEN kind = 'unknown' THEN NULL
            ELSE max(0, coalesce(at_ns, observed_ns) - cut_ns) / 1000000000 END AS lag_s,
       behind, status, observed_ns, at_ns, cut_ns
FROM cuts;

-- One row a volume: what a failover would leave of it. geo_rpo_s is counted from now to the freeze time of the
-- newest point that is in the second region, lag_s from that to the freeze time of the newest point.
CREATE VIEW v_geo AS
SELECT v.volume, v.cluster, v.namespace, v.name, n.session AS newest_session, n.frozen_ns AS newest_frozen_ns,
       g.session AS geo_session, strftime('%Y-%m-%dT%H:%M:%SZ', g.frozen_ns / 1000000000, 'unixepoch') AS geo_frozen,
       g.frozen_ns AS geo_frozen_ns,
       CAST(strftime('%s', 'now') AS INTEGER) - g.frozen_ns / 1000000000 AS geo_rpo_s,
       max(0, n.frozen_ns - g.frozen_ns) / 1000000000 AS lag_s,
       (SELECT count(*) FROM points w WHERE w.voltag = v.voltag AND w.ended_ns IS NULL AND w.geo_ns IS NULL)
               AS waiting,
       v.voltag
FROM volumes v
LEFT JOIN points n ON n.session = (
	SELECT session FROM points
	WHERE voltag = v.voltag AND ended_ns IS NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)
LEFT JOIN points g ON g.session = (
	SELECT session FROM points
	WHERE voltag = v.voltag AND ended_ns IS NULL AND geo_ns IS NOT NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)
WHERE EXISTS (SELECT 1 FROM cuts);

CREATE VIEW v_reconciliations AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', at_ns / 1000000000, 'unixepoch') AS at, user, host, accepted, config, level,
       survived, incomplete, lost, sessions, packs, bytes, at_ns
FROM reconciliations;
