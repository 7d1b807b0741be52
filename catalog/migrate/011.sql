-- SPDX-License-Identifier: Apache-2.0
--
-- Version 11: indexes, and views that use them, for catalogs of a million points. The points of a volume are of many
-- days, so each of them lies in a page of its own: what is asked of all points is in an index, in the order
-- in which it is asked. An index cannot stand in for a column that is generated, so none of this says ended_ns.

DROP INDEX points_by_volume;
CREATE INDEX points_by_volume ON points (
	voltag, sequence, received_ns, session, frozen_ns, expired_ns, gone_at_ns, revoked_ns, geo_ns,
	started_ns, finished_ns, unreadable, changed, hooks_failed, bytes_logical, bytes_new, bytes_stored);
-- Those that can be restored now.
CREATE INDEX points_alive ON points (
	voltag, sequence, received_ns, session, frozen_ns, geo_ns, bytes_new, bytes_stored)
	WHERE expired_ns IS NULL AND gone_at_ns IS NULL;
CREATE INDEX points_by_receipt ON points (received_ns);
CREATE INDEX points_by_signer ON points (signer, received_ns);
-- Few, and asked for at each look.
CREATE INDEX points_lost ON points (session)
	WHERE gone_at_ns IS NOT NULL AND expired_ns IS NULL AND revoked_ns IS NULL AND loss IS NULL;
CREATE INDEX points_incomplete ON points (incomplete_ns) WHERE incomplete_ns IS NOT NULL;
CREATE INDEX tombstones_by_receipt ON tombstones (received_ns);
-- By the volume, which a session names at its place 12, of those that the catalog may have no point of.
CREATE INDEX tombstone_points_by_volume ON tombstone_points (substr(session, 12, 16));

DROP VIEW v_volume_status;
DROP VIEW v_volume_history;
DROP VIEW v_geo;

-- One row a volume: what can be restored of it now. age_s is the achieved RPO at the moment of asking. A column that
-- is not asked for costs nothing.
CREATE VIEW v_volume_status AS
SELECT v.volume, v.cluster, v.namespace, v.name, n.kind,
       (SELECT count(*) FROM points p INDEXED BY points_alive
        WHERE p.voltag = v.voltag AND p.expired_ns IS NULL AND p.gone_at_ns IS NULL) AS points,
       n.point AS newest_point, n.session AS newest_session,
       strftime('%Y-%m-%dT%H:%M:%SZ', n.frozen_ns / 1000000000, 'unixepoch') AS newest_frozen,
       CAST(strftime('%s', 'now') AS INTEGER) - n.frozen_ns / 1000000000 AS age_s,
       n.consistency, n.bytes_logical,
       (SELECT coalesce(sum(p.bytes_new), 0) FROM points p INDEXED BY points_alive
        WHERE p.voltag = v.voltag AND p.expired_ns IS NULL AND p.gone_at_ns IS NULL) AS bytes_new,
       (SELECT coalesce(sum(p.bytes_stored), 0) FROM points p INDEXED BY points_alive
        WHERE p.voltag = v.voltag AND p.expired_ns IS NULL AND p.gone_at_ns IS NULL) AS bytes_stored,
       n.unreadable + n.changed AS problems,
       (SELECT count(*) FROM anomalies a WHERE a.voltag = v.voltag AND a.resolved_ns IS NULL) AS anomalies,
       (SELECT count(*) FROM holds h WHERE h.voltag = v.voltag AND h.released IS NULL) AS holds,
       n.frozen_ns AS newest_frozen_ns,
       (SELECT min(p.frozen_ns) FROM points p INDEXED BY points_alive
        WHERE p.voltag = v.voltag AND p.expired_ns IS NULL AND p.gone_at_ns IS NULL) AS oldest_frozen_ns, v.voltag
FROM volumes v
LEFT JOIN points n ON n.rowid = (
	SELECT rowid FROM points INDEXED BY points_alive
	WHERE voltag = v.voltag AND expired_ns IS NULL AND gone_at_ns IS NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1);

-- The same for any time T: the rows with from_ns <= T AND (until_ns IS NULL OR T < until_ns).
-- The age at T is T - newest_frozen_ns.
CREATE VIEW v_volume_history AS
SELECT v.volume, v.cluster, v.namespace, v.name, t.from_ns, t.until_ns,
       (SELECT count(*) FROM points p
        WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
          AND (p.expired_ns IS NULL OR p.expired_ns > t.from_ns)
          AND (p.gone_at_ns IS NULL OR p.gone_at_ns > t.from_ns)) AS points,
       (SELECT coalesce(sum(bytes_stored), 0) FROM points p
        WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
          AND (p.expired_ns IS NULL OR p.expired_ns > t.from_ns)
          AND (p.gone_at_ns IS NULL OR p.gone_at_ns > t.from_ns)) AS bytes_stored,
       n.point AS newest_point, n.session AS newest_session, n.frozen_ns AS newest_frozen_ns,
       n.consistency, n.kind, n.bytes_logical, n.unreadable + n.changed AS problems, t.voltag
FROM (SELECT voltag, at_ns AS from_ns, lead(at_ns) OVER (PARTITION BY voltag ORDER BY at_ns) AS until_ns
      FROM (SELECT voltag, received_ns AS at_ns FROM points
            UNION SELECT voltag, min(coalesce(expired_ns, gone_at_ns), coalesce(gone_at_ns, expired_ns))
            FROM points WHERE expired_ns IS NOT NULL OR gone_at_ns IS NOT NULL)) t
JOIN volumes v ON v.voltag = t.voltag
LEFT JOIN points n ON n.rowid = (
	SELECT p.rowid FROM points p
	WHERE p.voltag = t.voltag AND p.received_ns <= t.from_ns
	  AND (p.expired_ns IS NULL OR p.expired_ns > t.from_ns)
	  AND (p.gone_at_ns IS NULL OR p.gone_at_ns > t.from_ns)
	ORDER BY p.sequence DESC, p.received_ns DESC, p.session DESC LIMIT 1);

-- One row a volume: what a failover would leave of it. geo_rpo_s is counted from now to the freeze time of the
-- newest point that is in the second region, lag_s from that to the freeze time of the newest point.
CREATE VIEW v_geo AS
SELECT v.volume, v.cluster, v.namespace, v.name, n.session AS newest_session, n.frozen_ns AS newest_frozen_ns,
       g.session AS geo_session, strftime('%Y-%m-%dT%H:%M:%SZ', g.frozen_ns / 1000000000, 'unixepoch') AS geo_frozen,
       g.frozen_ns AS geo_frozen_ns,
       CAST(strftime('%s', 'now') AS INTEGER) - g.frozen_ns / 1000000000 AS geo_rpo_s,
       max(0, n.frozen_ns - g.frozen_ns) / 1000000000 AS lag_s,
       (SELECT count(*) FROM points w INDEXED BY points_alive
        WHERE w.voltag = v.voltag AND w.expired_ns IS NULL AND w.gone_at_ns IS NULL AND w.geo_ns IS NULL) AS waiting,
       v.voltag
FROM volumes v
LEFT JOIN points n ON n.rowid = (
	SELECT rowid FROM points INDEXED BY points_alive
	WHERE voltag = v.voltag AND expired_ns IS NULL AND gone_at_ns IS NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)
LEFT JOIN points g ON g.rowid = (
	SELECT rowid FROM points INDEXED BY points_alive
	WHERE voltag = v.voltag AND expired_ns IS NULL AND gone_at_ns IS NULL AND geo_ns IS NOT NULL
	ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1)
WHERE EXISTS (SELECT 1 FROM cuts);
