-- SPDX-License-Identifier: Apache-2.0
, broken AS (
	SELECT voltag, sum(kind IN ('gap', 'lost')) AS missing,
		sum(kind IN ('fork', 'bad_signature', 'unreadable')) AS changed
	FROM anomalies WHERE found_ns <= :as_of AND (resolved_ns IS NULL OR resolved_ns > :as_of) GROUP BY voltag),
had AS (
	SELECT voltag, count(*) AS points, sum(expired_ns <= :as_of) AS expired,
	       sum(gone_at_ns <= :as_of AND expired_ns IS NULL) AS lost, sum(revoked_ns <= :as_of) AS revoked,
	       sum((expired_ns IS NULL OR expired_ns > :as_of) AND (gone_at_ns IS NULL OR gone_at_ns > :as_of))
	               AS present
	FROM pts GROUP BY voltag),
told AS ( -- by the newest look at each point
	SELECT session, max(look), until_ns FROM locks
	WHERE look IN (SELECT id FROM lock_looks WHERE observed_ns <= :as_of) GROUP BY session),
kept AS (
	SELECT a.voltag, count(*) AS locked, max(k.until_ns) AS until_ns
	FROM (SELECT session, until_ns FROM told WHERE until_ns > :as_of) k
	CROSS JOIN points a ON a.session = k.session
	WHERE a.received_ns <= :as_of AND (a.expired_ns IS NULL OR a.expired_ns > :as_of)
	  AND (a.gone_at_ns IS NULL OR a.gone_at_ns > :as_of) AND a.voltag IN (SELECT voltag FROM sel)
	GROUP BY a.voltag)
SELECT s.volume, CASE WHEN coalesce(b.missing, 0) + coalesce(h.lost, 0) > 0 THEN 'missing'
            WHEN coalesce(b.changed, 0) > 0 THEN 'changed' ELSE 'whole' END AS state,
       coalesce(h.points, 0) AS points, coalesce(h.present, 0) AS present, coalesce(h.expired, 0) AS expired,
       coalesce(h.lost, 0) AS lost, coalesce(h.revoked, 0) AS revoked, coalesce(b.missing, 0) AS missing,
       coalesce(b.changed, 0) AS changed,
       coalesce(k.locked, 0) AS locked, k.until_ns AS locked_until,
       (SELECT max(l.observed_ns) FROM lock_looks l WHERE l.all_points AND l.observed_ns <= :as_of) AS looked,
       (SELECT count(*) FROM holds x WHERE x.voltag = s.voltag AND x.received_ns <= :as_of AND x.released IS NULL)
               AS holds,
       (SELECT c.signatures FROM configs c WHERE c.received_ns <= :as_of AND c.signatures IS NOT NULL
        ORDER BY c.revision DESC LIMIT 1) AS signatures
FROM sel s
LEFT JOIN broken b ON b.voltag = s.voltag
LEFT JOIN had h ON h.voltag = s.voltag
LEFT JOIN kept k ON k.voltag = s.voltag
ORDER BY coalesce(b.missing, 0) + coalesce(h.lost, 0) + coalesce(b.changed, 0) DESC, s.volume, s.voltag
