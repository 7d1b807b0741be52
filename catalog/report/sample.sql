-- SPDX-License-Identifier: Apache-2.0
--
-- :n points of the period, chosen by :seed (docs/REPORTS.md): volumes in the order of their ranks give one point each,
-- that of the lowest rank, then another each, until there are enough.
, ranked AS (
	SELECT voltag, session, row_number() OVER (PARTITION BY voltag ORDER BY sample_rank(:seed, session)) AS turn
	FROM points
	WHERE voltag IN (SELECT voltag FROM sel) AND received_ns >= :from AND received_ns < :to
	  AND received_ns <= :as_of),
places AS MATERIALIZED (SELECT voltag, volume, sample_rank(:seed, volume) AS rank FROM sel),
drawn AS MATERIALIZED (
	SELECT row_number() OVER (ORDER BY r.turn, v.rank) AS no, v.volume, r.session
	FROM ranked r JOIN places v ON v.voltag = r.voltag ORDER BY r.turn, v.rank LIMIT :n),
chosen AS (SELECT d.no, d.volume, p.* FROM drawn d JOIN points p ON p.session = d.session)
SELECT c.no, c.volume, c.point,
       CASE WHEN c.ended_ns IS NULL OR c.ended_ns > :as_of THEN 'present' WHEN c.expired_ns IS NOT NULL THEN 'expired'
            WHEN c.revoked_ns IS NOT NULL THEN 'revoked' ELSE 'lost' END AS state,
       c.frozen_ns AS frozen, c.received_ns AS received, c.finished_ns / 1000000 - c.started_ns / 1000000 AS took_ms,
       c.consistency, c.driver, c.unreadable, c.hooks_failed, c.bytes_logical,
       CASE WHEN c.geo_ns <= :as_of THEN c.geo_ns END AS geo,
       (SELECT min(k.finished_ns) FROM checks k WHERE k.level >= 3 AND k.all_packs AND k.problems = 0
        AND k.started_ns > c.received_ns AND k.finished_ns <= :as_of) AS verified,
       (SELECT k.run FROM checks k WHERE k.level >= 3 AND k.all_packs AND k.problems = 0
        AND k.started_ns > c.received_ns AND k.finished_ns <= :as_of ORDER BY k.finished_ns LIMIT 1) AS check_run,
       (SELECT max(d.began_ns) FROM drill_volumes v JOIN drills d ON d.run = v.run
        WHERE v.volume = c.volume AND v.point = c.point AND v.verified AND NOT v.damaged AND d.ended_ns <= :as_of)
               AS restored,
       (SELECT p.run FROM proved p WHERE p.volume = c.volume) AS drill_run,
       (SELECT t.policy FROM tombstone_points x JOIN tombstones t ON t.number = x.number
        WHERE x.session = c.session AND t.received_ns <= :as_of ORDER BY t.number LIMIT 1) AS policy,
       (SELECT x.why FROM tombstone_points x JOIN tombstones t ON t.number = x.number
        WHERE x.session = c.session AND t.received_ns <= :as_of ORDER BY t.number LIMIT 1) AS why,
       k.name AS signer, c.host, c.hash, c.session
FROM chosen c LEFT JOIN signers k ON k.signer = c.signer
ORDER BY c.no
