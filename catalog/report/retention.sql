-- SPDX-License-Identifier: Apache-2.0
, kept AS (
	SELECT voltag, count(*) AS points, min(frozen_ns) AS oldest, max(frozen_ns) AS newest,
	       sum(frozen_ns > :as_of - 86400000000000) AS day, sum(frozen_ns > :as_of - 604800000000000) AS week,
	       sum(frozen_ns > :as_of - 2678400000000000) AS month, sum(frozen_ns > :as_of - 31622400000000000) AS year,
	       sum(bytes_stored) AS bytes_stored
	FROM alive GROUP BY voltag),
gone AS (
	SELECT voltag, sum(expired_ns IS NOT NULL) AS expired, sum(expired_ns IS NULL) AS lost
	FROM (SELECT voltag, expired_ns,
	             min(coalesce(expired_ns, gone_at_ns), coalesce(gone_at_ns, expired_ns)) AS at_ns
	      FROM pts)
	WHERE at_ns >= :from AND at_ns < :to AND at_ns <= :as_of GROUP BY voltag)
SELECT s.volume, coalesce(k.points, 0) AS points, k.oldest, k.newest, coalesce(k.day, 0) AS day,
       coalesce(k.week, 0) AS week, coalesce(k.month, 0) AS month, coalesce(k.year, 0) AS year,
       coalesce(g.expired, 0) AS expired, coalesce(g.lost, 0) AS lost,
       (SELECT count(*) FROM holds h WHERE h.voltag = s.voltag AND h.received_ns <= :as_of AND h.released IS NULL)
               AS holds,
       k.bytes_stored
FROM sel s
LEFT JOIN kept k ON k.voltag = s.voltag
LEFT JOIN gone g ON g.voltag = s.voltag
ORDER BY s.volume, s.voltag
