-- SPDX-License-Identifier: Apache-2.0
--
-- Volumes that the catalog has, and what the cluster holds besides by its record of that time.
, listed AS (
	SELECT cluster, namespace, name, kind, owner, state, policy, rpo_s, why FROM inventory
	WHERE from_ns <= :as_of AND (until_ns IS NULL OR until_ns > :as_of)),
known AS (
	SELECT n.*, l.policy, coalesce(:target_s, nullif(l.rpo_s, 0)) AS want_s
	FROM newest n
	LEFT JOIN listed l ON l.kind = 'claim' AND l.cluster = n.cluster
		AND l.namespace = n.namespace AND l.name = n.name)
SELECT * FROM (
	SELECT n.volume AS volume, n.cluster AS cluster, n.namespace AS namespace,
	       CASE WHEN n.session IS NULL THEN 'exposed'
	            WHEN :as_of - n.frozen_ns > n.want_s * 1000000000 THEN 'late' ELSE 'protected' END AS state,
	       CASE WHEN n.session IS NOT NULL AND :as_of - n.frozen_ns > n.want_s * 1000000000
	            THEN 'the newest point is older than the target'
	            WHEN n.session IS NOT NULL THEN NULL
	            WHEN NOT EXISTS (SELECT 1 FROM points p WHERE p.voltag = n.vol AND p.received_ns <= :as_of)
	            THEN 'there was no point yet'
	            WHEN EXISTS (SELECT 1 FROM points p WHERE p.voltag = n.vol AND p.expired_ns <= :as_of)
	            THEN 'all points are expired or lost' ELSE 'all points are lost or revoked' END AS reason,
	       (SELECT count(*) FROM alive a WHERE a.voltag = n.vol) AS points,
	       n.frozen_ns AS newest, (:as_of - n.frozen_ns) / 1000000 AS age_ms, 1000 * n.want_s AS target_ms,
	       nullif(n.policy, '') AS policy, (:as_of - g.frozen_ns) / 1000000 AS geo_age_ms, v.frozen_ns AS verified,
	       p.began_ns AS tested, n.consistency AS consistency, n.session AS session
	FROM known n
	JOIN geo g ON g.vol = n.vol
	JOIN verified v ON v.vol = n.vol
	LEFT JOIN proved p ON p.volume = n.volume
	UNION ALL
	SELECT l.cluster || '/' || l.namespace || '/' || l.name || CASE l.kind WHEN 'claim' THEN ''
	               ELSE ' (' || l.kind || CASE l.owner WHEN '' THEN '' ELSE ' of ' || l.owner END || ')' END,
	       l.cluster, l.namespace, CASE l.state WHEN 'excluded' THEN 'excluded' ELSE 'exposed' END,
	       CASE l.state WHEN 'protected' THEN 'a policy covers it, and there was no point yet' ELSE l.why END,
	       0, NULL, NULL, 1000 * coalesce(:target_s, nullif(l.rpo_s, 0)), nullif(l.policy, ''),
	       NULL, NULL, NULL, NULL, NULL
	FROM listed l
	WHERE NOT EXISTS (SELECT 1 FROM volumes v WHERE l.kind = 'claim' AND v.cluster = l.cluster
	                  AND v.namespace = l.namespace AND v.name = l.name)
	  AND (:cluster IS NULL OR l.cluster = :cluster) AND (:namespace IS NULL OR l.namespace = :namespace)
	  AND (:volume IS NULL OR l.name GLOB :volume OR l.cluster || '/' || l.namespace || '/' || l.name GLOB :volume))
ORDER BY CASE state WHEN 'exposed' THEN 0 WHEN 'late' THEN 1 WHEN 'excluded' THEN 2 ELSE 3 END, volume, session
