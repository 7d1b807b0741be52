-- SPDX-License-Identifier: Apache-2.0
--
-- What every report begins with; what a report does not use costs nothing. Parameters: :as_of (what was known
-- then, by the store's clock), :from and :to (the period, to is outside), in ns since 1970; :cluster, :namespace,
-- :volume (a pattern of GLOB): NULL for all; :target_s: seconds, NULL: none is set.
WITH
-- Volumes that are asked for.
sel AS NOT MATERIALIZED (
	SELECT voltag, volume, cluster, namespace, name FROM volumes
	WHERE (:cluster IS NULL OR cluster = :cluster) AND (:namespace IS NULL OR namespace = :namespace)
	  AND (:volume IS NULL OR volume GLOB :volume OR name GLOB :volume)),
-- Their points that were known, and of these: that could be restored. In the order of the index points_by_volume,
-- which has what reports ask of all points; it has no ended_ns, which is the earlier one of expired_ns and gone_at_ns.
pts AS NOT MATERIALIZED (
	SELECT p.* FROM points p WHERE p.voltag IN (SELECT voltag FROM sel) AND p.received_ns <= :as_of),
alive AS NOT MATERIALIZED (
	SELECT p.* FROM points p WHERE p.voltag IN (SELECT voltag FROM sel) AND p.received_ns <= :as_of
	  AND (p.expired_ns IS NULL OR p.expired_ns > :as_of) AND (p.gone_at_ns IS NULL OR p.gone_at_ns > :as_of)),
-- The newest one of each volume that could be restored, and the newest of those that were in the second region.
newest AS NOT MATERIALIZED (
	SELECT s.voltag AS vol, s.volume, s.cluster, s.namespace, s.name, p.*
	FROM sel s LEFT JOIN points p ON p.session = (
		SELECT x.session FROM points x
		WHERE x.voltag = s.voltag AND x.received_ns <= :as_of
		  AND (x.expired_ns IS NULL OR x.expired_ns > :as_of)
		  AND (x.gone_at_ns IS NULL OR x.gone_at_ns > :as_of)
		ORDER BY x.sequence DESC, x.received_ns DESC, x.session DESC LIMIT 1)),
geo AS NOT MATERIALIZED (
	SELECT s.voltag AS vol, (
		SELECT x.frozen_ns FROM points x
		WHERE x.voltag = s.voltag AND x.received_ns <= :as_of
		  AND (x.expired_ns IS NULL OR x.expired_ns > :as_of)
		  AND (x.gone_at_ns IS NULL OR x.gone_at_ns > :as_of)
		  AND x.geo_ns <= :as_of
		ORDER BY x.sequence DESC, x.received_ns DESC, x.session DESC LIMIT 1) AS frozen_ns
	FROM sel s),
-- When the newest check that read everything and found nothing wrong began: what came before it is verified.
checked AS (
	SELECT max(started_ns) AS ns FROM checks
	WHERE level >= 3 AND all_packs AND problems = 0 AND finished_ns <= :as_of),
verified AS NOT MATERIALIZED (
	SELECT s.voltag AS vol, (
		SELECT x.frozen_ns FROM points x
		WHERE x.voltag = s.voltag AND x.received_ns < (SELECT ns FROM checked)
		  AND (x.expired_ns IS NULL OR x.expired_ns > :as_of)
		  AND (x.gone_at_ns IS NULL OR x.gone_at_ns > :as_of)
		ORDER BY x.sequence DESC, x.received_ns DESC, x.session DESC LIMIT 1) AS frozen_ns
	FROM sel s),
-- The newest drill of each volume, and the newest that read it back and found it as it was.
tried AS (
	SELECT v.volume, v.run, v.n, max(d.began_ns) AS began_ns
	FROM drill_volumes v JOIN drills d ON d.run = v.run WHERE d.ended_ns <= :as_of GROUP BY v.volume),
proved AS (
	SELECT v.volume, v.run, v.n, max(d.began_ns) AS began_ns
	FROM drill_volumes v JOIN drills d ON d.run = v.run
	WHERE d.ended_ns <= :as_of AND v.restored AND v.verified AND NOT v.damaged GROUP BY v.volume),
-- How old the newest point was at its oldest: from the receipt of each point until the next one's (or the end of
-- the period) it was the newest freeze time until then that counted. A clock that went back makes nothing newer.
stays AS NOT MATERIALIZED (
	SELECT voltag, received_ns, max(frozen_ns) OVER w AS frozen_ns, lead(received_ns) OVER w AS next_ns
	FROM points WHERE voltag IN (SELECT voltag FROM sel) AND received_ns <= :as_of
	WINDOW w AS (PARTITION BY voltag ORDER BY received_ns, session ROWS UNBOUNDED PRECEDING)),
spans AS NOT MATERIALIZED (
	SELECT voltag, frozen_ns, max(received_ns, :from) AS from_ns, min(coalesce(next_ns, :to), :to) AS to_ns,
	       next_ns IS NOT NULL AND next_ns <= :to AS closed
	FROM stays WHERE received_ns < :to AND coalesce(next_ns, :to) > :from),
-- Days of the period, in UTC.
days(from_ns) AS (
	SELECT :from - :from % 86400000000000
	UNION ALL SELECT from_ns + 86400000000000 FROM days WHERE from_ns + 86400000000000 < :to)
