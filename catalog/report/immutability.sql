-- SPDX-License-Identifier: Apache-2.0
, broken AS (
	SELECT voltag, sum(kind IN ('gap', 'lost')) AS missing,
		sum(kind IN ('fork', 'bad_signature', 'unreadable')) AS changed
	FROM anomalies WHERE found_ns <= :as_of AND (resolved_ns IS NULL OR resolved_ns > :as_of) GROUP BY voltag),
had AS (
	SELECT voltag, count(*) AS points, sum(expired_ns <= :as_of) AS expired,
	       sum(ended_ns <= :as_of AND expired_ns IS NULL) AS lost, sum(revoked_ns <= :as_of) AS revoked,
	       sum(ended_ns IS NULL OR ended_ns > :as_of) AS present
	FROM pts GROUP BY voltag),
kept AS (
	SELECT a.voltag, sum(k.until_ns > :as_of) AS locked,
	       max(CASE WHEN k.until_ns > :as_of THEN k.until_ns END) AS until_ns
	FROM alive a
	JOIN locks k ON k.session = a.session AND k.look = (
		SELECT max(x.look) FROM locks x JOIN lock_looks l ON l.id = x.look
		WHERE x.session = a.session AND l.observed_ns <= :as_of)
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
